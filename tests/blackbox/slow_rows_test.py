"""What a trigger does with one item takes longer than the server lets a statement take, goes on for ever, or ends the
session: its neighbours are stored."""

import concurrent.futures
import shutil
import subprocess
import unittest

from locked_rows_test import client_of
from penstock_process import PATIENCE, BlackBoxTest, main

STREAMS = """
[[stream]]
name = "orders"
columns = [{name = "customer", type = "integer", required = true}]
"""
SLOW = 13
LIMITS = {
    "mariadb": "SET GLOBAL max_statement_time = 1;",
    "postgresql": "ALTER DATABASE penstock SET statement_timeout = '1s';",
}
FOREVER = """
CREATE TABLE counted (numbers INTEGER);
CREATE VIEW numbers AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n;
"""
TRIGGERS = {
    "sqlite": f"{FOREVER} CREATE TRIGGER slow BEFORE INSERT ON orders WHEN NEW.customer = {SLOW} "
              f"BEGIN INSERT INTO counted SELECT COUNT(*) FROM numbers; END;",
    "mariadb": f"CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW "
               f"SET @slept = IF(NEW.customer = {SLOW}, SLEEP(600), 0);",
    "postgresql": f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                  f"IF NEW.customer = {SLOW} THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;"
                  f"CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION slow();",
}


ENDING = (f"CREATE FUNCTION ending() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
          f"IF NEW.customer = {SLOW} THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;"
          f"CREATE TRIGGER ending BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION ending();")


class SlowRows(BlackBoxTest):
    def check(self, kind, limit="", options=(), trigger=None, code="db.interrupted"):
        url = f"sqlite:{self.folder / 'slow.db'}" if kind == "sqlite" else self.start_database(kind)

        def run_sql(script):
            client = ["sqlite3", str(self.folder / "slow.db")] if kind == "sqlite" else client_of(url)
            return subprocess.run(client, input=script, stdout=subprocess.PIPE, text=True, check=True,
                                  timeout=PATIENCE).stdout.split()

        run_sql(limit)
        config = self.write("penstock.toml", STREAMS)
        server = self.serve("--config", config, "--store", url, "--batch-linger", "20ms", *options)
        run_sql(trigger or TRIGGERS[kind])
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            ends = list(pool.map(lambda n: server.post({"customer": n}, "/v1/orders"), range(32)))
        for customer, (status, answer) in enumerate(ends):
            self.assertEqual(status, 503 if customer == SLOW else 200, answer)
        self.assertEqual(ends[SLOW][1]["code"], code)
        self.assertEqual(run_sql("SELECT COUNT(*) FROM orders;"), ["31"])
        self.assertEqual(server.post({"customer": 32}, "/v1/orders")[0], 200)
        self.assertEqual(server.stop(), 0)

    def test_an_item_that_takes_longer_than_mariadb_allows_harms_no_neighbour(self):
        self.check("mariadb", LIMITS["mariadb"])

    def test_an_item_that_takes_longer_than_postgresql_allows_harms_no_neighbour(self):
        self.check("postgresql", LIMITS["postgresql"])

    def test_an_item_that_goes_on_for_ever_harms_no_neighbour_on_mariadb(self):
        self.check("mariadb", options=["--batch-attempt-timeout", "2s"])

    def test_an_item_that_goes_on_for_ever_harms_no_neighbour_on_postgresql(self):
        self.check("postgresql", options=["--batch-attempt-timeout", "2s"])

    def test_an_item_that_ends_the_session_harms_no_neighbour_on_postgresql(self):
        self.check("postgresql", trigger=ENDING, code="db.other")

    @unittest.skipUnless(shutil.which("sqlite3"), "no sqlite3 here: tools/install-deps")
    def test_an_item_that_goes_on_for_ever_harms_no_neighbour_on_sqlite(self):
        self.check("sqlite", options=["--batch-attempt-timeout", "2s"])


if __name__ == "__main__":
    main()
