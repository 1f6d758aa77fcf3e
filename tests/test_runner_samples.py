"""A step may ask for several answers of one question, and give all of them or one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from running import fail, load, part, run, until, watch

from flowkit.chat import ChatRequest
from flowkit.events import StepDelta
from flowkit.results import Status
from flowkit.runner.sampling import picked
from flowkit.testing import Simulator, error, simulate
from flowkit.wire.response import Response

TEXT = "steps:\n  a: {samples: 3, prompt: hi}\n"
PICK = "steps:\n  a: {samples: 3, pick: %s, prompt: hi}\n"


class Gauge(Simulator):
    """Counts the requests under way; answers when so many are, or when nobody comes any more."""

    def __init__(self, wanted: int) -> None:
        super().__init__(simulate().__dict__["_replies"])
        self.wanted, self.now, self.most = wanted, 0, 0

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        self.now += 1
        self.most = max(self.most, self.now)
        await until(lambda: self.most >= self.wanted)
        self.now -= 1
        return await super().respond(request, body)


def test_samples_give_a_list_in_the_order_of_the_replies(tmp_path: Path) -> None:
    """Each is a request of its own, and says which one it is."""
    server = simulate({"a": ["one", "two", "three"]})
    found = run(tmp_path, TEXT, server)
    assert found.outputs == {"a": ["one", "two", "three"]}
    assert [r.sample for r in server.requests] == [0, 1, 2]
    assert found.usage.calls == 3
    assert len(found.steps["a"].attempts) == 3


def test_samples_are_asked_at_the_same_time(tmp_path: Path) -> None:
    gauge = Gauge(5)
    run(tmp_path, "steps:\n  a: {samples: 5, prompt: hi}\n", gauge)
    assert gauge.most == 5


def test_max_parallel_bounds_the_samples_of_a_step_without_items(tmp_path: Path) -> None:
    gauge = Gauge(2)
    run(tmp_path, "steps:\n  a: {samples: 6, max_parallel: 2, prompt: hi}\n", gauge)
    assert gauge.most == 2
    assert len(gauge.requests) == 6


def test_the_first_one_is_that_of_the_order_not_of_the_clock(tmp_path: Path) -> None:
    class Backwards(Simulator):
        def __init__(self) -> None:
            super().__init__(simulate({"a": ["one", "two", "three"]}).__dict__["_replies"])
            self.left = 3

        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            said = await super().respond(request, body)
            await until(lambda: self.left == (request.sample or 0) + 1)
            asyncio.get_running_loop().call_soon(lambda: setattr(self, "left", self.left - 1))
            return said

    server = Backwards()
    assert run(tmp_path, PICK % "first", server).outputs == {"a": "one"}
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        (["x", "y", "y"], "y"),
        (["x", "y", "z"], "x"),
        (["y", "x", "x", "y"], "y"),
        ([{"a": 1, "b": 2}, 7, {"b": 2, "a": 1.0}], {"a": 1, "b": 2}),
        ([True, 1, 1], 1),
        ([[1, 2], [2, 1], [2, 1]], [2, 1]),
        (["1", 1, "1"], "1"),
    ],
)
def test_the_majority_is_what_came_most_often_and_the_earliest_of_equals(answers: list[Any], wanted: Any) -> None:
    """Two answers are equal when their JSON is, whatever the order of keys."""
    assert answers[picked(answers, "majority")] == wanted


def test_what_was_picked_is_one_answer_for_all_that_read_it(tmp_path: Path) -> None:
    text = (
        "steps:\n  a: {samples: 3, pick: majority, prompt: hi, output: 'enum(x | y)', checks: [{expr: \"output in ['x', 'y']\"}]}\n"
        "  b: {when: steps.a.output == 'y', set: steps.a.messages}\n"
    )
    found = run(tmp_path, text, {"a": ["x", "y", "y"]})
    assert found.steps["a"].output == "y"
    assert [m["role"] for m in found.outputs["b"]] == ["user", "assistant"]
    assert "y" in found.outputs["b"][1]["content"]


def test_each_sample_is_asked_again_by_itself(tmp_path: Path) -> None:
    """The first requests take the replies in order, the questions asked again those behind them."""
    text = "steps:\n  a: {samples: 3, prompt: hi, output: integer}\n"
    found = run(tmp_path, text, {"a": [1, "two", 3, 2]})
    assert found.outputs == {"a": [1, 2, 3]}
    assert [r.startswith("sample 2: asked again") for r in found.steps["a"].repairs] == [True]


def test_each_sample_repeats_by_itself(tmp_path: Path) -> None:
    text = "steps:\n  a: {samples: 2, prompt: '{{ round }}', output: integer, repeat: {until: output > 4, max: 3}}\n"
    found = run(tmp_path, text, {"a": [1, 5, 7]})
    assert found.outputs == {"a": [7, 5]}
    assert found.steps["a"].rounds == 2


def test_each_item_has_its_samples(tmp_path: Path) -> None:
    text = "inputs: {xs: list(string)}\nsteps:\n  a: {foreach: inputs.xs, samples: 2, prompt: '{{ item }}'}\n"
    server = simulate({"a": [{"match": "p", "reply": "P"}, {"reply": "Q"}]})
    found = run(tmp_path, text, server, xs=["p", "q"])
    assert found.outputs == {"a": [["P", "P"], ["Q", "Q"]]}
    assert sorted((r.item, r.sample) for r in server.requests) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_one_sample_without_an_answer_fails_the_step(tmp_path: Path) -> None:
    failed = fail(tmp_path, TEXT, {"a": ["one", error(400, "no"), "three"]})
    assert failed.step == "a"
    assert failed.message.startswith("sample 2: ")
    assert part(failed).steps["a"].output is None


def test_a_failure_ends_the_samples_that_are_still_asked(tmp_path: Path) -> None:
    """What they would bring is of no use, so nobody waits for it."""

    class Slow(Simulator):
        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            if request.sample:
                await asyncio.Event().wait()
            return await super().respond(request, body)

    server = Slow(simulate({"a": [error(400, "no")]}).__dict__["_replies"])
    failed = fail(tmp_path, TEXT, server)
    assert failed.kind == "bad_request"


def test_on_error_is_about_the_whole_answer(tmp_path: Path) -> None:
    text = "steps:\n  a: {samples: 2, prompt: hi, output: integer, on_error: {default: [1, 2]}}\n"
    assert run(tmp_path, text, {"a": [error(400), 3]}).outputs == {"a": [1, 2]}
    skipped = run(tmp_path, TEXT.replace("prompt", "on_error: skip, prompt"), {"a": [error(400), "x"]})
    assert skipped.steps["a"].status is Status.SKIPPED


def test_a_streamed_piece_says_which_sample_it_belongs_to(tmp_path: Path) -> None:
    flow = load(tmp_path, "steps:\n  a: {samples: 2, prompt: hi}\n", {"a": ["one", "two"]})

    async def main() -> list[Any]:
        return [event async for event in flow.stream() if isinstance(event, StepDelta)]

    pieces = asyncio.run(main())
    assert {(p.sample, p.text) for p in pieces if p.text} == {(0, "one"), (1, "two")}


def test_a_run_that_is_stopped_sends_no_further_sample(tmp_path: Path) -> None:
    text = "steps:\n  a: {samples: 9, max_parallel: 1, prompt: hi}\n  b: {prompt: hi}\n"
    server = simulate({"a": "x", "b": error(401, "no")})
    events = watch(load(tmp_path, text, server))
    assert events
    assert len(server.asked("a")) < 9
