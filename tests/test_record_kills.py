"""A process may be killed at any moment: what was answered stays answered, and what may have been billed is known."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from command_line import child, environment
from counting_server import CountingServer, last
from recording import flow, integrity, looked, project

from flowkit.store import AttemptRow

PARALLEL = 6
TEXT = f"""\
inputs: {{run: string, words: list(string)}}
steps:
  first: {{prompt: "{{{{ inputs.run }}}} begins"}}
  each:
    foreach: inputs.words
    max_parallel: {PARALLEL}
    prompt: "{{{{ inputs.run }}}} {{{{ item }}}} after {{{{ steps.first.output }}}}"
  typed:
    prompt: "{{{{ inputs.run }}}} counts {{{{ steps.each.output | length }}}}"
    output: {{number: integer, word: string}}
  end: {{prompt: "{{{{ inputs.run }}}} ends with {{{{ steps.typed.output.number }}}}", samples: 2}}
"""
WORDS = [*(f"w{number}" for number in range(20)), "w3", "w3"]
#: Calls of a whole run.
ALL = 1 + len(WORDS) + 1 + 2


def reply(body):
    return '{"number": 7, "word": "x"}' if "response_format" in body else f"about {len(last(body))}"


def plain(body):
    return json.dumps(body, sort_keys=True)


def wanted(body):
    """How often a whole run asks this: a word that stands three times, and two samples, are questions with one body."""
    said = last(body).split()
    return {"w3": 3, "ends": 2}.get(said[1], 1)


def assert_durable_below(bodies, run_id, answered):
    """Whatever was asked below an answer was asked when that answer was durable."""
    asked = {last(body).split()[1] for body in bodies}
    have = Counter(
        {last(json.loads(body)).split()[1]: count for body, count in answered.items() if last(json.loads(body)).startswith(run_id + " ")}
    )
    if asked - {"begins"}:
        assert have["begins"] == 1
    if asked & {"counts", "ends"}:
        assert sum(have[word] for word in set(WORDS)) == len(WORDS)
    if "ends" in asked:
        assert have["counts"] == 1


class Nursery:
    """Gives birth to processes that run a flow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        here = Path(__file__).parent
        self._process = subprocess.Popen(
            [sys.executable, str(here / "nursery.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(PYTHONPATH=str(here.parent)),
        )

    def start(self, run_id: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([run_id, str(self._path), {"run": run_id, "words": WORDS}]) + "\n")
        self._process.stdin.flush()
        return int(self._said("born"))

    def ended(self) -> int:
        """How the last one died: 0, or a signal."""
        return int(self._said("died"))

    def _said(self, word: str) -> str:
        assert self._process.stdout is not None
        said, _, value = self._process.stdout.readline().partition(" ")
        assert said == word
        return value

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


def kill_at(server: CountingServer, pid: int, chance: random.Random, ended: threading.Event) -> None:
    """Kill a process at some moment of its life: by the requests that arrived since its birth, or by the time."""
    if chance.random() < 0.6:
        wanted = server.count + chance.randrange(1, 14)
        with server.arrived:
            server.arrived.wait_for(lambda: server.count >= wanted or ended.is_set(), 10)
        if chance.random() < 0.5:
            time.sleep(chance.random() * 0.01)
    else:
        ended.wait(chance.random() * 0.25)
    if not ended.is_set():
        os.kill(pid, signal.SIGKILL)


def ledger(folder: Path) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """By body: the requests that came back, those that may have been billed, and the answers that are kept."""
    ok: Counter[str] = Counter()
    maybe: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    with closing(looked(folder)) as store:
        for run in store.runs():
            calls = {call.number: call for call in store.calls(run.id)}
            bodies = {number: plain(json.loads(store.body(call.request) or "")) for number, call in calls.items()}
            for attempt in store.select(AttemptRow, "run = ?", (run.id,)):
                {"ok": ok, "sent": maybe}[attempt.outcome][bodies[attempt.call]] += 1
            for number, call in calls.items():
                answered[bodies[number]] += call.state == "answered"
    return ok, maybe, answered


def loop(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    killed = done = 0
    with CountingServer(reply=reply, delay=0.004) as server:
        path = flow(project(folder, server), TEXT)
        nursery = Nursery(path)
        number = 0
        committed: Counter[str] = Counter()
        try:
            while True:
                run_id = f"run{number}"
                before = server.count
                pid = nursery.start(run_id)
                ended = threading.Event()
                if killed < kills:
                    killer = threading.Thread(target=kill_at, args=(server, pid, chance, ended))
                    killer.start()
                    status = nursery.ended()
                    ended.set()
                    with server.arrived:
                        server.arrived.notify_all()
                    killer.join()
                else:
                    status = nursery.ended()
                assert status in {0, signal.SIGKILL}
                # What a dead process had sent may arrive late.
                time.sleep(0.02 if status else 0)
                for body in server.bodies[before:]:
                    assert committed[plain(body)] < wanted(body), "it was answered before"
                ok, maybe, answered = ledger(folder)
                assert all(answered[body] >= count for body, count in committed.items()), "an answer was lost"
                committed = answered
                assert_durable_below(server.bodies[before:], run_id, answered)
                assert integrity(folder) == "ok"
                with closing(looked(folder)) as store:
                    found = store.run(run_id)
                if status:
                    killed += 1
                    assert found is None or found.status in {"interrupted", "succeeded"}
                else:
                    assert found is not None
                    assert found.status == "succeeded"
                    assert json.loads(found.outputs or "") == {"end": [f"about {len(run_id) + 12}"] * 2}
                    done += 1
                    number += 1
                    if killed >= kills:
                        break
        finally:
            nursery.close()
        arrived = Counter(plain(body) for body in server.bodies)
        assert sum(answered.values()) == done * ALL
        assert server.count - done * ALL <= killed * PARALLEL
        assert sum(maybe.values()) <= killed * PARALLEL
        for body in arrived | ok | maybe:
            assert ok[body] <= arrived[body] <= ok[body] + maybe[body]
        assert server.count <= sum(ok.values()) + sum(maybe.values())
        assert sum(maybe.values()) > 0, "no kill met a call in flight: this proves nothing"


@pytest.mark.parametrize("seed", [1])
def test_no_answer_is_lost_or_paid_twice_however_often_the_process_is_killed(tmp_path, seed):
    loop(tmp_path / "p", 20, seed)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_same_for_two_hundred_kills(tmp_path):
    loop(tmp_path / "p", 200, 2)


# -- the command line ----------------------------------------------------------------------------------------


def test_a_command_that_was_killed_goes_on_when_it_is_given_again(tmp_path):
    with CountingServer(reply=reply, delay=0.02) as server:
        path = flow(project(tmp_path, server), TEXT)
        command = ("run", str(path), "-i", "run=r", "-i", f"words:={json.dumps(WORDS)}", "-q", "--json")
        for kill in range(3):
            before = server.count
            process = child(*command)
            server.wait_for(before + 4 + 2 * kill)
            process.kill()
            process.communicate()
        process = child(*command)
        out, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert json.loads(out)["status"] == "succeeded"
        ok, maybe, answered = ledger(tmp_path)
        arrived = Counter(plain(body) for body in server.bodies)
    assert sum(answered.values()) == ALL
    assert server.count - ALL <= 3 * PARALLEL
    for body in arrived | ok | maybe:
        assert ok[body] <= arrived[body] <= ok[body] + maybe[body]
    assert integrity(tmp_path) == "ok"
    with closing(looked(tmp_path)) as store:
        assert sorted(run.status for run in store.runs()) == ["interrupted"] * 3 + ["succeeded"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_calls_in_flight_be_kept(tmp_path, number):
    with CountingServer(reply=reply) as server:
        server.go.clear()
        path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n  b: {prompt: 'B {{ steps.a.output }}'}\n")
        process = child("run", str(path))
        server.wait_for(1)
        process.send_signal(number)
        while "stopping" not in (line := process.stderr.readline()):
            assert line
        server.go.set()
        process.communicate(timeout=20)
        assert process.returncode == 130
        assert server.count == 1
        with closing(looked(tmp_path)) as store:
            (run,) = store.runs()
            assert (run.status, run.error) == ("interrupted", "cancelled")
            assert [call.state for call in store.calls(run.id)] == ["answered"]
            assert {step.step: step.status for step in store.steps(run.id)} == {"a": "succeeded"}
        assert integrity(tmp_path) == "ok"
        process = child("run", str(path), "-q")
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert server.count == 2


def test_a_second_signal_leaves_at_once_and_says_what_may_have_been_billed(tmp_path):
    with CountingServer(reply=reply) as server:
        server.go.clear()
        path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n  b: {prompt: 'B {{ steps.a.output }}'}\n")
        process = child("run", str(path))
        server.wait_for(1)
        process.send_signal(signal.SIGINT)
        while "stopping" not in (line := process.stderr.readline()):
            assert line
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert time.monotonic() - began < 2
        assert process.returncode == 130
        with closing(looked(tmp_path)) as store:
            (run,) = store.runs()
            assert run.status == "interrupted"
            (attempt,) = store.attempts(run.id)
            assert (attempt.outcome, attempt.message) == ("cancelled", "cut short; it may have been billed")
            assert [call.state for call in store.calls(run.id)] == ["cut"]
        assert integrity(tmp_path) == "ok"
