"""What one flow file says, as values with their places. Knows what is written, not whether it can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

from flowkit.errors import Place
from flowkit.source import Mapping as MappingNode
from flowkit.source import Node, Scalar, Sequence
from flowkit.types.algebra import Record, Type

# -- texts and expressions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A Jinja template as written under a text key."""

    value: str
    node: Scalar


@dataclass(frozen=True, slots=True)
class Expression:
    """A bare Jinja expression."""

    text: str
    node: Scalar


@dataclass(frozen=True, slots=True)
class Literal_:
    """A number, boolean or null under an expression key: itself."""

    value: int | float | bool | None
    node: Scalar


@dataclass(frozen=True, slots=True)
class ListOf:
    """A YAML list under an expression key; its strings are expressions."""

    items: tuple[Expr, ...]
    node: Sequence


@dataclass(frozen=True, slots=True)
class MapOf:
    """A YAML mapping under an expression key; its string values are expressions."""

    items: Mapping[str, Expr]
    node: MappingNode
    #: The key of each item, for its place.
    keys: Mapping[str, Scalar]


Expr: TypeAlias = Expression | Literal_ | ListOf | MapOf

# -- messages ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PartSpec:
    """A part of a message: `text`, `image_url`, `input_audio` or `file`, each of whose values is a template.

    `values` holds the keys of the part as the protocol names them: `text: {"text": …}`, `image_url: {"url": …, "detail": …}`,
    `input_audio: {"data": …, "format": …}`, `file: {"file_id": …}` or `{"filename": …, "file_data": …}`.
    """

    kind: Literal["text", "image_url", "input_audio", "file"]
    values: Mapping[str, Text]
    node: Node


@dataclass(frozen=True, slots=True)
class MessageSpec:
    """One entry under `messages`: a text or parts with a role, or a `history` expression."""

    role: str
    key: Scalar
    text: Text | None = None
    parts: tuple[PartSpec, ...] = ()
    history: Expr | None = None


@dataclass(frozen=True, slots=True)
class ExampleSpec:
    """A few-shot pair. `user` is a template, or plain text when it comes from a file.

    `assistant` is data of the step's type; for a step that answers text, a Text where the author wrote a template.
    """

    user: Text | str
    assistant: Any
    #: Where the assistant part stands.
    place: Place
    #: The node of the assistant part; None when it comes from a file.
    node: Node | None = None


# -- steps -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RepeatSpec:
    """`repeat`: again until `until` is true, at most `max` rounds."""

    until: Expr
    max: int
    on_max: Literal["keep", "fail"] = "keep"


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One entry of `checks`."""

    expr: Expr
    message: Text | None = None
    on_fail: Literal["fail", "record"] = "fail"


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """`retry`: how often and on what a call is made again. Delays in seconds. None: the default of the client."""

    attempts: int | None = None
    on: tuple[str, ...] | None = None
    initial: float | None = None
    factor: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class TimeoutSpec:
    """`timeout` in seconds: of each attempt, and of the step with all its attempts."""

    attempt: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True)
class OnError:
    """`on_error`: fail, skip, or go on with a default."""

    action: Literal["fail", "skip", "default"] = "fail"
    default: Any = None
    node: Node | None = None


Kind = Literal["chat", "flow", "call", "set"]


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step as written. Names in `needs`, `model`, `uses`, `call` are scalars, so that a mistake has a place."""

    id: str
    key: Scalar
    node: MappingNode
    kind: Kind
    # chat
    messages: tuple[MessageSpec, ...] = ()
    examples: tuple[ExampleSpec, ...] = ()
    tools: tuple[Scalar, ...] = ()
    #: The declared type; None when none is written.
    output: Type | None = None
    output_node: Node | None = None
    # sub-flow, function
    uses: Scalar | None = None
    call: Scalar | None = None
    with_: Expr | None = None
    # values
    set: Expr | None = None
    # modifiers
    needs: tuple[Scalar, ...] = ()
    when: Expr | None = None
    foreach: Expr | None = None
    as_: str | None = None
    max_parallel: int | None = None
    repeat: RepeatSpec | None = None
    #: Aliases or provider/model in order of fallback; empty: the default of the flow.
    model: tuple[Scalar, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    #: The key node of each parameter, and of each key below `extra_body`.
    param_keys: Mapping[str, Scalar] = field(default_factory=dict)
    checks: tuple[CheckSpec, ...] = ()
    retry: RetrySpec | None = None
    timeout: TimeoutSpec | None = None
    #: None: not written; False: off; True: on; a number: on, for that many seconds.
    cache: bool | float | None = None
    on_error: OnError = OnError()
    on_skip: Literal["run", "skip"] = "run"
    samples: int | None = None
    pick: Literal["first", "majority"] | None = None
    #: The whole step as it is with each variant.
    variants: Mapping[str, StepSpec] = field(default_factory=dict)
    #: The key of the variant that this is; None: the step as written.
    variant: Scalar | None = None
    #: The key node of every key written on the step, by name.
    keys: Mapping[str, Scalar] = field(default_factory=dict)


# -- the file ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ValueSpec:
    """A typed constant under `values`. `type` is declared or, when not written, inferred from the value."""

    name: str
    key: Scalar
    type: Type
    value: Any


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """An alias under `models`: `model` is `provider/model` or another alias; the rest as in flowkit.toml."""

    name: str
    key: Scalar
    model: str
    settings: Mapping[str, Any]
    #: The scalar that names the model.
    node: Scalar


@dataclass(frozen=True, slots=True)
class DefaultsSpec:
    """`defaults` for the steps of this file."""

    model: tuple[Scalar, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    param_keys: Mapping[str, Scalar] = field(default_factory=dict)
    timeout: TimeoutSpec | None = None
    retry: RetrySpec | None = None
    cache: bool | float | None = None
    max_parallel: int | None = None


@dataclass(frozen=True, slots=True)
class LimitsSpec:
    """`limits` of a run; None: no limit. `cost` is in US dollars."""

    calls: int | None = None
    tokens: int | None = None
    cost: Decimal | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FlowSpec:
    """One flow file, read. `path` is absolute; `shown` is the path as people see it in messages."""

    path: Path
    shown: str
    root: Path
    node: MappingNode
    name: str
    description: str = ""
    #: Named types by name; a record has its name.
    types: Mapping[str, Type] = field(default_factory=dict)
    type_keys: Mapping[str, Scalar] = field(default_factory=dict)
    values: Mapping[str, ValueSpec] = field(default_factory=dict)
    inputs: Record = Record(())
    input_keys: Mapping[str, Scalar] = field(default_factory=dict)
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    defaults: DefaultsSpec = DefaultsSpec()
    limits: LimitsSpec = LimitsSpec()
    steps: Mapping[str, StepSpec] = field(default_factory=dict)
    outputs: Expr | None = None
    tests: Node | None = None
    #: Names in `types` that some other part of the file refers to.
    used_types: frozenset[str] = frozenset()
