"""Compare two runs: what is said of each as a whole, and step by step what was asked and what came. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Literal, TypeAlias

from flowkit.history.data import value
from flowkit.history.document import dollars
from flowkit.history.said import text_of
from flowkit.history.tree import CallTree, RunTree, Spent, StepTree

#: Lines of a text beyond which two are not compared line by line: it would take long, and nobody would read it.
MOST_LINES = 20_000
_CONTEXT = 2

Which: TypeAlias = Literal["first", "second", "both"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One value that both sides have, or one of them (else None); `same` may be true."""

    name: str
    before: Any
    now: Any

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        return bool(self.before == self.now)


@dataclass(frozen=True, slots=True)
class StepChange:
    """One step in two runs. `facts` are how it went, `settings` what was asked beside messages; `messages` and `output` unified diffs."""

    step: str
    item: int | None
    where: Which
    facts: tuple[Fact, ...] = ()
    settings: tuple[Fact, ...] = ()
    messages: tuple[str, ...] = ()
    output: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether it was asked the same, and gave the same."""
        decisive = [fact for fact in self.facts if fact.name in _DECISIVE]
        return self.where == "both" and not (self.messages or self.output) and all(fact.same for fact in (*self.settings, *decisive))


@dataclass(frozen=True, slots=True)
class RunChange:
    """Two runs side by side. `inputs`, `outputs` and `sources` are unified diffs."""

    facts: tuple[Fact, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sources: tuple[str, ...]
    steps: tuple[StepChange, ...]


#: Facts of a step whose change makes it another step; times and costs change always.
_DECISIVE = frozenset({"status", "kind", "model", "answered by", "error"})


def compare(before: RunTree, now: RunTree) -> RunChange:
    """Return what changed from one run to the other."""
    first = {(step.row.step, step.row.item): step for step in before.steps}
    second = {(step.row.step, step.row.item): step for step in now.steps}
    steps = [_step(first.get(key), second.get(key), *key) for key in _merged(list(first), list(second))]
    names = dict.fromkeys([*before.sources, *now.sources])
    sources = [line for name in names for line in difference(before.sources.get(name, ""), now.sources.get(name, ""), name)]
    one, other = before.row, now.row
    facts = (
        Fact("flow", one.flow, other.flow),
        Fact("path", one.path, other.path),
        Fact("status", before.status, now.status),
        Fact("fingerprint", one.fingerprint, other.fingerprint),
        Fact("revision", _revision(one.revision, one.dirty), _revision(other.revision, other.dirty)),
        Fact("flowkit", one.version, other.version),
        Fact("simulated", bool(one.simulated), bool(other.simulated)),
        Fact("options", value(one.options), value(other.options)),
        Fact("seconds", round(one.seconds, 3), round(other.seconds, 3)),
        *_spent(before.spent, now.spent),
    )
    return RunChange(
        facts,
        tuple(difference(_lines(one.inputs), _lines(other.inputs), "inputs")),
        tuple(difference(_lines(one.outputs), _lines(other.outputs), "outputs")),
        tuple(sources),
        tuple(steps),
    )


def difference(before: str, now: str, name: str) -> Iterator[str]:
    """Yield the lines of a unified diff, none where both are the same."""
    if before == now:
        return
    old, new = before.splitlines(), now.splitlines()
    if max(len(old), len(new)) > MOST_LINES:
        yield f"--- {name}"
        yield f"+++ {name}"
        yield f"@@ differs: {len(old)} lines, {len(new)} lines @@"
        return
    yield from unified_diff(old, new, name, name, n=_CONTEXT, lineterm="")


def _merged(first: Sequence[tuple[str, int]], second: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return both in the order of the first, what only the second has behind what stands before it there."""
    found = list(first)
    last = -1
    for key in second:
        if key in found:
            last = found.index(key)
        else:
            last += 1
            found.insert(last, key)
    return found


def _step(before: StepTree | None, now: StepTree | None, name: str, item: int) -> StepChange:
    number = None if item < 0 else item
    if before is None or now is None:
        return StepChange(name, number, "second" if before is None else "first")
    one, other = before.row, now.row
    calls, others = list(before.every_call()), list(now.every_call())
    facts = (
        Fact("status", before.status, now.status),
        Fact("kind", one.kind, other.kind),
        Fact("model", _names(call.row.name for call in calls), _names(call.row.name for call in others)),
        Fact("answered by", _names(call.row.returned for call in calls), _names(call.row.returned for call in others)),
        Fact("error", one.error, other.error),
        Fact("items", one.items, other.items),
        Fact("seconds", round(one.seconds, 3), round(other.seconds, 3)),
        *_spent(before.spent, now.spent),
    )
    return StepChange(
        name,
        number,
        "both",
        facts,
        tuple(_settings(calls, others)),
        tuple(_messages(before, now)),
        tuple(difference(_lines(one.output), _lines(other.output), "output")),
    )


def _spent(one: Spent, other: Spent) -> tuple[Fact, ...]:
    return (
        Fact("calls", one.calls, other.calls),
        Fact("reused", one.reused, other.reused),
        Fact("input tokens", one.input_tokens, other.input_tokens),
        Fact("output tokens", one.output_tokens, other.output_tokens),
        Fact("cost", None if one.cost is None else dollars(one.cost), None if other.cost is None else dollars(other.cost)),
    )


def _settings(calls: Sequence[CallTree], others: Sequence[CallTree]) -> Iterator[Fact]:
    """Yield what of the bodies beside their messages changed, by the first call of each."""
    if not calls or not others or calls[0].asked.lost or others[0].asked.lost:
        return  # of a step that failed before it asked, nothing was taken away
    one, other = calls[0].asked.params, others[0].asked.params
    yield from (Fact(name, one.get(name), other.get(name)) for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name))


def _messages(before: StepTree, now: StepTree) -> Iterator[str]:
    one, other = _turns(before), _turns(now)
    for turn in dict.fromkeys([*one, *other]):
        name = (
            "messages"
            + (f" of item {turn[0] + 1}" if turn[0] is not None else "")
            + (f", sample {turn[1] + 1}" if turn[1] is not None else "")
        )
        yield from difference(one.get(turn, ""), other.get(turn, ""), name)


def _turns(step: StepTree) -> Mapping[tuple[int | None, int | None], str]:
    """Return what was said to the model for each answer, as one text."""
    found: dict[tuple[int | None, int | None], list[str]] = {}
    for call in step.every_call():
        said = found.setdefault((call.row.item if step.row.items is not None else None, call.row.sample), [])
        for message in call.asked.messages[call.known :]:
            said += [f"{message.get('role', 'message')}:", *(f"  {line}" for line in text_of(message).splitlines())]
    return {turn: "\n".join(lines) for turn, lines in found.items()}


def _names(found: Iterable[str | None]) -> str | None:
    return ", ".join(dict.fromkeys(name for name in found if name)) or None


def _revision(commit: str | None, dirty: int | None) -> str | None:
    return None if commit is None else commit + (" (changed)" if dirty else "")


def _lines(text: str | None) -> str:
    """Return kept JSON as lines that can be compared; a text as it is."""
    found = value(text)
    if found is None:
        return ""
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, indent=2)
