"""While the store takes nothing, clients are told to come again, and can once it does."""

import contextlib
import json
import resource
import signal
import sqlite3

from penstock_process import BlackBoxTest, PATIENCE, main, rows, wait_until


class Faults(BlackBoxTest):
    def post_full(self, server, n):
        return server.request("POST", "/v1/items", json.dumps({"n": n, "text": "x" * 10_000}),
                              **{"Content-Type": "application/json"})

    def test_a_full_disk_is_503_and_over_when_there_is_room(self):
        # A limit on the size of files, which may be raised again, stands for a disk that fills up.
        server = self.serve(before_exec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                   (1 << 20, resource.RLIM_INFINITY)))
        statuses = []
        for n in range(400):
            status, headers, body = self.post_full(server, n)
            statuses.append(status)
            if status != 200:
                break
        self.assertEqual((statuses[0], statuses[-1]), (200, 503), body)
        self.assertTrue(headers.get("Retry-After", "").isdigit())
        self.assertEqual(headers["Content-Type"], "application/problem+json")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: self.post_full(server, 1000)[0] == 200, "the server to recover")
        self.assertEqual(server.stop(), 0)
        stored = [n for (n,) in rows(self.folder / "penstock.db", "SELECT json_extract(data, '$.n') FROM processed_data")]
        self.assertEqual(sorted(stored), list(range(len(statuses) - 1)) + [1000])

    def test_a_store_that_another_holds_locked_is_waited_for_or_503(self):
        server = self.serve()
        self.assertEqual(server.post({"n": 0})[0], 200)
        with contextlib.closing(sqlite3.connect(self.folder / "penstock.db", timeout=PATIENCE)) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            status, answer = server.post({"n": 1})
            self.assertEqual(status, 503, answer)
            self.assertEqual(server.request("GET", "/v1/items/1")[0], 200)
            other.execute("ROLLBACK")
        self.assertEqual(server.post({"n": 2})[0], 200)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(rows(self.folder / "penstock.db", "SELECT json_extract(data, '$.n') FROM processed_data"),
                         [(0,), (2,)])

    def test_a_client_that_leaves_in_mid_request_harms_nobody(self):
        server = self.serve()
        for _ in range(50):
            connection = server.connect()
            connection.connect()
            connection.sock.sendall(b"POST /v1/items HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n[1,")
            connection.close()
        self.assertEqual(server.post({"n": 1})[0], 200)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
