"""Runs that are interrupted, against a server that answers when it is told to."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from command_line import ONE, child, write

ANSWER = json.dumps(
    {"id": "1", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}]}
).encode()

TWO = ONE + '  more: {prompt: "More of {{ steps.say.output }}"}\n'
SLEEPS = """\
flowkit: 1
name: sleeps
steps:
  nap: {call: "naps:nap", with: {path: inputs.path}}
inputs: {path: string}
"""


class Held:
    """A server that holds each answer until `go`; `asked` counts requests."""

    def __init__(self):
        self.asked = threading.Semaphore(0)
        self.count = 0
        self.go = threading.Event()
        held = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                held.count += 1
                held.asked.release()
                held.go.wait(30)
                try:
                    self.send_response(200)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(ANSWER)))
                    self.end_headers()
                    self.wfile.write(ANSWER)
                except OSError:
                    pass

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.env = {"OPENAI_BASE_URL": f"http://127.0.0.1:{self.server.server_port}/v1"}


@contextmanager
def held():
    found = Held()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        found.go.set()
        found.server.shutdown()
        thread.join()
        found.server.server_close()


def interrupted(process, started, number=signal.SIGINT):
    assert started.asked.acquire(timeout=30)
    process.send_signal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_the_call_in_flight_finish_and_starts_nothing_new(tmp_path, number):
    path = write(tmp_path, two=TWO)
    with held() as server:
        process = child("run", str(path), "-i", "word=x", "--json", env=server.env)
        interrupted(process, server, number)
        assert "stopping: calls in flight have 5 s" in read_until(process.stderr, "stopping")
        server.go.set()
        out, said = process.communicate(timeout=6)
    assert process.returncode == 130
    assert server.count == 1
    document = json.loads(out)
    assert document["status"] == "failed"
    assert document["error"] == {"kind": "cancelled", "message": "interrupted", "step": None}
    assert document["steps"]["say"]["output"] == "done"
    assert document["steps"]["more"]["status"] == "pending"
    assert "interrupted: 1 of 2 steps finished\n   hint: `flowkit resume " in said


def test_one_signal_waits_no_longer_than_five_seconds(tmp_path):
    path = write(tmp_path, two=TWO)
    with held() as server:
        process = child("run", str(path), "-i", "word=x", env=server.env)
        interrupted(process, server)
        began = time.monotonic()
        out, said = process.communicate(timeout=10)
        assert 4 < time.monotonic() - began < 6.5
    assert (process.returncode, out) == (130, "")
    assert "interrupted: 0 of 2 steps finished\n   hint: `flowkit resume " in said
    assert re.search(r"  one: interrupted after 5\.\ds, 0 calls", said)


def test_a_second_signal_stops_at_once(tmp_path):
    path = write(tmp_path, two=TWO)
    with held() as server:
        process = child("run", str(path), "-i", "word=x", "--json", env=server.env)
        interrupted(process, server)
        read_until(process.stderr, "stopping")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
        assert time.monotonic() - began < 1.5
    assert process.returncode == 130
    assert json.loads(out)["error"]["kind"] == "cancelled"


def test_a_python_function_that_never_ends_cannot_hold_the_process(tmp_path):
    (tmp_path / "naps.py").write_text(
        "import time, pathlib\ndef nap(path: str) -> str:\n    pathlib.Path(path).touch()\n    time.sleep(60)\n    return ''\n"
    )
    path = write(tmp_path, sleeps=SLEEPS)
    there = tmp_path / "asleep"
    process = child("run", str(path), "-i", f"path={there}", "--json")
    for _ in range(600):
        if there.exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "stopping")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert json.loads(out)["status"] == "failed"


def test_the_timeout_of_a_run_is_a_limit(tmp_path):
    path = write(tmp_path, two=TWO)
    with held() as server:
        process = child("run", str(path), "-i", "word=x", "--json", "--timeout", "0.5", env=server.env)
        out, said = process.communicate(timeout=20)
    assert process.returncode == 4
    assert json.loads(out)["error"] == {"kind": "timeout", "message": "the run was stopped after 0.5 s (--timeout)", "step": None}
    assert "error: the run was stopped after 0.5 s (--timeout)" in said
    assert re.search(r"  one: stopped after 0\.\ds, 0 calls", said)
    assert server.count == 1


def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path):
    """What is paid for is finished; the process then leaves without a word."""
    path = write(tmp_path, two=TWO)
    with held() as server:
        process = child("run", str(path), "-i", "word=x", "--events", "-q", env=server.env)
        assert json.loads(process.stdout.readline())["event"] == "run_started"
        process.stdout.close()
        server.go.set()
        assert process.stderr.read() == ""
        assert process.wait(20) == 141
        process.stderr.close()
    assert server.count == 2


def read_until(stream, word):
    said = ""
    while word not in said:
        line = stream.readline()
        assert line, said
        said += line
    return said


def test_the_key_is_nowhere_in_what_a_failed_run_says(tmp_path):
    path = write(tmp_path, one=ONE)
    canary = "sk-canary-0123456789abcdef"
    env = {"OPENAI_API_KEY": canary, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    for more in ([], ["--json"], ["--events"]):
        process = child("run", str(path), "-i", "word=x", "--set", "defaults.retry=1", *more, env=env)
        out, said = process.communicate(timeout=30)
        assert process.returncode == 3
        assert canary not in out + said
    done = child("doctor", str(tmp_path), "--json", env=env).communicate(timeout=30)
    assert canary not in "".join(done)
