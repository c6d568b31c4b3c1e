"""tools/test-server, tools/galera and tools/standby start servers where they are told to or say why not, and end those
that they started, all of them, and nothing else."""

import ctypes
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from penstock_process import SOURCE, BlackBoxTest, main, wait_until

GALERA = pathlib.Path("/usr/lib/galera/libgalera_smm.so")
PR_SET_CHILD_SUBREAPER = 36
SOON = 20  # seconds in which a server ends, also on a busy machine


def call(tool, *arguments, limit=120, **variables):
    return subprocess.run([SOURCE / "tools" / tool, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, **variables}, text=True, timeout=limit, check=False)


def adopt_orphans(adopted):
    """This process in the place of an init that waits for nobody."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(adopted), 0, 0, 0)


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class DatabaseServers(BlackBoxTest):
    def setUp(self):
        super().setUp()
        # Of its own, and open to the account that database servers run under.
        self.servers = pathlib.Path(tempfile.mkdtemp(prefix="penstock-servers-"))
        self.servers.chmod(0o755)
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.servers)], check=False)

    def do(self, tool, *arguments, **how):
        done = call(tool, *arguments, **how)
        self.assertEqual(done.returncode, 0, done.stderr)

    def end_where_nobody_waits(self, kind):
        adopt_orphans(True)
        self.addCleanup(adopt_orphans, False)
        self.addCleanup(call, "test-server", "stop", self.servers)
        self.do("test-server", "start", kind, self.servers)
        self.do("test-server", "kill", self.servers, limit=SOON)
        self.do("test-server", "start", kind, self.servers)
        self.do("test-server", "stop", self.servers, limit=SOON)
        self.assertFalse((self.servers / "pid").exists())

    def test_a_mariadb_ends_where_nobody_waits_for_its_process(self):
        self.end_where_nobody_waits("mariadb")

    def test_a_postgresql_ends_where_nobody_waits_for_its_process(self):
        self.end_where_nobody_waits("postgresql")

    def somebody_else(self):
        process = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_process_that_got_the_number_of_a_server_is_left_alone(self):
        other = self.somebody_else()
        (self.servers / "pid").write_text(f"{other.pid}\n")
        done = call("test-server", "kill", self.servers, limit=SOON)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no server runs in", done.stderr)
        self.do("test-server", "stop", self.servers, limit=SOON)
        self.assertIsNone(other.poll())

    def test_a_process_that_got_the_number_of_a_node_is_left_alone(self):
        other = self.somebody_else()
        (self.servers / "node2").mkdir()
        (self.servers / "node2/pid").write_text(f"{other.pid}\n")
        done = call("galera", "kill", self.servers, 2, limit=SOON)
        self.assertEqual(done.returncode, 1)
        self.assertIn("node 2 does not run", done.stderr)
        self.do("galera", "down", self.servers, limit=SOON)
        self.assertIsNone(other.poll())

    def test_servers_end_in_order_beside_a_command_that_fails(self):
        done = call("test-server", "run", "sh", "-c", "exit 8")
        self.assertEqual(done.returncode, 8, done.stderr)
        self.assertNotIn("killing it", done.stderr)

    def fail_to_start(self, client, pid_file, *call_of_tool):
        """A start during which this client always fails; gives the server that the client saw."""
        fakes, seen = self.servers / "bin", self.servers / "seen"
        fakes.mkdir()
        (fakes / client).write_text(f"#!/bin/sh\ncat '{pid_file}' >>'{seen}'\nexit 1\n")
        (fakes / client).chmod(0o755)
        seen.touch()
        seen.chmod(0o666)  # some clients run under the servers' account
        done = call(*call_of_tool, DATABASE_START_SECONDS="5", PATH=f"{fakes}:{os.environ['PATH']}")
        self.assertNotEqual(done.returncode, 0)
        return {int(pid) for pid in seen.read_text().split()}

    def check_is_gone(self, servers):
        self.assertEqual(len(servers), 1)
        for pid in servers:
            self.assertFalse(is_there(pid))

    def test_a_start_that_fails_leaves_no_server(self):
        self.addCleanup(call, "test-server", "stop", self.servers)
        self.check_is_gone(self.fail_to_start("mariadb", self.servers / "pid", "test-server", "start", "mariadb", self.servers))

    def test_a_standby_that_can_not_be_made_leaves_no_primary(self):
        self.addCleanup(call, "standby", "down", self.servers)
        self.check_is_gone(self.fail_to_start("pg_basebackup", self.servers / "primary/pid", "standby", "up", self.servers))

    @unittest.skipUnless(GALERA.exists(), "no Galera here: tools/install-deps --galera")
    def test_a_cluster_that_does_not_come_up_leaves_no_node(self):
        self.addCleanup(call, "galera", "down", self.servers)
        self.check_is_gone(self.fail_to_start("mariadb", self.servers / "node1/pid", "galera", "up", self.servers))

    def test_a_mariadb_starts_in_a_folder_with_a_blank(self):
        folder = self.servers / "with blank"
        self.addCleanup(call, "test-server", "stop", folder)
        self.do("test-server", "start", "mariadb", folder)

    @unittest.skipUnless(GALERA.exists(), "no Galera here: tools/install-deps --galera")
    def test_a_cluster_starts_in_a_folder_with_a_blank(self):
        folder = self.servers / "with blank"
        self.addCleanup(call, "galera", "down", folder)
        self.do("galera", "up", folder, limit=240)

    def interrupt(self, file_of_install, *call_of_tool):
        """Kills the tool and all that it started once this file is there."""
        tool, *arguments = map(str, call_of_tool)
        process = subprocess.Popen([SOURCE / "tools" / tool, *arguments], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_until(lambda: any(self.servers.glob(file_of_install)), file_of_install)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def test_a_mariadb_whose_install_was_interrupted_starts(self):
        self.addCleanup(call, "test-server", "stop", self.servers)
        self.interrupt("data*/ibdata1", "test-server", "start", "mariadb", self.servers)
        self.do("test-server", "start", "mariadb", self.servers)

    def test_a_postgresql_whose_install_was_interrupted_starts(self):
        self.addCleanup(call, "test-server", "stop", self.servers)
        self.interrupt("data*/PG_VERSION", "test-server", "start", "postgresql", self.servers)
        self.do("test-server", "start", "postgresql", self.servers)

    @unittest.skipUnless(GALERA.exists(), "no Galera here: tools/install-deps --galera")
    def test_a_cluster_whose_install_was_interrupted_starts(self):
        self.addCleanup(call, "galera", "down", self.servers)
        self.interrupt("node2/data*/ibdata1", "galera", "up", self.servers)
        self.do("galera", "up", self.servers, limit=240)

    @unittest.skipUnless(os.geteuid() == 0, "other accounts run servers as themselves")
    def test_a_folder_that_the_servers_account_can_not_get_to_is_told(self):
        closed = self.servers / "closed"
        closed.mkdir(0o700)
        cases = [("test-server", "start", "mariadb"), ("test-server", "start", "postgresql"), ("standby", "up")]
        if GALERA.exists():
            cases.append(("galera", "up"))
        for case in cases:
            with self.subTest(case=case):
                folder = closed / "-".join(case)
                done = call(*case, folder, limit=SOON)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"can't get to {folder}", done.stderr)

    def test_a_standby_is_looked_for_only_where_there_is_one(self):
        nowhere = self.servers / "nowhere"
        for command in ("down", "promote"):
            done = call("standby", command, nowhere, limit=SOON)
            self.assertEqual(done.returncode, 1, command)
            self.assertIn(f"there is no folder {nowhere}", done.stderr)
            self.assertFalse(nowhere.exists())
        done = call("standby", "promote", self.servers, limit=SOON)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"no standby was made in {self.servers}", done.stderr)


if __name__ == "__main__":
    main()
