"""Say why a call was made and not taken from the record: rows and bodies in, reasons out. Knows no store, no clock and no screen."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final, Literal, TypeAlias

from flowkit import printable
from flowkit.difference.change import Sides
from flowkit.difference.types import Types
from flowkit.identity import SIMULATED
from flowkit.store import CallRow
from flowkit.textdiff import changed

Json: TypeAlias = Any
#: What of the key changed, or why the same question was asked again all the same.
Kind: TypeAlias = Literal[
    "server", "model", "message", "parameter", "schema", "tool", "repetition", "conversation", "first",
    "failed", "rejected", "cut", "off", "old", "under_way", "lost", "simulated",
]  # fmt: skip

#: Earlier calls that are looked at whole for the nearest one: those of the same item and sample, and of all.
_SAME_PLACE: Final = 20
_LOOKED_AT: Final = 40
#: What one changed setting weighs against changed words.
_SETTING: Final = 5
#: Parts of a request that are no parameters.
_PARTS: Final = frozenset({"messages", "model", "tools", "response_format"})
_WORDS = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason; `text` says it in one line, `lines` show it, `before` and `after` are its two sides as JSON."""

    kind: Kind
    text: str
    before: Json = None
    after: Json = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Why:
    """Why one call was made, and the earlier call that is nearest to it; one that was reused has no reason, and `nearest` was paid."""

    call: CallRow
    nearest: CallRow | None
    reasons: tuple[Reason, ...]


