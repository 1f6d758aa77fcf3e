"""A flow over rows: results in order, in bounded memory, the same for any concurrency, and an end that is said."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import load, write
from storing import call_row, opened

import flowkit
from flowkit.batch import Asked, Batch, RowError, Threaded, lines
from flowkit.batch.window import Window
from flowkit.errors import FlowkitError, InputError, ModelError, RunError
from flowkit.results import Run, Status
from flowkit.store import AttemptRow, Paid
from flowkit.testing import error, simulate

FLOW = """
inputs:
  word: string
  times: {type: integer(1..9), default: 1}
steps:
  say: {prompt: "Say {{ inputs.word }} {{ inputs.times }} times."}
"""


def words(number: int) -> Iterator[dict[str, str]]:
    return ({"word": f"w{n}"} for n in range(number))


# -- the window ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 9), st.integers(1, 20), st.booleans())
def test_answers_come_in_order_whatever_each_takes(delays, concurrency, size, asynchronous):
    """At most `concurrency` are under way, and at most `size` are taken and not handed out."""
    taken = given_out = under_way = most = ahead = 0

    def source() -> Iterator[int]:
        nonlocal taken, ahead
        for at in range(len(delays)):
            taken += 1
            ahead = max(ahead, taken - given_out)
            yield at

    async def later():
        for at in source():
            await asyncio.sleep(0)
            yield at

    async def answer(at: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(delays[at]):
            await asyncio.sleep(0)
        under_way -= 1
        return at * at

    async def main() -> list[tuple[int, int]]:
        nonlocal given_out
        found = []
        window = Window(later() if asynchronous else source(), answer, concurrency=concurrency, size=size)
        async for pair in window.results():
            given_out += 1
            found.append(pair)
        return found

    assert asyncio.run(main()) == [(at, at * at) for at in range(len(delays))]
    assert most <= concurrency
    assert ahead <= max(size, concurrency)


def test_a_slow_row_holds_the_others_back_at_the_end_of_the_window():
    """While the first row takes its time, others go on as far as the window reaches, and no further."""
    taken = []

    async def main() -> list[int]:
        go = asyncio.Event()

        def source():
            for at in range(100):
                taken.append(at)
                yield at

        async def answer(at: int) -> int:
            if at == 0:
                await go.wait()
            return at

        async def read() -> list[int]:
            return [found async for _, found in Window(source(), answer, concurrency=4, size=10).results()]

        task = asyncio.create_task(read())
        for _ in range(200):
            await asyncio.sleep(0)
        assert taken == list(range(10))
        go.set()
        return await task

    assert asyncio.run(main()) == list(range(100))


def test_what_an_answer_raises_comes_in_its_place():
    async def answer(at: int) -> int:
        if at == 3:
            raise KeyError(at)
        await asyncio.sleep(0.001)
        return at

    async def main() -> list[int]:
        found = []
        with pytest.raises(KeyError):
            async for _, each in Window(range(50), answer, concurrency=2, size=8).results():
                found.append(each)
        assert len(asyncio.all_tasks()) == 1
        return found

    assert asyncio.run(main()) == [0, 1, 2]


def test_what_the_source_raises_comes_behind_what_it_gave():
    def source():
        yield 1
        yield 2
        raise OSError("gone")

    async def answer(at: int) -> int:
        await asyncio.sleep(0.001)
        return at

    async def main() -> list[int]:
        found = []
        with pytest.raises(OSError, match="gone"):
            async for _, each in Window(source(), answer, concurrency=2, size=8).results():
                found.append(each)
        return found

    assert asyncio.run(main()) == [1, 2]


def test_a_source_that_blocks_does_not_hold_what_is_under_way():
    """A row of a pipe is answered while the next one has not come."""

    async def main() -> list[int]:
        answered = asyncio.Event()
        loop = asyncio.get_running_loop()

        def source():
            yield 1
            asyncio.run_coroutine_threadsafe(answered.wait(), loop).result(10)
            yield 2

        async def answer(at: int) -> int:
            answered.set()
            return at

        return [found async for _, found in Window(Threaded(source(), 5), answer, concurrency=3, size=9).results()]

    assert asyncio.run(main()) == [1, 2]


def test_what_a_thread_reads_ahead_is_bounded_and_what_it_raises_arrives():
    taken = []

    def source():
        for at in range(100):
            taken.append(at)
            yield at
        raise OSError("gone")

    async def main() -> int:
        most = 0
        with pytest.raises(OSError, match="gone"):
            async for at in Threaded(source(), 5):
                await asyncio.sleep(0.0005)
                most = max(most, len(taken) - at)
        return most

    assert asyncio.run(main()) <= 8


# -- rows of a flow ------------------------------------------------------------------------------------------


def test_rows_are_mappings_of_inputs_and_results_come_in_order(tmp_path):
    flow = load(tmp_path, FLOW, {"say": [{"match": "w1", "reply": "one"}, {"reply": "other"}]})
    found = list(flow.batch(words(3)))
    assert [(each.row, each.status, each.outputs) for each in found] == [
        (1, Status.SUCCEEDED, {"say": "other"}),
        (2, Status.SUCCEEDED, {"say": "one"}),
        (3, Status.SUCCEEDED, {"say": "other"}),
    ]
    assert found[0].usage.calls == 1
    assert (found[0].usage.output_tokens or 0) > 0


def test_a_row_that_does_not_fit_or_fails_is_a_result_like_any_other(tmp_path):
    flow = load(tmp_path, FLOW, {"say": [{"match": "w1", "error": error(400, "no such word")}, {"reply": "ok"}]})
    rows = [{"word": "w0"}, {"word": "w1"}, {"word": 5, "tims": 1}, "w3", {"word": "w4"}]
    found = list(flow.batch(rows))
    assert [each.status for each in found] == ["succeeded", "failed", "failed", "failed", "succeeded"]
    assert found[1].error == RowError("bad_request", found[1].error.message, "say")
    assert "no such word" in found[1].error.message
    assert found[2].error.kind == "input"
    assert "\n" not in found[2].error.message
    assert "word: must be text, not 5" in found[2].error.message
    assert found[3].error == RowError("input", "a row is a mapping of inputs, not str")


def test_the_same_bytes_for_any_concurrency(tmp_path):
    """Answers that come in any order make the same lines: 1, 8 or 64 rows at a time."""

    class Shuffled:
        def __init__(self, seed: int) -> None:
            self._random = random.Random(seed)
            self._server = simulate(
                {"say": [{"match": "w7", "error": error(400, "seven")}, {"match": r"/w\d*3 /", "reply": "three"}, {"reply": "other"}]}
            )

        async def respond(self, request, body):
            await asyncio.sleep(self._random.random() / 200)
            return await self._server.respond(request, body)

    def text(concurrency: int) -> bytes:
        flow = flowkit.load(path, simulate=Shuffled(concurrency))
        return b"".join(map(lines.line, flow.batch(words(200), concurrency=concurrency)))

    path = write(tmp_path, FLOW)
    first = text(1)
    assert first.count(b"\n") == 200
    assert first.count(b'"failed"') == 11
    assert text(8) == first
    assert text(64) == first


def test_rows_may_come_from_an_asynchronous_source(tmp_path):
    flow = load(tmp_path, FLOW, {"say": "ok"})

    async def source():
        for row in words(5):
            await asyncio.sleep(0)
            yield row

    async def main() -> list[int]:
        return [each.row async for each in flow.abatch(source(), concurrency=2)]

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_no_more_rows_are_at_work_than_are_allowed(tmp_path):
    class Gauge:
        now = most = 0

        async def respond(self, request, body):
            Gauge.now += 1
            Gauge.most = max(Gauge.most, Gauge.now)
            await asyncio.sleep(0.002)
            Gauge.now -= 1
            return await simulate({"say": "ok"}).respond(request, body)

    list(load(tmp_path, FLOW, Gauge()).batch(words(40), concurrency=3))
    assert Gauge.most == 3


def test_rows_are_read_when_they_are_needed(tmp_path):
    """A source without an end can be read as far as one likes; what was under way is ended."""
    taken = []

    def endless():
        at = 0
        while True:
            taken.append(at)
            yield {"word": f"w{at}"}
            at += 1

    results = load(tmp_path, FLOW, {"say": "ok"}).batch(endless(), concurrency=2)
    assert [next(results).row for _ in range(5)] == [1, 2, 3, 4, 5]
    results.close()
    assert len(taken) < 200


def test_in_a_running_loop_the_error_says_what_to_write(tmp_path):
    flow = load(tmp_path, FLOW)

    async def main() -> None:
        flow.batch([])

    with pytest.raises(FlowkitError, match=r"async for row in flow\.abatch"):
        asyncio.run(main())


def test_a_concurrency_of_none_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least 1"):
        list(load(tmp_path, FLOW).batch(words(1), concurrency=0))


# -- the end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(401, None, "auth"), (402, None, "quota"), (429, "insufficient_quota", "quota"), (404, "model_not_found", "not_found")],
)
def test_what_every_row_would_meet_ends_the_batch(tmp_path, status, code, kind):
    """It is raised, no row has a result for it, and no more is asked than was under way."""
    server = simulate({"say": error(status, "no", code=code)})
    flow = load(tmp_path, FLOW, server)
    found = []
    with pytest.raises(ModelError) as caught:
        for each in flow.batch(words(1000), concurrency=4):
            found.append(each)
    assert caught.value.kind == kind
    assert found == []
    assert len(server.asked("say")) <= 4


def test_rows_before_the_one_that_ended_the_batch_have_their_results(tmp_path):
    server = simulate({"say": [*["ok"] * 7, error(401, "the key was taken back")]})
    found = []
    with pytest.raises(ModelError, match="the key was taken back"):
        for each in load(tmp_path, FLOW, server).batch(words(100), concurrency=1):
            found.append(each.row)
    assert found == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_of_one_row_is_its_own_once_another_was_answered(tmp_path, status):
    server = simulate({"say": [{"match": "w3", "error": error(status, "not this one")}, {"reply": "ok"}]})
    found = list(load(tmp_path, FLOW, server).batch(words(6), concurrency=1))
    assert [each.status for each in found] == ["succeeded"] * 3 + ["failed"] + ["succeeded"] * 2


def test_without_keep_going_the_first_row_that_failed_is_the_last(tmp_path):
    server = simulate({"say": [{"match": "/w[59] /", "error": error(400, "no")}, {"reply": "ok"}]})
    found = list(load(tmp_path, FLOW, server).batch(words(200), concurrency=8, keep_going=False))
    assert [each.row for each in found] == [1, 2, 3, 4, 5, 6]
    assert found[-1].status is Status.FAILED
    assert len(server.asked("say")) < 40


class Slow:
    """A run that ends when it is told to, or halted with its call under way."""

    def __init__(self, row: int) -> None:
        self.run = Run(str(row), "slow")
        self.go = asyncio.Event()
        self.halted = False

    def stop(self, error=None):
        self.halted = True
        self.go.set()

    def halt(self):
        self.halted = True

    async def finish(self) -> Run:
        await self.go.wait()
        if self.run.id == "3":
            raise RunError("stopped before it was finished", kind="cancelled")
        return self.run


def test_a_batch_that_is_halted_keeps_the_rows_that_end_and_takes_no_more():
    async def main() -> None:
        runs: dict[int, Slow] = {}

        def start(row, inputs):
            runs[row] = Slow(row)
            return runs[row]

        batch = Batch(start, (Asked(n, {}) for n in range(1, 1000)), concurrency=4)
        found = []

        async def read() -> None:
            async for _, result in batch.results():
                found.append(result.row)

        task = asyncio.create_task(read())
        while len(runs) < 4:
            await asyncio.sleep(0)
        batch.halt()
        assert all(run.halted for run in runs.values())
        for run in runs.values():
            run.go.set()
        with pytest.raises(RunError, match="stopped before"):
            await task
        assert found == [1, 2]
        assert batch.stopped_at.number == 3
        assert len(runs) == 4

    asyncio.run(main())


def test_a_batch_that_is_cut_ends_at_once():
    async def main() -> None:
        def start(row, inputs):
            run = Slow(row)
            if row == 1:
                run.go.set()
            return run

        batch = Batch(start, (Asked(n, {}) for n in range(1, 1000)), concurrency=4)
        found = []
        async for _, result in batch.results():
            found.append(result.row)
            batch.cut()
        assert found == [1]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


# -- memory --------------------------------------------------------------------------------------------------

MEASURE = """
import sys, gc
import flowkit

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

