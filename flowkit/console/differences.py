"""Turn the comparison of two versions of a flow into text for people. Knows colours, and no git."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from flowkit import printable
from flowkit.chat import Message
from flowkit.comparing import Comparison, Messages, Pair, Said, Version, aligned
from flowkit.console import forecasts, sides
from flowkit.console.paint import Paint
from flowkit.difference import Change, model_in_words
from flowkit.difference.types import fields
from flowkit.history.said import text_of

#: Digits of a commit that people read.
_SHORT: Final = 10
#: Characters of a value that stands in one line, and lines of a text that is only on one side.
_VALUE, _LINES = 100, 12
#: Characters of the words of one place, and places, that say in a line how a text changed.
_WORDS, _PLACES = 30, 2
#: Questions of one step that are shown unless all are wanted.
_SHOWN: Final = 3
#: Lines around a change where none is left out.
_ALL: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Look:
    """How it is shown: colours, columns of the screen, and whether nothing is left out."""

    paint: Paint
    columns: int
    full: bool = False


def text(found: Comparison, look: Look) -> str:
    """Return all that is known of a comparison."""
    lines = [f"{look.paint.bold(printable.line(found.flow))}  {look.paint.pale(sides_of(found))}", *_meaning(found, look)]
    if found.messages is not None:
        lines += ["", *_messages(found.messages, look)]
    if found.forecast is not None:
        lines += ["", "a rerun now:"]
        lines += [f"  {line}".rstrip() for line in forecasts.text(found.forecast).splitlines()[1:]]
    return "".join(f"{line}\n" for line in lines)


def sides_of(found: Comparison) -> str:
    """Return in words which versions are compared."""
    return f"{version(found.before)} → {version(found.after)}"


def version(side: Version) -> str:
    """Return a version as people call it."""
    if side.commit is None:
        return printable.line(side.label)
    short = side.commit[:_SHORT]
    return short if side.commit.startswith(side.label) else printable.line(f"{side.label} ({short})")


def verdict(found: Comparison) -> str:
    """Return in one sentence what the comparison comes to."""
    if found.broken is not None:
        return f"cannot be compared: {found.broken}"
    if found.before.meaning is None:
        return f"new: {version(found.before)} has no such flow"
    if found.after.meaning is None:
        now = f"; it is {found.renamed_to} now" if found.renamed_to else ""
        return f"removed: {version(found.after)} has no such flow{now}"
    if found.counting:
        only = "only names change: " if found.names_only else ""
        return f"{only}fingerprint {found.before.fingerprint} → {found.after.fingerprint}"
    if found.settings:
        if all(change.kind == "renamed" or change.path == "name" for change in found.settings):
            return "no change in meaning: only names change"
        return "no change in meaning; what changed is time, cost or labels"
    if found.renamed_from is not None:
        return "no change in meaning: the file has another name"
    return "no change" if found.same_text else "no change in meaning: only layout, comments or order are others"


def _meaning(found: Comparison, look: Look) -> Iterator[str]:
    yield printable.line(verdict(found))
    if found.renamed_from is not None:
        yield f"renamed from {printable.line(found.renamed_from)}"
    if found.broken is not None or found.after.meaning is None:
        return
    yield from _groups(found.counting, order(found), look)
    if found.settings:
        yield ""
        yield "time, cost and labels only:"
        yield from (f"  {line}".rstrip() for line in list(_groups(found.settings, order(found), look))[1:])
    if found.affected:
        yield ""
        yield f"below: {', '.join(found.affected)} (what they read may be another answer now)"


# -- changes -----------------------------------------------------------------------------------------------


def grouped(changes: Iterable[Change], order: Sequence[str] = ()) -> dict[str, list[tuple[str, Change]]]:
    """Return changes by what they are of: a step, `inputs`, a file. Each has a label that is left of its path.

    What several steps have in common stands once. `order` is that of the steps.
    """
    found: dict[str, list[tuple[str, Change]]] = {}
    common: dict[tuple[str, ...], list[tuple[str, str, Change]]] = {}
    for change in changes:
        head, label = _parted(change)
        same = (label, change.kind, json.dumps([change.before, change.after])) if head.startswith("step ") and label else (change.path,)
        common.setdefault(same, []).append((head, label, change))
    for told in common.values():
        heads = sorted({head.removeprefix("step ") for head, _, _ in told}, key=lambda step: order.index(step) if step in order else 0)
        _, label, change = told[0]
        head = told[0][0] if len(told) == 1 else f"steps {', '.join(heads)}"
        found.setdefault(head, []).append((label, change))
    places = {f"step {step}": at for at, step in enumerate(order)}
    return dict(sorted(found.items(), key=lambda pair: places.get(pair[0], -1)))


def _parted(change: Change) -> tuple[str, str]:
    if change.path.startswith("file "):
        return change.path, ""
    head, _, rest = change.path.partition(".")
    if head == "steps":
        step, _, label = rest.partition(".")
        return f"step {step}", label
    return (head, rest) if change.counts else ("flow", change.path)


def order(found: Comparison) -> list[str]:
    """Return the paths of all steps in the order in which they could run."""
    plan = found.after.plan or found.before.plan
    return [] if plan is None else [path for path, _, _ in plan.walk()]


def _groups(changes: Sequence[Change], steps: Sequence[str], look: Look) -> Iterator[str]:
    for head, told in grouped(changes, steps).items():
        yield ""
        kind, _, name = head.partition(" ")
        reaches = told[0][1].steps if kind in {"file", "inputs", "values"} else ()
        more = look.paint.pale(f"  read by {', '.join(reaches)}") if reaches else ""
        yield f"{kind} {look.paint.bold(printable.line(name))}{more}" if name else f"{look.paint.bold(kind)}{more}"
        for label, change in told:
            yield from (f"  {line}".rstrip() for line in _change(label, change, look))


def _change(label: str, change: Change, look: Look) -> Iterator[str]:
    paint = look.paint
    before, after = change.before, change.after
    begin = f"~ {printable.line(label)}  " if label else "~ "
    match change.kind:
        case "renamed":
            yield f"~ renamed from {value(before)}"
        case "moved":
            yield f"{begin}moved: {value(before)} → {value(after)}"
        case "added" | "removed":
            added = change.kind == "added"
            ink, sign = (paint.added, "+") if added else (paint.removed, "-")
            yield from _one_side(printable.line(label), after if added else before, sign, ink, look)
        case _ if long(change):
            yield begin.rstrip()
            yield from (f"    {line}" for line in sides.above(before, after, paint, around=_ALL if look.full else sides.AROUND))
        case _:
            left, right = sides.marked(value(before), value(after), paint)
            yield f"{begin}{left} → {right}"


def long(change: Change) -> bool:
    """Whether a text changed that one line does not hold."""
    before, after = change.before, change.after
    if not isinstance(before, str) or not isinstance(after, str):
        return False
    return len(before) + len(after) > _VALUE or "\n" in before.strip() + after.strip() or before.strip() == after.strip()


def _one_side(label: str, held: Any, sign: str, ink: Any, look: Look) -> Iterator[str]:
    """Show what only one side has: a value in a line, a step or message by its parts."""
    lines = [*outline(held)] if isinstance(held, Mapping) else held.splitlines() if isinstance(held, str) else [value(held)]
    if len(lines) == 1 and len(lines[0]) <= _VALUE:
        yield ink(f"{sign} {label}  {printable.line(lines[0])}" if label else f"{sign} {printable.line(lines[0])}")
        return
    yield ink(f"{sign} {label or 'all of it'}")
    shown = lines if look.full else lines[:_LINES]
    yield from (ink(f"{sign}   {printable.line(line)}") for line in shown)
    if len(shown) < len(lines):
        yield look.paint.pale(f"  … {printable.plural(len(lines) - len(shown), 'line')} more (--full)")


def outline(held: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of what a step or a message means, texts as they are."""
    if "role" in held or "history" in held:
        yield from _message(held)
        return
    for name, each in held.items():
        if name == "messages" and isinstance(each, list):
            for message in each:
                yield from _message(message)
        elif name == "models" and isinstance(each, list):
            yield f"model: {', '.join(model_in_words(model, '') for model in each)}"
        elif name == "output" and isinstance(each, Mapping):
            types = fields(each)
            yield f"output: {types if isinstance(types, str) else ''}".rstrip()
            yield from () if isinstance(types, str) else (f"  {field}: {type_}" for field, type_ in types.items())
        elif isinstance(each, str) and "\n" in each:
            yield f"{name}:"
            yield from (f"  {line}" for line in each.splitlines())
        else:
            yield f"{name}: {value(each)}"


