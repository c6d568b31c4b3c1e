"""kill -9 at any moment loses nothing that was acknowledged, and stores nothing twice."""

import random
import signal
import time

from penstock_process import BlackBoxTest, Clients, main, stored_ids

ROUNDS = 4


class Killing(BlackBoxTest):
    def test_kill_9_under_load_loses_nothing_that_was_acknowledged(self):
        acknowledged, unanswered = [], []
        for turn in range(ROUNDS):
            server = self.serve()
            clients = Clients(server, 64, prefix=f"{turn}:")
            clients.wait_for(500)
            time.sleep(random.uniform(0, 0.3))  # the moment of the kill: any
            server.signal(signal.SIGKILL)
            self.assertEqual(server.wait(), -signal.SIGKILL)
            clients.join()
            self.assertEqual((clients.refused, clients.strange), ([], []))
            acknowledged += clients.acknowledged
            unanswered += clients.unanswered
        self.serve().stop()  # what is in the journal is in the file now
        stored = stored_ids(self.folder / "penstock.db")
        self.assertEqual([item for item in acknowledged if stored.get(item) != 1], [])
        self.assertEqual([item for item in stored if stored[item] != 1], [])
        self.assertEqual(set(stored) - set(acknowledged) - set(unanswered), set())
        print(f"{len(acknowledged)} acknowledged, {len(unanswered)} cut off, {len(stored)} stored")


if __name__ == "__main__":
    main()
