"""A database server dies under load: the service goes on, and what it acknowledged is stored once."""

import json
import shutil
import subprocess
import tempfile
import time

from penstock_process import SOURCE, BlackBoxTest, Clients, main, wait_until

TOOL = SOURCE / "tools/test-server"
HEALED_WITHIN = 2.0  # seconds of the database's return


class Outage(BlackBoxTest):
    def start_database(self, kind):
        self.kind = kind
        self.database = tempfile.mkdtemp(prefix="penstock-outage-")
        self.addCleanup(shutil.rmtree, self.database, ignore_errors=True)
        self.addCleanup(subprocess.run, [TOOL, "stop", self.database], check=True)
        return self.restart_database()

    def restart_database(self):
        return subprocess.run([TOOL, "start", self.kind, self.database], stdout=subprocess.PIPE, text=True,
                              timeout=120, check=True).stdout.strip()

    def kill_database(self):
        subprocess.run([TOOL, "kill", self.database], check=True)

    def ready(self, server):
        return server.request("GET", "/readyz")[0] == 200

    def check_stored(self, server, clients):
        """Every acknowledged item once, and no other one twice."""
        status, _, lines = server.request("GET", "/v1/items", Accept="application/x-ndjson")
        self.assertEqual(status, 200)
        stored = {}
        for line in lines.splitlines():
            item = json.loads(line)["data"]["id"]
            stored[item] = stored.get(item, 0) + 1
        self.assertEqual([item for item in clients.acknowledged if stored.get(item) != 1], [])
        self.assertEqual([item for item, count in stored.items() if count != 1], [])
        self.assertEqual((clients.strange, clients.unanswered), ([], []))
        self.assertEqual({status for _, status in clients.refused} - {503}, set())
        print(f"{len(clients.acknowledged)} acknowledged, {len(clients.refused)} refused, {len(stored)} stored")

    def kill_and_restart_under_load(self, kind):
        server = self.serve("--store", self.start_database(kind))
        clients = Clients(server, 32)
        self.addCleanup(clients.stop)
        for turn in range(2):
            clients.wait_for(len(clients.acknowledged) + 300)
            refused = len(clients.refused)
            self.kill_database()
            wait_until(lambda: len(clients.refused) > refused, "the first refusal")
            self.assertEqual(server.request("GET", "/readyz")[0], 503)
            begun = time.monotonic()
            status, headers, body = server.request("POST", "/v1/items", "{}", **{"Content-Type": "application/json"})
            self.assertEqual((status, headers["Retry-After"]), (503, "1"), body)
            self.assertLess(time.monotonic() - begun, 1.0)
            self.restart_database()
            returned = time.monotonic()
            before = len(clients.acknowledged)
            wait_until(lambda: len(clients.acknowledged) > before and self.ready(server), "the service to heal")
            healed = time.monotonic() - returned
            print(f"turn {turn}: healed {healed:.2f} s after the database's return")
            self.assertLess(healed, HEALED_WITHIN)
        clients.stop()
        self.check_stored(server, clients)
        self.assertEqual(server.stop(), 0)

    def test_mariadb_may_be_killed_under_load(self):
        self.kill_and_restart_under_load("mariadb")

    def test_postgresql_may_be_killed_under_load(self):
        self.kill_and_restart_under_load("postgresql")

    def test_a_service_that_nobody_uses_notices_that_its_database_is_gone(self):
        server = self.serve("--store", self.start_database("mariadb"))
        self.assertTrue(self.ready(server))
        self.kill_database()
        wait_until(lambda: not self.ready(server), "the service to be unready")
        self.restart_database()
        wait_until(lambda: self.ready(server), "the service to be ready again")
        self.assertEqual(server.post({"n": 1})[0], 200)
        self.assertEqual(server.stop(), 0)

    def test_an_item_is_read_back_though_the_server_has_ended_the_session(self):
        url = super().start_database("postgresql")
        server = self.serve("--store", url)
        self.assertEqual(server.post({"n": 1})[0], 200)
        end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstock'"
        for path in ("/v1/items?limit=1", "/v1/items/1", "/v1/items?limit=1"):
            for _ in range(2):
                self.assertEqual(server.request("GET", path)[0], 200)
            subprocess.run(["psql", "-X", "-q", url, "-c", end_all], stdout=subprocess.DEVNULL, check=True, timeout=60)
            status, _, body = server.request("GET", path)
            self.assertEqual(status, 200, body)
        self.assertEqual(server.stop(), 0)

    def test_a_server_that_is_away_at_the_start_is_waited_for(self):
        url = self.start_database("postgresql")
        subprocess.run([TOOL, "stop", self.database], check=True)
        server = self.serve("--store", url)
        self.assertEqual(server.request("GET", "/readyz")[0], 503)
        status, answer = server.post({"n": 1})
        self.assertEqual((status, answer["code"]), (503, "ingest.store_unreachable"))
        wait_until(lambda: "waiting for the database" in server.log(), "the line in the log")
        self.restart_database()
        wait_until(lambda: self.ready(server), "the service to be ready")
        self.assertEqual(server.post({"n": 1})[0], 200)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
