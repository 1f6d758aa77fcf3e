"""Turn a plan into the sketch that is drawn. Knows plans; the pictures do not."""

from __future__ import annotations

from collections.abc import Iterator

from flowkit.checker.tree import steps_read
from flowkit.drawing.sketch import INPUTS, OUTPUTS, Arrow, Box, Sketch, Style
from flowkit.plan import ChatWork, Computed, CallWork, FlowWork, ListValue, MapValue, Plan, PlannedStep, ValueOf
from flowkit.templates.syntax import parse_expression


def expressions(computed: Computed | None) -> Iterator[ValueOf]:
    """Yield the expressions inside a value of an expression key."""
    match computed:
        case ValueOf():
            yield computed
        case ListValue():
            for item in computed.items:
                yield from expressions(item)
        case MapValue():
            for item in computed.items.values():
                yield from expressions(item)


def read_by_outputs(plan: Plan) -> tuple[str, ...]:
    """Return the steps whose answers are, or make, the outputs."""
    if plan.outputs is None:
        return plan.leaves
    found: dict[str, None] = {}
    for value in expressions(plan.outputs):
        found.update(dict.fromkeys(steps_read(parse_expression(value.node.text))))
    return tuple(id_ for id_ in found if id_ in plan.steps)
