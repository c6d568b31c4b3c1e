"""The network between the service and its database does harm: what is acknowledged is stored once nevertheless, and the
service heals when the network does."""

import json
import shutil
import subprocess
import tempfile
import time

from chaos_process import Chaos
from penstock_process import SOURCE, BlackBoxTest, Clients, main, wait_until

TOOL = SOURCE / "tools/test-server"
HEALED_WITHIN = 5.0  # seconds of the network's return
# Of the answers: inside the handshake, the first statements, and then commit after commit.
CUTS = [*range(0, 100, 33), *range(100, 1000, 97), *range(1000, 5000, 977)]


class Chaotic(BlackBoxTest):
    """A service behind penstock-chaos, with clients that post all the time."""

    def start(self, kind, clients=8):
        folder = tempfile.mkdtemp(prefix="penstock-chaos-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.addCleanup(subprocess.run, [TOOL, "stop", folder], check=True)
        url = subprocess.run([TOOL, "start", kind, folder], stdout=subprocess.PIPE, text=True, timeout=120,
                             check=True).stdout.strip()
        self.chaos = Chaos(url)
        self.addCleanup(self.chaos.close)
        # libpq 15 loses a result now and then when an answer is malformed, which LeakSanitizer would end the service for.
        known = self.folder / "leaks"
        known.write_text("leak:PQisBusy\n")
        self.server = self.serve("--store", f"{self.chaos.url}?silence_timeout=1s", "--batch-attempt-timeout", "1s",
                                 variables={"LSAN_OPTIONS": f"suppressions={known}:print_suppressions=0"})
        self.clients = Clients(self.server, clients)
        self.addCleanup(self.clients.stop)
        self.clients.wait_for(50)
        self.spoilt = []  # items refused while answers of the database were corrupted

    def more_acknowledged(self, count=10):
        self.clients.wait_for(len(self.clients.acknowledged) + count)

    def heal(self):
        """Ends the harm; gives how long the service took to take items again."""
        self.chaos.heal()
        begun = time.monotonic()
        self.more_acknowledged()
        healed = time.monotonic() - begun
        self.assertLess(healed, HEALED_WITHIN)
        return healed

    def metric(self, start):
        lines = self.server.request("GET", "/metrics")[2].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(start))

    def finish(self):
        """Every acknowledged item is stored once, no other one twice, and nothing is left of the harm."""
        self.clients.stop()
        self.assertEqual((self.clients.strange, self.clients.unanswered), ([], []))
        whole = [answer for answer in self.clients.refused if answer not in self.spoilt]
        self.assertEqual({status for _, status in whole} - {503}, set())
        status, _, lines = self.server.request("GET", "/v1/items", Accept="application/x-ndjson")
        self.assertEqual(status, 200)
        stored = {}
        for line in lines.splitlines():
            item = json.loads(line)["data"]["id"]
            stored[item] = stored.get(item, 0) + 1
        self.assertEqual([item for item in self.clients.acknowledged if stored.get(item) != 1], [])
        self.assertEqual([item for item, count in stored.items() if count != 1], [])
        # A corrupted answer may read as one that refuses the item; what was refused for good is not stored then.
        self.assertEqual([item for item, status in self.spoilt if status < 500 and item in stored], [])
        print(f"{len(self.clients.acknowledged)} acknowledged, {len(self.clients.refused)} refused, "
              f"{len(stored)} stored; {self.chaos.counters()}", flush=True)
        self.assertEqual(self.server.request("GET", "/readyz")[0], 200)
        self.assertEqual(self.server.stop(), 0)

    def cut_everywhere(self, direction):
        slowest = 0
        for cut in CUTS:
            before = self.chaos.counters()["cut_connections"]
            self.chaos.do(**{direction: {"cut_after_bytes": cut}})
            wait_until(lambda: self.chaos.counters()["cut_connections"] >= before + 4, f"cuts after {cut} bytes")
            slowest = max(slowest, self.heal())
        print(f"{direction}: {len(CUTS)} cuts, healed within {slowest:.2f} s", flush=True)

    def harm(self, kind):
        self.start(kind)
        self.cut_everywhere("to_client")
        self.cut_everywhere("to_server")

        refused = len(self.clients.refused)
        slow = {"latency": "50ms", "jitter": "30ms"}
        self.chaos.do(to_server=slow, to_client=slow)
        self.more_acknowledged(30)
        self.chaos.do(to_server={"slice_bytes": 1}, to_client={"slice_bytes": 1})
        self.more_acknowledged(80)
        self.assertEqual(len(self.clients.refused), refused, self.clients.refused[refused:])

        before = self.chaos.counters()["corrupted_bytes"]
        self.chaos.do(to_client={"corrupt": 0.0005})
        wait_until(lambda: self.chaos.counters()["corrupted_bytes"] >= before + 150, "corrupted bytes")
        print(f"healed {self.heal():.2f} s after corrupted answers", flush=True)
        self.spoilt = self.clients.refused[refused:]
        self.chaos.do(to_client={"stop": True})
        time.sleep(1.5)  # longer than a commit may take
        print(f"healed {self.heal():.2f} s after a server that said nothing", flush=True)
        self.finish()

    def test_mariadb_behind_a_network_that_does_harm(self):
        self.harm("mariadb")

    def test_postgresql_behind_a_network_that_does_harm(self):
        self.harm("postgresql")

    def lose_answers_to_commit(self, kind):
        # READ COMMITTED is no COMMIT; PostgreSQL's texts end with a zero byte.
        commit = {"mariadb": "COMMIT", "postgresql": "\0COMMIT\0"}[kind]
        self.start(kind, clients=16)
        self.chaos.do(to_server={"lose_answer_to": commit, "lose_answer_every": 20})
        wait_until(lambda: self.chaos.counters()["lost_answers"] >= 5, "some answers to be lost")
        self.heal()
        self.assertEqual(self.clients.refused, [])
        committed = self.metric('penstock_ambiguous_commits_total{found="committed"')
        print(f"{committed:.0f} commits without an answer were found to be committed", flush=True)
        self.assertGreaterEqual(committed, 1)
        self.finish()

    def test_mariadb_commits_whose_answer_is_lost_are_found(self):
        self.lose_answers_to_commit("mariadb")

    def test_postgresql_commits_whose_answer_is_lost_are_found(self):
        self.lose_answers_to_commit("postgresql")


if __name__ == "__main__":
    main()
