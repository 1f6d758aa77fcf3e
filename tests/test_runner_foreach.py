"""One run per item: in parallel, in order, each with its own modifiers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from running import fail, load, part, run, watch

from flowkit.chat import ChatRequest
from flowkit.events import ItemFinished
from flowkit.results import Status
from flowkit.simulator import Simulator
from flowkit.testing import error, simulate
from flowkit.wire.response import Response

EACH = "inputs: {xs: list(integer)}\nsteps:\n  a:\n    foreach: inputs.xs\n    as: x\n    prompt: 'n={{ x }}'\n"


class Backwards(Simulator):
    """Answers the last item first: each waits for the one after it."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.answered = [asyncio.Event() for _ in range(items + 1)]
        self.answered[items].set()
        self.order: list[int] = []

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        assert request.item is not None
        await asyncio.wait_for(self.answered[request.item + 1].wait(), 10)
        self.order.append(request.item)
        self.answered[request.item].set()
        return await super().respond(request, body)


class Gauge(Simulator):
    """Counts how many calls are under way at a time."""

    now = most = 0

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1
        return await super().respond(request, body)


def test_answers_stand_in_the_order_of_their_items(tmp_path: Path) -> None:
    """Even where the last item is answered first."""
    backwards = Backwards(5)
    found = run(tmp_path, EACH, backwards, xs=[1, 2, 3, 4, 5])
    assert backwards.order == [4, 3, 2, 1, 0]
    assert [text.partition("item ")[2][:1] for text in found.outputs["a"]] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("most", [1, 3])
def test_max_parallel_bounds_the_items_at_work(tmp_path: Path, most: int) -> None:
    gauge = Gauge()
    run(tmp_path, EACH + f"    max_parallel: {most}\n", gauge, xs=list(range(12)))
    assert gauge.most == most


def test_max_parallel_of_the_flow_holds_for_its_steps(tmp_path: Path) -> None:
    gauge = Gauge()
    text = "steps:\n  a: {foreach: range(9), prompt: a}\n"
    path = tmp_path / "main.flow.yaml"
    (tmp_path / "flowkit.toml").touch()
    path.write_text("flowkit: 1\ndefaults: {model: openai/m, max_parallel: 2}\n" + text)
    import flowkit

    flowkit.load(path, simulate=gauge).run()
    assert gauge.most == 2


def test_an_empty_list_gives_an_empty_list(tmp_path: Path) -> None:
    """And calls nothing."""
    server = simulate()
    found = run(tmp_path, EACH, server, xs=[])
    assert found.outputs == {"a": []}
    assert found.steps["a"].status is Status.SUCCEEDED
    assert found.steps["a"].results == []
    assert server.requests == []


def test_a_skipped_item_is_null_in_its_place(tmp_path: Path) -> None:
    text = EACH + "    when: x % 2 == 0\n"
    found = run(tmp_path, text, {"a": ["one", "two", "three"]}, xs=[1, 2, 3])
    assert found.outputs == {"a": [None, "two", None]}
    assert [r["skipped"] for r in found.steps["a"].results or []] == [True, False, True]


def test_results_tell_of_each_item(tmp_path: Path) -> None:
    """Item, output, error and whether it was skipped; templates below see the same."""
    text = EACH + (
        "    when: x < 3\n    on_error: skip\n"
        "  b:\n    set: {kinds: \"steps.a.results | map(attribute='error') | list\", items: \"steps.a.results | map(attribute='item') | list\"}\n"
    )
    found = run(tmp_path, text, {"a": ["fine", error(400, "no"), "never"]}, xs=[1, 2, 3])
    first, second, third = found.steps["a"].results or []
    assert first == {"item": 1, "output": "fine", "error": None, "skipped": False}
    assert (second["output"], second["error"]["kind"], second["skipped"]) == (None, "bad_request", True)
    assert third == {"item": 3, "output": None, "error": None, "skipped": True}
    assert found.outputs["b"]["items"] == [1, 2, 3]
    assert found.outputs["b"]["kinds"][0] is None
    assert found.outputs["b"]["kinds"][1]["kind"] == "bad_request"


def test_a_failed_item_gets_its_default(tmp_path: Path) -> None:
    text = EACH + "    output: integer\n    on_error: {default: 0}\n"
    found = run(tmp_path, text, {"a": [1, error(400), 3]}, xs=[1, 2, 3])
    assert found.outputs == {"a": [1, 0, 3]}
    assert found.steps["a"].status is Status.SUCCEEDED


