"""Check one step against what it sees, and plan it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowkit.chat import Shape
from flowkit.checker.kinds import Condition, Facts, StepKind
from flowkit.checker.narrowing import NOTHING
from flowkit.checker.reports import sorts, spell
from flowkit.compiler.checking import Checking, FlowScope, listed, place_of, required
from flowkit.compiler.tools import Tools, loaded, report_positional
from flowkit.plan import (
    CallWork,
    ChatWork,
    Computed,
    FlowWork,
    MapValue,
    Plan,
    PlannedCheck,
    PlannedExample,
    PlannedMessage,
    PlannedPart,
    PlannedRepeat,
    PlannedStep,
    SetWork,
    Work,
)
from flowkit.source import Scalar
from flowkit.spec import Expression, ListOf, RetrySpec, StepSpec, Text, TimeoutSpec
from flowkit.templates import to_json
from flowkit.types import schemas
from flowkit.types.algebra import (
    ANY,
    INTEGER,
    MESSAGES,
    STRING,
    AnyType,
    List,
    Null,
    Record,
    String,
    Type,
    may_be_absent,
    members,
    nullable,
    union,
    widen,
)
from flowkit.types.annotations import signature as signature_of
from flowkit.types.fit import fits
from flowkit.types.validators import Invalid, Validator

#: What the schema of an answer is called.
_ANSWER = "answer"


class StepCheck(Checking):
    """Checks and plans one step."""

    def __init__(self, flow: FlowScope, step: StepSpec, reads: tuple[str, ...]) -> None:
        super().__init__(flow, f"step {step.id!r}", step.id)
        self.step = step
        self.reads = reads
        self.item: Type | None = None
        self.held: Condition | None = None
        self.denied: Facts = NOTHING
        self.child: Plan | None = None
        self.flows: Mapping[str, Plan | None] = {}

    def plan(self, child: Plan | None, flows: Mapping[str, Plan | None]) -> tuple[PlannedStep | None, StepKind]:
        """Return the step to run, None after a problem, and what the steps below know of it.

        `child` is the flow that it uses, `flows` are those among its tools.
        """
        step = self.step
        before = len(self.problems.found)
        self.child = child
        self.flows = flows
        skips_with = self._on_skip()
        foreach = self._foreach()
        when = None
        if step.when is not None:
            self.facts, self.denied, self.held = self.condition(step.when)
            when = self.computed(step.when)
        if step.repeat is not None:
            self.scope.bind("previous", ANY)
            self.scope.bind("round", INTEGER)
            declared = self._declared() or self._inferred()
            if declared is not None:
                self.scope.bind("previous", nullable(declared))
        work, type_ = self._work()
        if step.repeat is not None and step.kind == "call" and step.output is None:
            self.scope.bind("previous", nullable(type_))
        self._default(type_)
        checks = self._checks(type_)
        repeat = None
        if step.repeat is not None:
            self.condition(step.repeat.until, {"output": type_})
            repeat = PlannedRepeat(self.computed(step.repeat.until), step.repeat.max, step.repeat.on_max)
        output, kind = self._kind(type_, skips_with)
        clean = not any(p.severity == "error" for p in self.problems.found[before:])
        if work is None or not clean:
            return None, kind
        planned = PlannedStep(
            step.id,
            step.kind,
            self.reads,
            work,
            type_,
            output,
            self._validator(type_),
            when,
            foreach,
            step.as_ or "item",
            step.max_parallel or self.flow.spec.defaults.max_parallel,
            repeat,
            checks,
            step.on_error,
            skips_with,
            step.key.place(),
            step.samples,
            step.pick,
            self.flow.spec.defaults.cache if step.cache is None and step.kind == "chat" else step.cache,
            variant=None if step.variant is None else step.variant.text,
        )
        return planned, kind

    # -- modifiers -----------------------------------------------------------------------------------------

    def _on_skip(self) -> tuple[str, ...]:
        if self.step.on_skip != "skip":
            return ()
        # Where this step runs, everything that it reads ran.
        for id_ in self.reads:
            known = self.flow.steps.get(id_)
            self.facts |= {("ran", id_)} | (known.facts if known else NOTHING)
        return (
            tuple(id_ for id_ in self.reads if self.flow.steps[id_].causes) if all(i in self.flow.steps for i in self.reads) else self.reads
        )

    def _foreach(self) -> Computed | None:
        step = self.step
        if step.foreach is None:
            return None
        expr = step.foreach
        type_ = self.type_of(expr)
        item: Type = ANY
        if not isinstance(expr, ListOf) and isinstance(expr, Expression):
            tree = self.session.expression(expr)
            if tree is not None and may_be_absent(type_):
                type_ = self.texts_of(expr.node, expr.text).need(tree, self.scope, self.facts)
        kinds = sorts(type_)
        if kinds and kinds != {"list"}:
            hint = (
                "go through the pairs of a mapping with `| items`"
                if kinds == {"mapping"}
                else "use `.split(…)` or `| lines`"
                if kinds == {"text"}
                else None
            )
            shown = expr.text if isinstance(expr, Expression) else "this"
            self.problems.error("not-a-list", place_of(expr), f"`foreach` needs a list, but '{shown}' is {spell(type_)}", hint)
        elif kinds:
            item = widen(union(*(m.item for m in members(type_) if isinstance(m, List))))
        self.item = item
        self.scope.bind(step.as_ or "item", item)
        if step.as_ is not None and step.as_ != "item":
            self.scope.gone["item"] = f"here the item is called {step.as_!r}"
        return self.computed(expr)

    def _checks(self, type_: Type) -> tuple[PlannedCheck, ...]:
        found = []
        for check in self.step.checks:
            extra = {"output": type_}
            self.condition(check.expr, extra)
            message = self.text(check.message, extra) if check.message is not None else None
            shown = check.expr.text if isinstance(check.expr, Expression) else "the check"
            found.append(PlannedCheck(self.computed(check.expr), shown, message, check.on_fail))
        return tuple(found)

    def _kind(self, type_: Type, skips_with: tuple[str, ...]) -> tuple[Type, StepKind]:
        """Return the type of `steps.x.output` where the step ran, and what is known of the step below it."""
        step = self.step
        of_item = step.foreach is not None
        causes = set()
        item_absent = False
        if step.when is not None:
            item_absent = of_item
            causes |= set() if of_item else {"when"}
        if step.on_error.action == "skip":
            item_absent = item_absent or of_item
            causes |= set() if of_item else {"error"}
        if skips_with:
            causes.add("on_skip")
        output = type_
        if step.samples is not None and step.pick is None:
            output = List(type_)
        one = output
        if of_item:
            output = List(nullable(output) if item_absent else output)
        facts = frozenset() if of_item else self.facts
        kind = StepKind(
            step.id,
            step.kind,
            output,
            frozenset(causes),
            None if of_item else self.held,
            NOTHING if of_item else self.denied,
            facts,
            self.item,
            one if of_item else None,
        )
        return output, kind

    def _default(self, type_: Type) -> None:
        """Check the default of `on_error` against what the step gives; the reader of the file knows declared types only."""
        on_error = self.step.on_error
        if on_error.action != "default" or self.step.kind == "chat" or isinstance(type_, AnyType):
            return
        try:
            Validator(type_).value(on_error.default)
        except Invalid as e:
            place = on_error.node.place() if on_error.node is not None else self.step.key.place()
            said = f"the default under 'on_error' of step {self.step.id!r} does not fit: {e}"
            self.problems.error("invalid-default", place, said, f"it must be {spell(type_)}, as the step gives it")

    def _inferred(self) -> Type | None:
        """Return what a `set` without `output` gives in its first round, so that `previous` is known in the next."""
        if self.step.set is None:
            return None
        known = len(self.problems.found)
        type_ = widen(self.type_of(self.step.set))
        del self.problems.found[known:]
        return None if isinstance(type_, Null) else type_

    def _validator(self, type_: Type) -> Validator | None:
        if self.step.kind == "flow" or isinstance(type_, AnyType) or (self.step.kind == "chat" and type_ == STRING):
            return None
        if self.step.kind == "set" and self.step.output is None:
            return None  # what was inferred is knowledge for the checker, not a promise of the author
        return Validator(type_)

    # -- work ----------------------------------------------------------------------------------------------

    def _declared(self) -> Type | None:
        if self.step.output is not None:
            return self.step.output
        if self.step.kind == "chat":
            return STRING
        return self.child.output_type if self.step.kind == "flow" and self.child is not None else None

    def _work(self) -> tuple[Work | None, Type]:
        match self.step.kind:
            case "chat":
                return self._chat(), self._declared() or STRING
            case "flow":
                return self._flow()
            case "call":
                return self._call()
        return self._set()

    def _chat(self) -> ChatWork:
        step, defaults = self.step, self.flow.spec.defaults
        messages = tuple(self._message(m) for m in step.messages)
        type_ = step.output or STRING
        shape = without = None
        if not isinstance(type_, String):  # a text needs no JSON around it
            # Not the name of the step: models may read it, and a step that is called otherwise asks the same question.
            shape, without = schemas.shape(type_, _ANSWER, lengths=True), schemas.shape(type_, _ANSWER, lengths=False)
        examples = tuple(self._example(e.user, e.assistant, shape) for e in step.examples)
        names = step.model or defaults.model
        for name in step.model:
            self._model(name)
        if not names:
            self.problems.warning(
                "no-model", step.key.place(), f"step {step.id!r} has no model", "set `model:` on the step or under `defaults:`"
            )
        return ChatWork(
            messages,
            examples,
            tuple(n.text for n in names),
            {name: value for name, value in {**defaults.params, **step.params}.items() if value is not None},
            shape,
            without,
            _over(step.retry, defaults.retry, RetrySpec()),
            _over(step.timeout, defaults.timeout, TimeoutSpec()),
            Tools(self.session, self.path, self.flows).plan(step.tools),
            {name: key.place() for name, key in {**defaults.param_keys, **step.param_keys}.items()},
        )

    def _model(self, name: Scalar) -> None:
        self.flow.check_model(name)

    def _message(self, message: Any) -> PlannedMessage:
        if message.history is not None:
            type_ = self.type_of(message.history)
            if may_be_absent(type_) and isinstance(message.history, Expression):
                tree = self.session.expression(message.history)
                if tree is not None:
                    type_ = self.texts_of(message.history.node, message.history.text).need(tree, self.scope, self.facts)
            self.fit(message.history, type_, MESSAGES, "`history`", place_of(message.history))
            return PlannedMessage("history", history=self.computed(message.history))
        parts = tuple(PlannedPart(p.kind, {name: self.text(t) for name, t in p.values.items()}) for p in message.parts)
        return PlannedMessage(message.role, self.text(message.text) if message.text is not None else None, parts)

    def _example(self, user: Text | str, assistant: Any, shape: Shape | None) -> PlannedExample:
        asked = self.text(user) if isinstance(user, Text) else user
        if isinstance(assistant, Text):
            return PlannedExample(asked, self.text(assistant))
        value = {"value": assistant} if shape is not None and shape.wrapped else assistant
        return PlannedExample(asked, value if isinstance(value, str) else to_json(value))

    def _flow(self) -> tuple[Work | None, Type]:
        step = self.step
        type_ = self.child.output_type if self.child is not None else ANY
        given = self._with_of(
            Record(()) if self.child is None else self.child.inputs,
            f"sub-flow {step.uses.text if step.uses else ''!r}",
            check=self.child is not None,
        )
        if self.child is None:
            return None, type_
        if step.output is not None:
            type_ = self._declared_over(type_)
        return FlowWork(self.child, given), type_

    def _declared_over(self, type_: Type) -> Type:
        """Check a declared output against what is known of the answer."""
        declared = self.step.output
        assert declared is not None
        reason = fits(type_, declared)
        if reason is not None:
            node = self.step.output_node
            place = node.place() if node is not None else self.step.key.place()
            self.problems.error("type-mismatch", place, f"the output of step {self.step.id!r}: {reason}")
        return declared

    def _with_of(self, target: Record, what: str, *, check: bool) -> Computed:
        step = self.step
        if step.with_ is None:
            missing = [f.name for f in target.fields if required(f)]
            if missing and check:
                self.problems.error("missing-argument", step.key.place(), f"{what} needs {listed(missing)}", "give it under `with:`")
            return MapValue({})
        type_ = self.type_of(step.with_)
        if check:
            self.fit(step.with_, type_, target, what, place_of(step.with_))
        return self.computed(step.with_)

    def _call(self) -> tuple[Work | None, Type]:
        step = self.step
        assert step.call is not None
        function = loaded(self.session, step.call, self.path)
        if function is None:
            self._with_of(Record(()), "", check=False)
            return None, step.output or ANY
        signature = signature_of(function)
        if signature.positional_only:
            report_positional(self.session, step.call, signature, "`with` gives arguments by name")
            self._with_of(Record(()), "", check=False)
            return None, step.output or signature.returns
        given = self._with_of(Record(signature.params), f"function {step.call.text!r}", check=not signature.extra_keywords)
        type_ = signature.returns
        if step.output is not None:
            type_ = self._declared_over(type_)
        return CallWork(function, step.call.text, given), type_

    def _set(self) -> tuple[Work | None, Type]:
        step = self.step
        assert step.set is not None
        inferred = self.type_of(step.set)
        if step.output is None:
            self.handled(step.set, inferred)
            type_ = widen(inferred)
            return SetWork(self.computed(step.set)), ANY if isinstance(type_, Null) else type_
        self.fit(step.set, inferred, step.output, f"the output of step {step.id!r}", place_of(step.set))
        return SetWork(self.computed(step.set)), step.output


def _over(own: Any, default: Any, empty: Any) -> Any:
    """Lay what a step says over what the flow says, key by key."""
    if own is None:
        return default or empty
    if default is None:
        return own
    return replace(default, **{name: value for name in own.__slots__ if (value := getattr(own, name)) is not None})
