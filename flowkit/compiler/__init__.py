"""Turn a flow file into a plan, or into every problem of every file involved. Calls no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from flowkit import parser, project, source
from flowkit.checker.kinds import StepKind
from flowkit.checker.reports import Uses
from flowkit.checker.scope import did_you_mean
from flowkit.compiler.checking import Checking, FlowScope
from flowkit.compiler.order import ordered
from flowkit.compiler.overrides import overlay
from flowkit.compiler.session import MAX_DEPTH, Session
from flowkit.compiler.steps import StepCheck
from flowkit.compiler.texts import exprs_of, texts_of
from flowkit.compiler.tools import is_flow, name_of_flow
from flowkit.compiler.variants import Choice, below, chosen, refuse_unknown
from flowkit.errors import FlowError, Place, Problem, Problems
from flowkit.plan import Computed, ModelNames, Plan, PlannedStep
from flowkit.project import PathRefused, Project
from flowkit.source import Scalar
from flowkit.spec import FlowSpec, MapOf, StepSpec
from flowkit.types.algebra import ANY, Field, Null, Record, Type, widen
from flowkit.types.validators import Validator


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a file: a plan unless there are errors, all problems, and the files that were read."""

    plan: Plan | None
    problems: tuple[Problem, ...]
    files: tuple[Path, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Return the problems that keep the flow from running."""
        return tuple(p for p in self.problems if p.severity == "error")

    def valid(self) -> Plan:
        """Return the plan. Raises FlowError with every problem when there are errors."""
        if self.plan is None or self.errors:
            raise FlowError(self.problems)
        return self.plan


def check(
    path: Path,
    *,
    cwd: Path,
    models: ModelNames | None = None,
    found: Project | None = None,
    overrides: Sequence[str] = (),
    variants: Mapping[str, str] = MappingProxyType({}),
) -> Checked:
    """Check a flow file and all that it names. `models` finds the servers behind names; without it they are not looked up.

    `overrides` are texts `path=value` that are laid over the file itself, not over what it names. `variants` chooses by step, or by
    `step/inner` for one inside a sub-flow; every variant is checked, whichever is chosen.

    Raises:
        ConfigError: the files are right, and `variants` chooses what is not there.
    """
    problems = Problems()
    session = Session(found or project.find(path), cwd, problems, models)
    plan = _Compiler(session, overrides).compile(path, variants)
    if plan is not None and not problems.fatal:
        refuse_unknown(plan, variants)
    return Checked(None if problems.fatal else plan, problems.ordered(), tuple(session.files))


@dataclass(slots=True)
class _Compiler:
    session: Session
    overrides: Sequence[str] = ()
    #: Plans by file and by what is chosen inside it.
    done: dict[tuple[Path, frozenset[tuple[str, str]]], Plan | None] = field(default_factory=dict)
    #: The files on the way to the one that is read, from the outermost.
    open: list[Path] = field(default_factory=list)

    def compile(self, path: Path, variants: Choice) -> Plan | None:
        path = path.resolve()
        key = path, frozenset(variants.items())
        if key not in self.done:
            self.open.append(path)
            self.done[key] = self._flow(path, variants)
            self.open.pop()
        return self.done[key]

    def _flow(self, path: Path, variants: Choice) -> Plan | None:
        problems = self.session.problems
        shown = self.session.shown(path)
        try:
            data = project.read_bytes(path)
        except PathRefused as e:
            problems.error("file-not-found", Place(shown, 1, 1, 2), e.message, e.hint)
            return None
        self.session.files[path] = None
        document = source.parse(data, path=path, shown=shown, problems=problems)
        if self.overrides and len(self.open) == 1:
            document = overlay(document, self.overrides, problems)
        spec = parser.parse(document, self.session.project, path, problems, self.session.load, self.session.files)
        return None if spec is None else self._plan(spec, variants)

    def _plan(self, written: FlowSpec, variants: Choice) -> Plan:
        """Check and plan one file. Long because it is all that is done, in its order."""
        problems = self.session.problems
        before = len(problems.found)
        steps, others = chosen(written.steps, variants)
        spec = replace(written, steps=steps)
        flow = FlowScope(self.session, spec, Uses())
        for name in spec.defaults.model:
            flow.check_model(name)
        for model in spec.models.values():
            flow.check_model(model.key)
        order = ordered(written.steps, steps, lambda step: self._reads(step, spec), problems)
        _report_unknown_needs(spec, problems)
        flow.steps.update({id_: _declared(step) for id_, step in steps.items()})
        planned: dict[str, PlannedStep] = {}
        for id_ in order.steps:
            made, kind = self._step(flow, steps[id_], order.reads[id_], variants)
            if id_ in order.circular:
                kind = _declared(steps[id_])
            flow.steps[id_] = kind
            if made is not None:
                planned[id_] = replace(made, variants=tuple(written.steps[id_].variants))
        read = {r for reads in order.reads.values() for r in reads}
        for other in others:
            reads = self._reads(other, spec)
            self._step(flow, other, reads, variants)
            read.update(reads)
        outputs, output_type, leaves = self._outputs(flow, order.leaves)
        fatal = any(p.severity == "error" for p in problems.found[before:]) or problems.fatal
        if not fatal:
            _report_unused(flow, read, problems, has_outputs=spec.outputs is not None)
        return Plan(
            name=spec.name,
            description=spec.description,
            path=spec.path,
            shown=spec.shown,
            inputs=spec.inputs,
            input_validator=Validator(spec.inputs),
            values={name: v.value for name, v in spec.values.items()},
            steps=planned,
            outputs=outputs,
            output_type=output_type,
            leaves=leaves,
            models=spec.models,
            max_parallel=spec.defaults.max_parallel,
            limits=spec.limits,
        )

    def _step(self, flow: FlowScope, step: StepSpec, reads: tuple[str, ...], variants: Choice) -> tuple[PlannedStep | None, StepKind]:
        spec = flow.spec
        child = None
        if step.kind == "flow" and step.uses is not None:
            child = self._named(step.uses, spec, below(variants, step.id))
        flows = {
            name.text: self._named(name, spec, below(variants, f"{step.id}/{name_of_flow(name.text)}"))
            for name in step.tools
            if is_flow(name.text)
        }
        return StepCheck(flow, step, reads).plan(child, flows)

    def _reads(self, step: StepSpec, spec: FlowSpec) -> tuple[str, ...]:
        """Return the steps that a step waits for: those it reads, and those it names under `needs`."""
        found = self.session.reads(texts_of(step), exprs_of(step), spec.path)
        found.update(dict.fromkeys(n.text for n in step.needs))
        return tuple(id_ for id_ in found if id_ in spec.steps)

    def _named(self, name: Scalar, spec: FlowSpec, variants: Choice) -> Plan | None:
        """Return the plan of a flow that a step names, None after a problem."""
        problems = self.session.problems
        try:
            path = project.resolve(name.text, beside=spec.path, root=self.session.project.root)
        except PathRefused as e:
            code = "path-escape" if e.reason == "escape" else "file-not-found"
            problems.error(code, name.place(), e.message, e.hint)
            return None
        if path in self.open:
            circle = " → ".join(self.session.shown(p) for p in [*self.open[self.open.index(path) :], path])
            problems.error(
                "flow-cycle", name.place(), f"this flow uses itself: {circle}", "a flow cannot contain itself; use `repeat` for rounds"
            )
            return None
        if len(self.open) >= MAX_DEPTH:
            problems.error("flow-depth", name.place(), f"sub-flows are nested deeper than {MAX_DEPTH}")
            return None
        return self.compile(path, variants)

    def _outputs(self, flow: FlowScope, leaves: tuple[str, ...]) -> tuple[Computed | None, Type, tuple[str, ...]]:
        spec = flow.spec
        if spec.outputs is None:
            fields = tuple(Field(id_, kind.output, optional=bool(kind.causes)) for id_ in leaves if (kind := flow.steps[id_]))
            return None, Record(fields), leaves
        checking = Checking(flow, "the outputs", None)
        type_ = widen(checking.type_of(spec.outputs))
        if isinstance(spec.outputs, MapOf) and isinstance(type_, Record):
            type_ = Record(tuple(Field(f.name, f.type, optional=False) for f in type_.fields))
        return checking.computed(spec.outputs), ANY if isinstance(type_, Null) else type_, ()


def _declared(step: StepSpec) -> StepKind:
    """Return what a step is before it was checked: its declared type, or anything."""
    return StepKind(step.id, step.kind, ANY, item=ANY if step.foreach is not None else None)


def _report_unknown_needs(spec: FlowSpec, problems: Problems) -> None:
    for step in spec.steps.values():
        for name in step.needs:
            if name.text not in spec.steps:
                hint = did_you_mean(name.text, [s for s in spec.steps if s != step.id], "the steps are")
                problems.error("unknown-step", name.place(), f"step {step.id!r} needs {name.text!r}, which is not a step", hint)


def _report_unused(flow: FlowScope, read: set[str], problems: Problems, *, has_outputs: bool) -> None:
    spec, uses = flow.spec, flow.uses
    for name, key in spec.input_keys.items():
        if name not in uses.inputs:
            problems.warning(
                "unused-input", key.place(), f"input {name!r} is never read", "read it as {{ inputs." + name + " }}, or take it away"
            )
    for value in spec.values.values():
        if value.name not in uses.values:
            problems.warning(
                "unused-value", value.key.place(), f"value {value.name!r} is never read", f"read it as values.{value.name}, or take it away"
            )
    for name, key in spec.type_keys.items():
        if name not in spec.used_types:
            problems.warning("unused-type", key.place(), f"type {name!r} is never used", "name it where a type stands, or take it away")
    read = read | uses.steps
    for step in spec.steps.values():
        if has_outputs and step.kind in {"chat", "flow"} and step.id not in read:
            problems.warning(
                "unread-step",
                step.key.place(),
                f"step {step.id!r} is paid for, but nothing reads its answer",
                "read it in another step or under `outputs`, or take it away",
            )


__all__ = ["Checked", "check"]