@dataclass(slots=True)
class Reasons:
    """Explains the calls of a run. `body` returns a request by its name, `refused` says what kept a step from using answers again."""

    body: Callable[[str], str | None]
    refused: Callable[[str], str] = lambda _: "nothing was to be reused"
    _read: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    _counted: dict[str, Counter[str]] = field(default_factory=dict)

    def of(self, call: CallRow, before: Sequence[CallRow], *, resumed: bool = False) -> Why:
        """Return why a call was made, by the calls of its step `before` it, the newest first. `resumed`: its run went on once."""
        if call.state == "reused":
            paid = next((each for each in before if f"{each.run}:{each.number}" == call.source), None)
            return Why(call, paid, ())
        if call.url.startswith(SIMULATED):
            return Why(call, None, (Reason("simulated", "simulated: no model is asked, and nothing is reused"),))
        same = [each for each in before if each.key == call.key]
        if same:
            return self._again(call, same)
        others = [each for each in before if each.run != call.run]
        own = [each for each in before if each.run == call.run and (each.item, each.sample) == (call.item, call.sample)]
        if (parent := self._parent(call, own)) is not None and not any(self._length(each) == self._length(call) for each in others):
            more = self._messages(call)[self._length(parent) :]
            cause = "tools were called" if any(_role(each) == "tool" for each in more) else "the answer did not fit"
            said = f"{cause}, and the conversation went on by {printable.plural(len(more), 'message')}"
            return Why(call, parent, (Reason("conversation", said),))
        return self._nearest(call, others or self._repeated(call, before) or (own if resumed else []))

    # -- the same question ---------------------------------------------------------------------------------

    def _again(self, call: CallRow, same: Sequence[CallRow]) -> Why:
        """Say why an answer to the very same question was not used."""
        answered = next((each for each in same if each.state == "answered"), None)
        if answered is None:
            last = next((each for each in same if each.state != "reused"), same[0])
            return Why(call, last, (_unanswered(last, call),))
        if call.cache == "off":
            return Why(call, answered, (Reason("off", f"{self.refused(call.step)}; {_where(answered, call)} has an answer"),))
        if answered.started + (answered.seconds or 0.0) > call.started:
            return Why(call, answered, (Reason("under_way", f"{_where(answered, call)} was still asking it"),))
        passed = call.started - answered.started
        if call.cache != "on" and passed > float(call.cache):
            most = float(call.cache)
            over = f"{_span(passed - most)} more than `cache: {_span(most)}` allows"
            said = f"the answer in {_where(answered, call)} was {_span(passed)} old, {over}"
            return Why(call, answered, (Reason("old", said, passed, most),))
        return Why(call, answered, (Reason("lost", f"its answer in {_where(answered, call)} could not be read from the record"),))

    # -- another question ----------------------------------------------------------------------------------

    def _nearest(self, call: CallRow, candidates: Sequence[CallRow]) -> Why:
        """Compare with the earlier call of the smallest difference, the newest of those: of the same item, if it was asked before."""
        place = [each for each in candidates if (each.item, each.sample) == (call.item, call.sample)]
        known = self._known(_distinct(place, _SAME_PLACE)) or self._known(_distinct(candidates, _LOOKED_AT))
        if self._request(call) is None:
            return Why(call, None, (Reason("lost", "what was asked could not be read from the record"),))
        if not known:
            return Why(call, None, (Reason("first", "never asked before: no earlier call of this step is in the record"),))
        nearest = min(known, key=lambda each: self._distance(each, call))
        reasons = tuple(self._differences(nearest, call))
        return Why(call, nearest, reasons or (Reason("lost", "it is the same question, kept by another flowkit"),))

    def _known(self, calls: Mapping[tuple[str, str, int], CallRow]) -> list[CallRow]:
        """Return the calls whose request can be read, the newest first."""
        newest_first = sorted(calls.values(), key=lambda each: each.started, reverse=True)
        return [each for each in newest_first if self._request(each) is not None]

    def _distance(self, a: CallRow, b: CallRow) -> int:
        one, other = self._words(a), self._words(b)
        words = (one - other).total() + (other - one).total()
        left, right = self._request(a) or {}, self._request(b) or {}
        names = {*left, *right} - {"messages"}
        settings = sum(left.get(name) != right.get(name) for name in names) + (a.url != b.url)
        return int(words + _SETTING * settings + (a.again != b.again))

    def _differences(self, a: CallRow, b: CallRow) -> Iterator[Reason]:
        left, right = self._request(a) or {}, self._request(b) or {}
        if a.url != b.url:
            yield Reason("server", f"the server is another: {a.url} → {b.url}", a.url, b.url)
        if a.model != b.model:
            yield Reason("model", f"the model is another: {a.model} → {b.model}", a.model, b.model)
        yield from _messages(left.get("messages", []), right.get("messages", []))
        yield from _schemas(left.get("response_format"), right.get("response_format"))
        yield from _tools(left.get("tools", []), right.get("tools", []))
        for name in sorted({*left, *right} - _PARTS):
            if left.get(name) != right.get(name):
                was, now = left.get(name), right.get(name)
                yield Reason("parameter", f"parameter {name}: {_value(was)} → {_value(now)}", was, now)
        if a.again != b.again and a.request == b.request:
            said = f"the same question, asked for the {_th(b.again)} time in one run: each of `samples` and of equal items is a call"
            yield Reason("repetition", said, a.again + 1, b.again + 1)

    def _repeated(self, call: CallRow, before: Sequence[CallRow]) -> list[CallRow]:
        """Return calls of the very same question in this run."""
        return [each for each in before if each.run == call.run and (each.request, each.url) == (call.request, call.url)]

    def _parent(self, call: CallRow, own: Sequence[CallRow]) -> CallRow | None:
        """Return the call of this run whose conversation this one carries on."""
        messages = self._messages(call)
        for each in own:
            begun = self._messages(each)
            if begun and len(begun) < len(messages) and messages[: len(begun)] == begun:
                return each
        return None

    # -- bodies --------------------------------------------------------------------------------------------

    def _request(self, call: CallRow) -> Mapping[str, Json] | None:
        if call.request not in self._read:
            text = self.body(call.request)
            self._read[call.request] = {} if text is None else json.loads(text)
        return self._read[call.request] or None

    def _messages(self, call: CallRow) -> Sequence[Json]:
        found: Sequence[Json] = (self._request(call) or {}).get("messages", [])
        return found

    def _length(self, call: CallRow) -> int:
        return len(self._messages(call))

    def _words(self, call: CallRow) -> Counter[str]:
        if call.request not in self._counted:
            self._counted[call.request] = Counter(word for message in self._messages(call) for word in _WORDS.findall(_text(message)))
        return self._counted[call.request]


def _distinct(calls: Sequence[CallRow], most: int) -> dict[tuple[str, str, int], CallRow]:
    """Return the newest calls that ask something else than each other."""
    found: dict[tuple[str, str, int], CallRow] = {}
    for each in calls:
        found.setdefault((each.request, each.url, each.again), each)
        if len(found) == most:
            break
    return found


# -- parts of a request ------------------------------------------------------------------------------------


