"""Turn the reasons of calls into text for people and data for programs. Knows no store; `now` is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowkit import printable
from flowkit.console.paint import Paint
from flowkit.history.words import ago
from flowkit.origins import Origin
from flowkit.reasons import Reason, Why
from flowkit.store import RunRow

SCHEMA: Final = 1
#: Made calls of a step that are shown one by one, and lines of one text that are.
_SHOWN: Final = 10
_LINES: Final = 40
#: Digits of a run's id that people read.
_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Explained:
    """One call with its reasons, and where what changed comes from."""

    why: Why
    origins: tuple[Origin, ...] = ()
    #: When the run began that paid for a reused answer; None when it is no longer in the record.
    paid: float | None = None
    #: Which call of its step or item it is, from 1; None where it is the only one.
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run with its calls; one without calls asked no model, or did not come so far."""

    path: str
    kind: str
    status: str
    calls: tuple[Explained, ...]

    @property
    def made(self) -> tuple[Explained, ...]:
        """The calls that were made."""
        return tuple(each for each in self.calls if each.why.call.state != "reused")

    @property
    def reused(self) -> tuple[Explained, ...]:
        """The calls whose answers were taken from the record."""
        return tuple(each for each in self.calls if each.why.call.state == "reused")


# -- text --------------------------------------------------------------------------------------------------


def summary(row: RunRow, steps: Sequence[Step], *, now: float, paint: Paint) -> str:
    """Return a line for each step."""
    wide = max((printable.width(step.path) for step in steps), default=0)
    state = f"{row.status}{' (simulated)' if row.simulated else ''}"
    lines = [f"{paint.bold(f'run {row.id[:_DIGITS]}')} of {printable.line(row.flow)}, {ago(row.started, now)}, {state}"]
    lines += [f"  {printable.pad(step.path, wide)}  {printable.line(_line(step, row, now))}" for step in steps]
    if any(step.made for step in steps):
        lines.append(paint.pale(f"flowkit why {row.id[:_DIGITS]} STEP shows what changed"))
    return "\n".join(lines) + "\n"


def _line(step: Step, row: RunRow, now: float) -> str:
    if not step.calls:
        return "no model is asked" if step.kind != "chat" else step.status
    parts = []
    if step.reused:
        of = f"{len(step.reused)} of {len(step.calls)} " if step.made else ""
        parts.append(f"{of}reused: {_sources(step.reused, row, now)}")
    if step.made:
        many = f" ({printable.plural(len(step.made), 'call')})" if len(step.made) > 1 else ""
        parts.append(f"made{many}: {_causes(step.made)}")
    return "; ".join(parts)


def _sources(reused: Sequence[Explained], row: RunRow, now: float) -> str:
    runs = dict.fromkeys((_source(each), each.paid) for each in reused)
    said = [
        "this run, before it went on" if run == row.id else f"run {run[:_DIGITS]}" + ("" if paid is None else f", {ago(paid, now)}")
        for run, paid in runs
    ]
    return " and ".join(said) if len(said) < 3 else f"{said[0]}, and {len(said) - 1} other runs"


def _source(each: Explained) -> str:
    return (each.why.call.source or "").partition(":")[0]


def _causes(made: Sequence[Explained]) -> str:
    """Return the reasons of several calls and where they come from: first why it was asked at all, then how it went on."""
    further = [each for each in made if any(reason.kind == "conversation" for reason in each.why.reasons)]
    begun = [each for each in made if each not in further]
    alone = len({(each.why.call.item, each.why.call.sample) for each in made}) == 1
    said = [_counted_reasons(begun)] if begun else []
    origins = dict.fromkeys(_origin(origin) for each in begun for origin in each.origins)
    if origins:
        said[0] += f" ← {', '.join(origins)}"
    if begun and further and alone and len(begun) == 1 and begun[0].place is not None:
        said[0] = f"call {begun[0].place}: {said[0]}"
    told: dict[str, list[Explained]] = {}
    for each in further:
        told.setdefault(each.why.reasons[0].text.partition(",")[0], []).append(each)
    for cause, calls in told.items():
        places = [str(each.place) for each in calls]
        which = f"call{'s' * (len(places) > 1)} {', '.join(places)}" if alone else f"{printable.plural(len(calls), 'further call')}"
        said.append(f"{which}: {cause}")
    return "; ".join(said)


def _counted_reasons(calls: Sequence[Explained]) -> str:
    """Return the most frequent reason, and whether there are others."""
    telling = [each for each in calls if any(reason.kind != "repetition" for reason in each.why.reasons)] or calls
    counted = Counter("; ".join(reason.text for reason in each.why.reasons) for each in telling)
    (first, number), *rest = counted.most_common()
    return first if not rest else f"{first} ({number} of {len(telling)}), and other reasons"


