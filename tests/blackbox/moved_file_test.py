"""A SQLite file is moved or replaced while it is served: what was acknowledged is in the one file or the other."""

import contextlib
import json
import os
import signal
import sqlite3

from penstock_process import BlackBoxTest, Clients, main, rows, run, wait_until


class MovedFile(BlackBoxTest):
    def setUp(self):
        super().setUp()
        self.file = self.folder / "penstock.db"
        self.wal = self.folder / "penstock.db-wal"
        self.archive = self.folder / "archive.db"

    def items(self, file):
        self.assertEqual(rows(file, "PRAGMA integrity_check"), [("ok",)])
        return [json.loads(data)["id"] for (data,) in rows(file, "SELECT data FROM processed_data ORDER BY id")]

    def make_backup(self):
        """A whole file with another history: rows that are no items, and 500 old ones."""
        backup = self.folder / "backup.db"
        with contextlib.closing(sqlite3.connect(backup)) as made:
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT)")
            made.executemany("INSERT INTO customers(name) VALUES (?)", [(f"customer {i}",) for i in range(2000)])
            for (sql,) in rows(self.file, "SELECT sql FROM sqlite_schema "
                                   "WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'"):
                made.execute(sql)
            made.executemany("INSERT INTO processed_data(data, created_at) VALUES (?, '2026-01-01T00:00:00.000000Z')",
                             [(json.dumps({"id": f"old-{i}"}),) for i in range(500)])
            made.commit()
        return backup

    def replace_under_load(self, put_in_place):
        server = self.serve()
        clients = Clients(server, 8)
        self.addCleanup(clients.stop)
        clients.wait_for(300)
        backup = self.make_backup()
        os.link(self.file, self.archive)  # or nobody could look into it afterwards
        put_in_place(backup, clients)
        clients.wait_for(len(clients.acknowledged) + 300)
        clients.stop()
        self.assertEqual(server.stop(), 0)
        old, new = self.items(self.archive), self.items(self.file)
        self.assertEqual(new[:500], [f"old-{i}" for i in range(500)])
        self.assertEqual(rows(self.file, "SELECT count(*), count(DISTINCT name) FROM customers"), [(2000, 2000)])
        stored = old + new[500:]
        self.assertGreaterEqual(len(old), 300)
        self.assertGreater(len(new), 500)
        self.assertEqual(sorted(set(clients.acknowledged) - set(stored)), [])
        self.assertEqual(len(stored), len(set(stored)), "some were stored in both")
        self.assertEqual({status for _, status in clients.refused} - {503}, set())

    def test_a_sqlite_file_put_in_place_of_the_served_one_keeps_its_rows_and_gets_those_to_come(self):
        self.replace_under_load(lambda backup, clients: os.rename(backup, self.file))

    def test_a_sqlite_file_put_in_place_of_one_that_was_moved_away_keeps_its_rows_and_gets_those_to_come(self):
        def move_then_replace(backup, clients):
            refused = len(clients.refused)
            os.rename(self.file, self.folder / "moved.db")
            wait_until(lambda: len(clients.refused) > refused, "the first refusal")
            os.rename(backup, self.file)

        self.replace_under_load(move_then_replace)

    def test_a_sqlite_file_that_was_moved_away_has_all_items_whether_that_was_noticed_or_not(self):
        for notices in (False, True):
            server = self.serve()
            for i in range(100):
                self.assertEqual(server.post({"id": i})[0], 200)
            os.rename(self.file, self.archive)
            if notices:
                self.assertEqual(server.post({"id": 100})[0], 503)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(self.wal.stat().st_size, 0)
            server = self.serve()
            self.assertEqual(server.post({"id": 101})[0], 200)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(self.items(self.archive), list(range(100)))
            self.assertEqual(self.items(self.file), [101])
            self.file.unlink()
            self.archive.unlink()

    def test_a_wal_whose_sqlite_file_was_moved_after_a_crash_ends_the_start(self):
        server = self.serve()
        for i in range(100):
            self.assertEqual(server.post({"id": i})[0], 200)
        server.signal(signal.SIGKILL)
        server.wait()
        os.rename(self.file, self.archive)
        refused = run("serve", "--listen", "127.0.0.1:0", cwd=self.folder)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("put that file back beside it", refused.stderr)
        self.assertFalse(self.file.exists())
        os.rename(self.archive, self.file)
        self.assertEqual(self.serve().stop(), 0)
        self.assertEqual(self.items(self.file), list(range(100)))


if __name__ == "__main__":
    main()