def _messages(before: Sequence[Json], after: Sequence[Json]) -> Iterator[Reason]:
    a, b = [json.dumps(each) for each in before], [json.dumps(each) for each in after]
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        both = min(j - i, m - k)
        for one, other in zip(range(i, i + both), range(k, k + both), strict=True):
            yield _message(before[one], after[other], other + 1)
        for one in range(i + both, j):
            yield Reason("message", f"message {one + 1} ({_role(before[one])}) is gone", before[one], None, _shown(_text(before[one]), "-"))
        for other in range(k + both, m):
            yield Reason(
                "message", f"message {other + 1} ({_role(after[other])}) is new", None, after[other], _shown(_text(after[other]), "+")
            )


def _message(before: Json, after: Json, position: int) -> Reason:
    roles = (_role(before), _role(after))
    if roles[0] != roles[1]:
        return Reason("message", f"message {position} is of another role: {roles[0]} → {roles[1]}", before, after)
    return Reason("message", f"message {position} ({roles[1]}) is another", before, after, tuple(changed(_text(before), _text(after))))


def _role(message: Json) -> str:
    return str(message.get("role", "?"))


def _text(message: Json) -> str:
    """Return a message as text: its own where it has one, else as JSON."""
    content = message.get("content")
    if isinstance(content, str) and not message.keys() - {"role", "content"}:
        return content
    return json.dumps({name: value for name, value in message.items() if name != "role"}, ensure_ascii=False, indent=1)


def _shown(text: str, sign: str) -> tuple[str, ...]:
    return tuple(f"{sign}{line}" for line in text.splitlines())


def _schemas(before: Json, after: Json) -> Iterator[Reason]:
    """Compare the forms of two answers, field by field."""
    if before == after:
        return
    left, right = (((each or {}).get("json_schema") or {}).get("schema") for each in (before, after))
    if left is None or right is None:
        kinds = [(each or {}).get("type", "text") for each in (before, after)]
        yield Reason("schema", f"the form of the answer is another: {kinds[0]} → {kinds[1]}", before, after)
        return
    sides = Sides({}, {})
    Types(sides, left, right, steps=()).compare("answer")
    for change in sides.found:
        shown = f"{_value(change.before)} → {_value(change.after)}" if change.kind == "changed" else change.kind
        yield Reason("schema", f"the schema of the answer: {change.path.removeprefix('answer.')}: {shown}", change.before, change.after)
    if not sides.found:
        yield Reason("schema", "the schema of the answer is written in another way", before, after)


def _tools(before: Sequence[Json], after: Sequence[Json]) -> Iterator[Reason]:
    old, new = ({each["function"]["name"]: each["function"] for each in side} for side in (before, after))
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            yield Reason("tool", f"tool {name!r} is gone", old[name], None)
        elif name not in old:
            yield Reason("tool", f"tool {name!r} is new", None, new[name])
        elif old[name] != new[name]:
            texts = [json.dumps(side[name], ensure_ascii=False, indent=1) for side in (old, new)]
            yield Reason("tool", f"tool {name!r} is another", old[name], new[name], tuple(changed(*texts)))
    if list(old) != list(new) and sorted(old) == sorted(new):
        yield Reason("tool", "the tools stand in another order", list(old), list(new))


# -- words -------------------------------------------------------------------------------------------------


def _unanswered(last: CallRow, call: CallRow) -> Reason:
    where, own = _where(last, call), last.run == call.run
    match last.state:
        case "failed":
            return Reason("failed", f"it was asked in {where} and failed: {last.error}: {last.message}")
        case "rejected":
            return Reason("rejected", f"it was asked in {where.rstrip(',')}, and the answer was not accepted")
        case "cut" | "open":
            ended = "and this run stopped" if own else "which ended"
            return Reason("cut", f"it was asked in {where.rstrip(',')}, {ended} before the answer came; it may have been billed")
    return Reason("lost", f"the answer that {where} used is no longer in the record")


def _where(other: CallRow, call: CallRow) -> str:
    return "this run, before it went on," if other.run == call.run else f"run {other.run[:8]}"


def _value(value: Json) -> str:
    if value is None:
        return "none"
    return printable.clip(printable.line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)), 80)


def _span(seconds: float) -> str:
    """Return a length of time in the unit that fits, as `cache:` takes it."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + unit
    return f"{seconds:.1f}".removesuffix(".0") + "s"


def _th(number: int) -> str:
    """Return which time it is, `number` times being before it."""
    words = {1: "second", 2: "third"}
    return words.get(number, f"{number + 1}th")