flow = flowkit.load(sys.argv[1], simulate=True)
total, marks = int(sys.argv[2]), {int(mark) for mark in sys.argv[3:]}
done = 0
for result in flow.batch({"word": f"w{n}"} for n in range(total)):
    done += 1
    assert result.row == done and result.outputs, result
    if done in marks:
        print(held(), flush=True)
"""


def held(path: Path, total: int, *marks: int) -> list[int]:
    """Kilobytes that a process of its own holds when so many rows are done."""
    line = [sys.executable, "-c", MEASURE, str(path), str(total), *map(str, marks)]
    return [int(each) for each in subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()]


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


@linux
def test_memory_stays_when_rows_come(tmp_path):
    early, late = held(write(tmp_path, FLOW), 6_000, 2_000, 6_000)
    assert late - early < 3_000


@linux
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_rows_take_no_more_memory_than_a_few(tmp_path):
    """At most 50 MB above the first row, at most 10 MB more for a million than for a hundred thousand."""
    first, early, late = held(write(tmp_path, FLOW), 1_000_000, 1, 100_000, 1_000_000)
    assert late - first < 50_000
    assert late - early < 10_000


def test_what_a_batch_took_is_summed_up_over_its_own_rows(tmp_path):
    """Answers, what nobody counted, and what may have been billed; a batch whose name begins alike is another one."""

    async def main() -> None:
        store = opened(tmp_path)
        rows = [("b.1", "ok", 10, "0.1"), ("b.1", "429", None, None), ("b.2", "ok", None, None), ("b.10", "sent", None, None)]
        rows += [("b.3", "cancelled", None, None), ("b.3", "unsent", None, None), ("b.4", "stream_truncated", 7, "0.02")]
        rows += [("b", "ok", 99, "9"), ("bb.1", "ok", 99, "9"), ("b0.1", "ok", 99, "9")]
        for number, (run, outcome, tokens, cost) in enumerate(rows):
            store.put(AttemptRow(run, 1, number, outcome, 0.0, input_tokens=tokens, output_tokens=tokens, cost=cost))
        for number, (run, key, source) in enumerate(
            [("b.1", "k", "x:1"), ("b.1", "k", "x:1"), ("b.1", "own", "b.1:1"), ("b.2", "k", "b.1:1"), ("bb.1", "k", "x:1")]
        ):
            store.put(call_row(run, number, key=key, state="reused", source=source))
        await store.commit()
        assert store.paid("b") == Paid(2, 17, 17, Decimal("0.12"), 3, 2, 2)
        assert store.paid("none") == Paid()
        store.close()

    asyncio.run(main())
