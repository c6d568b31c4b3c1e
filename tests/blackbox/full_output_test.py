"""Standard output that takes nothing, as a file on a full disk or a pipe whose reader left: what was asked to print
something says so and fails.
"""

import contextlib
import http.client
import os
import re
import subprocess

from penstock_process import PATIENCE, PROGRAM, BlackBoxTest, environment, main, request_on


def full_file():
    return open("/dev/full", "w", encoding="utf-8")


def pipe_without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def full_pipe():
    """Gives its two ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    return open(reader, "rb"), open(writer, "wb", buffering=0)


class FullOutput(BlackBoxTest):
    def check_fails(self, *arguments):
        for make in (full_file, pipe_without_reader):
            with contextlib.closing(make()) as taking_nothing:
                done = subprocess.run([PROGRAM, *arguments], cwd=self.folder, env=environment(), stdout=taking_nothing,
                                      stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 1, (arguments, make.__name__))
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

    def test_a_load_whose_summary_can_not_be_written_fails(self):
        server = self.serve()
        self.write("items.ndjson", '{"n":1}\n')
        self.check_fails("load", "--quiet", "--to", f"http://{server.host}:{server.port}/v1/items", "items.ndjson")

    @contextlib.contextmanager
    def serving_into(self, output):
        """Gives the process and the port, which the log tells."""
        serving = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0"], cwd=self.folder, env=environment(),
                                   stdout=output, stderr=subprocess.PIPE, text=True)
        try:
            where = next(line for line in serving.stderr if " serving " in line)
            yield serving, int(re.search(r"127\.0\.0\.1:(\d+)", where)[1])
            serving.terminate()
            serving.stderr.read()
            self.assertEqual(serving.wait(PATIENCE), 0)
        finally:
            serving.kill()
            serving.wait()
            serving.stderr.close()

    def check_stores(self, port):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            status, _, body = request_on(connection, "POST", "/v1/items", "{}", **{"Content-Type": "application/json"})
        self.assertEqual(status, 200, body)

    def test_a_server_whose_first_line_nobody_can_read_serves_and_ends_well(self):
        with full_file() as full, self.serving_into(full) as (_, port):
            self.check_stores(port)

    def test_a_server_whose_output_takes_nothing_serves_and_ends_well(self):
        reader, writer = full_pipe()
        with reader, writer, self.serving_into(writer) as (serving, port):
            self.check_stores(port)
            self.assertTrue(any("standard output takes nothing" in line for line in serving.stderr))

    def test_a_server_whose_output_is_read_late_tells_where_it_listens_in_whole_lines(self):
        reader, writer = full_pipe()
        with reader, writer, self.serving_into(writer) as (_, port):
            self.check_stores(port)
            writer.close()
            self.assertEqual(reader.readline().lstrip(b"x"), f"listening on http://127.0.0.1:{port}\n".encode())


if __name__ == "__main__":
    main()
