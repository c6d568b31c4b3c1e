"""Another application holds a lock that one item needs: its neighbours are stored all the same, and so is the item once
the lock is gone."""

import concurrent.futures
import contextlib
import re
import subprocess
import time

from penstock_process import PATIENCE, BlackBoxTest, main, wait_until

STREAMS = """
[[stream]]
name = "orders"
columns = [{name = "customer", type = "integer", required = true}, {name = "note"}]
"""
CUSTOMERS = 40


def client_of(url):
    if url.startswith("postgresql:"):
        return ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url]
    port = re.search(r":(\d+)/", url).group(1)
    return ["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={port}", "--user=penstock",
            "--password=only for tests", "--unbuffered", "--skip-column-names", "penstock"]


class LockedRows(BlackBoxTest):
    def run_sql(self, script):
        done = subprocess.run(client_of(self.url), input=script, stdout=subprocess.PIPE, text=True, check=True,
                              timeout=PATIENCE)
        return done.stdout.split()

    @contextlib.contextmanager
    def transaction(self, statements):
        """Another application's, which stays open."""
        with subprocess.Popen(client_of(self.url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            client.stdin.write(f"BEGIN; {statements}; SELECT 'holds it';\n")
            client.stdin.flush()
            while client.stdout.readline().strip() != "holds it":
                self.assertIsNone(client.poll())
            yield
            client.stdin.close()  # which ends the session, and its transaction

    def apart(self, server):
        page = server.request("GET", "/metrics")[2].decode()
        return int(re.search(r"^penstock_queue_rows_apart\{.*\} (\d+)$", page, re.M).group(1))

    def order(self, server, customer, note):
        return server.post({"customer": customer, "note": note}, "/v1/orders")

    def serve_orders(self, kind):
        self.url = self.start_database(kind)
        config = self.write("penstock.toml", STREAMS)
        server = self.serve("--config", config, "--store", self.url)
        self.run_sql("CREATE TABLE customer (id BIGINT PRIMARY KEY, name TEXT);"
                     + "".join(f"INSERT INTO customer VALUES ({n}, 'x');" for n in range(CUSTOMERS))
                     + "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customer (id);")
        return server

    def check_a_locked_row(self, server, pool):
        """Of customer 1, whom some of the orders are for."""
        self.assertEqual(self.order(server, 1, "before")[0], 200)
        with self.transaction("SELECT name FROM customer WHERE id = 1 FOR UPDATE"):
            waiting = pool.submit(self.order, server, 1, "waits")
            keyed = pool.submit(server.request, "POST", "/v1/orders",
                                '[{"customer":1,"note":"keyed"},{"customer":2,"note":"with it"}]',
                                **{"Content-Type": "application/json", "Idempotency-Key": '"k"'})
            wait_until(lambda: self.apart(server) == 3, "rows that were set apart")
            begun = time.monotonic()
            neighbours = [pool.submit(self.order, server, 2 + n % (CUSTOMERS - 2), f"n{n}") for n in range(400)]
            mixed = server.post([{"customer": 3, "note": "mixed"}, {"customer": 4, "note": "too"}], "/v1/orders")
            self.assertEqual((mixed[0], mixed[1]["stored"]), (200, 2))
            self.assertEqual({one.result()[0] for one in neighbours}, {200})
            self.assertLess(time.monotonic() - begun, 15)  # of 40 that an item may wait
            self.assertEqual(server.request("GET", "/readyz")[0], 200)
            self.assertFalse(waiting.done() or keyed.done())
        self.assertEqual(waiting.result()[0], 200)
        self.assertEqual(keyed.result()[0], 200)
        self.assertEqual(self.run_sql("SELECT COUNT(*), COUNT(DISTINCT note) FROM orders;"
                                      .replace(",", "||'/'||" if self.url.startswith("p") else ",")),
                         ["406/406"] if self.url.startswith("p") else ["406", "406"])

    def check_a_locked_table(self, server, pool):
        lock = "LOCK TABLE orders" if self.url.startswith("postgresql") else "LOCK TABLES orders WRITE"
        with self.transaction(lock):
            waiting = [pool.submit(self.order, server, 5, f"table {n}") for n in range(20)]
            wait_until(lambda: self.apart(server) == 20, "rows that were set apart")
        self.assertEqual({one.result()[0] for one in waiting}, {200})

    def check_a_stop(self, server, pool):
        with self.transaction("SELECT name FROM customer WHERE id = 1 FOR UPDATE"):
            waiting = pool.submit(self.order, server, 1, "never")
            wait_until(lambda: self.apart(server) == 1, "a row that was set apart")
            begun = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - begun, 5)
            self.assertEqual(waiting.result()[0], 503)
        self.assertEqual(self.run_sql("SELECT COUNT(*) FROM orders WHERE note = 'never';"), ["0"])

    def check_a_start(self):
        """Of another service, while a transaction of the first one stands still."""
        writer = self.run_sql("SELECT writer FROM penstock_writer;")[0]
        with self.transaction(f"UPDATE penstock_writer SET commit_number = 0 WHERE writer = '{writer}'"):
            other = self.serve("--config", self.folder / "penstock.toml", "--store", self.url)
            wait_until(lambda: other.request("GET", "/readyz")[0] == 200, "the other service to be ready")
            self.assertEqual(self.order(other, 1, "of the other")[0], 200)
            self.assertEqual(other.stop(), 0)
        self.run_sql("DELETE FROM orders WHERE note = 'of the other';")

    def check(self, kind):
        server = self.serve_orders(kind)
        self.assertEqual(self.order(server, 2, "first")[0], 200)
        self.check_a_start()
        self.run_sql("DELETE FROM orders WHERE note = 'first';")
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            self.check_a_locked_row(server, pool)
            self.check_a_locked_table(server, pool)
            self.check_a_stop(server, pool)

    def test_an_item_whose_row_is_locked_on_mariadb_harms_no_neighbour(self):
        self.check("mariadb")

    def test_an_item_whose_row_is_locked_on_postgresql_harms_no_neighbour(self):
        self.check("postgresql")


if __name__ == "__main__":
    main()
