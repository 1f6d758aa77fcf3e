"""Turn comparisons of flows into Markdown, as a comment of a pull request. No text of a flow can leave its block."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flowkit import printable
from flowkit.comparing import Comparison, Messages, Pair, Said
from flowkit.console import forecasts, sides
from flowkit.console.differences import grouped, long, notes, order, outline, said, said_of, sides_of, texts, verdict, where
from flowkit.console.paint import Paint
from flowkit.difference import Change

#: Characters of one comment: GitHub takes 65,536.
_ROOM: Final = 60_000
#: Questions of one step that are shown.
_SHOWN: Final = 5
#: Characters of values that stand in one line.
_VALUE: Final = 80
_PLAIN: Final = Paint(on=False)
_TICKS = re.compile(r"`+")


def text(found: Sequence[Comparison]) -> str:
    """Return the comment; nothing where nothing is to be said."""
    parts = ["\n".join(_flow(each)) + "\n" for each in found if each.differs or not each.same_text]
    whole = "\n".join(parts)
    if len(whole) <= _ROOM:
        return whole
    kept = ["\n".join(_flow(each, messages=False)) + "\n" for each in found if each.differs or not each.same_text]
    shorter = "\n".join(kept)
    note = "\nThe rest is longer than a comment may be: `flowkit diff` shows it.\n"
    return (shorter if len(shorter) <= _ROOM else _cut(kept)) + note


def _cut(parts: Sequence[str]) -> str:
    """Return as many whole parts as there is room for."""
    size, kept = 0, []
    for part in parts:
        size += len(part) + 1
        if size > _ROOM:
            break
        kept.append(part)
    return "\n".join(kept)


def _flow(found: Comparison, *, messages: bool = True) -> Iterator[str]:
    yield f"### {code(found.flow)}"
    yield ""
    told = verdict(found)
    yield f"{_sentence(told)} <sub>{html.escape(sides_of(found))}</sub>"
    if found.renamed_from is not None:
        yield ""
        yield f"Renamed from {code(found.renamed_from)}."
    if found.broken is not None or found.after.meaning is None:
        return
    yield from _groups(found.counting, order(found))
    if found.settings:
        yield ""
        yield "<details><summary>What changes time, cost or labels only</summary>"
        yield from _groups(found.settings, order(found))
        yield ""
        yield "</details>"
    if found.affected:
        yield ""
        verb = "reads" if len(found.affected) == 1 else "read"
        yield f"**Below:** {', '.join(map(code, found.affected))} {verb} answers that may change."
    if found.messages is not None:
        yield from _messages(found.messages, shown=messages)
    if found.forecast is not None:
        yield ""
        yield "<details><summary>" + html.escape("A rerun: " + "; ".join(forecasts.total(found.forecast))) + "</summary>"
        yield ""
        yield from fenced("\n".join(forecasts.text(found.forecast).splitlines()[1:]), "text")
        yield ""
        yield "</details>"


def _sentence(told: str) -> str:
    head, mark, prints = told.rpartition("fingerprint ")
    if mark and head in ("", "only names change: "):
        before, _, after = prints.partition(" → ")
        what = "Only names change" if head else "What models are told or what comes out changes"
        return f"{what} (fingerprints of the meaning: {code(before)} → {code(after)})."
    return f"{html.escape(told[:1].upper() + told[1:])}."


# -- changes -----------------------------------------------------------------------------------------------


def _groups(changes: Sequence[Change], steps: Sequence[str]) -> Iterator[str]:
    for head, told in grouped(changes, steps).items():
        kind, _, name = head.partition(" ")
        reaches = told[0][1].steps if kind in {"file", "inputs", "values"} else ()
        more = f" (read by {', '.join(map(code, reaches))})" if reaches else ""
        yield ""
        yield (f"**{kind}** {', '.join(map(code, name.split(', ')))}" if name else f"**{kind}**") + more
        for label, change in told:
            yield ""
            yield from _change(label, change)


def _change(label: str, change: Change) -> Iterator[str]:
    before, after = change.before, change.after
    named = f" {code(label)}" if label else ""
    match change.kind:
        case "renamed":
            yield f"- renamed from {code(str(before))}"
        case "moved":
            yield f"-{named} moved: {code(_value(before))} → {code(_value(after))}"
        case "added" | "removed":
            held = after if change.kind == "added" else before
            lines = _lines(held)
            if len(lines) == 1 and len(lines[0]) <= _VALUE:
                yield f"-{named} {change.kind}: {code(lines[0])}"
                return
            yield f"-{named} {change.kind}"
            yield ""
            sign = "+" if change.kind == "added" else "-"
            yield from _indented(fenced("\n".join(f"{sign} {line}" for line in lines), "diff"))
        case _ if long(change):
            yield f"-{named or ' changed'}"
            yield ""
            yield from _indented(fenced("\n".join(sides.above(before, after, _PLAIN)), "diff"))
        case _:
            yield (
                f"-{named}: {code(_value(before))} → {code(_value(after))}"
                if named
                else f"- {code(_value(before))} → {code(_value(after))}"
            )


def _lines(held: Any) -> list[str]:
    if isinstance(held, Mapping):
        return [*outline(held)]
    return held.splitlines() if isinstance(held, str) else [_value(held)]


def _value(held: Any) -> str:
    return held.strip() if isinstance(held, str) else printable.json_text(held)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines as a part of the list entry above them."""
    yield from (f"  {line}" for line in lines)


