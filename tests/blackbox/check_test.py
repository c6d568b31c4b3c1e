"""`penstock check` against stores that are fit, unfit, and not there."""

import sqlite3

from penstock_process import BlackBoxTest, main, run


class Checking(BlackBoxTest):
    def check(self, *arguments):
        return run("check", *arguments, cwd=self.folder)

    def test_a_fresh_file_is_ready_and_no_table_is_made_by_checking(self):
        done = self.check("--store", "sqlite:new.db")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
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


if __name__ == "__main__":
    main()
