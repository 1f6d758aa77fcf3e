"""Turn a plan into the sketch that is drawn. Knows plans; the pictures do not."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from flowkit.checker.tree import steps_read
from flowkit.drawing.sketch import INPUTS, OUTPUTS, Arrow, Box, Sketch, Style
from flowkit.plan import CallWork, ChatWork, Computed, FlowWork, ListValue, MapValue, Plan, PlannedMessage, PlannedStep, TextOf, ValueOf
from flowkit.templates.syntax import parse_expression, parse_template
from flowkit.types.algebra import Record


def sketch(plan: Plan) -> Sketch:
    """Return the sketch of a plan, steps in the author's order, sub-flows inside their steps."""
    arrows: list[Arrow] = []
    for step in plan.steps.values():
        trees = list(_trees(step))
        included = any(next(tree.find_all((nodes.Include, nodes.Import, nodes.FromImport)), None) for tree in trees)
        read = {id_ for tree in trees for id_ in steps_read(tree)}
        if any(name.name == "inputs" for tree in trees for name in _names(tree)):
            arrows.append(Arrow(INPUTS, step.id))
        arrows += [Arrow(id_, step.id, _style(plan.steps[id_]) if id_ in read or included else "needs") for id_ in step.waits]
    outputs = read_by_outputs(plan)
    arrows += [Arrow(id_, OUTPUTS, _style(plan.steps[id_])) for id_ in outputs]
    if plan.outputs is not None and any(_reads_inputs(value) for value in expressions(plan.outputs)) and not outputs:
        arrows.append(Arrow(INPUTS, OUTPUTS))
    written = sorted(plan.steps.values(), key=lambda step: (step.place.line, step.place.column) if step.place else (0, 0))
    return Sketch(
        plan.name,
        tuple(map(_box, written)),
        tuple(arrows),
        tuple(plan.inputs.names()),
        tuple(_outputs(plan)),
        plan.description,
    )


def read_by_outputs(plan: Plan) -> tuple[str, ...]:
    """Return the steps whose answers are, or make, the outputs."""
    if plan.outputs is None:
        return plan.leaves
    found: dict[str, None] = {}
    for value in expressions(plan.outputs):
        found.update(dict.fromkeys(steps_read(parse_expression(value.node.text))))
    return tuple(id_ for id_ in found if id_ in plan.steps)


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


def _outputs(plan: Plan) -> list[str]:
    if isinstance(plan.outputs, MapValue):
        return list(plan.outputs.items)
    return plan.output_type.names() if isinstance(plan.output_type, Record) else ["output"]


def _reads_inputs(value: ValueOf) -> bool:
    return any(name.name == "inputs" for name in _names(parse_expression(value.node.text)))


def _names(tree: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(tree, nodes.Name):
        yield tree
    yield from tree.find_all(nodes.Name)


def _style(source: PlannedStep) -> Style:
    """Say whether what is read from a step may be absent."""
    if source.skips_with or (source.foreach is None and (source.when is not None or source.on_error.action == "skip")):
        return "conditional"
    return "data"


def _box(step: PlannedStep) -> Box:
    work = step.work
    model = " or ".join(work.models) if isinstance(work, ChatWork) and work.models else None
    lines: tuple[str, ...] = (work.name,) if isinstance(work, CallWork) else ()
    inside = None
    if isinstance(work, FlowWork):
        lines, inside = (work.plan.shown,), sketch(work.plan)
    return Box(step.id, step.kind, model, _marks(step), lines, inside)


def _marks(step: PlannedStep) -> dict[str, str]:
    marks = {}
    if step.foreach is not None:
        marks["foreach"] = f"{step.as_} in {spelled(step.foreach)}"
    if step.when is not None:
        marks["when"] = spelled(step.when)
    if step.repeat is not None:
        marks["repeat"] = f"until {spelled(step.repeat.until)}, at most {step.repeat.max} rounds"
    if step.on_error.action != "fail":
        marks["on_error"] = step.on_error.action
    return marks


def spelled(computed: Computed) -> str:
    """Return an expression as it is written, or `…` for data with expressions inside."""
    return " ".join(computed.node.text.split()) if isinstance(computed, ValueOf) else "…"


def _trees(step: PlannedStep) -> Iterator[nodes.Node]:
    """Yield the tree of every text and expression of a step."""
    work = step.work
    values: list[Computed | None] = [step.when, step.foreach, *(check.expr for check in step.checks)]
    texts: list[TextOf | str | None] = [check.message for check in step.checks]
    if step.repeat is not None:
        values.append(step.repeat.until)
    match work:
        case ChatWork():
            for message in work.messages:
                values.append(message.history)
                texts += _texts(message)
            for example in work.examples:
                texts += (example.user, example.assistant)
        case FlowWork() | CallWork():
            values.append(work.with_)
        case _:
            values.append(work.value)
    yield from (parse_template(text.node.text) for text in texts if isinstance(text, TextOf))
    yield from (parse_expression(value.node.text) for computed in values for value in expressions(computed))


def _texts(message: PlannedMessage) -> list[TextOf]:
    found = [] if message.text is None else [message.text]
    return found + [text for part in message.parts for text in part.values.values()]
