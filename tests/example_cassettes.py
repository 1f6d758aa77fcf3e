"""Write the cassettes of the example flows from their `replies.yaml`, where no model was asked: python tests/example_cassettes.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowkit import config, replies, source
from flowkit.cassettes import Call, Recording
from flowkit.errors import Problems
from flowkit.flow import Flow
from flowkit.project import find
from flowkit.runtime import Runtime
from flowkit.simulator import Simulator
from flowkit.suites import load, shelves
from flowkit.suites.bench import own_replies
from flowkit.suites.spec import Case

ROOT = Path(__file__).resolve().parents[1]
#: What a person writes of an answer; a model's name and a count of tokens would be invented.
_WRITTEN = ("text", "finish", "tool_calls")


def cases() -> Iterator[Case]:
    """All cases of the example flows whose answers are in cassettes."""
    for file in sorted((ROOT / "flows").rglob("*.test.yaml")):
        loaded = load(file, cwd=ROOT, models=config.load(find(file), {}))
        assert loaded.suite is not None, loaded.problems
        yield from (case for case in loaded.suite.cases() if own_replies(case) is None)


def calls(case: Case) -> list[Call]:
    """What a case asks, answered from the replies beside it."""
    file = case.suite.path.with_name("replies.yaml")
    problems = Problems()
    said = replies.parse_replies(source.parse(file.read_bytes(), path=file, shown=file.name, problems=problems), problems)
    assert not problems.found
    recording = Recording(None)

    def tape(_inner: Any) -> Recording:
        return recording

    flow = Flow(case.plan, Runtime(simulate=Simulator(said), env={}))
    asyncio.run(flow.start(case.row.inputs, given=case.test.mock, tape=tape).finish())
    return [by_hand(call) for call in recording.calls]


def by_hand(call: Call) -> Call:
    """The call with what a person wrote of it."""
    reply = None if call.reply is None else {name: value for name, value in call.reply.items() if name in _WRITTEN}
    return replace(call, reply=reply, by_hand=True)


if __name__ == "__main__":
    for each in cases():
        shelves.write(each, 0, calls(each))
        print(shelves.folder(each.suite).relative_to(ROOT), each.name)
