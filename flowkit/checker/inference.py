"""What every rule about expressions shares: to infer, to need a value, and to say where an absent one comes from. Knows no rule itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jinja2 import nodes

from flowkit.checker.kinds import Facts, Function, Kind, Loop, MacroKind, Method, Row, Rows, StepKind, Steps, is_type
from flowkit.checker.narrowing import learn
from flowkit.checker.reports import Reports, Uses, name_kind
from flowkit.checker.scope import Scope
from flowkit.checker.tree import attribute_of, key_of, length_of, spelled, start_of
from flowkit.errors import Problems
from flowkit.types.algebra import ANY, Const, List, Null, Record, Type, may_be_absent, members, union


class Inference:
    """The types of the expressions of one text. Facts say what is known to hold at the point of the expression."""

    def __init__(self, problems: Problems, reports: Reports, steps: Mapping[str, StepKind], uses: Uses, me: str | None) -> None:
        self.problems = problems
        self.reports = reports
        self.steps = steps
        self.uses = uses
        #: The step that this text belongs to.
        self.me = me

    def infer(self, node: nodes.Node, scope: Scope, facts: Facts) -> Kind:
        """Return what an expression is; ANY after a problem, so that what follows from it stays silent."""
        raise NotImplementedError

    def value(self, node: nodes.Node, scope: Scope, facts: Facts) -> Type:
        """Return the type of an expression that must be a value: no step, no function."""
        kind = self.infer(node, scope, facts)
        if is_type(kind):
            return kind
        if isinstance(kind, Row):
            return List(one_of(kind))
        if isinstance(kind, Rows):  # as data, a pair is a list of two
            return List(List(one_of(kind.item)))
        hint = None
        if isinstance(kind, StepKind):
            hint = f"write 'steps.{kind.id}.output'"
        elif isinstance(kind, Steps):
            hint = "write steps.NAME.output"
        elif isinstance(kind, (MacroKind, Method, Function)):
            hint = "a call needs brackets: ()"
        elif isinstance(kind, Loop):
            hint = "write loop.index, loop.first, loop.last …"
        self.reports.error("not-a-value", start_of(node), length_of(node), f"'{spelled(node)}' is {name_kind(kind)}, not a value", hint)
        return ANY

    def need(self, node: nodes.Node, scope: Scope, facts: Facts) -> Type:
        """Return the type of an expression that must be there; reports when it may be absent."""
        type_ = self.value(node, scope, facts)
        if isinstance(type_, Const) or not may_be_absent(type_):
            return type_
        self._report_absent(node, type_, scope, facts)
        rest = [m for m in members(type_) if not isinstance(m, Null)]
        return union(*rest) if rest else ANY

    def condition(self, node: nodes.Node, scope: Scope, facts: Facts) -> tuple[Facts, Facts, Kind]:
        """Check a condition; return what holds where it is true, what where it is false, and its own kind."""
        kind = self.infer(node, scope, facts)
        if isinstance(kind, (Steps, StepKind, MacroKind, Method, Function)):
            self.value(node, scope, facts)
        return facts | learn(node, scope, self.steps, truth=True), facts | learn(node, scope, self.steps, truth=False), kind

    def quietly(self, node: nodes.Node, scope: Scope, facts: Facts) -> Kind:
        """Infer again, for a message, without reporting anything twice."""
        known = len(self.problems.found)
        kind = self.infer(node, scope, facts)
        del self.problems.found[known:]
        return kind

    def arguments(self, node: nodes.Call | nodes.Filter | nodes.Test, scope: Scope, facts: Facts) -> None:
        """Check the arguments of a call, filter or test."""
        for arg in self.arguments_of(node):
            self.infer(arg, scope, facts)

    @staticmethod
    def arguments_of(node: nodes.Call | nodes.Filter | nodes.Test) -> Iterable[nodes.Expr]:
        """Yield the expressions among the arguments of a call, filter or test."""
        yield from node.args
        yield from (k.value for k in node.kwargs)
        if node.dyn_args is not None:
            yield node.dyn_args
        if node.dyn_kwargs is not None:
            yield node.dyn_kwargs

    # -- absence -------------------------------------------------------------------------------------------

    def _report_absent(self, node: nodes.Node, type_: Type, scope: Scope, facts: Facts) -> None:
        origin = self._origin(node, scope, facts)
        surely = all(isinstance(m, Null) for m in members(type_))
        step: str | None = None
        why = ""
        start, length = start_of(origin), length_of(origin)
        match origin:
            case nodes.Getattr() | nodes.Getitem():
                base = self.quietly(origin.node, scope, facts)
                start, length = attribute_of(self.reports.site.text, origin)
                if isinstance(base, StepKind) and getattr(origin, "attr", "") == "error":
                    why = f"step {base.id!r} has an error only when it failed and `on_error` let the run go on"
                elif isinstance(base, StepKind):
                    step, why = base.id, why_absent(base)
                elif isinstance(base, Record):
                    why = "the field is optional"
                elif isinstance(base, Loop):
                    why = (
                        "there is none in the first round"
                        if getattr(origin, "attr", "") == "previtem"
                        else "there is none in the last round"
                    )
            case nodes.Name():
                step = self._step_behind(origin, scope)
                if origin.name == "previous":
                    why = "there is none in round 1"
            case nodes.CondExpr():
                why, surely = "`if` without `else` gives nothing when the condition is false", False
            case nodes.Const():
                surely = True
        self.reports.absent(start, length, origin, step, why, surely=surely)

    def _step_behind(self, node: nodes.Name, scope: Scope) -> str | None:
        key = key_of(node, scope) or ""
        parts = key.split(".")
        return parts[1] if parts[0] == "steps" and len(parts) > 1 and parts[1] in self.steps else None

    def _origin(self, node: nodes.Node, scope: Scope, facts: Facts) -> nodes.Node:
        """Return the innermost part of an expression that may be absent."""
        match node:
            case nodes.Filter(name="default" | "d", args=[replacement, *_]):
                return self._origin(replacement, scope, facts)
            case nodes.Getattr() | nodes.Getitem() | nodes.Filter() if node.node is not None:
                base = self.quietly(node.node, scope, facts)
                if is_type(base) and may_be_absent(base):
                    return self._origin(node.node, scope, facts)
        return node


def one_of(row: Row) -> Type:
    """Return the type of any of the places of a tuple."""
    return union(*(k if is_type(k) else ANY for k in row.items)) if row.items else ANY


def why_absent(step: StepKind) -> str:
    """Say why the output of a step may be absent."""
    if "when" in step.causes:
        return f"step {step.id!r} is skipped when its `when` is false"
    if "error" in step.causes:
        return f"step {step.id!r} is skipped when it fails (`on_error: skip`)"
    if "on_skip" not in step.causes:
        return "the answer itself may be absent"
    return f"step {step.id!r} is skipped with a step that it reads (`on_skip: skip`)"
