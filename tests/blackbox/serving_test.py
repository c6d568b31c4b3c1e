"""What one sees of `penstock serve` from outside: where it listens, what it answers, what it stores."""

import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import tomllib

from penstock_process import (PATIENCE, PROGRAM, BlackBoxTest, environment, main, request_on, rows, run,
                              wait_until)

MAPPED_STREAM = """
[[stream]]
name = "orders"
table = "orders"
key = ["number"]
columns = [
  {name = "number", type = "integer", required = true},
  {name = "currency", default = "EUR"},
]
"""


class Serving(BlackBoxTest):
    def test_a_posted_item_is_in_the_default_file_once_it_is_answered(self):
        server = self.serve()
        status, answer = server.post({"name": "Ada", "age": 36})
        self.assertEqual((status, answer["stored"], answer["rejected"], answer["duplicates"]), (200, 1, 0, 0))
        [(data, created_at)] = rows(self.folder / "penstock.db", "SELECT data, created_at FROM processed_data")
        self.assertEqual(json.loads(data), {"name": "Ada", "age": 36})
        self.assertRegex(created_at, r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")

    def test_arrays_and_ndjson_are_many_items(self):
        server = self.serve()
        self.assertEqual(server.post([{"n": 1}, {"n": 2}, {"n": 3}])[1]["stored"], 3)
        self.assertEqual(server.post('{"n":4}\n{"n":5}\n', content_type="application/x-ndjson")[1]["stored"], 2)
        self.assertEqual(rows(self.folder / "penstock.db", "SELECT count(*) FROM processed_data"), [(5,)])

    def test_memory_is_kept_from_one_long_request_to_the_next(self):
        if os.environ.get("TESTED_SANITIZER"):
            self.skipTest("a sanitizer has a malloc of its own")
        server = self.serve()
        items = "".join(f'{{"number":{i},"text":"{i:060}"}}\n' for i in range(100_000))
        faults = []
        for _ in range(3):
            self.assertEqual(server.post(items, content_type="application/x-ndjson")[1]["stored"], 100_000)
            faults.append(int(pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().split()[9]))
        self.assertLess(faults[2] - faults[0], 500, "pages of 4 KiB were asked for anew")

    def test_a_bad_line_does_not_harm_its_neighbours(self):
        server = self.serve()
        status, answer = server.post('{"n":1}\n{"n":\n{"n":3}\n', content_type="application/x-ndjson")
        self.assertEqual((status, answer["stored"], answer["rejected"]), (200, 2, 1))
        [bad] = answer["results"]
        self.assertEqual((bad["index"], bad["status"]), (1, "rejected"))

    def test_results_of_all_items_are_given_when_asked_for(self):
        server = self.serve()
        status, answer = server.post([{"n": 1}, {"n": 2}], path="/v1/items?results=all")
        self.assertEqual((status, [result["status"] for result in answer["results"]]), (200, ["stored", "stored"]))
        first = answer["results"][0]["id"]
        status, _, body = server.request("GET", f"/v1/items/{first}")
        self.assertEqual(status, 200)
        self.assertIn('"n":1', body.decode().replace(" ", ""))

    def test_a_single_rejected_item_is_a_422_problem(self):
        self.write("penstock.toml", MAPPED_STREAM)
        server = self.serve("--config", "penstock.toml")
        status, headers, body = server.request("POST", "/v1/orders", '{"number": "seven"}',
                                               **{"Content-Type": "application/json"})
        self.assertEqual((status, headers["Content-Type"]), (422, "application/problem+json"))
        self.assertIn("/number", body.decode())

    def test_a_repeated_key_is_a_duplicate(self):
        self.write("penstock.toml", MAPPED_STREAM)
        server = self.serve("--config", "penstock.toml")
        self.assertEqual(server.post({"number": 7}, path="/v1/orders")[1]["stored"], 1)
        status, answer = server.post({"number": 7}, path="/v1/orders")
        self.assertEqual((status, answer["stored"], answer["duplicates"]), (200, 0, 1))
        self.assertEqual(rows(self.folder / "penstock.db", "SELECT number, currency FROM orders"), [(7, "EUR")])

    def test_a_malformed_array_is_a_400_problem_that_says_what_was_stored_before(self):
        server = self.serve()
        status, problem = server.post('[{"n":1},\n{"n":2} {"n":3}]')
        self.assertEqual((status, problem["stored"], problem["line"]), (400, 2, 2))
        self.assertEqual(problem["offset"], 18)
        self.assertEqual(rows(self.folder / "penstock.db", "SELECT count(*) FROM processed_data"), [(2,)])

    def test_a_content_type_that_is_not_read_is_415(self):
        server = self.serve()
        self.assertEqual(server.post("a,b\n1,2\n", content_type="text/csv")[0], 415)

    def test_health_readiness_and_metrics_are_served(self):
        server = self.serve()
        server.post({"n": 1})
        self.assertEqual(server.request("GET", "/healthz")[0], 200)
        self.assertEqual(server.request("GET", "/readyz")[0], 200)
        status, _, metrics = server.request("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b"penstock_http_requests_total", metrics)

    def test_several_endpoints_serve_the_same_streams(self):
        server = self.serve("--listen", "127.0.0.1:0", "--listen", f"unix:{self.folder}/penstock.sock")
        second = server.process.stdout.readline().strip()
        self.assertRegex(second, r"^listening on http://127\.0\.0\.1:\d+$")
        self.assertNotEqual(second, f"listening on {server.where}")
        self.assertEqual(server.process.stdout.readline().strip(), f"listening on unix:{self.folder}/penstock.sock")
        server.post({"n": 1})
        with contextlib.closing(server.connect()) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(f"{self.folder}/penstock.sock")
            status, _, body = request_on(connection, "GET", "/v1/items/1")
        self.assertEqual(status, 200, body)
        self.assertEqual(server.stop(), 0)
        self.assertFalse((self.folder / "penstock.sock").exists())

    def test_two_processes_store_into_one_file(self):
        with self.serve() as one, self.serve() as other:
            for n in range(20):
                self.assertEqual(one.post({"n": n})[0], 200)
                self.assertEqual(other.post({"n": n})[0], 200)
        self.assertEqual(rows(self.folder / "penstock.db", "SELECT count(*) FROM processed_data"), [(40,)])

    def test_the_log_says_where_it_serves_and_into_what(self):
        server = self.serve("--log-format", "json")
        wait_until(lambda: '"serving"' in server.log(), "the line in the log")
        [line] = [entry for entry in map(json.loads, server.log().splitlines()) if entry["message"] == "serving"]
        self.assertEqual((line["listen"], line["store"], line["streams"]),
                         (server.where, "sqlite:penstock.db", "items -> processed_data"))

    def test_sighup_reopens_the_log_file(self):
        server = self.serve("--log-file", "penstock.log")
        log = self.folder / "penstock.log"
        wait_until(lambda: "serving" in log.read_text(), "the first log line")
        log.rename(self.folder / "penstock.log.1")
        server.signal(signal.SIGHUP)
        wait_until(lambda: log.exists() and "log reopened" in log.read_text(), "the new log file")
        self.assertEqual(server.post({"n": 1})[0], 200)


class Configuring(BlackBoxTest):
    def test_later_sources_win(self):
        config = self.write("penstock.toml", 'listen = "127.0.0.1:1"\n[store]\nurl = "sqlite:file.db"\n'
                                             '[log]\nformat = "json"\n')
        server = self.serve("--config", config, listen=None,
                            variables={"PENSTOCK_LISTEN": "127.0.0.1:0", "PENSTOCK_STORE": "sqlite:variable.db"})
        server.post({"n": 1})
        self.assertTrue((self.folder / "variable.db").exists())
        wait_until(lambda: server.log().startswith("{"), "the first line of the log")
        server.stop()
        server = self.serve("--store", "sqlite:option.db", variables={"PENSTOCK_STORE": "sqlite:variable.db"})
        server.post({"n": 1})
        self.assertEqual(rows(self.folder / "option.db", "SELECT count(*) FROM processed_data"), [(1,)])
        self.assertEqual(rows(self.folder / "variable.db", "SELECT count(*) FROM processed_data"), [(1,)])

    def test_print_config_is_toml_and_serves_nothing(self):
        done = run("serve", "--print-config", "--batch-max-rows", "7", cwd=self.folder, PENSTOCK_LOG_LEVEL="warn")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        config = tomllib.loads(done.stdout)
        self.assertEqual((config["batch"]["max_rows"], config["log"]["level"]), (7, "warn"))
        self.assertEqual(config["stream"], [{"name": "items", "table": "processed_data"}])
        self.assertIn("max_rows = 7  # --batch-max-rows\n", done.stdout)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_all_that_is_wrong_in_the_config_is_told_and_nothing_is_served(self):
        config = self.write("penstock.toml", "[batch]\nmax_row = 7\nlinger = 1\n")
        done = run("serve", "--config", config, "--grace-period", "soon", cwd=self.folder)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(done.stderr.splitlines(), [
            f"penstock: {config}:2: unknown key 'batch.max_row'; did you mean 'max_rows'?",
            f"penstock: {config}:3: batch.linger: expected a duration, such as \"1ms\", got a whole number",
            "penstock: --grace-period: 'soon': expected a duration such as 500us, 1ms, 30s, 5m or 2h30m",
        ])

    def test_a_wrong_stream_is_told_with_its_line(self):
        config = self.write("penstock.toml", '\n[[stream]]\nname = "orders"\nkey = ["number"]\ncolumns = [{name = "code"}]\n')
        done = run("serve", "--config", config, "--listen", "127.0.0.1:0", cwd=self.folder)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"penstock: .*penstock\.toml:4: .*'orders'.*'number'")


class Failing(BlackBoxTest):
    def failure(self, *arguments):
        done = run("serve", "--listen", "127.0.0.1:0", *arguments, cwd=self.folder)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        return done.stderr

    def test_a_port_that_is_taken_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            where = f"127.0.0.1:{taken.getsockname()[1]}"
            done = run("serve", "--listen", where, cwd=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"penstock: cannot listen on {where}: Address already in use; stop what listens there (",
                      done.stderr)
        self.assertIn("--listen", done.stderr)
        self.assertFalse((self.folder / "penstock.db").exists())

    def test_a_place_that_can_not_be_had_is_named_without_blame_for_others(self):
        for where, why in ((f"unix:{self.folder}/gone/penstock.sock",
                            f"No such file or directory; there is no folder '{self.folder}/gone' to make it in ("),
                           ("192.0.2.1:1", "Cannot assign requested address (")):
            done = run("serve", "--listen", where, cwd=self.folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"penstock: cannot listen on {where}: {why}", done.stderr)
            self.assertIn("--listen", done.stderr)
            self.assertNotIn("stop what listens", done.stderr)

    def test_a_limit_of_descriptors_that_lets_nobody_in_is_named_with_what_is_needed(self):
        def limit_to(descriptors):
            return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        for few in (13, 17, 19):
            done = subprocess.run([PROGRAM, "serve", "--listen", "127.0.0.1:0"], cwd=self.folder, env=environment(),
                                  capture_output=True, text=True, timeout=PATIENCE, check=False,
                                  preexec_fn=limit_to(few))
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, rf"(?m)^penstock: .* {few} descriptors.* needs 20,.*ulimit -n")
        self.assertEqual(self.serve(before_exec=limit_to(20)).post({"n": 1})[0], 200)

    def test_a_log_that_is_a_pipe_without_a_reader_is_named(self):
        os.mkfifo(self.folder / "pipe")
        said = self.failure("--log-file", "pipe")
        self.assertRegex(said, r"(?m)^penstock: log file 'pipe': it is a pipe that nobody reads.*--log-file")

    def test_a_store_that_cannot_be_opened_is_named(self):
        self.assertRegex(self.failure("--store", "sqlite:nowhere/penstock.db"), r"(?m)^penstock: .*nowhere/penstock\.db")

    def test_a_store_that_is_no_database_is_named(self):
        self.write("notes.txt", "no database, but long enough to be looked at as one\n" * 100)
        self.assertRegex(self.failure("--store", "sqlite:notes.txt"), r"(?m)^penstock: .*notes\.txt.*not a database")

    def test_a_table_of_another_shape_is_named_with_the_difference(self):
        rows(self.folder / "penstock.db", "CREATE TABLE processed_data (id INTEGER PRIMARY KEY, content TEXT)")
        said = self.failure()
        self.assertRegex(said, r"(?m)^penstock: .*'processed_data'.*'data'")


if __name__ == "__main__":
    main()
