"""The repository's files, and C++ text as far as the architecture tests need to understand it."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOT_OURS = {"build", ".git", ".cache", "node_modules"}


def all_files():
    """Every file of the repository as a path below ROOT: what git knows or would add, or, outside git, what is there."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True)
    if listed.returncode == 0:
        names = [pathlib.Path(name) for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
    return sorted(name for name in names if not NOT_OURS & set(name.parts) and (ROOT / name).is_file())


def files(*folders, suffixes=(".h", ".cpp")):
    """The C++ files below these folders, or those with other suffixes."""
    return [name for name in all_files() if name.parts[0] in folders and name.suffix in suffixes]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def includes_of(name):
    """(line number, the include's name, whether it is in angle brackets) of each include of a file."""
    found = re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text_of(name), re.MULTILINE)
    source = text_of(name)
    return [(source.count("\n", 0, m.start()) + 1, m[2], m[1] == "<") for m in found]


def without_comments_and_literals(source):
    """The same text, line for line, with comments and what stands in quotes as blanks, and no preprocessor lines."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\''
                       r'|^[ \t]*#(?:\\\n|[^\n])*', re.DOTALL | re.MULTILINE)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), source)


_FORWARD = re.compile(r"(template ?<[^{}]*> ?)?(enum )?(class|struct|union|enum) [\w:]+( : [\w:]+)?;|using namespace .*;"
                      r"|static_assert.*")
_SPECIALISATION = re.compile(r"template ?<>|(extern )?template (class|struct) |template ?<.*> ?(class|struct) [\w:]+<")
_MEMBER = re.compile(r"\w(<[^()]*>)?::~?\w+$")


def undocumented_declarations(source):
    """(line, text) of each declaration at namespace scope of a header that has no `///`.

    A declaration counts as documented when a `///` line stands right above it or `///<` on one of its lines, or when it
    follows, without a blank line between, one that is: a group under one comment. Left out are what is documented
    elsewhere in the header, forward declarations of types, namespaces called `…detail`, definitions of members, and
    specialisations, which say what the primary does.
    """
    lines = source.split("\n")
    documented_before = False  # the declaration before this one, which ended on line `last_end`
    last_end = -2
    missing = []
    with_comment = set()
    for start, end, text in _declarations(without_comments_and_literals(source)):
        if _FORWARD.fullmatch(text) or _SPECIALISATION.match(text) or _MEMBER.search(text.split("(")[0]):
            continue
        above = lines[start - 1].strip() if start > 0 else ""
        documented = (above.startswith("///") or any("///<" in line for line in lines[start:end + 1])
                      or documented_before and start - last_end <= 1)
        if documented:
            with_comment.add(text.rstrip(";"))
        else:
            missing.append((start + 1, text.rstrip(";")))
        documented_before, last_end = documented, end
    return [(line, text[:80]) for line, text in missing if text not in with_comment]


def _declarations(code):
    """(first line, last line, text up to the body) of each declaration at namespace scope, outside `namespace detail`."""
    scopes = []  # of each open brace: the namespace's name, or None for a body
    start = None
    head = []
    line = 0
    for character in code:
        at_namespace_scope = None not in scopes
        if character == "\n":
            line += 1
        if character == "{":
            text = " ".join("".join(head).split())
            space = re.search(r"(?:^|\s)namespace\s*([\w:]*)$", text)
            scopes.append(space[1] if space and at_namespace_scope else None)
            if scopes[-1] is not None:
                start, head = None, []
            continue
        if character == "}":
            ended = scopes.pop() if scopes else None
            # A function's body ends its declaration; a type's or an initialiser's is followed by ';'.
            body_of_function = re.search(r"\)[^=]*$", "".join(head)) and not re.match(
                r"\s*(template\s*<.*>\s*)?(class|struct|enum|union)\b", "".join(head), re.DOTALL)
            if ended is None and None not in scopes and start is not None and body_of_function:
                yield from _unless_detail(scopes, start, line, head)
                start, head = None, []
            elif ended is None and None not in scopes:
                head.append("{}")
            continue
        if not at_namespace_scope:
            continue
        if character == ";":
            if start is not None:
                yield from _unless_detail(scopes, start, line, head + [";"])
            start, head = None, []
            continue
        if start is None and not character.isspace():
            start = line
        if start is not None:
            head.append(character)


def _unless_detail(scopes, start, end, head):
    if not any(space.endswith("detail") for space in scopes):
        yield start, end, " ".join("".join(head).split()).replace(" ;", ";")
