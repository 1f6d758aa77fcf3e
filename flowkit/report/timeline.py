"""Draw when steps, items and requests of a run began and ended, as one SVG. Knows times, and nothing of texts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from flowkit import printable
from flowkit.history import words
from flowkit.history.tree import CallTree, ItemTree, RunTree, StepTree
from flowkit.report.markup import text

Ink: TypeAlias = Literal["ok", "fail", "wait", "reuse"]

_LABEL: Final = 250.0
_WIDTH: Final = 1060.0
_RIGHT: Final = 60.0
_ROW: Final = 22.0
_TOP: Final = 26.0
#: Items of a step, and rows in all, that are drawn.
_ITEMS, _ROWS = 30, 400
#: Seconds of waiting that are worth a bar.
_WAIT: Final = 0.01
#: A time in which nothing happened is cut short when it is longer than so many seconds, and than this part of the rest.
_IDLE, _PART = 5.0, 0.3
#: The share of the width that such a time keeps.
_BREAK: Final = 0.03
_TICKS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 43200)


@dataclass(frozen=True, slots=True)
class _Bar:
    start: float
    end: float
    ink: Ink
    about: str


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    indent: int
    note: str = ""
    span: tuple[float, float] | None = None
    bars: tuple[_Bar, ...] = ()


@dataclass(slots=True)
class _Scale:
    """Seconds of the run to a place on the line; long times in which nothing happened are cut short."""

    parts: list[tuple[float, float]]
    starts: list[float] = field(init=False)
    places: list[float] = field(init=False)
    unit: float = field(init=False)

    def __post_init__(self) -> None:
        room = _WIDTH - _LABEL - _RIGHT
        active = sum(end - start for start, end in self.parts) or 1.0
        gap = room * _BREAK
        self.unit = (room - gap * (len(self.parts) - 1)) / active
        self.starts, self.places = [], []
        place = _LABEL
        for start, end in self.parts:
            self.starts.append(start)
            self.places.append(place)
            place += (end - start) * self.unit + gap

    def at(self, time: float) -> float:
        """Return the place of a time."""
        which = max(bisect_right(self.starts, time) - 1, 0)
        start, end = self.parts[which]
        return self.places[which] + (min(max(time, start), end) - start) * self.unit


def timeline(run: RunTree) -> str:
    """Return the picture, nothing where no time is known."""
    rows = list(_rows(run))
    left = len(rows) - _ROWS
    rows = rows[:_ROWS]
    known = [each for row in rows for each in ((row.span,) if row.span else ()) + tuple((bar.start, bar.end) for bar in row.bars)]
    if not known:
        return ""
    scale = _Scale(_active(known))
    bottom = _TOP + _ROW * len(rows) + 6
    height = bottom + (20 if left > 0 else 0)
    size = f'viewBox="0 0 {_WIDTH:g} {height:g}" width="{_WIDTH:g}" height="{height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="When each step, item and request began and ended">',
        *_grid(scale, bottom),
    ]
    for number, row in enumerate(rows):
        parts += _drawn(row, _TOP + _ROW * number, scale)
    if left > 0:
        parts.append(f'<text class="t-pale" x="12" y="{height - 8:g}">… and {left} more rows, which are not drawn</text>')
    return "\n".join([*parts, "</svg>"])


# -- what is drawn -----------------------------------------------------------------------------------------


class _Times:
    """When things began and ended, in seconds of the run."""

    def __init__(self, run: RunTree) -> None:
        self._started = run.row.started
        self._resumed = run.row.resumed > 0
        # Steps count from when the run began, calls carry the time of day: a step does not begin after its first call.
        self._late = 0.0
        if not self._resumed:
            firsts = [(step.row.at, min(call.row.started for call in step.every_call())) for step in run.steps if any(step.every_call())]
            self._late = max([at - (first - self._started) for at, first in firsts], default=0.0)

    def of(self, step: StepTree) -> tuple[float, float] | None:
        """Return when a step began and ended. Of a run that was resumed, its own times count from another start: its calls tell."""
        if not self._resumed and step.row.seconds:
            return step.row.at, step.row.at + step.row.seconds
        return self._of(step.every_call())

    def of_item(self, item: ItemTree) -> tuple[float, float] | None:
        """Return when an item began and ended."""
        if item.row is not None and not self._resumed:
            return max(item.row.at - item.row.seconds, 0.0), item.row.at
        return self._of(item.calls)

    def _of(self, calls: Iterable[CallTree]) -> tuple[float, float] | None:
        bars = list(self.bars(calls))
        return (min(bar.start for bar in bars), max(bar.end for bar in bars)) if bars else None

    def _at(self, clock: float) -> float:
        return max(clock - self._started + self._late, 0.0)

    def bars(self, calls: Iterable[CallTree]) -> Iterator[_Bar]:
        """Yield what is drawn for calls."""
        found = list(calls)
        for number, call in enumerate(found, 1):
            name = f"call {number}" if len(found) > 1 else "call"
            if call.row.state == "reused":
                start = self._at(call.row.started)
                yield _Bar(start, start, "reuse", f"{name}: {words.reuse(call.row)}")
            since = self._at(call.row.started)
            for each in call.attempts:
                # What is kept is when it was noted, before that was durable: it left when it had waited.
                start = max(self._at(each.started), since + each.waited)
                took = each.seconds or 0.0
                if each.waited >= _WAIT:
                    yield _Bar(start - each.waited, start, "wait", f"waited {words.took(each.waited)}")
                about = f"{name}, attempt {each.number}: {each.outcome} in {words.took(took)}"
                yield _Bar(start, start + took, "ok" if each.outcome == "ok" else "fail", about)
                since = start + took


def _rows(run: RunTree) -> Iterator[_Row]:
    times = _Times(run)
    for step in run.steps:
        name = step.row.step.rpartition("/")[2] + ("" if step.row.item < 0 else f", item {step.row.item + 1}")
        took = words.took(step.row.seconds) if step.row.seconds else ""
        yield _Row(name, step.depth, took, times.of(step), tuple(times.bars(step.calls)))
        for item in step.items[:_ITEMS]:
            yield _Row(f"item {item.number + 1}", step.depth + 1, "", times.of_item(item), tuple(times.bars(item.calls)))
        if len(step.items) > _ITEMS:
            yield _Row(f"… {len(step.items) - _ITEMS} more items", step.depth + 1)


# -- drawing -----------------------------------------------------------------------------------------------


def _active(known: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the times in which something happened, those with short pauses between them as one."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(known):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    longest = max(_IDLE, _PART * sum(end - start for start, end in merged))
    found = [(min(merged[0][0], 0.0) if merged[0][0] <= longest else merged[0][0], merged[0][1])]
    for start, end in merged[1:]:
        if start - found[-1][1] > longest:
            found.append((start, end))
        else:
            found[-1] = (found[-1][0], end)
    return found


def _grid(scale: _Scale, bottom: float) -> Iterator[str]:
    step = next((tick for tick in _TICKS if tick * scale.unit >= 84), _TICKS[-1])
    last = -1e9
    for (start, end), place in zip(scale.parts, scale.places, strict=True):
        ticks = [start] if len(scale.parts) > 1 else []
        first = int(start / step) + (start > 0)
        ticks += [number * step for number in range(first, int(end / step) + 1)][:200]
        for time in ticks:
            x = scale.at(time)
            if x - last < 56:
                continue
            last = x
            said = f"{time * 1000:g} ms" if step < 0.1 else f"{time:g} s" if step < 1 or time < 60 else printable.seconds(time)
            yield f'<path class="t-grid" d="M{x:.1f} {_TOP - 6:g}V{bottom:g}"/>'
            yield f'<text class="t-pale" x="{x:.1f}" y="14" text-anchor="middle">{said}</text>'
        if place > _LABEL:
            x = place - (_WIDTH - _LABEL - _RIGHT) * _BREAK / 2
            yield f'<path class="t-gap" d="M{x:.1f} {_TOP - 6:g}V{bottom:g}"><title>nothing happened here for a long time</title></path>'


def _drawn(row: _Row, top: float, scale: _Scale) -> Iterator[str]:
    room = int((_LABEL - 24 - 14 * row.indent) / 7.2)
    pale = ' class="t-pale"' if row.label.startswith(("item ", "…")) else ""
    yield f'<text{pale} x="{12 + 14 * row.indent}" y="{top + 15:g}">{text(printable.clip(row.label, max(room, 6)))}</text>'
    edge = _LABEL
    if row.span is not None:
        x, wide = scale.at(row.span[0]), max(scale.at(row.span[1]) - scale.at(row.span[0]), 1.5)
        edge = x + wide
        about = f"{row.label}: {words.took(row.span[1] - row.span[0])}"
        yield f'<rect class="t-span" x="{x:.1f}" y="{top + 3:g}" width="{wide:.1f}" height="{_ROW - 6:g}" rx="3">'
        yield f"<title>{text(about)}</title></rect>"
    for bar in row.bars:
        x, wide = scale.at(bar.start), max(scale.at(bar.end) - scale.at(bar.start), 1.5)
        thin = 3 if bar.ink == "wait" else 0
        yield (
            f'<rect class="t-{bar.ink}" x="{x:.1f}" y="{top + 6 + thin:g}" width="{wide:.1f}" height="{_ROW - 12 - 2 * thin:g}" rx="2">'
            f"<title>{text(bar.about)}</title></rect>"
        )
        edge = max(edge, x + wide)
    if row.note:
        yield f'<text class="t-pale" x="{edge + 6:.1f}" y="{top + 15:g}">{text(row.note)}</text>'
