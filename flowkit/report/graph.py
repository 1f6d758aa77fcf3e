"""Add to the sketch of a flow how each of its steps went in one run. Knows sketches and trees, and neither plans nor paper."""

from __future__ import annotations

from dataclasses import replace

from flowkit import printable
from flowkit.drawing.sketch import Box, Sketch
from flowkit.history import words
from flowkit.history.tree import RunTree, StepTree

_WORST = ("failed", "interrupted", "running", "succeeded", "skipped")


def marked(sketch: Sketch, run: RunTree, prefix: str = "") -> Sketch:
    """Return the sketch with a line more in each step: how it ended, how long it took, what it called."""
    return replace(sketch, steps=tuple(_marked(box, run, prefix) for box in sketch.steps))


def _marked(box: Box, run: RunTree, prefix: str) -> Box:
    path = prefix + box.id
    inside = None if box.inside is None else marked(box.inside, run, f"{path}/")
    return replace(box, lines=(*box.lines, _went(run.step(path))), inside=inside)


def _went(steps: tuple[StepTree, ...]) -> str:
    if not steps:
        return "did not begin"
    status = min((step.status for step in steps), key=lambda status: _WORST.index(status) if status in _WORST else 0)
    said = [f"{words.sign(status)} {status}"]
    took = sum(step.row.seconds for step in steps)
    said += [words.took(took)] if took and status != "skipped" else []
    spent = [step.spent for step in steps]
    calls, reused, maybe = (sum(counts) for counts in zip(*((each.calls, each.reused, each.maybe_billed) for each in spent), strict=True))
    said += [printable.plural(calls, "call")] if calls else []
    said += [f"{reused} used again"] if reused else []
    said += [f"{maybe} maybe billed"] if maybe else []
    return " · ".join(said)
