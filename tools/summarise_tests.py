#!/usr/bin/env python3
"""Prints "N passed, M failed, K skipped" over CTest JUnit reports, after the names of what failed.

Exits 1 when a test failed, a report is missing or unreadable, or no test ran at all.
"""

import sys
import xml.etree.ElementTree as xml

# The reasons for which CTest leaves a test out on purpose; any other reason not to run one is a failure,
# such as a program that is not there.
SKIPPED_ON_PURPOSE = ("SKIP_", "Disabled")


def verdict(case):
    status = case.get("status")
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if status == "run":
        return "passed"
    skipped = case.find("skipped")
    reason = skipped.get("message", "") if skipped is not None else ""
    if status == "disabled" or (status == "notrun" and reason.startswith(SKIPPED_ON_PURPOSE)):
        return "skipped"
    return "failed"


def main(paths):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    broken = not paths
    for path in paths:
        try:
            cases = list(xml.parse(path).getroot().iter("testcase"))
        except (OSError, xml.ParseError) as problem:
            print(f"no report: {problem}")
            broken = True
            continue
        for case in cases:
            result = verdict(case)
            counts[result] += 1
            if result != "passed":
                print(f"{result}: {case.get('name')} ({path})")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if broken or counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
