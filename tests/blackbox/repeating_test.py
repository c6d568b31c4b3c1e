"""Two servers on one database take the same requests at the same time: each is stored once, and answered alike."""

import json
import shutil
import subprocess
import tempfile
import threading

from penstock_process import SOURCE, BlackBoxTest, main

TOOL = SOURCE / "tools/test-server"
STREAMS = """
[[stream]]
name = "items"

[[stream]]
name = "orders"
key = ["shop", "number"]
columns = [{name = "shop"}, {name = "number", type = "integer"}, {name = "note"}]
"""
REQUESTS = 60


class Repeating(BlackBoxTest):
    def start_two(self, kind):
        if kind == "sqlite":
            url = f"sqlite:{self.folder}/shared.db"
        else:
            database = tempfile.mkdtemp(prefix="penstock-repeating-")
            self.addCleanup(shutil.rmtree, database, ignore_errors=True)
            self.addCleanup(subprocess.run, [TOOL, "stop", database], check=True)
            url = subprocess.run([TOOL, "start", kind, database], stdout=subprocess.PIPE, text=True, timeout=120,
                                 check=True).stdout.strip()
        config = self.write("penstock.toml", STREAMS)
        return [self.serve("--config", config, "--store", url) for _ in range(2)]

    def post_to_both_at_once(self, servers, path, body_of, **fields):
        """The answers of the servers, [(status, body)], one list a server, to the same requests in the same order."""
        answers = [[], []]

        def post_all(which):
            for n in range(REQUESTS):
                headers = {name: value.format(n) for name, value in fields.items()}
                status, _, body = servers[which].request("POST", path, body_of(n), **headers,
                                                         **{"Content-Type": "application/json"})
                answers[which].append((status, body))

        threads = [threading.Thread(target=post_all, args=(which,)) for which in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def stored(self, server, stream):
        lines = server.request("GET", f"/v1/{stream}", Accept="application/x-ndjson")[2].splitlines()
        return [json.loads(line) for line in lines]

    def check_keyed_requests(self, servers):
        fields = {"Idempotency-Key": '"request {}"'}
        one, other = self.post_to_both_at_once(servers, "/v1/items?results=all", lambda n: f'[{{"n":{n}}},{{"n":-{n}}}]',
                                               **fields)
        self.assertEqual({status for status, _ in one}, {200}, one)
        self.assertEqual(one, other)
        self.assertEqual(sorted(item["data"]["n"] for item in self.stored(servers[0], "items")),
                         sorted([*range(REQUESTS), *(-n for n in range(REQUESTS))]))
        status, _, body = servers[1].request("POST", "/v1/items", "1", **{"Idempotency-Key": "request-x"})
        self.assertEqual(status, 200, body)
        status, _, body = servers[0].request("POST", "/v1/items", "2", **{"Idempotency-Key": "request-x"})
        self.assertEqual((status, json.loads(body)["code"]), (422, "ingest.idempotency_key_reused"))

    def check_keyed_stream(self, servers):
        one, other = self.post_to_both_at_once(
            servers, "/v1/orders", lambda n: json.dumps({"shop": "Käse" if n % 2 else "käse ", "number": n // 4}))
        counts = [json.loads(body) for _, body in one + other]
        keys = {(n % 2, n // 4) for n in range(REQUESTS)}
        self.assertEqual(sum(answer["stored"] for answer in counts), len(keys))
        self.assertEqual(sum(answer["duplicates"] for answer in counts), 2 * REQUESTS - len(keys))
        self.assertEqual(len(self.stored(servers[1], "orders")), len(keys))

    def check(self, kind):
        servers = self.start_two(kind)
        self.check_keyed_requests(servers)
        self.check_keyed_stream(servers)
        for server in servers:
            self.assertEqual(server.stop(), 0)

    def test_two_servers_on_one_sqlite_file_store_a_repeated_request_once(self):
        self.check("sqlite")

    def test_two_servers_on_mariadb_store_a_repeated_request_once(self):
        self.check("mariadb")

    def test_two_servers_on_postgresql_store_a_repeated_request_once(self):
        self.check("postgresql")


if __name__ == "__main__":
    main()
