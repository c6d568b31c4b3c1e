"""Starts the real penstock-chaos program and drives it.

TESTED_CHAOS names the program; without it, the one beside penstock is taken.
"""

import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import urllib.parse

from penstock_process import PATIENCE, PROGRAM, environment

CHAOS = os.environ.get("TESTED_CHAOS", str(pathlib.Path(PROGRAM).with_name("penstock-chaos")))


class Chaos:
    """A running `penstock-chaos` in front of the server of a URL; `url` is the way through it."""

    def __init__(self, url, *options):
        target = urllib.parse.urlsplit(url)
        server = f"{target.hostname}:{target.port}"
        self.process = subprocess.Popen([CHAOS, "--listen", "127.0.0.1:0", "--to", server, "--control", "127.0.0.1:0",
                                         *options], env=environment(), stdout=subprocess.PIPE, text=True)
        self.where = self._line("listening on ")
        self._control = self._line("control on http://")
        self.url = url.replace(server, self.where)

    def _line(self, start):
        line = self.process.stdout.readline()
        if not line.startswith(start):
            self.process.wait(PATIENCE)
            raise AssertionError(f"penstock-chaos exited with {self.process.returncode}")
        return line.removeprefix(start).strip()

    def request(self, method, path, body=None):
        """Gives (status, the answer's JSON)."""
        with contextlib.closing(http.client.HTTPConnection(self._control, timeout=PATIENCE)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def _ask(self, method, path, body=None):
        status, answer = self.request(method, path, body)
        if status != 200:
            raise AssertionError(f"{method} {path}: {status} {answer}")
        return answer

    def do(self, **directions):
        """Sets toxics: do(to_client={"latency": "50ms"})."""
        return self._ask("PUT", "/toxics", directions)

    def heal(self):
        return self._ask("DELETE", "/toxics")

    def counters(self):
        return self._ask("GET", "/counters")

    def connections(self):
        return self._ask("GET", "/connections")["connections"]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
