#!/usr/bin/env python3
"""Plants bugs, one at a time, and sees whether the tests of the test kit find each.

    tests/planted/planted_test.py --build build/release [name…]

Each *.patch beside this file says in its first line what goes wrong, and changes one source file. The file is patched
in a temporary folder, compiled as the build compiles it, and linked in front of the libraries of
penstock_testing_tests; the tests must then fail, and name a seed. Nothing of the source or the build is touched.
"""
import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
PROGRAM = "bin/penstock_testing_tests"
# The rules first, which take no time.
TESTS = ["*_rules.*", "ingest_simulation.*"]
SECONDS = 120


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="a build folder of Ninja, with the tests built")
    parser.add_argument("names", nargs="*", help="the bugs to plant; all by default")
    options = parser.parse_args()
    build = Build(options.build.resolve())
    patches = sorted(HERE.glob("*.patch"))
    chosen = [p for p in patches if not options.names or p.stem in options.names]
    if not chosen:
        sys.exit("planted_test: no such bug; there are " + ", ".join(p.stem for p in patches))
    missed = 0
    for patch in chosen:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="penstock-planted-") as folder:
            found = find(build, patch, pathlib.Path(folder))
        missed += found is None
        print(f"{patch.stem:<28} {found or 'NOT FOUND'}  [{time.monotonic() - start:.0f} s]", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} bugs found")
    sys.exit(1 if missed else 0)


class Build:
    def __init__(self, folder):
        self.folder = folder
        listed = self.ninja("compdb")
        self.compile_commands = {(folder / entry["file"]).resolve(): shlex.split(entry["command"])
                                 for entry in json.loads(listed) if " -c " in entry["command"]}
        last = self.ninja("commands", PROGRAM).rstrip().splitlines()[-1]
        self.link_command = shlex.split(last.removeprefix(": && ").removesuffix(" && :"))

    def ninja(self, tool, *arguments):
        return subprocess.run(["ninja", "-C", self.folder, "-t", tool, *arguments], check=True, capture_output=True,
                              text=True).stdout.partition("ninja: Entering directory")[0] or ""

    def run(self, command):
        subprocess.run(command, cwd=self.folder, check=True)


def find(build, patch, folder):
    """What failed and with which seed; None when no test did."""
    path = re.search(r"^\+\+\+ b/(.*)$", patch.read_text(), re.M).group(1)
    original = SOURCE / path
    planted, compiled, program = folder / original.name, folder / "planted.o", folder / "tests"
    subprocess.run(["patch", "--quiet", "--fuzz=0", "-o", planted, original, patch], check=True)
    command = list(build.compile_commands[original])
    command[command.index("-c") + 1] = planted
    command[command.index("-o") + 1] = compiled
    for option in ("-MF", "-MT"):
        command[command.index(option) + 1] = folder / "dependencies"
    build.run([*command, "-w", "-iquote", original.parent])
    link = list(build.link_command)
    at = link.index("-o")
    link[at + 1] = program
    build.run([*link[:at + 2], compiled, *link[at + 2:]])
    for tests in TESTS:
        try:
            done = subprocess.run([program, f"--gtest_filter={tests}", "--gtest_fail_fast"], cwd=folder,
                                  capture_output=True, text=True, timeout=SECONDS, errors="replace")
        except subprocess.TimeoutExpired:
            continue
        said = done.stdout + done.stderr
        seed = re.search(r"PENSTOCK_SEED=(\S+)(?: PENSTOCK_SCHEDULE=(\S+))?", said)
        failed = re.findall(r"^\[  FAILED  \] ([\w.]+)", said, re.M)
        if done.returncode != 0 and failed and seed:
            return f"by {failed[0]}, seed {seed.group(1)}" + (f", schedule {seed.group(2)}" if seed.group(2) else "")
    return None


if __name__ == "__main__":
    main()
