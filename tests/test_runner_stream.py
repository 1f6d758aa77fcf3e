"""What a reader of a stream sees while answers come."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

from command_line import call, write
from running import load

from flowkit.commands.streaming import Streaming
from flowkit.errors import RunError
from flowkit.events import Event, RunFinished, StepDelta, StepFinished, StepStarted
from flowkit.flow import Flow
from flowkit.testing import broken_stream, simulate

TYPED = "steps:\n  a:\n    prompt: a\n    output: {n: integer(1..50), words: list(string)}\n"
GOOD = {"n": 12, "words": ["some", "words"]}


def events(flow: Flow) -> list[Event]:
    async def main() -> list[Event]:
        found: list[Event] = []
        with suppress(RunError):
            async for event in flow.stream():
                found.append(event)
        return found

    return asyncio.run(main())


def deltas(found: list[Event]) -> list[StepDelta]:
    return [event for event in found if isinstance(event, StepDelta)]


def test_a_typed_answer_is_known_piece_by_piece(tmp_path: Path) -> None:
    """Its parts are there before the whole is, and the last of them is the answer."""
    seen = [delta.value for delta in deltas(events(load(tmp_path, TYPED, {"a": GOOD})))]
    assert seen[-1] == GOOD
    assert {"n": 12, "words": []} in seen or {"n": 12, "words": ["so"]} in seen or {"n": 12} in seen
    assert {"n": 1} not in seen


def test_what_is_no_record_is_known_without_its_wrapper(tmp_path: Path) -> None:
    seen = [
        delta.value
        for delta in deltas(events(load(tmp_path, "steps:\n  a: {prompt: a, output: list(string)}\n", {"a": [["some", "words"]]})))
    ]
    assert all(value is None or isinstance(value, list) for value in seen)
    assert seen[-1] == ["some", "words"]


def test_a_text_has_no_value_beside_it(tmp_path: Path) -> None:
    assert {delta.value for delta in deltas(events(load(tmp_path, "steps:\n  a: {prompt: a}\n", {"a": '{"n": 1}'})))} == {None}


def test_steps_below_wait_for_the_whole(tmp_path: Path) -> None:
    """A partial value is for those who watch; a step starts after the last piece of what it reads."""
    found = events(load(tmp_path, TYPED + "  b: {prompt: '{{ steps.a.output.n }}'}\n", {"a": GOOD, "b": "b"}))
    started = next(at for at, event in enumerate(found) if isinstance(event, StepStarted) and event.step == "b")
    assert all(at < started for at, event in enumerate(found) if isinstance(event, StepDelta) and event.step == "a")


def test_an_answer_that_is_asked_again_begins_again(tmp_path: Path) -> None:
    """The first piece of the second answer says so, and nothing of the first one is left in its value."""
    found = deltas(events(load(tmp_path, TYPED, {"a": [{"n": 99, "words": ["wrong"]}, GOOD]})))
    again = [at for at, delta in enumerate(found) if delta.restart]
    assert len(again) == 1
    assert json.loads("".join(delta.text for delta in found[again[0] :])) == GOOD
    assert found[-1].value == GOOD
    assert "wrong" not in str([delta.value for delta in found[again[0] :]])


def test_an_answer_that_broke_off_begins_again(tmp_path: Path) -> None:
    server = simulate({"a": [broken_stream("a long first answer to be broken off", after=3), "whole"]})
    found = deltas(events(load(tmp_path, "steps:\n  a: {prompt: a}\n", server)))
    again = [at for at, delta in enumerate(found) if delta.restart]
    assert len(again) == 1
    assert again[0] > 0
    assert "".join(delta.text for delta in found[again[0] :]) == "whole"


def test_the_time_to_the_first_piece_is_told(tmp_path: Path) -> None:
    found = events(load(tmp_path, TYPED, {"a": GOOD}))
    (finished,) = [event for event in found if isinstance(event, StepFinished)]
    assert finished.first_token is not None
    assert 0 <= finished.first_token <= finished.seconds
    (ended,) = [event for event in found if isinstance(event, RunFinished)]
    assert ended.run.steps["a"].first_token == finished.first_token == ended.run.steps["a"].attempts[-1].first_token


def test_without_a_stream_there_is_no_first_piece(tmp_path: Path) -> None:
    assert load(tmp_path, TYPED, {"a": GOOD}).run().steps["a"].first_token is None


def test_the_command_line_shows_values_as_events(tmp_path: Path) -> None:
    path = write(tmp_path, one="flowkit: 1\nname: one\ndefaults: {model: openai/m}\nsteps:\n  a: {prompt: a, output: {n: integer(1..9)}}\n")
    done = call("run", str(path), "--simulate", "--events", "--stream", "-q")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    shown = [line["value"] for line in lines if line["event"] == "step_delta"]
    (finished,) = [line for line in lines if line["event"] == "step_finished"]
    assert shown[-1] == finished["output"]
    assert finished["first_token"] >= 0


def test_a_text_that_begins_again_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    """As after a round of tools, between which nothing else is told."""
    written: list[str] = []
    streaming = Streaming(load(tmp_path, "steps:\n  a: {prompt: a}\n").plan, written.append, terminal=False)
    for event in (StepDelta("a", "I look", 0.1), StepDelta("a", "Found", 0.2, restart=True), StepDelta("a", " it", 0.3)):
        streaming(event)
    assert "".join(written) == "I look\nFound it"
