"""Draw a sketch as lines for a terminal: each step, what it waits for, and the steps inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit import printable
from flowkit.drawing.sketch import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowkit.drawing.sketch import Arrow, Box, Sketch


def tree(sketch: Sketch, *, columns: int = 120) -> str:
    """Return the steps in an order in which they could run. `a?` may be absent when it is read; `after a` is order without data."""
    lines = [printable.line(sketch.name)]
    if sketch.description:
        lines.append(printable.line(sketch.description.strip()))
    if sketch.inputs:
        lines.append(f"inputs: {', '.join(map(printable.line, sketch.inputs))}")
    lines.extend(_steps(sketch, ""))
    if sketch.outputs:
        lines.append(f"outputs: {', '.join(map(printable.line, sketch.outputs))}{_waits(sketch, OUTPUTS)}")
    return "".join(f"{printable.clip(line.rstrip(), columns)}\n" for line in lines)


def _steps(sketch: Sketch, indent: str) -> Iterator[str]:
    boxes = sketch.ordered()
    names = max((printable.width(box.id) for box in boxes), default=0)
    abouts = max((printable.width(printable.line(box.about)) for box in boxes), default=0)
    for box in boxes:
        last = box is boxes[-1]
        head = f"{indent}{'└─' if last else '├─'} {printable.pad(box.id, names)}  "
        below = indent + ("   " if last else "│  ")
        yield f"{head}{printable.pad(printable.line(box.about), abouts)}{_waits(sketch, box.id)}"
        rail = "│ " if box.inside is not None and box.inside.steps else "  "
        for said in _said(box):
            yield f"{below}{rail}{' ' * names}{said}"
        if box.inside is not None:
            yield from _steps(box.inside, below)


def _said(box: Box) -> Iterator[str]:
    for word, text in box.marks.items():
        yield printable.line(f"{word} {text}".rstrip())
    yield from map(printable.line, box.lines)


def _waits(sketch: Sketch, target: str) -> str:
    arrows: dict[str, Arrow] = {}
    for arrow in sketch.arrows:
        if arrow.target == target and arrow.source != INPUTS:
            arrows.setdefault(arrow.source, arrow)
    read = [f"{arrow.source}?" if arrow.style == "conditional" else arrow.source for arrow in arrows.values() if arrow.style != "needs"]
    after = [arrow.source for arrow in arrows.values() if arrow.style == "needs"]
    said = f"  ← {', '.join(read)}" if read else ""
    return f"{said}  after {', '.join(after)}" if after else said
