"""Turn a flow file into a plan, or into every problem of every file involved. Calls no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowkit import graph, parser, project, source
from flowkit.checker.kinds import StepKind
from flowkit.checker.reports import Uses
from flowkit.checker.scope import did_you_mean
from flowkit.compiler.checking import Checking, FlowScope
from flowkit.compiler.overrides import overlay
from flowkit.compiler.session import MAX_DEPTH, Session
from flowkit.compiler.steps import StepCheck
from flowkit.compiler.texts import exprs_of, texts_of
from flowkit.compiler.tools import is_flow
from flowkit.errors import FlowError, Place, Problem, Problems
from flowkit.plan import Computed, ModelNames, Plan, PlannedStep
from flowkit.project import PathRefused, Project
from flowkit.source import Scalar
from flowkit.spec import FlowSpec, MapOf, StepSpec
from flowkit.types.algebra import ANY, Field, Null, Record, Type, widen
from flowkit.types.validators import Validator

#: Keys that the format knows and this version cannot run yet.
_LATER = ("variants",)


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
    path: Path, *, cwd: Path, models: ModelNames | None = None, found: Project | None = None, overrides: Sequence[str] = ()
) -> Checked:
    """Check a flow file and all that it names. `models` finds the servers behind names; without it they are not looked up.

    `overrides` are texts `path=value` that are laid over the file itself, not over what it names.
    """
    problems = Problems()
    session = Session(found or project.find(path), cwd, problems, models)
    plan = _Compiler(session, overrides).compile(path)
    return Checked(None if problems.fatal else plan, problems.ordered(), tuple(session.files))


@dataclass(slots=True)
class _Compiler:
    session: Session
    overrides: Sequence[str] = ()
    done: dict[Path, Plan | None] = field(default_factory=dict)
    #: Output types of files whose plan failed, so that what reads them can still be checked.
    open: list[Path] = field(default_factory=list)

    def compile(self, path: Path) -> Plan | None:
        path = path.resolve()
        if path not in self.done:
            self.open.append(path)
            self.done[path] = self._flow(path)
            self.open.pop()
        return self.done[path]

    def _flow(self, path: Path) -> Plan | None:
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
        spec = parser.parse(document, self.session.project, path, problems, self.session.load)
        return None if spec is None else self._plan(spec)

    def _plan(self, spec: FlowSpec) -> Plan | None:
        problems = self.session.problems
        before = len(problems.found)
        flow = FlowScope(self.session, spec, Uses())
        for name in spec.defaults.model:
            flow.check_model(name)
        for model in spec.models.values():
            flow.check_model(model.key)
        reads = {id_: self._reads(step, spec) for id_, step in spec.steps.items()}
        _report_unknown_needs(spec, problems)
        circles = graph.cycles(reads)
        in_circle = {id_ for circle in circles for id_ in circle}
        for circle in circles:
            _report_circle(circle, spec, problems)
        if circles:
            reads = {id_: tuple(r for r in rs if not (id_ in in_circle and r in in_circle)) for id_, rs in reads.items()}
        order = graph.order(reads)
        for id_, step in spec.steps.items():
            flow.steps[id_] = _declared(step)
        planned: dict[str, PlannedStep] = {}
        whole = True
        for id_ in order:
            step = spec.steps[id_]
            child = self._named(step.uses, spec) if step.kind == "flow" and step.uses is not None else None
            flows = {name.text: self._named(name, spec) for name in step.tools if is_flow(name.text)}
            made, kind = StepCheck(flow, step, reads[id_]).plan(child, flows)
            if id_ in in_circle:
                kind = _declared(step)
            flow.steps[id_] = kind
            if made is None:
                whole = False
            else:
                planned[id_] = made
        outputs, output_type, leaves = self._outputs(flow, reads)
        fatal = any(p.severity == "error" for p in problems.found[before:]) or problems.fatal
        if not fatal:
            _report_unused(flow, reads, problems, has_outputs=spec.outputs is not None)
        return Plan(
            name=spec.name,
            description=spec.description,
            path=spec.path,
            shown=spec.shown,
            inputs=spec.inputs,
            input_validator=Validator(spec.inputs),
            values={name: v.value for name, v in spec.values.items()},
            steps={id_: planned[id_] for id_ in order if id_ in planned} if whole else planned,
            outputs=outputs,
            output_type=output_type,
            leaves=leaves,
            models=spec.models,
            deferred=_deferred(spec),
            max_parallel=spec.defaults.max_parallel,
        )

    def _reads(self, step: StepSpec, spec: FlowSpec) -> tuple[str, ...]:
        """Return the steps that a step waits for: those it reads, and those it names under `needs`."""
        found = self.session.reads(texts_of(step), exprs_of(step), spec.path)
        found.update(dict.fromkeys(n.text for n in step.needs))
        return tuple(id_ for id_ in found if id_ in spec.steps)

    def _named(self, name: Scalar, spec: FlowSpec) -> Plan | None:
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
        return self.compile(path)

    def _outputs(self, flow: FlowScope, reads: dict[str, tuple[str, ...]]) -> tuple[Computed | None, Type, tuple[str, ...]]:
        spec = flow.spec
        if spec.outputs is None:
            read = {r for rs in reads.values() for r in rs}
            leaves = tuple(id_ for id_ in spec.steps if id_ not in read)
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


def _report_circle(circle: list[str], spec: FlowSpec, problems: Problems) -> None:
    step = spec.steps[circle[0]]
    path = " → ".join(circle)
    message = f"step {circle[0]!r} needs itself" if len(circle) == 2 else f"these steps wait for each other: {path}"
    hint = (
        "a step that improves its own answer is a `repeat`; there its last answer is `previous`"
        if len(circle) == 2
        else "take one of the references or `needs` away, or make a `repeat` of it"
    )
    problems.error("cycle", step.key.place(), message, hint)


def _deferred(spec: FlowSpec) -> tuple[tuple[str, Place], ...]:
    """Return the keys in use that this version checks but cannot run."""
    found = []
    for step in spec.steps.values():
        found += [(f"`{key}` of step {step.id!r}", step.keys[key].place()) for key in _LATER if key in step.keys]
        if step.cache not in {None, False}:
            found.append((f"`cache` of step {step.id!r}", step.keys["cache"].place()))
    if spec.limits_key is not None:
        found.append(("`limits`", spec.limits_key.place()))
    if spec.defaults.cache not in {None, False}:
        key = spec.node.key("defaults")
        found.append(("`cache` under `defaults`", key.place() if key else Place(spec.shown, 1, 1, 2)))
    return tuple(found)


def _report_unused(flow: FlowScope, reads: dict[str, tuple[str, ...]], problems: Problems, *, has_outputs: bool) -> None:
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
    read = {r for rs in reads.values() for r in rs} | uses.steps
    for step in spec.steps.values():
        if has_outputs and step.kind in {"chat", "flow"} and step.id not in read:
            problems.warning(
                "unread-step",
                step.key.place(),
                f"step {step.id!r} is paid for, but nothing reads its answer",
                "read it in another step or under `outputs`, or take it away",
            )


__all__ = ["Checked", "check"]
