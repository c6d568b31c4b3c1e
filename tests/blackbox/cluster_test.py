"""Databases of several servers that go, one after another or for good, below two running `penstock serve`: writes go on,
nothing that was acknowledged is lost, and nothing is stored twice."""

import collections
import pathlib
import subprocess
import tempfile
import threading
import unittest

from penstock_process import SOURCE, BlackBoxTest, Clients, Serve, main, wait_until

GALERA = pathlib.Path("/usr/lib/galera/libgalera_smm.so")
PASSWORD = "only for tests"


def tool(name, *arguments):
    done = subprocess.run([SOURCE / "tools" / name, *map(str, arguments)], stdout=subprocess.PIPE, text=True, timeout=240,
                          check=True)
    return done.stdout.strip()


def rotated(url, by):
    """The same URL with its hosts in another order, so that two services begin with different servers."""
    head, _, rest = url.rpartition("@")
    hosts, _, database = rest.partition("/")
    hosts = hosts.split(",")
    return f"{head}@{','.join(hosts[by:] + hosts[:by])}/{database}"


class SeveralServers(BlackBoxTest):
    def setUp(self):
        super().setUp()
        # Of its own, and open to the account that database servers run under.
        self.servers = pathlib.Path(tempfile.mkdtemp(prefix="penstock-cluster-"))
        self.servers.chmod(0o755)
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.servers)], check=False)

    def start_two_services(self, url):
        self.services = []
        for number in range(2):
            folder = self.folder / f"service{number}"
            folder.mkdir()
            service = Serve(folder, "--store", rotated(url, number))
            self.addCleanup(service.close)
            self.services.append(service)
        self.clients = [Clients(service, 8, prefix=f"{number}:") for number, service in enumerate(self.services)]
        self.addCleanup(lambda: [clients.stop() for clients in self.clients])
        self.writes_go_on()

    def writes_go_on(self):
        for clients in self.clients:
            clients.wait_for(len(clients.acknowledged) + 300)

    def stop_and_compare(self, stored):
        """`stored` gives each stored item's id, as often as it is there."""
        for clients in self.clients:
            clients.stop()
        for service in self.services:
            self.assertEqual(service.stop(), 0, service.log())
        counts = collections.Counter(stored())
        acknowledged = [item for clients in self.clients for item in clients.acknowledged]
        self.assertEqual([item for item in acknowledged if counts[item] == 0], [], "acknowledged and lost")
        self.assertEqual([item for item, count in counts.items() if count > 1], [], "stored twice")
        self.assertEqual([strange for clients in self.clients for strange in clients.strange], [])
        print(f"{len(acknowledged)} acknowledged, {len(counts)} stored, "
              f"{sum(len(clients.refused) for clients in self.clients)} told to come back later")

    @unittest.skipUnless(GALERA.exists(), "no Galera here: tools/install-deps --galera")
    def test_writes_go_on_while_any_node_of_a_cluster_goes_and_comes_back(self):
        self.addCleanup(tool, "galera", "down", self.servers)
        url = tool("galera", "up", self.servers)
        self.start_two_services(url)
        for node, leave, come_back in ((1, "stop", "start"), (2, "kill", "start"), (3, "cut", "mend"), (1, "kill", "start")):
            with self.subTest(node=node, leave=leave):
                tool("galera", leave, self.servers, node)
                self.writes_go_on()
                tool("galera", come_back, self.servers, node)
                # Otherwise the next one to go may be one of two, and leave the other without a majority.
                self.assertEqual(tool("galera", "status", self.servers).count("Synced, 3 members, Primary"), 3)
                self.writes_go_on()
        for node in (1, 2, 3):
            with self.subTest(node=node, leave="rejects queries"):
                self.ask_node(node, "SET GLOBAL wsrep_reject_queries = ALL")
                self.writes_go_on()
                self.ask_node(node, "SET GLOBAL wsrep_reject_queries = NONE")

        def stored(node):
            return self.ask_node(node, "SET SESSION wsrep_sync_wait = 1; "
                                       "SELECT JSON_VALUE(data, '$.id') FROM penstock.processed_data")

        self.stop_and_compare(lambda: stored(1))
        self.assertEqual(sorted(stored(1)), sorted(stored(2)), "the nodes differ")
        self.assertEqual(sorted(stored(1)), sorted(stored(3)), "the nodes differ")

    @unittest.skipUnless(GALERA.exists(), "no Galera here: tools/install-deps --galera")
    def test_items_that_are_refused_or_repeated_leave_the_nodes_of_a_cluster_alike(self):
        self.addCleanup(tool, "galera", "down", self.servers)
        url = tool("galera", "up", self.servers)
        self.ask_node(1, "CREATE TABLE penstock.customer (id BIGINT PRIMARY KEY, visits INT);"
                         "INSERT INTO penstock.customer VALUES (1, 0);"
                         "CREATE TABLE penstock.visits (id BIGINT AUTO_INCREMENT PRIMARY KEY, number BIGINT NOT NULL, "
                         "customer BIGINT NOT NULL, note LONGTEXT, CHECK (number <> 13), "
                         "FOREIGN KEY (customer) REFERENCES penstock.customer (id))")
        config = self.write("penstock.toml", """
[[stream]]
name = "orders"
key = ["number"]
columns = [{name = "number", type = "integer", required = true}, {name = "note"}]
[[stream]]
name = "visits"
columns = [{name = "number", type = "integer", required = true}, {name = "customer", type = "integer", required = true},
           {name = "note"}]
""")
        service = self.serve("--config", config, "--store", url)
        note = "x" * 1000
        for first in (0, 35):
            items = [{"number": first + n, "note": note} for n in range(40)]
            self.assertEqual(service.post(items, "/v1/orders")[0], 200)
        visits = [{"number": n, "customer": 1, "note": note} for n in range(600)]
        status, answer = service.post(visits, "/v1/visits")
        self.assertEqual((status, answer["stored"], answer["rejected"]), (200, 599, 1))

        # Conflicts with what another node does end transactions between any two of their statements.
        stopping = threading.Event()

        def update():
            while not stopping.is_set():
                self.ask_node(2, "UPDATE penstock.customer SET visits = visits + 1")

        updating = threading.Thread(target=update)
        updating.start()
        try:
            told = 599
            for first in range(1000, 1400, 10):
                items = [{"number": first + n, "customer": 1, "note": "x"} for n in range(10)]
                items[first // 10 % 10]["number"] = 13
                status, answer = service.post(items, "/v1/visits")
                self.assertEqual((status, answer["stored"], answer["rejected"]), (200, 9, 1), answer)
                told += 9
        finally:
            stopping.set()
            updating.join()
        self.assertEqual(service.stop(), 0)
        for node in (1, 2, 3):
            self.assertEqual(
                self.ask_node(node, "SET SESSION wsrep_sync_wait = 1; SELECT count(*), count(DISTINCT number) FROM "
                                    "penstock.orders; SELECT count(*), count(DISTINCT number) FROM penstock.visits"),
                ["75", "75", str(told), str(told)], f"node {node}")

    def ask_node(self, node, sql):
        """The words of what a node of tools/galera answers."""
        return subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self.servers}/node{node}/socket", "--user=penstock",
             f"--password={PASSWORD}", "--batch", "--skip-column-names", f"--execute={sql}"],
            stdout=subprocess.PIPE, text=True, check=True).stdout.split()

    def test_writes_go_on_after_a_synchronous_standby_was_promoted(self):
        self.addCleanup(tool, "standby", "down", self.servers)
        url = tool("standby", "up", self.servers)
        self.start_two_services(url)
        tool("test-server", "kill", self.servers / "primary")
        tool("standby", "promote", self.servers)
        self.writes_go_on()
        self.stop_and_compare(lambda: self.ask("standby", "SELECT data->>'id' FROM processed_data"))

    def ask(self, server, sql):
        """The words of what a server of tools/standby answers."""
        port = (self.servers / server / "port").read_text().strip()
        return subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", f"postgresql://penstock@127.0.0.1:{port}/penstock", "-c", sql],
            env={"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, text=True,
            check=True).stdout.split()

    def test_nothing_is_acknowledged_that_a_synchronous_standby_does_not_have(self):
        self.addCleanup(tool, "standby", "down", self.servers)
        url = tool("standby", "up", self.servers)
        # The server's warning is all that tells of a wait that somebody cut short.
        self.ask("primary", "ALTER ROLE penstock SET client_min_messages = error")
        service = Serve(self.folder, "--store", f"{url}?silence_timeout=500ms")
        self.addCleanup(service.close)
        answers = {}

        def post(item):
            answers[item] = service.post({"id": item})

        def waiting_commits():
            return self.ask("primary", "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")

        post("before")
        tool("test-server", "kill", self.servers / "standby")
        # The service loses its patience with COMMIT, the server restarts under it, and somebody cancels it: each time
        # the transaction is committed on the primary, where the next look finds it.
        post("given up")
        for item in ("restarted", "cancelled"):
            posting = threading.Thread(target=post, args=(item,))
            posting.start()
            wait_until(waiting_commits, "a commit that waits for the standby")
            if item == "restarted":
                tool("test-server", "kill", self.servers / "primary")
                tool("test-server", "start", "postgresql", self.servers / "primary")
            while posting.is_alive():
                if item == "cancelled":
                    self.ask("primary", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                posting.join(0.05)
        tool("test-server", "kill", self.servers / "primary")
        tool("test-server", "start", "postgresql", self.servers / "standby")
        tool("standby", "promote", self.servers)
        self.assertEqual({item: status for item, (status, _) in answers.items()},
                         {"before": 200, "given up": 503, "restarted": 503, "cancelled": 503}, answers)
        wait_until(lambda: service.post({"id": "after"})[0] == 200, "an item stored on the promoted standby")
        self.assertEqual(sorted(set(self.ask("standby", "SELECT data->>'id' FROM processed_data"))), ["after", "before"])
        self.assertEqual(service.stop(), 0, service.log())


if __name__ == "__main__":
    main()
