"""`penstock load` against `penstock serve`: what is in the files is in the table, and what is not is named."""

import gzip
import json
import os
import random
import select
import signal
import socket
import subprocess
import unittest

from penstock_process import PATIENCE, PROGRAM, SOURCE, BlackBoxTest, environment, main, rows, run

FLIGHTS = SOURCE / "build/data/flights-200k.json"
CONFIG = """
[[stream]]
name = "flights"
table = "flights"
columns = [
  {name = "delay", type = "integer", required = true},
  {name = "distance", type = "integer", required = true},
  {name = "time", type = "real", required = true},
  {name = "day", type = "timestamp"},
]
"""


def made_up_flights(count):
    chance = random.Random(2001)
    return [{"delay": chance.randint(-60, 600), "distance": chance.randint(31, 4962),
             "time": chance.randint(0, 1439) / 60} for _ in range(count)]


def checksum(flights):
    return (len(flights), sum(f["delay"] for f in flights), sum(f["distance"] for f in flights),
            sum(round(f["time"] * 3600) for f in flights))


CHECKSUM = "SELECT count(*), sum(delay), sum(distance), sum(CAST(round(time * 3600) AS INTEGER)) FROM flights"


def with_member(line, member):
    return line[:-1] + b"," + member + b"}"


BREAKAGES = {
    "truncated": (lambda line: line[:-5], {"item.syntax"}),
    "a quote is missing": (lambda line: line.replace(b'"delay"', b'"delay'), {"item.syntax"}),
    "no UTF-8": (lambda line: with_member(line, b'"note":"\xff"'), {"item.syntax"}),
    "wrong type": (lambda line: with_member(line, b'"delay":"late"'), {"item.type"}),
    "a required member is missing": (lambda line: line.replace(b'"distance"', b'"far"'), {"item.missing"}),
    "out of range": (lambda line: with_member(line, b'"delay":99999999999999999999'), {"item.range"}),
    "no object": (lambda line: b"[" + line + b"]", {"item.not_an_object"}),
    "trailing garbage": (lambda line: line + b" x", {"item.syntax"}),
    "a control character": (lambda line: with_member(line, b'"note":"\x01"'), {"item.syntax"}),
    "no date": (lambda line: with_member(line, b'"day":"2001-02-30"'), {"item.range", "item.type"}),
}


