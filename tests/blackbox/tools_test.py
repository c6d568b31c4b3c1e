"""tools/run leaves a running server alone, and tools/tidy says so when it could not look."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import unittest

from penstock_process import PATIENCE, PROGRAM, SOURCE, BlackBoxTest, environment, main, rows, wait_until


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


class Tools(BlackBoxTest):
    """Each test has a source tree of its own, with a copy of one tool, and programs in bin that stand for real ones."""

    def setUp(self):
        super().setUp()
        self.tree = self.folder / "source"
        self.bin = self.folder / "bin"
        program(self.bin / "cmake", "exit 0\n")

    def copy(self, tool):
        (self.tree / "tools").mkdir(parents=True)
        shutil.copy(SOURCE / "tools" / tool, self.tree / "tools")
        return self.tree / "tools" / tool

    def variables(self):
        return environment(PATH=f"{self.bin}:{os.environ['PATH']}", GIT_CONFIG_GLOBAL="/dev/null")

    def call(self, *words, cwd=None):
        return subprocess.run([*map(str, words)], cwd=cwd or self.tree, env=self.variables(), capture_output=True,
                              text=True, timeout=PATIENCE, check=False)


@unittest.skipUnless(shutil.which("sqlite3") and shutil.which("curl"), "no sqlite3 or curl here: tools/install-deps")
class Run(Tools):
    def setUp(self):
        super().setUp()
        self.run_tool = self.copy("run")
        program(self.tree / "tools/install-deps", "exit 0\n")
        (self.tree / "examples").symlink_to(SOURCE / "examples")
        (self.tree / "build/release/bin").mkdir(parents=True)
        (self.tree / "build/release/bin/penstock").symlink_to(PROGRAM)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.listen = f"127.0.0.1:{s.getsockname()[1]}"
        self.database = self.tree / "build/run" / self.listen.replace(":", "_") / "penstock.db"

    def stored(self):
        return rows(self.database, "SELECT count(*) FROM earthquakes")[0][0]

    def test_a_second_run_leaves_the_server_of_the_first_its_database(self):
        with open(self.folder / "first.log", "wb") as log:
            first = subprocess.Popen([self.run_tool, "--listen", self.listen, "--stay"], env=self.variables(), stdout=log,
                                     stderr=log)
        self.addCleanup(first.wait)
        self.addCleanup(first.terminate)
        wait_until(lambda: b"stays up" in (self.folder / "first.log").read_bytes(), "the first server")
        stored = self.stored()
        second = self.call(self.run_tool, "--listen", self.listen, "--stop")
        self.assertEqual(second.returncode, 1, second.stdout)
        self.assertIn(f"something listens on {self.listen} already", second.stderr)
        self.assertEqual(self.stored(), stored)
        first.send_signal(signal.SIGTERM)
        self.assertEqual(first.wait(PATIENCE), 0)
        third = self.call(self.run_tool, "--listen", self.listen, "--stop")
        self.assertEqual(third.returncode, 0, third.stderr)
        self.assertEqual(self.stored(), stored)

    def test_a_server_that_does_not_listen_is_not_taken_for_another_that_does(self):
        other = self.folder / "other.py"
        other.write_text("import http.server, sys\n"
                         "class Ready(http.server.BaseHTTPRequestHandler):\n"
                         "    def do_GET(self):\n"
                         "        self.send_response(200)\n"
                         "        self.end_headers()\n"
                         "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Ready).serve_forever()\n")
        # The other comes once the address was looked at; this server ends when it sees that.
        penstock = self.tree / "build/release/bin/penstock"
        penstock.unlink()
        program(penstock, f"[ $1 = load ] && exit 0\n"
                          f"setsid python3 {other} {self.listen.rpartition(':')[2]} & echo $! >{self.folder}/other.pid\n"
                          f"until curl -sf http://{self.listen}/; do :; done\n"
                          f"exit 1\n")
        self.addCleanup(lambda: os.kill(int((self.folder / "other.pid").read_text()), signal.SIGKILL))
        done = self.call(self.run_tool, "--listen", self.listen, "--stop")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the server ended before it listened", done.stderr)


@unittest.skipUnless(shutil.which("git"), "no git here")
class Tidy(Tools):
    def setUp(self):
        super().setUp()
        self.tidy = self.copy("tidy")
        program(self.bin / "clang-tidy-19", 'for last; do :; done\necho "looked at $last"\n')
        self.add("src/room/old.cpp")
        self.git("init", "--initial-branch=main")
        self.git("config", "user.name", "nobody")
        self.git("config", "user.email", "nobody@localhost")
        self.git("add", ".")
        self.git("commit", "--message", "Begin")

    def add(self, name):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("int n;\n")

    def git(self, *words):
        done = self.call("git", *words)
        self.assertEqual(done.returncode, 0, done.stderr)

    def looked_at(self, *arguments, cwd=None):
        """The files that clang-tidy got."""
        done = self.call(self.tidy, *arguments, cwd=cwd)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line.removeprefix("looked at ") for line in done.stdout.splitlines() if line.startswith("looked at ")]

    def test_tidy_looks_at_files_that_changed_and_at_new_ones(self):
        self.assertEqual(self.looked_at(), [])
        (self.tree / "src/room/old.cpp").write_text("int m;\n")
        self.add("app/new.cpp")
        self.add("tests/new_test.cpp")
        self.assertEqual(sorted(self.looked_at()), ["app/new.cpp", "src/room/old.cpp"])
        self.assertEqual(sorted(self.looked_at("--all")), ["app/new.cpp", "src/room/old.cpp"])

    def test_tidy_fails_where_there_is_no_branch_to_compare_with(self):
        self.git("branch", "--move", "another")
        done = self.call(self.tidy)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("no branch main", done.stderr)

    def test_tidy_takes_names_of_files_from_the_folder_where_it_is_called(self):
        folder = self.tree / "src/room"
        [name] = self.looked_at("old.cpp", cwd=folder)
        self.assertEqual(pathlib.Path(name), (folder / "old.cpp").resolve())
        done = self.call(self.tidy, "src/room/old.cpp", cwd=folder)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("src/room/old.cpp", done.stderr)


if __name__ == "__main__":
    main()
