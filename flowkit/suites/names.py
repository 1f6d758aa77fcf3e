"""Check expressions and paths of tests against what they read: inputs, outputs, steps, a row, a judge. Runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jinja2 import nodes

from flowkit.checker.kinds import StepKind, Steps
from flowkit.checker.narrowing import NOTHING
from flowkit.checker.reports import Reports, Uses
from flowkit.checker.scope import Scope, Site
from flowkit.checker.statements import Texts
from flowkit.checker.tree import spelled, steps_read
from flowkit.errors import Problems
from flowkit.parser.data import infer
from flowkit.parser.reading import Reading
from flowkit.parser.texts import expression, is_unknown
from flowkit.plan import Computed, Fixed, ListValue, MapValue, Plan, PlannedStep, ValueOf
from flowkit.source import Node, Scalar
from flowkit.spec import Expr, Expression, ListOf, Literal_
from flowkit.spelling import did_you_mean
from flowkit.suites.spec import PartPath
from flowkit.templates import ReadRefused, Templates, Value
from flowkit.templates.syntax import SyntaxProblem, parse_expression
from flowkit.types.algebra import (
    ANY,
    INTEGER,
    NULL,
    NUMBER,
    AnyType,
    Const,
    Field,
    List,
    Map,
    Object,
    Record,
    Type,
    expand,
    members,
    nullable,
    present,
    union,
)
from flowkit.types.wording import spell

#: What `run` is in expressions: what the run of a case took.
RUN = Record(
    (
        Field("cost", nullable(NUMBER)),
        Field("seconds", NUMBER),
        Field("calls", INTEGER),
        Field("input_tokens", nullable(INTEGER)),
        Field("output_tokens", nullable(INTEGER)),
    ),
    name="run",
)
#: Names that hold values of a run.
_ROOTS = frozenset({"inputs", "outputs", "steps", "row", "judge", "run", "values"})
_PATH = re.compile(r"(?:^|\.)([A-Za-z_][\w-]*)|\[(-?\d+)\]|\[(?:'([^']*)'|\"([^\"]*)\")\]")


def _no_file(name: str, beside: Path) -> Any:
    raise ReadRefused("an expression includes no file", None)


@dataclass(frozen=True, slots=True)
class Names:
    """What the expressions of one test see. `row` and `judge` are None where there is none."""

    r: Reading
    plan: Plan
    row: Type | None = None
    judge: Type | None = None
    templates: Templates = field(default_factory=lambda: Templates(_no_file))

    def scope(self) -> Scope:
        """Return the names with their types."""
        scope = Scope()
        scope.bind("inputs", replace(self.plan.inputs, name="inputs"), "inputs")
        values = infer(dict(self.plan.values))
        scope.bind("values", values, "values")
        scope.bind("steps", Steps(), "steps")
        scope.bind("outputs", self.plan.output_type, "outputs")
        scope.bind("run", RUN, "run")
        if self.row is not None:
            scope.bind("row", self.row, "row")
        else:
            scope.gone["row"] = "a test has rows where it has `data:`"
        if self.judge is not None:
            scope.bind("judge", self.judge, "judge")
        else:
            scope.gone["judge"] = "a test has a judge where it has `uses: judge.flow.yaml`"
        scope.gone["output"] = "the outputs of the flow are `outputs`, of a step `steps.NAME.output`"
        return scope

    def computed(self, node: Node, what: str) -> tuple[Computed, Type] | None:
        """Return an expression and its type, None when it says nothing; what is wrong with it is reported."""
        found = expression(self.r, node, what)
        return None if is_unknown(found) else (self._computed(found), self._type(found, what))

    def _computed(self, expr: Expr) -> Computed:
        match expr:
            case Expression():
                return ValueOf(self.templates.value(expr.text, self.r.file.path), expr.node)
            case Literal_():
                return Fixed(expr.value)
            case ListOf():
                return ListValue(tuple(map(self._computed, expr.items)))
        return MapValue({name: self._computed(item) for name, item in expr.items.items()})

    def _type(self, expr: Expr, what: str) -> Type:
        match expr:
            case Expression():
                return self._checked(expr, what)
            case Literal_():
                return NULL if expr.value is None else Const(expr.value)
            case ListOf():
                return List(union(*(self._type(item, what) for item in expr.items))) if expr.items else List(ANY)
        return Record(tuple(Field(name, self._type(item, what)) for name, item in expr.items.items()))

    def _checked(self, expr: Expression, what: str) -> Type:
        try:
            tree = parse_expression(expr.text)
        except SyntaxProblem as e:
            self.r.error(e.code, expr.node.place(e.start, max(e.end, e.start + 1)), e.message)
            return ANY
        found = Problems()
        steps = {step.id: _kind(step) for step in self.plan.steps.values()}
        reports = Reports(found, Site(expr.text, expr.node.place), what, steps, expression=True)
        type_ = Texts(found, reports, steps, Uses(), None, self.r.file.path, _no_file).expression(tree, self.scope(), NOTHING)
        # What is absent fails the assertion that reads it, which is what a test is for.
        for problem in found.found:
            if problem.code != "unhandled-absent":
                self.r.problems.found.append(problem)
        return type_

    def reads(self, computed: Computed) -> tuple[tuple[str, Value], ...]:
        """Return the paths that an expression reads, to be evaluated each by itself."""
        if not isinstance(computed, ValueOf):
            return ()
        try:
            texts = dict.fromkeys(_paths(parse_expression(computed.node.text)))
        except SyntaxProblem:  # braces that the parser took away
            return ()
        return tuple((text, self.templates.value(text, self.r.file.path)) for text in texts)

    # -- steps and paths

    def step(self, node: Scalar, what: str) -> PlannedStep | None:
        """Return the step of a path such as `step` or `step/inner`, None after a problem."""
        steps = {path: step for path, _, step in self.plan.walk()}
        if (step := steps.get(node.text)) is None:
            near = did_you_mean(node.text, steps) or f"the steps are {', '.join(steps)}"
            self.r.error("unknown-step", node.place(), f"{what} names {node.text!r}, which is no step of flow {self.plan.name!r}", near)
        return step

    def path(self, node: Scalar, base: str, type_: Type) -> tuple[PartPath, Type] | None:
        """Return a path such as `issues[0].title` and the type behind it, None after a problem. `base` names what it starts from."""
        found: list[str | int] = []
        at = 0
        while at < len(node.text):
            part = _PATH.match(node.text, at)
            if part is None:
                self.r.error("test-path", node.place(at, len(node.text)), f"{node.text!r} is no path", "write it as issues[0].title")
                return None
            step: str | int = int(part[2]) if part[2] is not None else next(g for g in (part[1], part[3], part[4]) if g is not None)
            inner = _inner(type_, step)
            if inner is None:
                start = at + 1 if part[0].startswith(".") else at
                hint = _hint(type_, step)
                what = f"{base!r} has no {step!r}" if fields_of(present(type_)) else f"{base!r} is {spell(type_)}, which has no {step!r}"
                self.r.error("test-path", node.place(start, part.end()), what, hint)
                return None
            base, type_ = f"{base}{part[0] if part[0].startswith(('.', '[')) else '.' + part[0]}", inner
            found.append(step)
            at = part.end()
        return tuple(found), type_


def _kind(step: PlannedStep) -> StepKind:
    over = ANY if step.foreach is not None else None
    return StepKind(step.id, step.kind, step.output, item=over, item_output=step.type if over is not None else None)


def _paths(node: nodes.Node) -> Iterator[str]:
    """Yield the longest paths such as `outputs.issues[0].title` in an expression."""
    if _is_path(node):
        yield spelled(node)
        return
    for child in node.iter_child_nodes():
        yield from _paths(child)


def _is_path(node: nodes.Node) -> bool:
    match node:
        case nodes.Name():
            return node.name in _ROOTS
        case nodes.Getattr():
            return _is_path(node.node)
        case nodes.Getitem(arg=nodes.Const(value=int())):
            return _is_path(node.node)
    return False


def _inner(type_: Type, step: str | int) -> Type | None:
    """Return the type behind one step of a path, None where there is none."""
    found = []
    for member in members(present(expand(type_))):
        match expand(member):
            case Record() as record if isinstance(step, str) and (known := record.get(step)) is not None:
                found.append(known.type)
            case List() as list_ if isinstance(step, int):
                found.append(list_.item)
            case Map() as map_ if isinstance(step, str):
                found.append(map_.value)
            case AnyType() | Object():
                found.append(ANY)
    return union(*found) if found else None


def _hint(type_: Type, step: str | int) -> str | None:
    kind = present(expand(type_))
    if isinstance(kind, Record) and isinstance(step, str):
        return did_you_mean(step, kind.names()) or f"it has {', '.join(kind.names())}"
    if isinstance(kind, List):
        return "write the position of an item, from 0: [0]"
    return None


def sources(plan: Plan, path: PartPath) -> tuple[str, ...]:
    """Return the steps that the outputs of a flow, or the output that a path begins with, are made of."""
    computed: Computed | None = plan.outputs
    if computed is None:
        return (str(path[0]),) if path else plan.leaves
    if isinstance(computed, MapValue) and path and path[0] in computed.items:
        computed = computed.items[str(path[0])]
    return tuple(dict.fromkeys(_read(computed)))


def _read(computed: Computed) -> list[str]:
    match computed:
        case ValueOf():
            try:
                return list(steps_read(parse_expression(computed.node.text)))
            except SyntaxProblem:  # braces that the parser took away
                return []
        case ListValue():
            return [name for item in computed.items for name in _read(item)]
        case MapValue():
            return [name for item in computed.items.values() for name in _read(item)]
    return []


def only(type_: Type) -> str | None:
    """Return the name of the one field of a record, None where it has several."""
    return type_.fields[0].name if isinstance(type_, Record) and len(type_.fields) == 1 else None


def fields_of(type_: Type) -> Mapping[str, Field]:
    """Return the fields of a record by name."""
    return {f.name: f for f in type_.fields} if isinstance(type_, Record) else {}
