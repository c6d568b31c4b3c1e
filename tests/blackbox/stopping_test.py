"""SIGTERM loses nothing that was acknowledged and refuses nothing that was accepted; only a second one is rude."""

import fcntl
import os
import signal
import socket
import subprocess
import time

from penstock_process import (BlackBoxTest, Clients, PATIENCE, PROGRAM, environment, main, request_on, rows, stored_ids,
                              wait_until)


def head(length):
    return (f"POST /v1/items HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


def full_pipe():
    """A pipe that takes no more, as one whose reader has stopped; gives (reading end, writing end)."""
    reader, writer = os.pipe()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for piece in (b"x" * 4096, b"x"):
        try:
            while True:
                os.write(writer, piece)
        except BlockingIOError:
            pass
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)
    return reader, writer


class Stopping(BlackBoxTest):
    def begin_request(self, server, body=b'{"name": "Ada"}'):
        """Sends all of a request but its last byte, and waits until the server has taken it up."""
        connection = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(head(len(body)) + body[:-1])
        wait_until(lambda: self.requests_under_way(server) >= 2, "the request to be taken up")  # this, and the question
        return connection, body[-1:]

    def requests_under_way(self, server):
        for line in server.request("GET", "/metrics")[2].decode().splitlines():
            if line.startswith("penstock_http_requests_in_flight"):
                return float(line.split()[-1])
        self.fail("no metric penstock_http_requests_in_flight")

    def wait_until_stopping(self, server):
        wait_until(lambda: "stopping" in server.log(), "the server to begin stopping")

    def test_an_idle_server_stops_at_once_with_0(self):
        server = self.serve()
        self.assertEqual(server.stop(), 0)
        self.assertIn("stopped", server.log())

    def test_a_server_stops_at_once_while_it_waits_for_its_first_database_session(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            process = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--store",
                                        f"mariadb://user@127.0.0.1:{silent.getsockname()[1]}/items"], cwd=self.folder,
                                       env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.kill)
            silent.settimeout(PATIENCE)
            connection, _ = silent.accept()
            self.addCleanup(connection.close)
            process.send_signal(signal.SIGTERM)
            out, log = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, out), (0, ""), log)
        self.assertNotIn("waiting for the database", log)
        self.assertRegex(log, r"stopping signal=SIGTERM .*\n.* stopped ")

    def test_sigint_stops_as_sigterm_does(self):
        server = self.serve()
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)

    def test_idle_connections_do_not_delay_the_stop(self):
        server = self.serve("--grace-period", "60s")
        idle = [server.connect() for _ in range(200)]
        for connection in idle:
            connection.connect()
            self.addCleanup(connection.close)
        idle[0].request("GET", "/healthz")
        self.assertEqual(idle[0].getresponse().read() and 0, 0)
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begun, 30)  # half of the grace period, which a delay would take whole

    def test_a_request_under_way_is_answered_before_the_end(self):
        server = self.serve()
        connection, rest = self.begin_request(server)
        server.signal(signal.SIGTERM)
        self.wait_until_stopping(server)
        connection.sendall(rest)
        answer = connection.recv(65536)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
        self.assertIn(b"connection: close", answer.lower())
        self.assertEqual(server.wait(), 0)
        self.assertEqual(rows(self.folder / "penstock.db", "SELECT count(*) FROM processed_data"), [(1,)])

    def test_requests_that_were_on_their_way_are_answered_and_their_connections_closed(self):
        server = self.serve("--http-stop-linger", "1m")
        connection = server.connect()
        self.addCleanup(connection.close)
        self.assertEqual(request_on(connection, "GET", "/readyz")[0], 200)
        server.signal(signal.SIGTERM)
        self.wait_until_stopping(server)
        status, headers, _ = request_on(connection, "POST", "/v1/items", '{"n":1}',
                                        **{"Content-Type": "application/json"})
        self.assertEqual((status, headers["Connection"].lower()), (200, "close"))
        self.assertEqual(server.request("GET", "/readyz")[0], 503)  # on a new connection

    def test_no_connection_is_accepted_any_more(self):
        server = self.serve()
        self.begin_request(server)
        server.signal(signal.SIGTERM)
        self.wait_until_stopping(server)

        def refused():
            try:
                socket.create_connection((server.host, server.port), timeout=PATIENCE).close()
                return False
            except ConnectionRefusedError:
                return True

        wait_until(refused, "the port to close")

    def test_the_grace_period_ends_what_does_not_end(self):
        server = self.serve("--grace-period", "300ms")
        self.begin_request(server)
        self.assertEqual(server.stop(), 1)
        self.assertRegex(server.log(), r"stopped at once .*reason=\"the grace period is over\" requests_given_up=1")

    def test_a_second_signal_ends_at_once(self):
        server = self.serve("--grace-period", "1h")
        self.begin_request(server)
        server.signal(signal.SIGTERM)
        self.wait_until_stopping(server)
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 1)
        self.assertRegex(server.log(), r"stopped at once .*reason=\"a second signal, SIGINT\" requests_given_up=1")

    def test_a_log_that_takes_no_more_lines_holds_up_neither_the_service_nor_its_end(self):
        for end in full_pipe():
            self.addCleanup(os.close, end)
        server = self.serve(stderr=end)
        server.signal(signal.SIGHUP)
        for n in range(10):
            self.assertEqual(server.post({"n": n})[0], 200)
        self.assertEqual(server.stop(), 0)

    def test_sigterm_under_load_loses_nothing_and_refuses_nothing(self):
        server = self.serve()
        clients = Clients(server, 64)
        clients.wait_for(2000)
        self.assertEqual(server.stop(), 0)
        clients.join()
        self.assertEqual(clients.refused, [])
        self.assertEqual(clients.strange, [])
        self.assertEqual(clients.unanswered, [])
        # Stored exactly what was acknowledged: a request that was taken up was answered too.
        stored = stored_ids(self.folder / "penstock.db")
        self.assertEqual([item for item in stored if stored[item] != 1], [])
        self.assertEqual(set(stored), set(clients.acknowledged))
        print(f"{len(clients.acknowledged)} acknowledged, {len(stored)} stored")


if __name__ == "__main__":
    main()
