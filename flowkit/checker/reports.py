"""Say what is wrong with an expression: one function for each kind of mistake that types can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jinja2 import nodes

from flowkit.checker.kinds import Function, Kind, Loop, MacroKind, Method, Module, Namespace, Row, Rows, StepKind, Steps
from flowkit.checker.scope import Scope, Site, did_you_mean
from flowkit.checker.tree import spelled
from flowkit.errors import Problems
from flowkit.types.algebra import (
    AnyType,
    Boolean,
    Const,
    Date,
    DateTime,
    Enum,
    Integer,
    List,
    Map,
    Null,
    Number,
    Object,
    Record,
    String,
    Type,
    members,
    widen,
)
from flowkit.types.wording import spell as spell_type

#: Jinja helpers of other tools that do not exist here, and what to write instead.
_ELSEWHERE = {
    "now": "a flow knows no clock; make the time an input",
    "random": "a flow knows no chance; make the value an input",
    "lipsum": "this helper does not exist here",
    "cycler": "use `loop.cycle(…)`",
    "joiner": "use the filter `join` or `loop.first`",
    "env": "a flow cannot read the environment; make the value an input",
    "environ": "a flow cannot read the environment; make the value an input",
    "item": "`item` exists only in a step with `foreach` and without `as`",
    "output": "`output` exists only in `until` and `checks`; the answer of another step is `steps.NAME.output`",
    "previous": "`previous` exists only in a step with `repeat`",
    "round": "`round` exists only in a step with `repeat`",
    "loop": "`loop` exists only inside `{% for %}`",
    "null": "write none",
    "nil": "write none",
    "undefined": "write `is not defined`, or none",
    "len": "use the filter `length`",
    "str": "use the filter `string`, or `~`",
    "int": "use the filter `int`",
    "float": "use the filter `float`",
    "list": "use the filter `list`",
    "sum": "use the filter `sum`",
    "max": "use the filter `max`",
    "min": "use the filter `min`",
    "sorted": "use the filter `sort`",
    "enumerate": "use `loop.index`",
    "zip": "go through one list and take `other[loop.index0]`",
    "this": "write inputs.NAME or steps.NAME.output",
    "input": "write inputs.NAME",
}


#: Functions that are always there, which nobody means by a misspelt name.
_FUNCTIONS = frozenset({"range", "dict", "namespace", "varargs", "kwargs", "caller"})


def spell(type_: Type) -> str:
    """Return a type in the words of the format."""
    return spell_type(widen(type_))


def sorts(type_: Type) -> set[str] | None:
    """Return the kinds of JSON that a value of this type can be, absence left out; None where that is not known."""
    found = set()
    for m in members(type_):
        match m:
            case AnyType():
                return None
            case String() | Enum() | Date() | DateTime() | Const(str()):
                found.add("text")
            case Boolean() | Const(bool()):
                found.add("boolean")
            case Integer() | Number() | Const():
                found.add("number")
            case List():
                found.add("list")
            case Map() | Record() | Object():
                found.add("mapping")
            case Null():
                pass
    return found


def name_kind(kind: Kind) -> str:
    """Return what a kind is called in a message."""
    match kind:
        case Steps():
            return "all steps"
        case StepKind():
            return "a step"
        case Row():
            return "a pair"
        case Rows():
            return "a list of pairs"
        case MacroKind() | Method() | Function():
            return "a function"
        case Loop():
            return "the loop"
        case Namespace() | Module():
            return "a namespace"
    return spell(kind)


@dataclass(slots=True)
class Uses:
    """What the texts of a file read, to find what nobody reads."""

    inputs: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    steps: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Reports:
    """Problems of one text. `who` is what reads it: "step 'reply'", "the outputs"."""

    problems: Problems
    site: Site
    who: str
    steps: Mapping[str, StepKind]
    #: Whether the text is a bare expression, in which no block can stand.
    expression: bool = False

    def error(self, code: str, start: int, length: int, message: str, hint: str | None = None) -> None:
        """Report a mistake at a piece of the text."""
        self.problems.error(code, self.site.at(start, length), message, hint)

    def unknown_name(self, node: nodes.Name, scope: Scope) -> None:
        """Report a name that is not there."""
        hint = scope.instead(node.name)
        if hint is None:
            hint = _ELSEWHERE.get(node.name) or did_you_mean(
                node.name, [n for n in scope.visible() if n not in _FUNCTIONS], "the names here are"
            )
            for root in ("inputs", "values"):
                found = scope.find(root)
                if found is not None and isinstance(found.kind, Record) and found.kind.get(node.name):
                    hint = f"did you mean '{root}.{node.name}'?"
            if node.name in self.steps:
                hint = f"did you mean 'steps.{node.name}.output'?"
            if self.expression and self.site.text.strip() == node.name and not (hint or "").startswith("`"):
                near = f"{hint[:-1]}? If it is a text, " if hint and hint.startswith("did you mean") else "for the text "
                hint = f"{near}write \"'{node.name}'\""
        self.error("unknown-name", node.lineno, len(node.name), f"unknown name {node.name!r}", hint)

    def unknown_step(self, start: int, name: str, ids: list[str]) -> None:
        """Report a step that is not there."""
        if any(id_ != name and id_.replace("-", "_").lower() == name for id_ in ids):
            return  # its id is wrong, which was reported with this very name as the way out
        self.error(
            "unknown-step",
            start,
            len(name),
            f"{self.who} {'read' if self.who.endswith('s') else 'reads'} 'steps.{name}', which is not a step",
            did_you_mean(name, ids, "the steps are"),
        )

    def unknown_field(self, start: int, name: str, base: nodes.Node, kind: Kind, names: list[str]) -> None:
        """Report a field that a record does not have."""
        hint = did_you_mean(name, names, "it has")
        if name in {"items", "keys", "values", "get"} and not isinstance(kind, StepKind):
            hint = (
                "use the filter `items`: {% for key, value in x | items %}"
                if name == "items"
                else "mappings have no methods; name the field, or use the filter `items`"
            )
        self.error("unknown-field", start, len(name), f"'{spelled(base)}' has no field {name!r}", hint)

    def unknown_method(self, start: int, node: nodes.Getattr, type_: Type, names: list[str]) -> None:
        """Report a call of a method that a text or list does not have."""
        other = {
            "append": "make a new list: a + [b]",
            "join": "use the filter `join`",
            "format": "use the filter `format`, or `~`",
            "sort": "use the filter `sort`",
        }
        near = did_you_mean(node.attr, names) if len(names) > 2 else None
        hint = other.get(node.attr) or (near if near and near.startswith("did you mean") else None)
        self.error(
            "unknown-method", start, len(node.attr), f"'{spelled(node.node)}' is {spell(type_)}, which has no method {node.attr!r}", hint
        )

    def no_fields(self, start: int, name: str, base: nodes.Node, type_: Type, *, method: bool = False) -> None:
        """Report a field of something that has none."""
        hint = f"for the method write .{name}()" if method else None
        if isinstance(type_, List):
            hint = f"go through the list with `for`, take one with `first` or `[0]`, or all with `map(attribute='{name}')`"
        self.error("no-field", start, len(name), f"'{spelled(base)}' is {spell(type_)}, which has no field {name!r}", hint)

    def absent(self, start: int, length: int, origin: nodes.Node, step: str | None, why: str, *, surely: bool) -> None:
        """Report a value that may be absent where one is needed."""
        what = f"'{spelled(origin)}'"
        if surely:
            message = f"{what} is absent here" + (f": step {step!r} is skipped in this branch" if step else "")
        else:
            message = f"{what} may be absent" + (f": {why}" if why else "")
        if isinstance(origin, nodes.CondExpr):
            hint: str | None = "add `else`"
        elif surely:
            hint = "read it in the other branch, where the step ran" if step else None
        elif step and self.expression:
            hint = f"add `| default(…)`, ask first (`steps.{step}.output and …`), or give this step a `when:` or `on_skip: skip`"
        elif step:
            hint = f"read it inside {{% if steps.{step}.output %}}, or add `| default(…)`, a `when:` of this step, or `on_skip: skip`"
        elif self.expression:
            hint = f"add `| default(…)`, or ask first: `{spelled(origin)} and …`"
        else:
            hint = "read it inside {% if … %}, or add `| default(…)`"
        self.error("unhandled-absent", start, length, message, hint)