def _message(message: Mapping[str, Any]) -> Iterator[str]:
    yield f"{message.get('role', 'history')}:"
    held = message.get("text", message.get("history", message.get("parts")))
    text = held["text"] if isinstance(held, Mapping) and "text" in held else held
    yield from (f"  {line}" for line in (text if isinstance(text, str) else value(text)).splitlines())


def value(held: Any) -> str:
    """Return a value in one line."""
    text = held.strip() if isinstance(held, str) else json.dumps(held, ensure_ascii=False)
    return printable.clip(printable.line(text), _VALUE)


def summary(changes: Sequence[Change], columns: int, steps: Sequence[str] = ()) -> str:
    """Return changes in one line."""
    parts = []
    for head, told in grouped(changes, steps).items():
        name = head.removeprefix("step ").removeprefix("steps ")
        said = [_brief(label, change) for label, change in told]
        more = f" and {len(said) - 2} more" if len(said) > 3 else ""
        parts.append(f"{name}: {', '.join(said if not more else said[:2])}{more}")
    return printable.clip(printable.line("; ".join(parts)), columns)


def _brief(label: str, change: Change) -> str:
    short = [value(each) for each in (change.before, change.after)]
    if change.kind == "renamed":
        return f"renamed from {short[0]}"
    if change.kind != "changed":
        return f"{label} {change.kind}".strip()
    if not label:
        return words(change.before, change.after) if isinstance(change.before, str) and isinstance(change.after, str) else "changed"
    text = isinstance(change.before, str) and (" " in change.before or "\n" in change.before) and not label.endswith("model")
    return label if text or sum(map(len, short)) > 100 else f"{label} {short[0]} → {short[1]}"


