"""A table gets a column that must have a value and that no item fills, while it is served: no item is to blame for it."""

import concurrent.futures
import contextlib
import re
import sqlite3
import subprocess

from penstock_process import PATIENCE, BlackBoxTest, main, rows

ADD = "ALTER TABLE processed_data ADD z INT NOT NULL DEFAULT 0; ALTER TABLE processed_data ALTER z DROP DEFAULT"
DROP = "ALTER TABLE processed_data DROP z"


class ChangedTable(BlackBoxTest):
    def post_with_key(self, server, key="four", number=4):
        status, _, _ = server.request("POST", "/v1/items", f'[{{"n":{number}}}]',
                                      **{"Content-Type": "application/json", "Idempotency-Key": key})
        return status

    def post_beside_a_repeat(self, server):
        """Items that share their batches with a request that was answered before."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            repeats = [pool.submit(self.post_with_key, server, "one", 1) for _ in range(8)]
            new = [pool.submit(server.post, {"n": 2}) for _ in range(8)]
            self.assertEqual({one.result() for one in repeats} - {200, 503}, set())
            self.assertEqual({one.result()[0] for one in new}, {503})

    def change_and_change_back(self, url, change, change_back):
        server = self.serve("--store", url, "--batch-linger", "20ms", "--batch-commits-in-flight", "1")
        self.assertEqual(self.post_with_key(server, "one", 1), 200)
        change()
        status, answer = server.post([{"n": 2}, {"n": 3}])
        self.assertEqual((status, answer["stored"], answer["rejected"], answer["failed"]), (503, 0, 0, 2), answer)
        self.assertEqual(answer["code"], "db.table_drift")
        self.assertEqual(self.post_with_key(server), 503)
        self.post_beside_a_repeat(server)
        self.assertEqual(server.request("GET", "/readyz")[0], 503)
        self.assertRegex(server.log(), "db.table_drift.*'z'")
        change_back()
        status, answer = server.post([{"n": 2}, {"n": 3}])
        self.assertEqual((status, answer["stored"]), (200, 2), answer)
        self.assertEqual(self.post_with_key(server), 200)
        self.assertEqual(server.request("GET", "/readyz")[0], 200)
        status, _, body = server.request("GET", "/v1/items")
        self.assertEqual(re.findall(rb'"n": ?(\d)', body), [b"1", b"2", b"3", b"4"])
        self.assertEqual(server.stop(), 0)

    def test_a_required_column_that_a_sqlite_table_gets_is_no_items_fault(self):
        file = self.folder / "penstock.db"

        def run(script):
            with contextlib.closing(sqlite3.connect(file, timeout=PATIENCE)) as connection:
                connection.executescript(script)

        def change():
            [(sql,)] = rows(file, "SELECT sql FROM sqlite_schema WHERE name = 'processed_data'")
            wider = sql.replace("(", "(z INTEGER NOT NULL, ", 1)
            run(f"ALTER TABLE processed_data RENAME TO old; {wider}")

        def change_back():
            run("DROP TABLE processed_data; ALTER TABLE old RENAME TO processed_data")

        self.change_and_change_back(f"sqlite:{file}", change, change_back)

    def test_a_required_column_that_a_mariadb_table_gets_is_no_items_fault(self):
        url = self.start_database("mariadb")
        port = re.search(r":(\d+)/", url).group(1)

        def run(script):
            subprocess.run(["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={port}", "--user=penstock",
                            "--password=only for tests", "penstock", f"--execute={script}"], check=True,
                           timeout=PATIENCE)

        self.change_and_change_back(url, lambda: run(ADD), lambda: run(DROP))

    def test_a_required_column_that_a_postgresql_table_gets_is_no_items_fault(self):
        url = self.start_database("postgresql")

        def run(script):
            subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url, "-c", script], check=True,
                           timeout=PATIENCE)

        self.change_and_change_back(url, lambda: run(ADD), lambda: run(DROP))


if __name__ == "__main__":
    main()
