#!/usr/bin/env python3
"""Connections post single items, `penstock serve` is killed in mid-run, and what was acknowledged is compared with the
file. To be run by hand; killing_test.py is the short form.

    tests/blackbox/load_and_kill.py [--seconds 10] [--connections 64] [--rounds 2] [--signal KILL|TERM]
"""

import argparse
import pathlib
import signal
import sys
import tempfile
import time

from penstock_process import Clients, Serve, stored_ids


def run_round(folder, turn, arguments):
    """One server's life: loaded for so long, then killed. Gives what the clients know."""
    with Serve(folder) as server:
        begun = time.monotonic()
        clients = Clients(server, arguments.connections, prefix=f"{turn}:")
        time.sleep(arguments.seconds)
        elapsed = time.monotonic() - begun
        rate = len(clients.acknowledged) / elapsed
        server.signal(getattr(signal, f"SIG{arguments.signal}"))
        code = server.wait()
        clients.join()
    print(f"round {turn}: {len(clients.acknowledged)} acknowledged ({rate:.0f}/s), {len(clients.unanswered)} cut off, "
          f"{len(clients.refused)} refused, exit code {code}", flush=True)
    return clients, code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of load before each signal")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    arguments = parser.parse_args()

    acknowledged, unanswered, wrong = [], [], 0
    with tempfile.TemporaryDirectory(prefix="penstock-load-") as name:
        folder = pathlib.Path(name)
        for turn in range(arguments.rounds):
            clients, code = run_round(folder, turn, arguments)
            acknowledged += clients.acknowledged
            unanswered += clients.unanswered
            wrong += len(clients.refused) + len(clients.strange)
            wrong += code != (0 if arguments.signal == "TERM" else -signal.SIGKILL)
        with Serve(folder) as server:  # what is in the journal is in the file now
            server.stop()
        stored = stored_ids(folder / "penstock.db")
    lost = [item for item in acknowledged if item not in stored]
    twice = [item for item, count in stored.items() if count > 1]
    unknown = set(stored) - set(acknowledged) - set(unanswered)
    print(f"{len(acknowledged)} acknowledged, {len(stored)} stored: {len(lost)} lost, {len(twice)} stored twice, "
          f"{len(unknown)} never sent, {wrong} otherwise wrong")
    sys.exit(1 if lost or twice or unknown or wrong else 0)


if __name__ == "__main__":
    main()
