"""What a name or expression can be besides a value with a type: `steps`, one step, a macro, a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from jinja2 import nodes

from flowkit.types.algebra import ANY, BOOLEAN, INTEGER, MESSAGES, NULL, STRING, Field, List, Record, Type, nullable, union

if TYPE_CHECKING:
    from typing_extensions import TypeIs

#: `steps.x.error`, absent where the step did not fail.
STEP_ERROR = nullable(Record((Field("kind", STRING), Field("message", STRING)), name="error"))


@dataclass(frozen=True, slots=True)
class Steps:
    """The name `steps` itself."""


@dataclass(frozen=True, slots=True)
class StepKind:
    """`steps.x`: what the checker knows of one step.

    `output` is the type when the step ran. `causes` says why it may be absent: `when`, `error`, `on_skip`.
    """

    id: str
    kind: str
    output: Type
    causes: frozenset[str] = frozenset()
    #: What holds when the step runs, None where that is not known.
    condition: Condition | None = None
    #: What is known where its condition did not hold.
    denied: Facts = frozenset()
    #: What is known wherever the step is known to have run.
    facts: Facts = frozenset()
    #: Type of one item of a `foreach`, else None.
    item: Type | None = None
    #: Type of one item's output.
    item_output: Type | None = None

    def results(self) -> Record:
        """Return the type of one entry of `steps.x.results`."""
        output = self.item_output if self.item_output is not None else NULL
        item = self.item if self.item is not None else NULL
        return Record(
            (Field("item", item), Field("output", nullable(output)), Field("error", STEP_ERROR), Field("skipped", BOOLEAN)), name="result"
        )

    def names(self) -> list[str]:
        """Return the names that stand behind `steps.x.`."""
        names = ["output", "skipped", "error"]
        if self.kind == "chat":
            names.append("messages")
        if self.item is not None:
            names.append("results")
        return names

    def attribute(self, name: str) -> Type | None:
        """Return the type behind `steps.x.NAME` of a step that ran, or None."""
        match name:
            case "output":
                return self.output
            case "skipped":
                return BOOLEAN
            case "error":
                return STEP_ERROR
            case "messages" if self.kind == "chat":
                return MESSAGES
            case "results" if self.item is not None:
                return List(self.results())
        return None


@dataclass(frozen=True, slots=True)
class Row:
    """A tuple with a type for each place, as `items` and `for a, b in` know it."""

    items: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of tuples, as `items`, `dictsort` and `groupby` give it."""

    item: Row


@dataclass(frozen=True, slots=True, eq=False)
class MacroKind:
    """A macro: its node, the names it sees besides its arguments, and the text that it stands in."""

    node: nodes.Macro | nodes.CallBlock
    scope: object
    site: object


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a text or list that needs brackets; `returns` is what the call gives."""

    name: str
    returns: Type


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the templates themselves: `range`, `dict`, `namespace`, `caller`, `loop.cycle`."""

    name: str


@dataclass(frozen=True, slots=True)
class Loop:
    """The name `loop` inside a `for`."""

    item: Kind

    def attribute(self, name: str) -> Kind | None:
        """Return what `loop.NAME` is, or None."""
        match name:
            case "index" | "index0" | "revindex" | "revindex0" | "length" | "depth" | "depth0":
                return INTEGER
            case "first" | "last":
                return BOOLEAN
            case "previtem" | "nextitem":
                return nullable(self.item) if is_type(self.item) else self.item
            case "cycle" | "changed":
                return Function(f"loop.{name}")
        return None


LOOP_NAMES = "index index0 revindex revindex0 first last length previtem nextitem cycle changed depth depth0".split()


@dataclass(frozen=True, slots=True, eq=False)
class Namespace:
    """A `namespace(…)`: its attributes may be set anywhere, so their types are not followed."""

    names: set[str] = field(default_factory=set)
    #: Whether it may hold more than is known: `namespace(some_mapping)`.
    open: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """What `{% import 'x' as m %}` gives: macros by name."""

    macros: Mapping[str, Kind]


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """A condition of a step: its tree, the names that it sees, and the words of the enums that it compares, by their keys."""

    tree: nodes.Node
    scope: object
    words: Mapping[str, frozenset[str]]


#: Things that are known to hold at a point, see `narrowing`.
Facts: TypeAlias = frozenset[tuple[str, str]]

Special: TypeAlias = Steps | StepKind | Row | Rows | MacroKind | Method | Function | Loop | Namespace | Module
Kind: TypeAlias = Type | Special

_SPECIAL = (Steps, StepKind, Row, Rows, MacroKind, Method, Function, Loop, Namespace, Module)


def is_type(kind: Kind) -> TypeIs[Type]:
    """Tell whether a kind is an ordinary value with a type."""
    return not isinstance(kind, _SPECIAL)


def join(a: Kind, b: Kind) -> Kind:
    """Return what an expression is that is one or the other."""
    if isinstance(a, _SPECIAL) or isinstance(b, _SPECIAL):
        return a if a == b else ANY
    return union(a, b)
