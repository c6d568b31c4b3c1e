"""`penstock check` against stores that are fit, unfit, and not there."""

import contextlib
import os
import sqlite3
import subprocess

from locked_rows_test import client_of
from penstock_process import PATIENCE, PROGRAM, BlackBoxTest, environment, main, run


class Checking(BlackBoxTest):
    def check(self, *arguments):
        return run("check", *arguments, cwd=self.folder)

    def test_a_missing_file_is_ready_and_is_not_made_by_checking(self):
        for url in ("sqlite:new.db", f"sqlite://{self.folder}/new.db?busy_timeout=1s"):
            done = self.check("--store", url)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertRegex(done.stdout, "file '.*new.db': missing; `penstock serve` makes it")
            self.assertIn("table 'processed_data' is missing; `penstock serve` makes it", done.stdout)
            self.assertIn("no error, no warning: ready to serve", done.stdout)
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_database_in_memory_is_no_file_to_be_made(self):
        for url in ("sqlite::memory:", "sqlite://:memory:?busy_timeout=1s"):
            done = self.check("--store", url)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn("file", done.stdout)
            self.assertIn("WARNING  the store is in memory", done.stdout)

    def check_as_nobody(self, *arguments):
        drop_rights = (lambda: os.setresuid(65534, 65534, 65534)) if os.geteuid() == 0 else None
        self.folder.chmod(0o755)
        return subprocess.run([PROGRAM, "check", *arguments], cwd=self.folder, env=environment(),
                              preexec_fn=drop_rights, capture_output=True, text=True, timeout=60, check=False)

    def test_a_file_that_may_only_be_read_is_an_error(self):
        folder = self.folder / "open"
        folder.mkdir()
        folder.chmod(0o777)
        with sqlite3.connect(folder / "old.db") as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE processed_data "
                             "(id INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL, created_at TEXT NOT NULL)")
        (folder / "old.db").chmod(0o444)
        done = self.check_as_nobody("--store", "sqlite:open/old.db")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("the file can't be written to", done.stdout)

    def test_the_log_of_a_file_that_is_not_there_is_an_error(self):
        (self.folder / "k.db-wal").write_bytes(b"commits")
        done = self.check("--store", "sqlite:k.db")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("k.db-wal' has commits, but their file is missing", done.stdout)
        self.assertFalse((self.folder / "k.db").exists())
        (self.folder / "k.db-wal").write_bytes(b"")
        done = self.check("--store", "sqlite:k.db")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertFalse((self.folder / "k.db").exists())

    def test_a_folder_that_may_not_be_written_is_named(self):
        (self.folder / "closed").mkdir(mode=0o555)
        done = self.check_as_nobody("--store", "sqlite:closed/new.db")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("the folder 'closed' must be writable", done.stdout)

    def test_an_empty_file_is_ready_and_no_table_is_made_by_checking(self):
        (self.folder / "new.db").touch()
        done = self.check("--store", "sqlite:new.db")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("file 'new.db'", done.stdout)
        self.assertIn("table 'processed_data' is missing; `penstock serve` makes it", done.stdout)
        self.assertIn("no error, no warning: ready to serve", done.stdout)
        with sqlite3.connect(self.folder / "new.db") as database:
            self.assertEqual(database.execute("SELECT count(*) FROM sqlite_master").fetchall(), [(0,)])

    def test_a_table_that_does_not_fit_is_an_error_with_each_difference(self):
        with sqlite3.connect(self.folder / "old.db") as database:
            database.execute("CREATE TABLE processed_data (id INTEGER PRIMARY KEY, data INTEGER)")
        done = self.check("--store", "sqlite:old.db")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("ERROR    stream 'items'", done.stdout)
        for difference in ("created_at", "'data' is INTEGER"):
            self.assertIn(difference, done.stdout)

    def test_a_store_that_can_not_be_reached_is_an_error_that_says_what_to_do(self):
        done = self.check("--store", "sqlite:missing/x.db")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the folder 'missing' does not exist: create it", done.stdout)

    def test_a_wrong_configuration_is_told_before_the_store_is_touched(self):
        done = self.check("--store", "sqlight:x.db")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("is no database URL", done.stderr)
        self.assertEqual(self.check("--stroe", "sqlite:x.db").returncode, 2)

    def check_server(self, kind, *settings):
        """Against a server of its own, with these settings."""
        done = self.check("--store", self.start_database(kind, *settings))
        self.assertNotIn("only for tests", done.stdout)
        return done

    def test_settings_of_mariadb_that_threaten_durability_are_warned_of(self):
        done = self.check_server("mariadb", "innodb-flush-log-at-trx-commit=2", "log-bin", "sync-binlog=0",
                                 "local-infile=0", "max-allowed-packet=1M")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for setting in ("innodb_flush_log_at_trx_commit = 2", "sync_binlog = 0", "max_allowed_packet = 1048576"):
            self.assertIn(f"WARNING  {setting}\n", done.stdout)
        self.assertIn("a power failure or a crash of the system loses up to a second", done.stdout)
        self.assertIn("change: SET GLOBAL innodb_flush_log_at_trx_commit = 1", done.stdout)
        self.assertIn("local_infile = OFF", done.stdout)
        self.assertIn("a round trip", done.stdout)

    def test_a_mariadb_that_flushes_more_often_than_it_must_is_not_warned_of(self):
        done = self.check_server("mariadb", "innodb-flush-log-at-trx-commit=3")
        self.assertNotIn("innodb_flush_log_at_trx_commit", done.stdout)

    def test_a_log_of_statements_which_keeps_mariadb_from_storing_rows_is_an_error(self):
        done = self.check_server("mariadb", "log-bin", "binlog-format=STATEMENT")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("ERROR    binlog_format = STATEMENT\n", done.stdout)
        self.assertIn("change: SET GLOBAL binlog_format = ROW", done.stdout)

    def test_a_mariadb_whose_transactions_are_read_only_unless_they_say_otherwise_is_an_error(self):
        url = self.start_database("mariadb")
        subprocess.run(client_of(url), input="SET GLOBAL tx_read_only = 1;", text=True, check=True, timeout=PATIENCE)
        done = self.check("--store", url)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout + done.stderr, "the server is read-only, by its (transaction|tx)_read_only")

    def test_settings_of_postgresql_that_threaten_durability_are_warned_of(self):
        done = self.check_server("postgresql", "fsync=off", "synchronous_commit=off", "full_page_writes=off")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            self.assertIn(f"WARNING  {setting}\n", done.stdout)

    def test_what_an_account_of_postgresql_has_set_for_itself_is_to_be_changed_there(self):
        url = self.start_database("postgresql", "synchronous_standby_names=other", "synchronous_commit=local")

        def sql(text):  # waits for no standby: there is none
            subprocess.run(["psql", "-X", "-q", url, "-c", text], check=True, timeout=60,
                           env={**os.environ, "PGOPTIONS": "-c synchronous_commit=local"})

        for whose, value in (("ROLE penstock", "off"), ("DATABASE penstock", "remote_write")):
            sql(f"ALTER {whose} SET synchronous_commit = {value}")
            done = self.check("--store", url)
            self.assertIn(f"WARNING  synchronous_commit = {value}\n", done.stdout)
            self.assertIn(f"change: ALTER {whose} RESET synchronous_commit\n", done.stdout)
            sql(f"ALTER {whose} RESET synchronous_commit")

    def test_standbys_that_commits_wait_for_are_counted(self):
        url = self.start_database("postgresql", "synchronous_standby_names=ANY 2 (a, b, c)", "synchronous_commit=local")
        self.run_sql(url, "SET synchronous_commit = local; ALTER ROLE penstock SET synchronous_commit = on")
        self.assertIn("ERROR    0 of 2 synchronous standbys are connected\n", self.check("--store", url).stdout)

    def test_a_schema_that_the_account_may_not_use_hides_nothing_else(self):
        url = self.start_database("postgresql", "fsync=off")
        config = self.folder / "penstock.toml"
        config.write_text('[[stream]]\nname = "items"\ntable = "shop.events"\n')
        subprocess.run(["psql", "-X", "-q", url, "-c",
                        "CREATE SCHEMA shop; CREATE TABLE shop.events (id bigint GENERATED BY DEFAULT AS IDENTITY, "
                        "data json NOT NULL, created_at timestamptz NOT NULL); CREATE USER guest PASSWORD 'only for tests'"],
                       check=True, timeout=60)
        done = self.check("--config", config, "--store", url.replace("//penstock:", "//guest:"))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("change: GRANT USAGE ON SCHEMA \"shop\" TO this account", done.stdout)
        self.assertIn("WARNING  fsync = off\n", done.stdout)

    def test_a_table_of_its_own_that_does_not_fit_is_an_error(self):
        for kind, spoil, told in (
                ("sqlite", "ALTER TABLE penstock_idempotency DROP status", "'penstock_idempotency'"),
                ("postgresql", "ALTER TABLE penstock_writer SET UNLOGGED", "'penstock_writer'"),
                ("mariadb", "ALTER TABLE penstock_writer ENGINE=Aria", "'penstock_writer'")):
            with self.subTest(kind=kind):
                url = "sqlite:own.db" if kind == "sqlite" else self.start_database(kind)
                with self.serve("--store", url) as service:
                    self.assertEqual(service.stop(), 0)
                self.assertEqual(self.check("--store", url).returncode, 0)
                self.run_sql(url, spoil)
                done = self.check("--store", url)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(f"ERROR    table {told}, which `penstock serve` makes for itself\n", done.stdout)

    def run_sql(self, url, sql):
        if url.startswith("sqlite:"):
            with contextlib.closing(sqlite3.connect(self.folder / url.removeprefix("sqlite:"))) as file:
                file.execute(sql)
        elif url.startswith("postgresql:"):
            subprocess.run(["psql", "-X", "-q", url, "-c", sql], check=True, timeout=60)
        else:
            port = url.rpartition(":")[2].partition("/")[0]
            subprocess.run(["mariadb", "--no-defaults", "--skip-ssl", "--host=127.0.0.1", f"--port={port}",
                            "--user=penstock", "--password=only for tests", "penstock", "-e", sql],
                           check=True, timeout=60)

    def test_a_table_of_another_schema_is_compared_written_to_and_read_from(self):
        url = self.start_database("postgresql")
        config = self.folder / "penstock.toml"
        config.write_text('[[stream]]\nname = "items"\ntable = "shop.events"\n')

        def sql(text):
            subprocess.run(["psql", "-X", "-q", url, "-c", text], check=True, timeout=60)

        def check():
            return self.check("--config", config, "--store", url)

        sql("CREATE SCHEMA shop")
        self.assertIn("table 'shop.events' is missing", check().stdout)
        with self.serve("--config", config, "--store", url) as service:
            self.assertEqual(service.post('{"n":1}')[0], 200)
            for path in ("/v1/items/1", "/v1/items"):
                status, _, body = service.request("GET", path)
                self.assertEqual(status, 200, body)
                self.assertIn(b'"data":{"n":1}', body)
        self.assertIn("table 'shop.events' fits", check().stdout)
        sql("ALTER TABLE shop.events DROP data")
        self.assertIn("'data'", check().stdout)

    def test_tables_that_postgresql_can_not_make_are_errors_that_name_the_stream_and_the_column(self):
        url = self.start_database("postgresql")
        config = self.folder / "penstock.toml"
        config.write_text(f"""
            [[stream]]
            name = "long"
            table = "{"a" * 63}_invoices"
            [[stream]]
            name = "keyed"
            key = ["k"]
            columns = [{{name = "k", type = "json"}}]
            """)
        done = self.check("--config", config, "--store", url)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, "ERROR    stream 'long'\n.*its name is longer than the 63 bytes")
        self.assertRegex(done.stdout, "ERROR    stream 'keyed'\n.*column 'k' of the unique key is json")
        served = run("serve", "--config", config, "--store", url, cwd=self.folder)
        self.assertEqual(served.returncode, 1, served.stdout + served.stderr)
        self.assertIn("can't be made", served.stderr)

    def test_a_server_as_it_comes_is_ready(self):
        for kind in ("mariadb", "postgresql"):
            with self.subTest(kind=kind):
                done = self.check_server(kind)
                self.assertIn("no error, no warning: ready to serve", done.stdout)


if __name__ == "__main__":
    main()
