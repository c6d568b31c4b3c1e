#!/usr/bin/env python3
"""Clients post to two services on one database while harm is done at random to the services, to the database and to its
tables; then what the clients were told is compared with what is stored. To be run by hand:

    tests/blackbox/soak.py [--store sqlite|mariadb|postgresql|galera] [--seconds 60] [--clients 24] [--seed 1]
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from penstock_process import SOURCE, Serve, request_on

CONFIG = """
[[stream]]
name = "plain"
columns = [{name = "n", type = "integer", required = true}, {name = "body", type = "text"}]
[[stream]]
name = "keyed"
key = ["n"]
columns = [{name = "n", type = "integer", required = true}, {name = "body", type = "text"}]
[[stream]]
name = "idempotent"
columns = [{name = "n", type = "integer", required = true}, {name = "body", type = "text"}]
"""
STREAMS = ("plain", "keyed", "idempotent")
TOO_LONG = "x" * 60  # for the check that tables get where the database can add one
PASSWORD = "only for tests"


def tool(name, *arguments):
    done = subprocess.run([SOURCE / "tools" / name, *map(str, arguments)], stdout=subprocess.PIPE, text=True, timeout=240,
                          check=True)
    return done.stdout.strip()


def processes(*which):
    found = subprocess.run(["pgrep", *which], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]


def send(number, pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Database:
    """A database of its own. `harms` are functions that do harm and undo it."""

    def __init__(self, folder, chance):
        self.folder, self.chance = folder, chance
        self.url = self.start()
        self.harms = []

    def start(self):
        return tool("test-server", "start", self.kind, self.folder)

    def stop(self):
        tool("test-server", "stop", self.folder)

    def url_for(self, _service):
        return self.url + "?silence_timeout=2s"

    def numbers(self, stream):
        """Those stored, as often as they are; where a server does not answer, another one is asked, or the same again."""
        for _ in range(30):
            found = [int(n) for (n,) in self.sql(f"SELECT n FROM {stream} UNION ALL SELECT -1")]
            if -1 in found:
                found.remove(-1)
                return found
            time.sleep(1)
        raise AssertionError(f"nobody tells what is in {stream}")

    def refuse_long_bodies(self):
        for stream in STREAMS:
            self.sql(f"ALTER TABLE {stream} ADD CONSTRAINT short_{stream} CHECK (char_length(body) < 50)")
        return True

    def pause(self, longest):
        time.sleep(self.chance.random() * longest)

    def kill_and_restart(self):
        tool("test-server", "kill", self.folder)
        self.pause(1.5)
        self.start()

    def stop_and_restart(self):
        self.stop()
        self.pause(1)
        self.start()

    def stand_still(self):
        """With its children, of which a PostgreSQL has one for each session: it makes no more once it is stopped."""
        stopped = []
        more = processes("-f", f"{self.folder}/")
        while more:
            send(signal.SIGSTOP, more)
            stopped += more
            more = processes("-P", ",".join(map(str, more)))
        self.pause(4)
        send(signal.SIGCONT, stopped)

    def alter(self):
        table = self.chance.choice(STREAMS)
        for statement in self.chance.choice(self.alterations).split(";"):
            self.sql(statement.format(table=table))

    def lock_markers(self):
        self.sql("BEGIN", "SELECT * FROM penstock_writer FOR UPDATE", self.meanwhile(2), "ROLLBACK")

    def rename(self):
        table = self.chance.choice(STREAMS)
        self.sql(f"ALTER TABLE {table} RENAME TO gone")
        self.pause(0.5)
        self.sql(f"ALTER TABLE gone RENAME TO {table}")


class Sqlite(Database):
    alterations = ("ALTER TABLE {table} ADD COLUMN extra INT DEFAULT 3;ALTER TABLE {table} DROP COLUMN extra", "VACUUM",
                   "PRAGMA wal_checkpoint(TRUNCATE)", "REINDEX",
                   "CREATE INDEX added ON {table} (body);DROP INDEX added")

    def __init__(self, folder, chance):
        super().__init__(folder, chance)
        self.harms = [self.lock, self.lock, self.alter, self.rename]

    def start(self):
        return f"sqlite:{self.folder}/penstock.db"

    def stop(self):
        pass

    def url_for(self, _service):
        return self.url

    def refuse_long_bodies(self):
        return False

    def sql(self, statement):
        with contextlib.closing(self.connect()) as connection:
            return connection.execute(statement).fetchall()

    def connect(self):
        return sqlite3.connect(f"{self.folder}/penstock.db", timeout=60, isolation_level=None)

    def lock(self):
        with contextlib.closing(self.connect()) as connection:
            connection.execute(self.chance.choice(["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]))
            self.pause(3)
            connection.execute(self.chance.choice(["COMMIT", "ROLLBACK"]))


class Mariadb(Database):
    kind = "mariadb"
    alterations = ("ALTER TABLE {table} ADD COLUMN extra INT DEFAULT 3;ALTER TABLE {table} DROP COLUMN extra",
                   "OPTIMIZE TABLE {table}", "ALTER TABLE {table} MODIFY body MEDIUMTEXT",
                   "CREATE INDEX added ON {table} (body(20));DROP INDEX added ON {table}")

    def __init__(self, folder, chance):
        super().__init__(folder, chance)
        self.harms = [self.kill_and_restart, self.stop_and_restart, self.stand_still, self.kill_sessions, self.lock,
                      self.read_lock, self.lock_markers, self.alter, self.alter, self.rename]

    def address(self):
        return self.chance.choice(re.findall(r"([0-9.]+):(\d+)", self.url))

    def sql(self, *statements):
        host, port = self.address()
        done = subprocess.run(["mariadb", f"-h{host}", f"-P{port}", "-upenstock", f"-p{PASSWORD}", "-NBfe",
                               ";".join(statements), "penstock"], capture_output=True, text=True, timeout=60, check=False)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def meanwhile(self, longest):
        return f"SELECT SLEEP({self.chance.random() * longest:.2f})"

    def kill_sessions(self):
        ids = self.sql("SELECT id FROM information_schema.processlist WHERE user = 'penstock' AND id <> connection_id()")
        chosen = [one for (one,) in ids if self.chance.random() < 0.5]
        self.sql(*(f"KILL {self.chance.choice(['', 'QUERY'])} {one}" for one in chosen))

    def lock(self):
        table = self.chance.choice([*STREAMS, "penstock_writer", "penstock_idempotency"])
        self.sql(f"LOCK TABLES {table} WRITE", self.meanwhile(3), "UNLOCK TABLES")

    def read_lock(self):
        self.sql("FLUSH TABLES WITH READ LOCK", self.meanwhile(2), "UNLOCK TABLES")


class Postgresql(Database):
    kind = "postgresql"
    alterations = ("ALTER TABLE {table} ADD COLUMN extra INT DEFAULT 3;ALTER TABLE {table} DROP COLUMN extra",
                   "VACUUM FULL {table}", "CREATE INDEX added ON {table} (body);DROP INDEX added",
                   "ALTER TABLE {table} ALTER body TYPE varchar;ALTER TABLE {table} ALTER body TYPE text")

    def __init__(self, folder, chance):
        super().__init__(folder, chance)
        self.harms = [self.kill_and_restart, self.stop_and_restart, self.stand_still, self.end_sessions, self.lock,
                      self.read_only, self.lock_markers, self.alter, self.alter, self.rename]

    def sql(self, *statements):
        done = subprocess.run(["psql", f"{self.url}?options=-cdefault_transaction_read_only%3Doff", "-Atq",
                               *(part for statement in statements for part in ("-c", statement))],
                              capture_output=True, text=True, timeout=60, check=False)
        return [line.split("|") for line in done.stdout.splitlines()]

    def meanwhile(self, longest):
        return f"SELECT pg_sleep({self.chance.random() * longest:.2f})"

    def end_sessions(self):
        self.sql("SELECT CASE WHEN random() < 0.5 THEN pg_terminate_backend(pid) ELSE pg_cancel_backend(pid) END "
                 "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'penstock' AND random() < 0.6")

    def lock(self):
        table = self.chance.choice([*STREAMS, "penstock_writer", "penstock_idempotency"])
        self.sql("BEGIN", f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE", self.meanwhile(3), "COMMIT")

    def read_only(self):
        self.sql("ALTER DATABASE penstock SET default_transaction_read_only = on")
        self.pause(1)
        self.sql("ALTER DATABASE penstock RESET default_transaction_read_only")


class Galera(Mariadb):
    def __init__(self, folder, chance):
        super().__init__(folder, chance)
        self.harms = [self.lose_node, self.lose_node, self.lose_node, self.refuse_queries, self.desynchronise,
                      self.kill_sessions, self.read_lock, self.lock_markers, self.alter, self.alter, self.rename]

    def start(self):
        return tool("galera", "up", self.folder)

    def stop(self):
        tool("galera", "down", self.folder)

    def url_for(self, service):
        """With the hosts in another order, so that the services begin on different nodes."""
        head, _, rest = super().url_for(service).rpartition("@")
        hosts, _, database = rest.partition("/")
        hosts = hosts.split(",")
        return f"{head}@{','.join(hosts[service:] + hosts[:service])}/{database}"

    def lose_node(self):
        node = self.chance.randint(1, 3)
        leave, come_back = self.chance.choice([("stop", "start"), ("kill", "start"), ("cut", "mend")])
        tool("galera", leave, self.folder, node)
        self.pause(3)
        tool("galera", come_back, self.folder, node)

    def refuse_queries(self):
        how = self.chance.choice(["ALL", "ALL_KILL"])
        self.sql(f"SET GLOBAL wsrep_reject_queries = {how}", "DO SLEEP(1)", "SET GLOBAL wsrep_reject_queries = NONE")

    def desynchronise(self):
        self.sql("SET GLOBAL wsrep_desync = ON", "DO SLEEP(1)", "SET GLOBAL wsrep_desync = OFF")


class Services:
    """Two of them on one database."""

    def __init__(self, folder, database):
        self.folder, self.database = folder, database
        (folder / "penstock.toml").write_text(CONFIG)
        self.both = []
        for number in range(2):
            (folder / str(number)).mkdir()
            self.both.append(self.start(number))
        self.harms = [self.kill, self.stop_one, self.stand_still]

    def start(self, number):
        return Serve(self.folder / str(number), "--config", self.folder / "penstock.toml", "--store",
                     self.database.url_for(number), "--batch-attempt-timeout", "2s")

    def choose(self):
        return self.database.chance.randrange(len(self.both))

    def kill(self):
        number = self.choose()
        self.both[number].close()
        self.database.pause(0.5)
        self.both[number] = self.start(number)

    def stop_one(self):
        number = self.choose()
        code = self.both[number].stop()
        if code != 0:
            raise AssertionError(f"service {number} exited with {code}")
        self.both[number] = self.start(number)

    def stand_still(self):
        server = self.both[self.choose()]
        server.signal(signal.SIGSTOP)
        self.database.pause(4)
        server.signal(signal.SIGCONT)


class Clients:
    """Threads that post batches: to "plain" once, to the others again and again until there is an answer for good."""

    def __init__(self, services, count, seed, may_be_refused):
        self.services, self.may_be_refused = services, may_be_refused
        self.acknowledged = {stream: set() for stream in STREAMS}
        self.unknown = set()  # of "plain": sent, and not acknowledged
        self.answers = collections.Counter()
        self.wrong = []
        self._last, self._lock, self._ended = 0, threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._post_batches, args=(STREAMS[n % 3], random.Random(f"{seed} {n}")))
                         for n in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _post_batches(self, stream, chance):
        while not self._ended.is_set():
            size = chance.choice([1, 1, 1, 3, 20, 200])
            with self._lock:
                self._last += size
                numbers = range(self._last - size, self._last)
            bad = [self.may_be_refused and chance.random() < 0.01 for _ in numbers]
            items = [{"n": n, "body": TOO_LONG if is_bad else chance.choice(["a", "öö", "\\'\"q"])}
                     for n, is_bad in zip(numbers, bad)]
            self._post(stream, json.dumps(items if size > 1 else items[0]), numbers, bad, chance)

    def _post(self, stream, body, numbers, bad, chance):
        headers = {"Content-Type": "application/json"}
        if stream == "idempotent":
            headers["Idempotency-Key"] = f"batch-{numbers[0]}"
        give_up = None
        while give_up is None or time.monotonic() < give_up:
            status, answer = self._ask(chance.randrange(2), stream, body, headers)
            with self._lock:
                self.answers[f"{stream} {status} {answer.get('code', '')}"] += 1
            if status in (200, 422):
                self._take(stream, status, answer, numbers, bad)
                return
            if status not in (0, 503):
                self.wrong.append((stream, status, answer))
                return
            if stream == "plain":
                with self._lock:
                    self.unknown.update(numbers)
                return
            time.sleep(0.05)
            if self._ended.is_set() and give_up is None:
                give_up = time.monotonic() + 30
        self.wrong.append((stream, "no answer for good within 30 s of the last harm", answer))

    def _ask(self, service, stream, body, headers):
        """Gives status 0 where there was no answer."""
        connection = self.services.both[service].connect()
        try:
            status, _, answer = request_on(connection, "POST", f"/v1/{stream}", body, **headers)
            return status, json.loads(answer)
        except (OSError, http.client.HTTPException) as e:
            return 0, {"code": type(e).__name__}
        finally:
            connection.close()

    def _take(self, stream, status, answer, numbers, bad):
        if answer.get("rejected", status == 422) != sum(bad) or answer.get("failed", 0) != 0:
            self.wrong.append((stream, status, f"{sum(bad)} of {len(bad)} are bad", answer))
        with self._lock:
            self.acknowledged[stream].update(n for n, is_bad in zip(numbers, bad) if not is_bad)


def do_harm(harms, chance, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        harm = chance.choice(harms)
        begun = time.monotonic()
        try:
            harm()
        except (subprocess.SubprocessError, sqlite3.Error) as e:
            print(f"{harm.__name__}: {e}", flush=True)
        print(f"{time.monotonic() - begun:5.1f} s {harm.__name__}", flush=True)
        time.sleep(chance.random())


def compare(database, clients):
    """Gives how much is wrong."""
    found = len(clients.wrong)
    for stream in STREAMS:
        stored = collections.Counter(database.numbers(stream))
        acknowledged = clients.acknowledged[stream]
        lost = acknowledged - stored.keys()
        twice = [n for n, times in stored.items() if times > 1]
        never = stored.keys() - acknowledged - (clients.unknown if stream == "plain" else set())
        print(f"{stream}: {len(acknowledged)} acknowledged, {len(stored)} stored: {len(lost)} lost, {len(twice)} stored "
              f"twice, {len(never)} never acknowledged", flush=True)
        found += len(lost) + len(twice) + len(never)
    for wrong in clients.wrong[:10]:
        print(*map(str, wrong))
    print(", ".join(f"{answer.strip()}: {count}" for answer, count in sorted(clients.answers.items())))
    return found


def main():
    kinds = {"sqlite": Sqlite, "mariadb": Mariadb, "postgresql": Postgresql, "galera": Galera}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=kinds, default="sqlite")
    parser.add_argument("--seconds", type=float, default=60, help="of harm (default 60)")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1, help="of what is chosen; when it happens is not repeated")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with contextlib.ExitStack() as at_end:
        folders = [pathlib.Path(tempfile.mkdtemp(prefix=f"penstock-soak-{what}-")) for what in ("database", "services")]
        for folder in folders:
            folder.chmod(0o755)
            at_end.callback(shutil.rmtree, folder, ignore_errors=True)
        database = kinds[arguments.store](folders[0], chance)
        at_end.callback(database.stop)
        services = Services(folders[1], database)
        at_end.callback(lambda: [server.close() for server in services.both])
        clients = Clients(services, arguments.clients, arguments.seed, database.refuse_long_bodies())
        at_end.callback(clients.stop)
        do_harm(database.harms + services.harms, chance, arguments.seconds)
        clients.stop()
        codes = [server.stop() for server in services.both]
        wrong = compare(database, clients) + sum(code != 0 for code in codes)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