class LoadTest(BlackBoxTest):
    def setUp(self):
        super().setUp()
        self.database = self.folder / "flights.db"
        config = self.write("penstock.toml", CONFIG)
        self.server = self.serve("--config", config, "--store", f"sqlite:{self.database}")
        self.url = f"http://{self.server.host}:{self.server.port}/v1/flights"

    def load(self, *arguments):
        """Gives (exit code, the summary as JSON)."""
        done = run("load", *arguments, "--to", self.url, "--json", cwd=self.folder)
        return done.returncode, json.loads(done.stdout)

    def rejects(self, name):
        with open(self.folder / name, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def check_stored(self, flights):
        self.assertEqual(rows(self.database, CHECKSUM), [checksum(flights)])

    def check_broken_copy(self, flights, broken_lines):
        lines = [json.dumps(f).encode() for f in flights]
        chance = random.Random(10)
        kinds = {}
        for number, index in enumerate(sorted(chance.sample(range(len(lines)), broken_lines))):
            kinds[index + 1] = list(BREAKAGES)[number % len(BREAKAGES)]
            lines[index] = BREAKAGES[kinds[index + 1]][0](lines[index])
        (self.folder / "copy.ndjson").write_bytes(b"\n".join(lines) + b"\n")
        code, summary = self.load("copy.ndjson")
        self.assertEqual(code, 1)
        self.assertEqual((summary["stored"], summary["rejected"]), (len(lines) - broken_lines, broken_lines))
        self.check_stored([f for line, f in enumerate(flights, 1) if line not in kinds])
        told = {r["line"]: r for r in self.rejects("copy.ndjson.rejects.ndjson")}
        self.assertEqual(set(told), set(kinds))
        for line, rejected in told.items():
            self.assertIn(rejected["code"], BREAKAGES[kinds[line]][1], f"line {line}: {kinds[line]}: {rejected}")
            self.assertEqual(rejected["item"], lines[line - 1].decode(errors="replace").strip())
            self.assertTrue(rejected["message"])

    def test_load_stores_what_an_array_holds(self):
        flights = made_up_flights(20_000)
        self.write("flights.json", json.dumps(flights))
        code, summary = self.load("flights.json")
        self.assertEqual((code, summary["stored"], summary["rejects"]), (0, 20_000, None))
        self.check_stored(flights)

    def test_load_stores_the_good_lines_and_names_each_bad_one(self):
        self.check_broken_copy(made_up_flights(20_000), 1_000)

    def test_load_stores_all_200000_flights(self):
        if not FLIGHTS.exists():
            self.skipTest(f"no {FLIGHTS}: tools/fetch-data fetches it")
        code, summary = self.load(FLIGHTS)
        flights = json.loads(FLIGHTS.read_bytes())
        self.assertEqual((code, summary["stored"]), (0, 200_000))
        self.check_stored(flights)

    def test_load_names_1000_broken_lines_of_200000_flights(self):
        if not FLIGHTS.exists():
            self.skipTest(f"no {FLIGHTS}: tools/fetch-data fetches it")
        self.check_broken_copy(json.loads(FLIGHTS.read_bytes()), 1_000)

    def test_load_reads_csv_and_names_its_bad_rows(self):
        flights = made_up_flights(3_000)
        text = ["delay:integer,distance:integer,time:real,day:timestamp"]
        text += [f"{f['delay']},{f['distance']},{f['time']!r},2001-01-13T12:00:00Z" for f in flights]
        text[100:100] = ["1,2", "late,2,3.0,", '1,"2"x,3.0,', "1,2,3.0,2001-02-30"]
        (self.folder / "flights.csv.gz").write_bytes(gzip.compress("\n".join(text).encode()))
        code, summary = self.load("flights.csv.gz")
        self.assertEqual((code, summary["stored"], summary["rejected"]), (1, 3_000, 4))
        self.check_stored(flights)
        told = {r["line"]: r["code"] for r in self.rejects("flights.csv.gz.rejects.ndjson")}
        self.assertEqual(list(sorted(told)), [101, 102, 103, 104])
        self.assertEqual((told[101], told[102], told[103]), ("load.bad_row", "load.bad_cell", "load.bad_row"))

    def test_load_reads_standard_input_and_several_files(self):
        flights = made_up_flights(300)
        self.write("a.json", json.dumps(flights[:100]))
        self.write("b.ndjson", "".join(json.dumps(f) + "\n" for f in flights[100:200]))
        given = "".join(json.dumps(f) + "\n" for f in flights[200:])
        done = subprocess.run([PROGRAM, "load", "a.json", "-", "b.ndjson", "--to", self.url, "--concurrency", "1"],
                              cwd=self.folder, env=environment(), input=given, capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.check_stored(flights)

    def start_with_pipe(self, *arguments):
        return subprocess.Popen([PROGRAM, "load", "-", "--format", "ndjson", "--to", self.url, "--json", *arguments],
                                cwd=self.folder, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def load_half_of_its_rejects(self, *arguments):
        """Loads the first half of stdin.rejects.ndjson, and waits until it is rejected again. Gives the load and the
        second half, read from the file as it was opened before."""
        with open(self.folder / "stdin.rejects.ndjson", "rb") as rejects:
            before = sum(1 for _ in rejects)
            rejects.seek(0)
            loading = self.start_with_pipe(*arguments)
            loading.stdin.write(b"".join(self.item(next(rejects)) for _ in range(before // 2)))
            loading.stdin.flush()
            while sum(file.stat().st_size > 0 for file in self.folder.glob("stdin.rejects.ndjson*")) < 2:
                self.assertIsNone(loading.poll())
                self.assertEqual(self.count_lines("stdin.rejects.ndjson"), before)
            return loading, b"".join(map(self.item, rejects))

    @staticmethod
    def item(reject):
        return json.loads(reject)["item"].encode() + b"\n"

    def count_lines(self, name):
        return (self.folder / name).read_bytes().count(b"\n")

    def test_load_may_read_the_rejects_that_it_makes_anew(self):
        bad = [b'{"delay":"%d"}\n' % number for number in range(400)]
        loading = self.start_with_pipe()
        first, _ = loading.communicate(b"".join(bad), PATIENCE)
        self.assertEqual((loading.returncode, json.loads(first)["rejected"]), (1, 400))
        loading, second_half = self.load_half_of_its_rejects()
        output, _ = loading.communicate(second_half, PATIENCE)
        self.assertEqual((loading.returncode, json.loads(output)["rejected"]), (1, 400))
        self.assertEqual(json.loads(output)["rejects"], "stdin.rejects.ndjson")
        self.assertEqual(sorted(r["item"].encode() + b"\n" for r in self.rejects("stdin.rejects.ndjson")), sorted(bad))
        self.assertEqual(list(self.folder.glob("*.part")), [])

    def test_load_names_all_items_that_are_rejected_of_large_requests(self):
        flight = made_up_flights(1)[0]
        good = json.dumps(flight).encode() + b"\n"
        bad = [b'{"delay":"%d"}\n' % number for number in range(30_000)]
        given = b"".join(line + good if number % 50 == 0 else line for number, line in enumerate(bad))
        for again in False, True:
            loading = self.start_with_pipe()
            output, _ = loading.communicate(b"".join(bad) if again else given, PATIENCE)
            told = json.loads(output)
            self.assertEqual((loading.returncode, told["stored"], told["rejected"], told["rejects_unnamed"]),
                             (1, 0 if again else 600, 30_000, 0))
            rejects = self.rejects("stdin.rejects.ndjson")
            self.assertEqual(sorted(r["item"].encode() + b"\n" for r in rejects), sorted(bad))
            self.assertEqual({r["code"] for r in rejects}, {"item.type"})
        self.check_stored([flight] * 600)

    def test_a_load_that_stops_keeps_the_rejects_that_it_has_not_read(self):
        loading = self.start_with_pipe()
        loading.communicate(b'{"delay":"late"}\n' * 400, PATIENCE)
        loading, _ = self.load_half_of_its_rejects()
        loading.send_signal(signal.SIGINT)
        output = loading.stdout.read()
        self.assertEqual(loading.wait(PATIENCE), 130)
        loading.stdin.close()
        loading.stdout.close()
        self.assertEqual(self.count_lines("stdin.rejects.ndjson"), 400)
        self.assertEqual(json.loads(output)["rejects"], "stdin.rejects.ndjson.part")
        self.assertEqual(self.count_lines("stdin.rejects.ndjson.part"), 200)

    def test_a_load_whose_rejects_are_read_no_more_says_how_many_are_lost(self):
        os.mkfifo(self.folder / "pipe")
        reader = os.open(self.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        loading = self.start_with_pipe("--rejects", "pipe")
        loading.stdin.write(b'{"delay":"late"}\n' * 200)
        loading.stdin.flush()
        self.assertTrue(select.select([reader], [], [], PATIENCE)[0])
        os.close(reader)
        output, _ = loading.communicate(b'{"delay":"late"}\n' * 200, PATIENCE)
        self.assertEqual(loading.returncode, 3)
        summary = json.loads(output)
        self.assertEqual((summary["rejected"], summary["rejects_missing"]), (400, 200))
        self.assertIn("Broken pipe", summary["stopped"])

    def test_load_says_when_the_server_refuses_for_good(self):
        self.write("a.ndjson", "{}\n")
        done = run("load", "a.ndjson", "--to", self.url + "-of-fancy", cwd=self.folder)
        self.assertEqual(done.returncode, 3)
        self.assertIn("404", done.stdout)
        self.assertEqual(self.rejects("a.ndjson.rejects.ndjson")[0]["code"], "load.not_sent")

    def test_load_knows_that_nothing_was_sent_where_no_connection_is_made_in_time(self):
        self.write("a.ndjson", "{}\n" * 100)
        # Linux drops what opens a connection where those that wait to be accepted fill the queue.
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
            select.select([full], [], [])
            done = run("load", "a.ndjson", "--to", f"http://127.0.0.1:{full.getsockname()[1]}/v1/flights", "--json",
                       "--timeout", "200ms", "--retry-for", "0", "--batch-items", "1", cwd=self.folder)
        summary = json.loads(done.stdout)
        self.assertEqual((done.returncode, summary["unknown"]), (3, 0))
        self.assertEqual({r["code"] for r in self.rejects("a.ndjson.rejects.ndjson")}, {"load.not_sent"})

    def test_load_fails_when_its_summary_can_not_be_written(self):
        self.write("good.json", json.dumps(made_up_flights(1)))
        self.write("bad.ndjson", "{}\n")
        for given, to, code in ("good.json", self.url, 1), ("bad.ndjson", self.url + "-of-fancy", 3):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([PROGRAM, "load", given, "--to", to], cwd=self.folder, env=environment(),
                                      stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, code)
            self.assertIn("penstock: standard output ", done.stderr)

    def test_load_sends_in_parts_what_is_too_much_for_the_server(self):
        flights = made_up_flights(5_000)
        self.write("flights.json", json.dumps(flights))
        self.server.stop()
        self.server = self.serve("--config", "penstock.toml", "--store", f"sqlite:{self.database}",
                                 "--batch-max-rows", "150", listen=f"127.0.0.1:{self.server.port}")
        code, summary = self.load("flights.json")
        self.assertEqual((code, summary["stored"], summary["retries"]), (0, 5_000, 0))
        self.check_stored(flights)

    def test_load_goes_on_when_the_server_comes_back(self):
        flights = made_up_flights(1_000)
        self.write("flights.json", json.dumps(flights))
        self.server.stop()
        loading = subprocess.Popen([PROGRAM, "load", "flights.json", "--to", self.url, "--json"], cwd=self.folder,
                                   env=environment(), stdout=subprocess.PIPE, text=True)
        again = self.serve("--config", "penstock.toml", "--store", f"sqlite:{self.database}",
                           listen=f"127.0.0.1:{self.server.port}")
        output, _ = loading.communicate(timeout=PATIENCE)
        self.assertEqual((loading.returncode, json.loads(output)["stored"]), (0, 1_000))
        again.stop()
        self.check_stored(flights)

    def test_an_interrupted_load_counts_what_it_sent(self):
        flights = made_up_flights(1_000)
        loading = subprocess.Popen([PROGRAM, "load", "-", "--to", self.url, "--json"], cwd=self.folder,
                                   env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        loading.stdin.write("".join(json.dumps(f) + "\n" for f in flights))
        loading.stdin.flush()
        while rows(self.database, "SELECT count(*) FROM flights") != [(1_000,)]:
            self.assertIsNone(loading.poll())
        loading.send_signal(signal.SIGINT)
        output = loading.stdout.read()
        self.assertEqual(loading.wait(PATIENCE), 130)
        loading.stdin.close()
        loading.stdout.close()
        self.assertEqual(json.loads(output)["stored"], 1_000)
        self.check_stored(flights)


if __name__ == "__main__":
    main()