def test_a_failed_item_fails_the_step_and_the_others_are_kept(tmp_path: Path) -> None:
    """The error names step and item; what other items answered stands in the results."""
    failed = fail(tmp_path, EACH + "    max_parallel: 1\n", {"a": ["one", error(400, "bad"), "three"]}, xs=[1, 2, 3])
    assert failed.step == "a"
    assert failed.message.startswith("item 2: ")
    results = part(failed).steps["a"].results or []
    assert [r["output"] for r in results] == ["one", None, None]
    assert results[1]["error"]["kind"] == "bad_request"
    assert part(failed).steps["a"].output is None


def test_no_item_starts_after_one_failed(tmp_path: Path) -> None:
    """Items that wait for the limiter are given up as well, at once."""
    server = simulate({"a": [error(400, "bad")]})
    (tmp_path / "flowkit.toml").write_text('[models.m]\nmodel = "openai/gpt-test"\nmax_parallel = 2\n')
    failed = fail(tmp_path, EACH, server, xs=list(range(50)))
    assert failed.kind == "bad_request"
    assert len(server.requests) <= 2
    assert len(part(failed).steps["a"].results or []) == 50


def test_what_is_no_list_fails_with_its_name(tmp_path: Path) -> None:
    failed = fail(tmp_path, "inputs: {x: any}\nsteps:\n  a: {foreach: inputs.x, prompt: '{{ item }}'}\n", None, x="text")
    assert failed.message == "`foreach` needs a list, not str"
    absent = fail(tmp_path, "inputs: {x: any}\nsteps:\n  a: {foreach: inputs.x.y, prompt: '{{ item }}'}\n", None, x={"y": None})
    assert "list" in absent.message


def test_usage_is_the_sum_over_items(tmp_path: Path) -> None:
    found = run(tmp_path, EACH, None, xs=[1, 2, 3])
    assert found.steps["a"].usage.calls == 3
    assert len(found.steps["a"].attempts) == 3
    assert found.usage == found.steps["a"].usage


def test_events_of_items_carry_their_position(tmp_path: Path) -> None:
    flow = load(tmp_path, EACH + "    on_error: skip\n", {"a": ["x", error(400)]})
    ended = [e for e in watch(flow, xs=[7, 8]) if isinstance(e, ItemFinished)]
    assert {(e.item, e.status) for e in ended} == {(0, Status.SUCCEEDED), (1, Status.SKIPPED)}
    assert next(e for e in ended if e.item == 1).error is not None


@pytest.mark.parametrize("delayed", [0, 1, 2])
def test_simulated_replies_go_to_items_by_position_inside_of_sub_flows(tmp_path: Path, delayed: int) -> None:
    """A step of a sub-flow gets the reply of the item that its sub-flow runs for, whichever comes first."""

    class Late(Simulator):
        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            if request.item == delayed:
                for _ in range(50):
                    await asyncio.sleep(0)
            return await super().respond(request, body)

    from flowkit.replies import replies_of

    found = run(
        tmp_path,
        "steps:\n  s: {foreach: range(3), uses: sub.flow.yaml}\n",
        Late(replies_of({"s/p": ["zero", "one", "two"]})),
        files={"sub__flow__yaml": "flowkit: 1\nsteps:\n  p: {prompt: p}\n"},
    )
    assert [o["p"] for o in found.outputs["s"]] == ["zero", "one", "two"]


def test_a_foreach_within_a_foreach_keeps_both_orders(tmp_path: Path) -> None:
    sub = "flowkit: 1\ninputs: {ys: list(string)}\nsteps:\n  p: {foreach: inputs.ys, prompt: '{{ item }}'}\noutputs: steps.p.output\n"
    cases: list[dict[str, Any]] = [{"match": f"/^{word}$/", "reply": word.upper()} for word in ("a", "b", "c", "d", "e")]
    found = run(
        tmp_path,
        "inputs: {xss: list(list(string))}\nsteps:\n  s: {foreach: inputs.xss, uses: sub.flow.yaml, with: {ys: item}}\n",
        {"s/p": cases},
        files={"sub__flow__yaml": sub},
        xss=[["a", "b"], [], ["c", "d", "e"]],
    )
    assert found.outputs["s"] == [["A", "B"], [], ["C", "D", "E"]]


def test_thousands_of_items_need_no_thousands_of_tasks(tmp_path: Path) -> None:
    """Items wait in an iterator, not as tasks."""
    most = 0

    class Counting(Simulator):
        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            nonlocal most
            most = max(most, len(asyncio.all_tasks()))
            return await super().respond(request, body)

    found = run(tmp_path, EACH, Counting(), xs=list(range(3000)))
    assert len(found.outputs["a"]) == 3000
    assert most < 300
