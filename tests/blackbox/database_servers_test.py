"""tools/test-server, tools/galera and tools/standby end the servers that they started, all of them, and nothing else."""

import ctypes
import os
import pathlib
import subprocess
import tempfile
import unittest

from penstock_process import SOURCE, BlackBoxTest, main

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


if __name__ == "__main__":
    main()
