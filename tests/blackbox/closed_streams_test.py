"""Standard streams that are closed, as some that start services leave them: what is opened next doesn't take their
place.
"""

import os
import subprocess

from chaos_process import CHAOS
from penstock_process import PATIENCE, PROGRAM, BlackBoxTest, environment, main, rows


def without(*streams):
    def close():
        for stream in streams:
            os.close(stream)
    return close


class ClosedStreams(BlackBoxTest):
    def check_are_null(self, process, *streams):
        for stream in streams:
            self.assertEqual(os.readlink(f"/proc/{process}/fd/{stream}"), "/dev/null")

    def load(self, server, *arguments, closed):
        return subprocess.run([PROGRAM, "load", *arguments, "--to", f"{server.where}/v1/items"], cwd=self.folder,
                              env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
                              preexec_fn=without(*closed))

    def test_a_service_without_standard_input_and_error_serves(self):
        server = self.serve(before_exec=without(0, 2))
        self.check_are_null(server.process.pid, 0, 2)
        self.assertEqual(server.post({"n": 1})[1]["stored"], 1)
        self.assertEqual(server.stop(), 0)

    def test_the_chaos_proxy_does_not_use_closed_streams_for_others(self):
        chaos = subprocess.Popen([CHAOS, "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1"], env=environment(),
                                 stdout=subprocess.PIPE, text=True, preexec_fn=without(0, 2))
        for done_last in (chaos.stdout.close, chaos.wait, chaos.kill):
            self.addCleanup(done_last)
        self.assertTrue(chaos.stdout.readline().startswith("listening on "))
        self.check_are_null(chaos.pid, 0, 2)

    def test_a_load_of_a_closed_standard_input_says_so(self):
        server = self.serve()
        done = self.load(server, "-", closed=[0])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("penstock: standard input is closed", done.stderr)

    def test_a_load_of_a_file_needs_no_standard_input(self):
        server = self.serve()
        self.write("some.ndjson", '{"n":1}\n{"n":2}\n')
        self.assertEqual(self.load(server, "some.ndjson", closed=[0]).returncode, 0)
        self.assertEqual(self.load(server, "some.ndjson", closed=[0, 2]).returncode, 0)
        self.assertEqual(rows(self.folder / "penstock.db", "SELECT count(*) FROM processed_data"), [(4,)])

    def test_a_check_without_standard_output_fails_as_one_whose_output_is_full(self):
        for closed in ([1], [0, 1], [0, 1, 2]):
            done = subprocess.run([PROGRAM, "check", "--store", "sqlite::memory:"], cwd=self.folder, env=environment(),
                                  stderr=subprocess.PIPE, timeout=PATIENCE, check=False, preexec_fn=without(*closed))
            self.assertEqual(done.returncode, 1, closed)


if __name__ == "__main__":
    main()
