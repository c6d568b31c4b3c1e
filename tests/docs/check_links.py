#!/usr/bin/env python3
"""Fails when a page of the repository links to a file or a heading of it that is not there."""

import pathlib
import re
import sys


def anchors_of(page):
    """The anchors that GitHub gives a page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ +(.*?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(root, page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = page if not file else (page.parent / file)
        if not there.exists():
            yield f"{page.relative_to(root)}: there is no {file}"
        elif anchor and anchor not in anchors_of(there):
            yield f"{page.relative_to(root)}: {there.name} has no heading for #{anchor}"


def main(root):
    pages = [page for folder in ("*.md", "docs/**/*.md", "examples/**/*.md") for page in sorted(root.glob(folder))]
    broken = [problem for page in pages for problem in broken_links(root, page)]
    print("\n".join(broken) or f"all links of {len(pages)} pages lead somewhere")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