def words(before: str, after: str) -> str:
    """Return the words in which two texts differ, the first of them, in one line."""
    old, new = before.split(), after.split()
    said = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left, right = (printable.clip(" ".join(some), _WORDS) for some in (old[a:b], new[c:d]))
        if tag == "replace":
            said.append(f"{left} → {right}")
        elif tag != "equal":
            said.append(f"+ {right}" if tag == "insert" else f"- {left}")
    more = f" and {len(said) - _PLACES} more" if len(said) > _PLACES else ""
    return ", ".join(said[:_PLACES]) + more if said else "changed"


# -- messages ----------------------------------------------------------------------------------------------


def _messages(found: Messages, look: Look) -> Iterator[str]:
    yield f"rendered messages, {printable.plural(found.rows, 'row')} of inputs{notes(found)}:"
    wide = max((printable.width(step) for step in found.steps), default=0)
    for said in found.steps.values():
        yield f"  {printable.pad(said.step, wide)}  {printable.line(said_of(said))}"
    for failure in found.failures:
        yield f"  would fail: {printable.line(failure)}"
    for said in found.steps.values():
        shown = said.differ if look.full else said.differ[:_SHOWN]
        for pair in shown:
            yield ""
            yield f"{look.paint.bold(said.step)}{where(pair, found.rows)}"
            yield from (f"  {line}".rstrip() for line in _pair(pair, look))
        if len(shown) < len(said.differ):
            yield look.paint.pale(f"  … {len(said.differ) - len(shown)} more of {said.step!r} differ (--full shows them)")


def notes(found: Messages) -> str:
    """Return on what the messages rest, in words."""
    said = ["simulated"] if found.simulated else []
    if found.assumed:
        said.append(f"with the same answers of {', '.join(found.assumed)} on both sides")
    if found.sampled:
        said.append(f"with sample values for {', '.join(found.sampled)}")
    return f" ({'; '.join(said)})" if said else ""


def said_of(said: Said) -> str:
    """Return in words how the messages of a step compare."""
    total = said.same + len(said.differ)
    parts = []
    if said.differ:
        parts.append(f"{len(said.differ)} of {total} differ" if total > 1 else "differs")
    elif said.same:
        parts.append("the same" if total == 1 else f"all {total} the same")
    if said.skipped and not total:
        parts.append("skipped")
    for why, rows in said.unknown.items():
        parts.append(f"unknown: {why}" + (f" ({printable.plural(rows, 'row')})" if total or len(said.unknown) > 1 else ""))
    return ", ".join(parts) or "nothing is asked"


def where(pair: Pair, rows: int) -> str:
    """Return which question it is, as far as there are several."""
    parts = [f"row {pair.row}"] if rows > 1 else []
    parts += [f"item {pair.item + 1}"] if pair.item is not None else []
    parts += [f"question {pair.again + 1}"] if pair.again else []
    return f", {', '.join(parts)}" if parts else ""


def _pair(pair: Pair, look: Look) -> Iterator[str]:
    paint = look.paint
    if pair.before is None or pair.after is None:
        added = pair.before is None
        yield f"only {'after' if added else 'before'}:"
        for message in pair.before or pair.after or ():
            yield paint.role(printable.line(message.role))
            lines = printable.block(said(message)).splitlines()
            shown = lines if look.full else lines[:_LINES]
            yield from (paint.added(f"+ {line}") if added else paint.removed(f"- {line}") for line in shown)
            if len(shown) < len(lines):
                yield paint.pale(f"… {printable.plural(len(lines) - len(shown), 'line')} more (--full)")
        return
    around = _ALL if look.full else sides.AROUND
    for role, before, after in texts(pair.before, pair.after):
        yield paint.role(role)
        if look.columns >= sides.WIDE:
            yield from sides.beside(before, after, paint, columns=look.columns - 2, around=around)
        else:
            yield from sides.above(before, after, paint, around=around)


def texts(before: Sequence[Message], after: Sequence[Message]) -> Iterator[tuple[str, str, str]]:
    """Yield the messages that are not the same as their role, the text before and the text after; a text is empty where there is none."""
    for old, new in aligned(before, after):
        if old == new:
            continue
        roles = dict.fromkeys(each.role for each in (old, new) if each is not None)
        left, right = ("" if each is None else said(each) for each in (old, new))
        if left == right and len(roles) == 1:
            right += "\n(the data of a part is other data)"
        yield printable.line(" → ".join(roles)), left, right


def said(message: Message) -> str:
    """Return a message as text."""
    content = list(message.content) if isinstance(message.content, tuple) else message.content
    calls = [{"function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls]
    return text_of({"content": content, "tool_calls": calls})
