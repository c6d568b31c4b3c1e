"""Starts the real penstock program and talks to it: what the black-box tests share.

TESTED_PENSTOCK names the program; without it, the release build's is taken.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("TESTED_PENSTOCK", str(SOURCE / "build/release/bin/penstock"))
SKIPPED = 77  # what CTest takes for "skipped"
PATIENCE = 60.0  # seconds until something that should have happened long ago counts as a failure


def environment(**more):
    """This process's environment without what would configure penstock, and with `more`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**clean, **more}


def run(*arguments, cwd=None, **variables):
    """Runs penstock to its end."""
    return subprocess.run([PROGRAM, *map(str, arguments)], cwd=cwd, env=environment(**variables),
                          capture_output=True, text=True, timeout=PATIENCE, check=False)


class Serve:
    """A running `penstock serve` on a free port, with its log in `folder`/serve.log unless `stderr` says where else."""

    def __init__(self, folder, *arguments, listen="127.0.0.1:0", variables=None, before_exec=None, stderr=None):
        self.folder = pathlib.Path(folder)
        self.log_file = self.folder / "serve.log"
        given = [] if listen is None else ["--listen", listen]
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "serve", *given, *map(str, arguments)], cwd=self.folder,
                                            env=environment(**(variables or {})), stdout=subprocess.PIPE,
                                            stderr=log if stderr is None else stderr, text=True,
                                            preexec_fn=before_exec)
        # The line comes when the server is ready; end of file means that it never was.
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.process.wait(PATIENCE)
            raise AssertionError(f"penstock serve exited with {self.process.returncode}:\n{self.log()}")
        self.where = line.removeprefix("listening on ").strip()
        self.host, _, port = self.where.removeprefix("http://").rpartition(":")
        self.port = int(port) if port.isdigit() else 0

    def log(self):
        return self.log_file.read_text(errors="replace")

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def request(self, method, path, body=None, **headers):
        """One request on a connection of its own; gives (status, headers, body)."""
        with contextlib.closing(self.connect()) as connection:
            return request_on(connection, method, path, body, **headers)

    def post(self, body, path="/v1/items", content_type="application/json"):
        """Gives (status, the answer's JSON)."""
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        status, _, answer = self.request("POST", path, body, **{"Content-Type": content_type})
        return status, json.loads(answer)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=PATIENCE):
        return self.process.wait(seconds)

    def stop(self):
        """SIGTERM, and the exit code; what was logged last goes to standard error when it is no success."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        if code != 0:
            print(*self.log().splitlines()[-150:], sep="\n", file=sys.stderr)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def request_on(connection, method, path, body=None, **headers):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def rows(database, sql, *parameters):
    """The rows of a query on a SQLite file."""
    with contextlib.closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        return connection.execute(sql, parameters).fetchall()


def wait_until(condition, what):
    """Looks again until `condition()` gives something true, and gives that."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE:.0f} s in vain for {what}")


class BlackBoxTest(unittest.TestCase):
    """A test with a folder of its own, whose servers are gone at its end."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="penstock-blackbox-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def serve(self, *arguments, **how):
        server = Serve(self.folder, *arguments, **how)
        self.addCleanup(server.close)
        return server

    def start_database(self, kind, *settings):
        """A server of its own, with these settings; gives its URL."""
        folder = tempfile.mkdtemp(prefix="penstock-database-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        tool = SOURCE / "tools/test-server"
        self.addCleanup(subprocess.run, [tool, "stop", folder])  # also one whose start failed half-way
        return subprocess.run([tool, "start", kind, folder, *settings], stdout=subprocess.PIPE, text=True, timeout=120,
                              check=True).stdout.strip()

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path


class Clients:
    """Connections that post single items, each with an id of its own, one after another.

    An item ends up in one of `acknowledged` (200 and stored), `refused` (another status: [(id, status)]), `unanswered`
    (the connection ended after it was sent and before an answer).
    """

    def __init__(self, server, count, prefix=""):
        self.acknowledged, self.refused, self.unanswered, self.strange = [], [], [], []
        self._server, self._prefix = server, prefix
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._post_items, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._ended.set()
        self.join()

    def join(self):
        for thread in self._threads:
            thread.join()

    def wait_for(self, acknowledged):
        wait_until(lambda: len(self.acknowledged) >= acknowledged, f"{acknowledged} acknowledged items")

    def _post_items(self, number):
        connection = self._server.connect()
        sequence = 0
        try:
            connection.connect()
        except OSError:
            return
        while not self._ended.is_set():
            sequence += 1
            item = f"{self._prefix}{number}-{sequence}"
            if not self._post(connection, item):
                break
        connection.close()

    def _post(self, connection, item):
        """False when there is no use in going on: the server closed the connection."""
        try:
            status, headers, body = request_on(connection, "POST", "/v1/items", json.dumps({"id": item}),
                                               **{"Content-Type": "application/json"})
        except (OSError, http.client.HTTPException):
            self.unanswered.append(item)
            return False
        if status != 200:
            self.refused.append((item, status))
            self._ended.wait(0.02)  # a client that is told to come back later does not come back at once
        elif json.loads(body)["stored"] == 1:
            self.acknowledged.append(item)
        else:
            self.strange.append((item, body))
        return headers.get("Connection", "").lower() != "close"


def stored_ids(database):
    """How often each id of `Clients` is in the file: {id: count}."""
    counts = {}
    for (data,) in rows(database, "SELECT data FROM processed_data"):
        item = json.loads(data)["id"]
        counts[item] = counts.get(item, 0) + 1
    return counts


def main():
    """Runs the tests of the calling script, or the one its argument names: `test_script.py [test_name]`."""
    pattern = ["-k", f"*.{sys.argv[1]}"] if len(sys.argv) > 1 else []
    outcome = unittest.main(module="__main__", argv=[sys.argv[0], *pattern], exit=False, verbosity=1).result
    for test, reason in outcome.skipped:
        print(f"SKIPPED: {test}: {reason}", flush=True)
    if not outcome.wasSuccessful() or outcome.testsRun == 0:
        sys.exit(1)
    sys.exit(SKIPPED if outcome.skipped and len(outcome.skipped) == outcome.testsRun else 0)
