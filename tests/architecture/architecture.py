#!/usr/bin/env python3
"""The rules that hold the code base together, each a test: `architecture.py <name> [compiler and its flags…]`.

Without a name, lists the tests. Exits 1 after naming what breaks the rule and where; 77 when a test can't run here.
"""

import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys

import source_tree as tree

# Lowest first: a room includes only itself and rooms before it.
ROOMS = ["core", "async", "observe", "net", "resilience", "db", "http", "ingest", "testing"]

# The first parts of third-party includes that a room may have in its sources.
THIRD_PARTIES = {
    "core": {"fmt"},
    "async": set(),
    "observe": {"fmt", "spdlog", "prometheus"},
    "net": {"fmt", "boost", "openssl"},
    "resilience": {"fmt"},
    "db": {"fmt", "sqlite3.h", "mysql", "mariadb", "mysql.h", "libpq-fe.h", "postgresql"},
    "http": {"fmt", "boost", "nghttp2", "curl", "zlib.h"},
    "ingest": {"fmt", "simdjson.h", "zstd.h", "zstd_errors.h"},
    "testing": {"fmt", "gtest", "gmock"},
}
# What a GoogleTest user includes beside GoogleTest.
GTEST_GLUE = {f"include/penstock/testing/{name}.h" for name in ("assertions", "test", "test_run")}
KNOWN_THIRD_PARTIES = set().union(*THIRD_PARTIES.values()) | {"toml++", "CLI", "benchmark"}

MOST_LINES = 400
MOST_SECONDS = 3.0
SKIPPED = 77

TESTS = {}


def test(function):
    TESTS[function.__name__] = function
    return function


def room_of(name):
    """The room of a file in include/penstock/<room> or src/<room>."""
    return name.parts[2] if name.parts[0] == "include" else name.parts[1]


@test
def a_room_includes_only_from_rooms_below(_):
    for name in tree.files("include", "src"):
        room = room_of(name)
        if room not in ROOMS:
            yield f"{name}: the room '{room}' is not one of {', '.join(ROOMS)}"
            continue
        for line, included, _ in tree.includes_of(name):
            parts = included.split("/")
            other = parts[1] if parts[0] == "penstock" else parts[0]
            if other in ROOMS and len(parts) > 1 and ROOMS.index(other) > ROOMS.index(room):
                yield f"{name}:{line}: {room} includes {included}, which is in a room above it"


@test
def a_private_header_stays_in_its_room(_):
    for name in tree.files("include", "src", "app", "examples", "bench"):
        for line, included, _ in tree.includes_of(name):
            first = included.split("/")[0]
            if first in ROOMS and "/" in included and not (name.parts[0] == "src" and room_of(name) == first):
                yield f"{name}:{line}: {included} is private to src/{first}"


@test
def a_public_header_includes_no_third_party(_):
    for name in tree.files("include"):
        if str(name) == "include/penstock/net/asio.h" or str(name) in GTEST_GLUE:
            continue
        for line, included, in_brackets in tree.includes_of(name):
            if not (included.startswith("penstock/") or in_brackets and re.fullmatch(r"[a-z_0-9]+", included)):
                yield f"{name}:{line}: {included} is neither Penstock's nor the standard library's"


@test
def a_room_touches_only_its_own_third_parties(_):
    for name in tree.files("src"):
        for line, included, _ in tree.includes_of(name):
            party = included.split("/")[0]
            if party in KNOWN_THIRD_PARTIES and party not in THIRD_PARTIES.get(room_of(name), set()):
                yield f"{name}:{line}: {included} is no business of {room_of(name)}"


@test
def rooms_above_net_ask_the_scheduler(_):
    forbidden = re.compile(r"(system|steady|high_resolution)_clock::now|random_device|\bgetrandom\(|\bclock_gettime\("
                           r"|::socket\(|this_thread::sleep|\bu?sleep\(|std::rand\b")
    for name in tree.files("include", "src"):
        if room_of(name) in ROOMS[ROOMS.index("net") + 1:]:
            yield from _matches(name, forbidden, "ask scheduler::current() for time and randomness")


@test
def no_test_sleeps(_):
    sleeping = re.compile(r"this_thread::sleep|\b(u|nano)sleep\(")
    for name in tree.files("tests"):
        yield from _matches(name, sleeping, "wait for an event, or use virtual time")


def _matches(name, pattern, advice):
    code = tree.without_comments_and_literals(tree.text_of(name))
    for number, line in enumerate(code.split("\n"), 1):
        for match in pattern.finditer(line):
            yield f"{name}:{number}: {match[0]}: {advice}"


@test
def no_file_is_too_long(_):
    for name in tree.files("include", "src", "app"):
        lines = tree.text_of(name).count("\n")
        if lines > MOST_LINES:
            yield f"{name}: {lines} lines, at most {MOST_LINES}: split it by concept"


@test
def nothing_is_left_for_later(_):
    """No notes to oneself, no paths of one machine, no registry hosts."""
    banned = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|(?<![\w.~/-])/(work|home|Users|root)/\w"
                        r"|\b(registry\.npmjs|registry\.yarnpkg|files\.pythonhosted|proxy\.golang|deb\.debian)\b")
    for name in tree.all_files():
        if name.parts[:2] == ("tests", "architecture"):
            continue
        try:
            text = tree.text_of(name)
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.split("\n"), 1):
            for match in banned.finditer(line):
                yield f"{name}:{number}: '{match[0]}' does not belong in the repository"


