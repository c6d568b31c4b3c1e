"""What the scripts that compare HTTP servers share: a server that says where it listens, and load on it by wrk."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

PROGRAMS = pathlib.Path(__file__).resolve().parent.parent / "build/release/bin"
PATIENCE = 30  # seconds until what should have ended long ago counts as hanging

POST_SCRIPT = """
wrk.method = "POST"
wrk.body = '{"id":1,"name":"a small item of a hundred bytes or so","value":3.14159,"tags":["one","two","three"]}'
wrk.headers["Content-Type"] = "application/json"
"""


def fail(what):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {what}")


def tool_path(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def require(tools, programs):
    """Ends the script when something that it runs is not there."""
    for tool in tools:
        if tool_path(tool) is None:
            fail(f"{tool} is missing: run tools/install-deps --bench")
    for program in programs:
        if not os.access(program, os.X_OK):
            fail(f"no program at {program}: configure with -DPENSTOCK_BUILD_BENCH=ON and build it")


def write_post_script(folder):
    script = pathlib.Path(folder, "post.lua")
    script.write_text(POST_SCRIPT)
    return script


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_server(command, log=None):
    """Starts a program that says "listening on …:PORT"; gives the process and the port."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    line = process.stdout.readline()
    found = re.search(r":(\d+)\s*$", line)
    if not found:
        process.kill()
        fail(f"{command[0]} did not say where it listens: {line!r}")
    return process, int(found[1])


def stop_server(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_wrk(name, url, connections, seconds, *more):
    """Loads the server `name` from one thread; gives the requests, the seconds they took, and wrk's report. A request
    that fails ends the script: failing is fast."""
    command = [tool_path("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", *more, url]
    report = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + PATIENCE).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        fail(f"{name} failed requests:\n{report}")
    requests, taken = re.search(r"(\d+) requests in ([\d.]+)s", report).groups()
    return int(requests), float(taken), report
