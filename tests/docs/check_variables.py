#!/usr/bin/env python3
"""Fails when a page names an environment variable, or a CMake one, that nothing reads.

The variables of `penstock serve` are those of the table in docs/configuration.md, which is made from the program's own;
all others must stand in a source file.
"""

import pathlib
import re
import sys

NAME = re.compile(r"\bPENSTOCK_[A-Z][A-Z0-9_]*\b")
FOLDERS = ("app", "src", "include", "tests", "cmake", "bench", "tools", "examples")
REFERENCE = "docs/configuration.md"


def names_in(files):
    return {name for file in files for name in NAME.findall(file.read_text(encoding="utf-8", errors="replace"))}


def main(root):
    sources = [root / "CMakeLists.txt"]
    for folder in FOLDERS:
        sources += [file for file in (root / folder).rglob("*") if file.is_file() and file.suffix != ".md"]
    known = names_in([root / REFERENCE]) | names_in(sources)
    pages = [page for pattern in ("*.md", "docs/*.md") for page in sorted(root.glob(pattern))]
    unknown = [f"{page.relative_to(root)}: nothing reads {name}" for page in pages
               for name in sorted(names_in([page]) - known)]
    print("\n".join(unknown) or f"all variables of {len(pages)} pages are read")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