def _origin(origin: Origin) -> str:
    match origin.kind:
        case "step":
            called = "" if origin.was is None else f", called {origin.was!r} before,"
            return f"step {origin.name!r}{called} gave another output"
        case "input":
            return f"input {origin.name!r} is another"
        case "file":
            return f"{origin.name} changed"
        case "configuration":
            return "the configuration of models (flowkit.toml) or the environment changed"
    return f"option {origin.name}"


def details(row: RunRow, step: Step, *, now: float, paint: Paint) -> str:
    """Return all that is known of the calls of one step."""
    lines = []
    if not step.calls:
        lines.append(f"{step.path}: {_line(step, row, now)}")
    if step.reused:
        lines.append(f"{step.path}: {_counted(step.reused)} reused: {_sources(step.reused, row, now)}")
    told: tuple[Origin, ...] = ()
    for each in step.made[:_SHOWN]:
        lines += _detail(row, step, each, now, paint, told=each.origins == told)
        told = each.origins or told
    if len(step.made) > _SHOWN:
        lines.append(f"… and {len(step.made) - _SHOWN} more calls; --item N shows one")
    return "\n".join(lines) + "\n"


def _counted(calls: Sequence[Explained]) -> str:
    return printable.plural(len(calls), "call")


def _detail(row: RunRow, step: Step, each: Explained, now: float, paint: Paint, *, told: bool) -> Iterator[str]:
    """Yield what is known of one call; where it comes from only if that was not `told` of the call above."""
    call, nearest = each.why.call, each.why.nearest
    where = "".join(f", {word} {number + 1}" for word, number in (("item", call.item), ("sample", call.sample)) if number is not None)
    where += f", call {each.place}" if each.place is not None and call.sample is None else ""
    yield paint.bold(f"{step.path}{where}") + (": made (simulated)" if row.simulated else ": made")
    compared = any(reason.kind not in _ALONE for reason in each.why.reasons)
    if nearest is not None and compared:
        run = "an earlier call of this run" if nearest.run == row.id else f"run {nearest.run[:_DIGITS]}, {ago(nearest.started, now)}"
        yield f"   nearest: {run}"
    for reason in each.why.reasons:
        yield f"   {printable.line(reason.text)}"
        yield from _cut(reason.lines, "      ", paint)
    if each.origins and told:
        yield "   because of the same as above"
    elif each.origins:
        yield "   because"
        for origin in each.origins:
            further = f" (flowkit why {row.id[:_DIGITS]} {origin.name})" if origin.kind == "step" else ""
            yield f"      {printable.line(_origin(origin))}{further}"
            yield from _cut(origin.lines, "         ", paint)


#: Reasons that say themselves which call they are about.
_ALONE: Final = frozenset({"first", "failed", "rejected", "cut", "off", "old", "under_way", "lost", "simulated", "conversation"})


def _cut(lines: Sequence[str], indent: str, paint: Paint) -> Iterator[str]:
    for line in lines[:_LINES]:
        shown = printable.line(line)
        kind = line.lstrip(" 0123456789")[:1]
        yield indent + (paint.removed(shown) if kind == "-" else paint.added(shown) if kind == "+" else shown)
    if len(lines) > _LINES:
        yield f"{indent}… and {len(lines) - _LINES} more lines; --json has all"


# -- data --------------------------------------------------------------------------------------------------


def document(row: RunRow, steps: Sequence[Step]) -> dict[str, Any]:
    """Return the reasons as data."""
    return {
        "schema": SCHEMA,
        "run": row.id,
        "flow": row.flow,
        "steps": {step.path: {"kind": step.kind, "status": step.status, "calls": [_call(each) for each in step.calls]} for step in steps},
    }


def _call(each: Explained) -> dict[str, Any]:
    call, nearest = each.why.call, each.why.nearest
    reused = call.state == "reused"
    return {
        "call": call.number,
        "item": call.item,
        "sample": call.sample,
        "made": not reused,
        "state": call.state,
        "from": {"run": _source(each), "started": each.paid} if reused else None,
        "nearest": None if nearest is None or reused else {"run": nearest.run, "call": nearest.number, "item": nearest.item},
        "reasons": [_reason(reason) for reason in each.why.reasons],
        "origins": [{"kind": origin.kind, "name": origin.name, "was": origin.was, "lines": list(origin.lines)} for origin in each.origins],
    }


def _reason(reason: Reason) -> Mapping[str, Any]:
    said = {"kind": reason.kind, "text": reason.text, "before": reason.before, "after": reason.after}
    return said | {"lines": list(reason.lines)}
