"""A flow that can run: valid because it exists. Made by the compiler only; after it nothing is checked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from flowkit.chat import Shape, Tool
from flowkit.errors import Place, RenderError
from flowkit.source import Scalar
from flowkit.spec import LimitsSpec, ModelSpec, OnError, RetrySpec, TimeoutSpec
from flowkit.templates import Compiled, RenderFailed, Value
from flowkit.types.algebra import Record, Type
from flowkit.types.validators import Validator

#: What a template or expression sees: inputs, values, steps and the names of its step.
Names: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TextOf:
    """A text template with its place, so that a failure can say where."""

    template: Compiled
    node: Scalar

    def render(self, names: Names) -> str:
        """Return the text. Raises RenderError."""
        try:
            return self.template.render(names)
        except RenderFailed as e:
            raise RenderError(_located(self.node, e)) from e


@dataclass(frozen=True, slots=True)
class ValueOf:
    """An expression with its place."""

    value: Value
    node: Scalar

    def of(self, names: Names) -> Any:
        """Return the value as plain data. Raises RenderError."""
        try:
            return self.value.of(names)
        except RenderFailed as e:
            raise RenderError(_located(self.node, e)) from e


@dataclass(frozen=True, slots=True)
class Fixed:
    """A number, boolean or null of an expression key."""

    value: Any

    def of(self, _names: Names) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class ListValue:
    """A YAML list of expressions."""

    items: tuple[Computed, ...]

    def of(self, names: Names) -> Any:
        """Return the values as a list."""
        return [i.of(names) for i in self.items]


@dataclass(frozen=True, slots=True)
class MapValue:
    """A YAML mapping of expressions."""

    items: Mapping[str, Computed]

    def of(self, names: Names) -> Any:
        """Return the values as a mapping."""
        return {name: i.of(names) for name, i in self.items.items()}


Computed: TypeAlias = ValueOf | Fixed | ListValue | MapValue


def _located(node: Scalar, failed: RenderFailed) -> str:
    line = node.line
    if failed.line is not None and failed.line > 1:
        start = 0
        for _ in range(failed.line - 1):
            start = node.text.find("\n", start) + 1
        line, _ = node.locate(start)
    elif node.style in {"literal", "folded"}:
        line, _ = node.locate(0)
    return f"{node.file.shown}:{line}: {failed.message}"


# -- what steps do -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of a message; each value is a template."""

    kind: Literal["text", "image_url", "input_audio", "file"]
    values: Mapping[str, TextOf]


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """A message to be: a text or parts with a role, or messages that an expression gives."""

    role: str
    text: TextOf | None = None
    parts: tuple[PlannedPart, ...] = ()
    history: Computed | None = None


@dataclass(frozen=True, slots=True)
class PlannedExample:
    """A few-shot pair; an assistant part that is data is text already, rendered as an answer would be."""

    user: TextOf | str
    assistant: TextOf | str


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A check of an answer."""

    expr: Computed
    shown: str
    message: TextOf | None
    on_fail: Literal["fail", "record"]


@dataclass(frozen=True, slots=True)
class PlannedTool:
    """What the model may call: a Python function, or a flow. `validator` reads the arguments that it writes."""

    tool: Tool
    validator: Validator
    target: Callable[..., Any] | Plan


@dataclass(frozen=True, slots=True)
class ChatWork:
    """A chat completion. `shape` is None when the answer is text."""

    messages: tuple[PlannedMessage, ...]
    examples: tuple[PlannedExample, ...]
    models: tuple[str, ...]
    params: Mapping[str, Any]
    shape: Shape | None
    #: The shape without bounds on lengths, for servers that refuse them.
    shape_without_lengths: Shape | None
    retry: RetrySpec
    timeout: TimeoutSpec
    tools: tuple[PlannedTool, ...] = ()
    #: Where each parameter is written, for a server that refuses it.
    param_places: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlowWork:
    """A sub-flow."""

    plan: Plan
    with_: Computed


@dataclass(frozen=True, slots=True)
class CallWork:
    """A Python function."""

    function: Callable[..., Any]
    name: str
    with_: Computed


@dataclass(frozen=True, slots=True)
class SetWork:
    """Values computed from expressions."""

    value: Computed


Work: TypeAlias = ChatWork | FlowWork | CallWork | SetWork


@dataclass(frozen=True, slots=True)
class PlannedRepeat:
    """Again until a condition holds."""

    until: Computed
    max: int
    on_max: Literal["keep", "fail"]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step, ready to run as soon as all that it `waits` for has ended."""

    id: str
    kind: Literal["chat", "flow", "call", "set"]
    waits: tuple[str, ...]
    work: Work
    #: Type of one answer, before `foreach` makes a list of it.
    type: Type
    #: Type of `steps.x.output`.
    output: Type
    validator: Validator | None
    when: Computed | None = None
    foreach: Computed | None = None
    as_: str = "item"
    max_parallel: int | None = None
    repeat: PlannedRepeat | None = None
    checks: tuple[PlannedCheck, ...] = ()
    on_error: OnError = OnError()
    #: Steps whose absence skips this one (`on_skip: skip`).
    skips_with: tuple[str, ...] = ()
    place: Place | None = None
    #: So many answers instead of one, and which of them is the output; None: all, as a list.
    samples: int | None = None
    pick: Literal["first", "majority"] | None = None
    #: Whether an answer of a model is used again; a number: for that many seconds. None: nobody says.
    cache: bool | float | None = None
    #: The names of all variants, and the one that this is; None: the step as written.
    variants: tuple[str, ...] = ()
    variant: str | None = None


class ModelNames(Protocol):
    """Finds the server behind the name of a model, see flowkit.config."""

    @property
    def aliases(self) -> Mapping[str, Any]:
        """Aliases that the project defines."""

    def resolve(self, model: str, flow_models: Mapping[str, ModelSpec], overrides: Mapping[str, str]) -> Any:
        """Return what is known of a model. Raises UnknownModel."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole flow, in an order in which its steps could run."""

    name: str
    description: str
    path: Path
    shown: str
    inputs: Record
    input_validator: Validator
    values: Mapping[str, Any]
    steps: Mapping[str, PlannedStep]
    outputs: Computed | None
    output_type: Type
    #: Without `outputs`: the steps whose outputs are the outputs.
    leaves: tuple[str, ...] = ()
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    max_parallel: int | None = None
    #: What a run of this flow may use at most.
    limits: LimitsSpec = LimitsSpec()

    def walk(self, prefix: str = "", *, tools: bool = True) -> list[tuple[str, Plan, PlannedStep]]:
        """Return every step with its path: `step/inner` for those of sub-flows, `step/tool/inner` for flows that are tools, if `tools`."""
        found: list[tuple[str, Plan, PlannedStep]] = []
        for step in self.steps.values():
            found.append((prefix + step.id, self, step))
            if isinstance(step.work, FlowWork):
                found += step.work.plan.walk(f"{prefix}{step.id}/", tools=tools)
            if tools and isinstance(step.work, ChatWork):
                for each in step.work.tools:
                    if isinstance(each.target, Plan):
                        found += each.target.walk(f"{prefix}{step.id}/{each.tool.name}/")
        return found
