"""Standard output that takes nothing, as a file on a full disk: what was asked to print something says so and fails."""

import subprocess

from penstock_process import PATIENCE, PROGRAM, BlackBoxTest, environment, main


class FullOutput(BlackBoxTest):
    def check_fails(self, *arguments):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([PROGRAM, *arguments], cwd=self.folder, env=environment(), stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1, arguments)
        self.assertIn("penstock: standard output ", done.stderr)

    def test_a_check_whose_findings_can_not_be_written_fails(self):
        self.check_fails("check", "--store", "sqlite::memory:")

    def test_a_config_that_can_not_be_printed_is_a_failure(self):
        self.check_fails("serve", "--print-config")
        self.check_fails("serve", "--print-config-reference")

    def test_a_help_that_can_not_be_printed_is_a_failure(self):
        self.check_fails("--help")
        self.check_fails("load", "--help")
        self.check_fails("--version")

    def test_a_fetch_whose_lines_can_not_be_written_fails(self):
        server = self.serve()
        self.check_fails("fetch", f"http://{server.host}:{server.port}/healthz")

    def test_a_server_whose_first_line_nobody_can_read_serves_and_ends_well(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            serving = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0"], cwd=self.folder,
                                       env=environment(), stdout=full, stderr=subprocess.PIPE, text=True)
        for line in serving.stderr:
            if " serving " in line:
                break
        serving.terminate()
        serving.stderr.read()
        self.assertEqual(serving.wait(PATIENCE), 0)
        serving.stderr.close()


if __name__ == "__main__":
    main()
