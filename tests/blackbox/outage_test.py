"""A database server dies under load, or its network drops what it answers: the service goes on, and what it acknowledged
is stored once."""

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

from penstock_process import SOURCE, BlackBoxTest, Clients, main, wait_until

TOOL = SOURCE / "tools/test-server"
HEALED_WITHIN = 2.0  # seconds of the database's return


class LossyProxy:
    """Passes on what clients and a server say to one another, but drops the answer to each `every`-th COMMIT and the
    connection with it."""

    def __init__(self, url, every):
        target = urllib.parse.urlsplit(url)
        self._to = (target.hostname, target.port)
        self._every, self.commits, self.dropped = every, 0, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.replace(f"{target.hostname}:{target.port}", f"127.0.0.1:{port}")
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._to)
            except OSError:
                return
            cut = threading.Event()
            threading.Thread(target=self._requests, args=(client, server, cut), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, server, cut), daemon=True).start()

    def _requests(self, client, server, cut):
        try:
            while data := client.recv(1 << 16):
                if b"COMMIT" in data:
                    self.commits += 1
                    if self.commits % self._every == 0:
                        cut.set()
                server.sendall(data)
        except OSError:
            pass
        if not cut.is_set():
            self._end(client, server)
        client.close()

    def _answers(self, client, server, cut):
        try:
            while data := server.recv(1 << 16):
                if cut.is_set():  # the answer to COMMIT: it has happened
                    self.dropped += 1
                    break
                client.sendall(data)
        except OSError:
            pass
        self._end(client, server)
        server.close()

    @staticmethod
    def _end(*both):
        for one in both:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listener.close()


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

    def lose_answers_to_commit(self, kind):
        proxy = LossyProxy(self.start_database(kind), every=20)
        self.addCleanup(proxy.close)
        server = self.serve("--store", proxy.url)
        clients = Clients(server, 16)
        self.addCleanup(clients.stop)
        wait_until(lambda: proxy.dropped >= 5, "some answers to be dropped")
        clients.stop()
        self.assertEqual(clients.refused, [])
        self.check_stored(server, clients)
        metrics = server.request("GET", "/metrics")[2].decode()
        found = [line for line in metrics.splitlines() if line.startswith("penstock_ambiguous_commits_total{")]
        committed = sum(float(line.split()[-1]) for line in found if 'found="committed"' in line)
        print(f"{proxy.commits} commits, {proxy.dropped} answers dropped, {committed:.0f} found to be committed")
        self.assertGreaterEqual(committed, 1, found)
        self.assertEqual(server.stop(), 0)

    def test_mariadb_commits_whose_answer_is_lost_are_found(self):
        self.lose_answers_to_commit("mariadb")

    def test_postgresql_commits_whose_answer_is_lost_are_found(self):
        self.lose_answers_to_commit("postgresql")

    def test_a_server_that_is_away_at_the_start_is_waited_for(self):
        url = self.start_database("postgresql")
        subprocess.run([TOOL, "stop", self.database], check=True)
        server = self.serve("--store", url)
        self.assertEqual(server.request("GET", "/readyz")[0], 503)
        status, answer = server.post({"n": 1})
        self.assertEqual((status, answer["code"]), (503, "ingest.store_unreachable"))
        self.assertIn("waiting for the database", server.log())
        self.restart_database()
        wait_until(lambda: self.ready(server), "the service to be ready")
        self.assertEqual(server.post({"n": 1})[0], 200)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
