"""PgBouncer lies between the service and PostgreSQL: items go in all the same, each in its own table, and nothing of
Penstock's sessions is left to other clients."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from penstock_process import BlackBoxTest, main, run, wait_until

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
STREAMS = "".join(f"""
[[stream]]
name = "{name}"
columns = [{{name = "number", type = "integer", required = true}}, {{name = "note"}}]
""" for name in ("orders", "visits", "hours"))
PASSWORD = "only for tests"
ITEMS = 200  # of each stream
PORT = 6432  # in the name of a socket, in a folder of its own


@unittest.skipIf(PGBOUNCER is None, "no PgBouncer here: tools/install-deps --pooler")
class Pooler(BlackBoxTest):
    def start_pooler(self, mode, *settings):
        """In front of a server of its own; gives the URL."""
        self.straight = self.start_database("postgresql")
        port = re.search(r":(\d+)/", self.straight).group(1)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="penstock-pooler-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o777)
        (folder / "users").write_text(f'"penstock" "{PASSWORD}"\n')
        (folder / "ini").write_text("\n".join([
            "[databases]", f"* = host=127.0.0.1 port={port}", "[pgbouncer]", f"listen_port = {PORT}", "listen_addr =",
            f"unix_socket_dir = {folder}", "auth_type = scram-sha-256", f"auth_file = {folder}/users",
            f"pool_mode = {mode}", *settings]))
        account = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        process = subprocess.Popen([PGBOUNCER, "--quiet", folder / "ini"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, **account)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        socket = folder / f".s.PGSQL.{PORT}"
        wait_until(lambda: socket.exists() or process.poll() is not None, "PgBouncer's socket")
        self.assertIsNone(process.poll())
        return f"postgresql://penstock:only%20for%20tests@/penstock?socket={socket}"

    def ask(self, sql, url=None):
        """The words of what the server answers."""
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", url or self.straight, "-c", sql], stdout=subprocess.PIPE,
                              text=True, timeout=60, check=True)
        return done.stdout.split()

    def store_items_of_all_streams(self, url):
        config = self.write("penstock.toml", STREAMS)
        service = self.serve("--config", config, "--store", url)

        def post(stream, number):
            return service.post({"number": number, "note": stream}, f"/v1/{stream}")[0]

        with concurrent.futures.ThreadPoolExecutor(24) as clients:
            statuses = list(clients.map(post, ["orders", "visits", "hours"] * ITEMS, range(3 * ITEMS)))
        self.assertEqual(set(statuses), {200})
        many = [{"number": n} for n in range(2000)]
        status, answer = service.post(many, "/v1/orders")
        self.assertEqual((status, answer["stored"]), (200, 2000))
        self.repeat_keyed(service)
        self.assertEqual(service.stop(), 0)
        for stream in ("orders", "visits", "hours"):
            self.assertEqual(self.ask(f"SELECT count(*), count(DISTINCT number) FROM {stream} WHERE note = '{stream}'"),
                             [f"{ITEMS}|{ITEMS}"], stream)

    def repeat_keyed(self, service):
        """Keys are looked up in a batch's transaction, and outside of one for what has no item."""
        for number in range(8):
            headers = {"Content-Type": "application/json", "Idempotency-Key": f"key-{number}"}
            item = f'{{"number": {number}, "note": "keyed"}}'
            first = service.request("POST", "/v1/orders", item, **headers)
            self.assertEqual(first[0], 200)
            self.assertEqual(service.request("POST", "/v1/orders", item, **headers)[2], first[2])
            self.assertEqual(service.request("POST", "/v1/orders", "[1", **headers)[0], 422)
        self.assertEqual(self.ask("SELECT count(*) FROM orders WHERE note = 'keyed'"), ["8"])

    def test_items_go_in_through_a_pooler_of_sessions(self):
        url = self.start_pooler("session")
        checked = run("check", "--store", url)
        self.assertEqual(checked.returncode, 0, checked.stdout)
        self.assertIn("which pools sessions", checked.stdout)
        self.store_items_of_all_streams(url)

    def test_items_go_in_through_a_pooler_of_sessions_that_passes_settings_over(self):
        url = self.start_pooler("session", "ignore_startup_parameters = options")
        self.ask("ALTER DATABASE penstock SET timezone = 'Asia/Kolkata'")
        self.ask("CREATE TABLE orders (id BIGSERIAL PRIMARY KEY, number BIGINT NOT NULL, note TEXT, "
                 "zone TEXT DEFAULT current_setting('timezone'))")
        self.store_items_of_all_streams(url)
        self.assertEqual(self.ask("SELECT DISTINCT zone FROM orders"), ["UTC"])

    def test_items_go_in_through_a_pooler_of_transactions_and_leave_nothing_to_others(self):
        url = self.start_pooler("transaction", "default_pool_size = 3")
        self.assertIn("which pools transactions", run("check", "--store", url).stdout)
        self.store_items_of_all_streams(url)
        folder = url.partition("socket=")[2].rpartition("/")[0]
        through = f"postgresql://penstock:only%20for%20tests@/penstock?host={folder}&port={PORT}"
        for _ in range(6):
            self.assertEqual(self.ask("SHOW lock_timeout", through), ["0"])
            self.assertEqual(self.ask("SHOW enable_seqscan", through), ["on"])


if __name__ == "__main__":
    main()