@test
def every_public_declaration_is_documented(_):
    for name in tree.files("include"):
        if "detail" in name.parts:
            continue
        for line, text in tree.undocumented_declarations(tree.text_of(name)):
            yield f"{name}:{line}: no /// comment: {text}"


@test
def error_codes_are_stable_and_unique(_):
    """Each enumerator of `x_errc` has the code "x.enumerator", or "room.x.enumerator" where x is a part of a room; no
    code comes twice; the codes are those of error_codes.txt."""
    sources = [(name, tree.text_of(name)) for name in tree.files("include", "src", "app")]
    named = {}
    coded = set()
    for name, text in sources:
        for enum, enumerator, code in re.findall(r'case (\w+)_errc::(\w+):\s*return "([\w.]+)";', text):
            coded.add((enum, enumerator))
            if code not in (f"{enum}.{enumerator}", f"{room_of(name)}.{enum}.{enumerator}"):
                yield f"{name}: {enum}_errc::{enumerator} has the code '{code}', which does not end in that name"
            if code in named:
                yield f"{name}: the code '{code}' is also in {named[code]}"
            named[code] = name
    for name, text in sources:
        for enum, body in re.findall(r"enum class (\w+)_errc[^{;]*\{(.*?)\};", text, re.DOTALL):
            for enumerator in re.findall(r"^\s*(\w+)\s*(?:=[^,]*)?(?:,|$)", re.sub(r"//[^\n]*", "", body), re.MULTILINE):
                if (enum, enumerator) not in coded:
                    yield f"{name}: code_name gives no code for {enum}_errc::{enumerator}"
    kept = re.sub(r"#.*", "", tree.text_of("tests/architecture/error_codes.txt")).split()
    for code in sorted(set(named) - set(kept)):
        yield f"{named[code]}: the code '{code}' is not in tests/architecture/error_codes.txt: add it there"
    for code in sorted(set(kept) - set(named)):
        yield f"the code '{code}' is gone, which clients and logs may rely on; see tests/architecture/error_codes.txt"


@test
def the_code_is_formatted(_):
    formatter = next((path for path in map(shutil.which, ("clang-format-14", "clang-format")) if path), None)
    version = subprocess.run([formatter, "--version"], capture_output=True, text=True).stdout if formatter else "none"
    if "version 14." not in version:
        print(f"skipped: needs clang-format 14, the version that all agree on; here: {version.strip()}")
        sys.exit(SKIPPED)
    names = tree.files("include", "src", "app", "tests", "examples", "bench")
    run = subprocess.run([formatter, "--dry-run", "--Werror", *names], cwd=tree.ROOT, capture_output=True, text=True)
    if run.returncode != 0:
        unformatted = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", run.stderr, re.MULTILINE)))
        yield from (f"{name}: not formatted; run {formatter} -i on it" for name in unformatted or [run.stderr])


@test
def every_public_header_compiles_alone(compiler):
    """A header that some source file includes first has been compiled alone by the build; the others are tried here."""
    proven = set()
    for name in tree.files("src", "app", "tests", "examples", suffixes=(".cpp",)):
        proven.update(included for _, included, _ in tree.includes_of(name)[:1])
    headers = [str(name.relative_to("include")) for name in tree.files("include")]
    if not headers:
        yield "found no public header"
    # To object files that keep their names, not by -fsyntax-only, so that ccache can answer the next time.
    os.makedirs("alone", exist_ok=True)

    def compile_alone(header):
        source = f"alone/{header.replace('/', '_')}.cpp"
        with open(source, "w", encoding="utf-8") as out:
            out.write(f'#include "{header}"\n#include "{header}"\n')
        run = subprocess.run([*compiler, "-c", source, "-o", source + ".o"], capture_output=True, text=True)
        return None if run.returncode == 0 else f"{header} does not compile alone:\n{run.stderr}"

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield from filter(None, pool.map(compile_alone, [h for h in headers if h not in proven]))


@test
def all_public_headers_together_compile_fast(compiler):
    """The best of several runs counts, since a busy machine makes the same work take longer, never shorter."""
    if os.path.basename(compiler[0]) == "ccache":
        compiler = compiler[1:]
    # What brings GoogleTest takes as long as GoogleTest does.
    headers = [name.relative_to("include") for name in tree.files("include") if str(name) not in GTEST_GLUE]
    with open("all_public_headers.cpp", "w", encoding="utf-8") as out:
        out.writelines(f'#include "{header}"\n' for header in headers)
    best = float("inf")
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([*compiler, "-fsyntax-only", "all_public_headers.cpp"], check=True)
        best = min(best, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
        if best < MOST_SECONDS:
            print(f"{len(headers)} headers in {best:.2f} s of CPU time")
            return
    busy = os.getloadavg()[0] / os.cpu_count()
    if busy > 2:
        print(f"skipped: {best:.2f} s, but nothing can be measured with {busy:.1f} programs waiting for each processor")
        sys.exit(SKIPPED)
    yield f"a file with all {len(headers)} public headers takes {best:.2f} s to compile, more than {MOST_SECONDS} s"


def main(arguments):
    if not arguments:
        print("\n".join(TESTS))
        return 0
    problems = list(TESTS[arguments[0]](arguments[1:]))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