# -- messages ----------------------------------------------------------------------------------------------


def _messages(found: Messages, *, shown: bool) -> Iterator[str]:
    yield ""
    yield f"**Rendered messages**, {printable.plural(found.rows, 'row')} of inputs{html.escape(notes(found))}:"
    yield ""
    for each in found.steps.values():
        yield f"- {code(each.step)}: {html.escape(said_of(each))}"
    yield from (f"- would fail: {html.escape(printable.line(failure))}" for failure in found.failures)
    for each in found.steps.values() if shown else ():
        if each.differ:
            yield from _step(each, found.rows)


def _step(told: Said, rows: int) -> Iterator[str]:
    yield ""
    yield f"<details><summary>What {html.escape(told.step)} is told: {html.escape(said_of(told))}</summary>"
    for pair in told.differ[:_SHOWN]:
        yield ""
        if mark := where(pair, rows).removeprefix(", "):
            yield f"**{html.escape(mark)}**"
            yield ""
        yield from fenced("\n".join(_pair(pair)), "diff")
    if len(told.differ) > _SHOWN:
        yield ""
        yield f"… and {len(told.differ) - _SHOWN} more"
    yield ""
    yield "</details>"


def _pair(pair: Pair) -> Iterator[str]:
    if pair.before is None or pair.after is None:
        sign = "+" if pair.before is None else "-"
        for message in pair.before or pair.after or ():
            yield f"@@ {printable.line(message.role)} @@"
            yield from (f"{sign} {line}" for line in printable.block(said(message)).splitlines())
        return
    for role, before, after in texts(pair.before, pair.after):
        yield f"@@ {role} @@"
        yield from sides.above(before, after, _PLAIN)


# -- safety ------------------------------------------------------------------------------------------------


def code(text: str) -> str:
    """Return text in one line as code, whatever signs are in it."""
    said_ = printable.line(text)
    ticks = "`" * (max((len(found) for found in _TICKS.findall(said_)), default=0) + 1)
    blank = " " if said_.startswith("`") or said_.endswith("`") or not said_ else ""
    return f"{ticks}{blank}{said_}{blank}{ticks}"


def fenced(text: str, language: str) -> Iterator[str]:
    """Yield text as a block of code that no line in it ends."""
    ticks = "`" * max(3, *(len(found) + 1 for found in _TICKS.findall(text)), 3)
    yield f"{ticks}{language}"
    yield from printable.block(text).splitlines()
    yield ticks
