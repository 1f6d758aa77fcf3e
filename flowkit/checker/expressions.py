"""Infer the type of every expression, and report what cannot be right. Knows no statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from jinja2 import nodes

from flowkit.checker.kinds import LOOP_NAMES, Facts, Function, Kind, Loop, MacroKind, Method, Module, Namespace, Row, StepKind, Steps, is_type, join
from flowkit.checker.narrowing import learn
from flowkit.checker.reports import Reports, Uses, name_kind, sorts, spell
from flowkit.checker.scope import Scope, did_you_mean
from flowkit.checker.tree import attribute_of, key_of, spelled, start_of, string_in, test_name_of
from flowkit.templates.filters import TESTS
from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    MISSING,
    NULL,
    NUMBER,
    STRING,
    AnyType,
    Const,
    Enum,
    Field,
    Integer,
    List,
    Map,
    Null,
    Object,
    Record,
    String,
    Type,
    expand,
    may_be_absent,
    members,
    nullable,
    present,
    union,
    widen,
)

if TYPE_CHECKING:
    from flowkit.errors import Problems

_ORDER = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_ARITHMETIC: Mapping[type[nodes.BinExpr], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
    nodes.Pow: "**",
}
#: What the methods of text return; each of them is pure.
_TEXT_METHODS: Mapping[str, Type] = (
    dict.fromkeys("capitalize casefold lower lstrip removeprefix removesuffix replace rstrip strip title upper".split(), STRING)
    | dict.fromkeys("count find index rfind".split(), INTEGER)
    | dict.fromkeys("split rsplit splitlines partition rpartition".split(), List(STRING))
    | dict.fromkeys(
        "endswith isalnum isalpha isascii isdecimal isdigit islower isnumeric isspace isupper startswith".split(),
        BOOLEAN,
    )
)
_LIST_METHODS: Mapping[str, Type] = {"count": INTEGER, "index": INTEGER}


class Expressions:
    """The types of the expressions of one text. Facts say what is known to hold at the point of the expression."""

    def __init__(self, problems: Problems, reports: Reports, steps: Mapping[str, StepKind], uses: Uses, me: str | None) -> None:
        self.problems = problems
        self.reports = reports
        self.steps = steps
        self.uses = uses
        #: The step that this text belongs to.
        self.me = me

    # -- entry ---------------------------------------------------------------------------------------------

    def infer(self, node: nodes.Node, scope: Scope, facts: Facts) -> Kind:
        """Return what an expression is; ANY after a problem, so that what follows from it stays silent."""
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            return handler(self, node, scope, facts)
        if isinstance(node, nodes.BinExpr):
            return self._arithmetic(node, scope, facts)
        for child in node.iter_child_nodes():
            self.infer(child, scope, facts)
        return ANY

    def value(self, node: nodes.Node, scope: Scope, facts: Facts) -> Type:
        """Return the type of an expression that must be a value: no step, no function."""
        kind = self.infer(node, scope, facts)
        if is_type(kind):
            return kind  # type: ignore[return-value]  # is_type says so
        if isinstance(kind, Row):
            return List(union(*(k if is_type(k) else ANY for k in kind.items)))  # type: ignore[misc]  # is_type says so
        start = start_of(node)
        hint = None
        if isinstance(kind, StepKind):
            hint = f"write 'steps.{kind.id}.output'"
        elif isinstance(kind, Steps):
            hint = "write steps.NAME.output"
        elif isinstance(kind, (MacroKind, Method, Function)):
            hint = "a call needs brackets: ()"
        self.reports.error("not-a-value", start, len(spelled(node)), f"'{spelled(node)}' is {name_kind(kind)}, not a value", hint)
        return ANY

    def need(self, node: nodes.Node, scope: Scope, facts: Facts) -> Type:
        """Return the type of an expression that must be there; reports when it may be absent."""
        type_ = self.value(node, scope, facts)
        if isinstance(type_, Const) or not may_be_absent(type_):
            return type_
        self._report_absent(node, type_, scope, facts)
        rest = [m for m in members(type_) if not isinstance(m, Null)]
        return union(*rest) if rest else ANY

    def _report_absent(self, node: nodes.Node, type_: Type, scope: Scope, facts: Facts) -> None:
        origin = self._origin(node, scope, facts)
        surely = all(isinstance(m, Null) for m in members(type_))
        step: str | None = None
        why = ""
        if isinstance(origin, (nodes.Getattr, nodes.Getitem)):
            base = self._quietly(origin.node, scope, facts)
            start, length = attribute_of(self.reports.site.text, origin)
            if isinstance(base, StepKind):
                step, why = base.id, _why(base)
            elif isinstance(base, (Record, Loop)):
                why = "the field is optional"
        else:
            start, length = start_of(origin), 1
            if isinstance(origin, nodes.Name):
                length = len(origin.name)
                step = self._step_behind(origin, scope)
            elif isinstance(origin, nodes.CondExpr):
                why = "`if` without `else` gives nothing when the condition is false"
            elif isinstance(origin, nodes.Const):
                surely = True
        self.reports.absent(start, length, origin, step, why, surely=surely and not isinstance(origin, nodes.CondExpr))

    def _step_behind(self, node: nodes.Name, scope: Scope) -> str | None:
        key = key_of(node, scope) or ""
        parts = key.split(".")
        return parts[1] if parts[0] == "steps" and len(parts) > 1 and parts[1] in self.steps else None

    def _origin(self, node: nodes.Node, scope: Scope, facts: Facts) -> nodes.Node:
        """Return the innermost part of an expression that may be absent."""
        match node:
            case nodes.Getattr() | nodes.Getitem():
                base = self._quietly(node.node, scope, facts)
                if is_type(base) and may_be_absent(base):  # type: ignore[arg-type]  # is_type says so
                    return self._origin(node.node, scope, facts)
            case nodes.Filter() if node.node is not None:
                base = self._quietly(node.node, scope, facts)
                if is_type(base) and may_be_absent(base):  # type: ignore[arg-type]  # is_type says so
                    return self._origin(node.node, scope, facts)
            case nodes.CondExpr():
                return node
        return node

    def _quietly(self, node: nodes.Node, scope: Scope, facts: Facts) -> Kind:
        """Infer again, for a message, without reporting anything twice."""
        known = len(self.problems.found)
        kind = self.infer(node, scope, facts)
        del self.problems.found[known:]
        return kind

    # -- names and paths -----------------------------------------------------------------------------------

    def _name(self, node: nodes.Name, scope: Scope, facts: Facts) -> Kind:
        binding = scope.find(node.name)
        if binding is None:
            self.reports.unknown_name(node, scope)
            return ANY
        if binding.key in {"inputs", "values"} and isinstance(binding.kind, Record):
            # Used whole unless a look-up takes one field, see `_lookup`.
            getattr(self.uses, binding.key).update(binding.kind.names())
        return self._narrowed(binding.kind, node, scope, facts)

    def _narrowed(self, kind: Kind, node: nodes.Node, scope: Scope, facts: Facts) -> Kind:
        if not facts or not is_type(kind) or isinstance(kind, Const):
            return kind
        key = key_of(node, scope)
        if key is None:
            return kind
        if ("absent", key) in facts and not isinstance(kind, AnyType):
            return NULL
        if ("present", key) in facts and may_be_absent(kind):  # type: ignore[arg-type]  # is_type says so
            return present(kind)  # type: ignore[arg-type]  # is_type says so
        return kind

    def _getattr(self, node: nodes.Getattr, scope: Scope, facts: Facts) -> Kind:
        return self._narrowed(self._lookup(node, node.attr, scope, facts), node, scope, facts)

    def _getitem(self, node: nodes.Getitem, scope: Scope, facts: Facts) -> Kind:
        arg = node.arg
        if isinstance(arg, nodes.Const) and isinstance(arg.value, str):
            return self._narrowed(self._lookup(node, arg.value, scope, facts), node, scope, facts)
        base = self.infer(node.node, scope, facts)
        if isinstance(base, Steps):
            self.reports.error("dynamic-step", start_of(arg), 1, "the name of a step must be a literal: steps[…] with a computed name cannot be checked", "name the step: steps.NAME.output")
            return ANY
        if isinstance(arg, nodes.Slice):
            for part in arg.iter_child_nodes():
                self.need(part, scope, facts)
            return self._slice(node, base, scope, facts)
        self.need(arg, scope, facts)
        if isinstance(base, Row):
            at = arg.value if isinstance(arg, nodes.Const) else None
            return base.items[at] if isinstance(at, int) and -len(base.items) <= at < len(base.items) else ANY
        if not is_type(base):
            return ANY
        found: list[Type] = []
        for m in members(base):  # type: ignore[arg-type]  # is_type says so
            match m:
                case List():
                    found.append(m.item)
                case Map():
                    found.append(m.value)
                case Null():
                    found.append(NULL)
                case String() | Enum() | Const(str()):
                    found.append(STRING)
                case _:
                    return ANY
        return self._narrowed(union(*found), node, scope, facts)

    def _slice(self, node: nodes.Getitem, base: Kind, scope: Scope, facts: Facts) -> Kind:
        if not is_type(base):
            return ANY
        if may_be_absent(base):  # type: ignore[arg-type]  # is_type says so
            base = self.need(node.node, scope, facts)
        kinds = sorts(base)  # type: ignore[arg-type]  # is_type says so
        if kinds is not None and kinds - {"text", "list"}:
            self.reports.error("no-slice", start_of(node.node), len(spelled(node.node)), f"'{spelled(node.node)}' is {spell(base)}, of which no part can be cut", None)  # type: ignore[arg-type]
            return ANY
        if kinds == {"list"}:
            return union(*(List(m.item) for m in members(base) if isinstance(m, List)))  # type: ignore[arg-type]
        return STRING if kinds == {"text"} else ANY

    def _lookup(self, node: nodes.Getattr | nodes.Getitem, name: str, scope: Scope, facts: Facts) -> Kind:
        """Return what `base.name` is."""
        base_node = node.node
        if isinstance(base_node, nodes.Name):
            root = scope.find(base_node.name)
            if root is not None and root.key in {"inputs", "values"} and isinstance(root.kind, Record):
                getattr(self.uses, root.key).add(name)
                return self._field(node, name, root.kind)
        base = self.infer(base_node, scope, facts)
        start, _ = attribute_of(self.reports.site.text, node)
        match base:
            case Steps():
                return self._step(start, name)
            case StepKind():
                return self._of_step(base, node, name, scope, facts)
            case Loop():
                found = base.attribute(name)
                if found is None:
                    self.reports.unknown_field(start, name, base_node, base, LOOP_NAMES)
                return ANY if found is None else found
            case Module():
                if name not in base.macros:
                    self.reports.unknown_field(start, name, base_node, base, list(base.macros))
                return base.macros.get(name, ANY)
            case Row() | MacroKind() | Method() | Function() | Namespace():
                return ANY
        return self._field(node, name, base)

    def _step(self, start: int, name: str) -> Kind:
        if name == self.me:
            return ANY  # a circle of one; the plan reports it
        found = self.steps.get(name)
        if found is None:
            self.reports.unknown_step(start, name, [s for s in self.steps if s != self.me])
            return ANY
        self.uses.steps.add(name)
        return found

    def _of_step(self, step: StepKind, node: nodes.Getattr | nodes.Getitem, name: str, scope: Scope, facts: Facts) -> Kind:
        found = step.attribute(name)
        start, length = attribute_of(self.reports.site.text, node)
        if found is None:
            if name in {"results", "messages"}:
                which = "foreach" if name == "results" else "messages or a prompt"
                self.reports.error("unknown-field", start, length, f"step {step.id!r} has no {name!r}: only a step with {which} has", None)
            else:
                field = _field_of(step.output, name)
                hint = f"did you mean 'steps.{step.id}.output.{name}'?" if field else None
                if hint:
                    self.reports.error("unknown-field", start, length, f"'steps.{step.id}' has no field {name!r}", hint)
                else:
                    self.reports.unknown_field(start, name, node.node, step, step.names())
            return ANY
        if name in {"skipped", "error"}:
            return found
        return nullable(found) if self._causes_left(step, facts) else found

    def _causes_left(self, step: StepKind, facts: Facts) -> frozenset[str]:
        """Return why a step may have been skipped, after all that is known here."""
        causes = step.causes
        if not causes or ("ran", step.id) in facts:
            return frozenset()
        if "when" in causes and step.conditions and all(("true", c) in facts for c in step.conditions):
            causes -= {"when"}
        if ("absent", f"steps.{step.id}.error") in facts:
            causes -= {"error"}
        return causes

    def _field(self, node: nodes.Getattr | nodes.Getitem, name: str, base: Kind) -> Type:
        """Return the type of a field of an ordinary value; a field of what is absent is absent."""
        start, _ = attribute_of(self.reports.site.text, node)
        found: list[Type] = []
        lacking: list[Record] = []
        bare: list[Type] = []
        for m in members(base):  # type: ignore[arg-type]  # only called for types
            match m:
                case Null():
                    found.append(NULL)
                case Record():
                    field = m.get(name)
                    if field is None:
                        lacking.append(m)
                    else:
                        found.append(nullable(field.type) if _left_out(field) else field.type)
                case Map():
                    found.append(m.value)
                case AnyType() | Object():
                    return ANY
                case String() | Enum() | Const(str()) if name in _TEXT_METHODS:
                    return ANY
                case _:
                    bare.append(m)
        real = [f for f in found if not isinstance(f, Null)]
        if not real and lacking:
            self.reports.unknown_field(start, name, node.node, lacking[0], [n for r in lacking for n in r.names()])
            return ANY
        if not real and bare:
            self.reports.no_fields(start, name, node.node, bare[0])
            return ANY
        if lacking:
            found.append(NULL)
        return union(*found) if found else ANY

    # -- literals ------------------------------------------------------------------------------------------

    def _const(self, node: nodes.Const, _scope: Scope, _facts: Facts) -> Kind:
        return NULL if node.value is None else Const(node.value)

    def _list(self, node: nodes.List | nodes.Tuple, scope: Scope, facts: Facts) -> Kind:
        kinds = [self.infer(i, scope, facts) for i in node.items]
        if isinstance(node, nodes.Tuple):
            return Row(tuple(kinds))
        return List(union(*(k if is_type(k) else ANY for k in kinds))) if kinds else List(ANY)  # type: ignore[misc]

    def _dict(self, node: nodes.Dict, scope: Scope, facts: Facts) -> Kind:
        fields: dict[str, Type] = {}
        named = True
        for pair in node.items:
            self.need(pair.key, scope, facts)
            type_ = self.value(pair.value, scope, facts)
            if isinstance(pair.key, nodes.Const) and isinstance(pair.key.value, str):
                fields[pair.key.value] = type_
            else:
                named = False
        if named and fields:
            return Record(tuple(Field(name, type_) for name, type_ in fields.items()))
        return Map(union(*fields.values())) if named and fields else Map(ANY)

    # -- logic ---------------------------------------------------------------------------------------------

    def condition(self, node: nodes.Node, scope: Scope, facts: Facts) -> tuple[Facts, Facts, Kind]:
        """Check a condition; return what holds where it is true, what where it is false, and its own kind."""
        kind = self.infer(node, scope, facts)
        if isinstance(kind, (Steps, StepKind, MacroKind, Method, Function)):
            self.value(node, scope, facts)
        return facts | learn(node, scope, self.steps, truth=True), facts | learn(node, scope, self.steps, truth=False), kind

    def _and_or(self, node: nodes.And | nodes.Or, scope: Scope, facts: Facts) -> Kind:
        true, false, left = self.condition(node.left, scope, facts)
        right = self.infer(node.right, scope, true if isinstance(node, nodes.And) else false)
        if isinstance(node, nodes.Or) and is_type(left):
            return join(present(left) if may_be_absent(left) else left, right)  # type: ignore[arg-type]
        return join(left, right)

    def _not(self, node: nodes.Not, scope: Scope, facts: Facts) -> Kind:
        self.condition(node.node, scope, facts)
        return BOOLEAN

    def _choice(self, node: nodes.CondExpr, scope: Scope, facts: Facts) -> Kind:
        true, false, _ = self.condition(node.test, scope, facts)
        yes = self.infer(node.expr1, scope, true)
        return join(yes, NULL if node.expr2 is None else self.infer(node.expr2, scope, false))

    def _compare(self, node: nodes.Compare, scope: Scope, facts: Facts) -> Kind:
        left_node = node.expr
        left = self.infer(left_node, scope, facts)
        for operand in node.ops:
            right = self.infer(operand.expr, scope, facts)
            if operand.op in _ORDER:
                left_type, right_type = self.need(left_node, scope, facts), self.need(operand.expr, scope, facts)
                self._order(_ORDER[operand.op], left_node, left_type, operand.expr, right_type)
            elif operand.op in {"in", "notin"}:
                self._contains(left_node, left, operand.expr, self.need(operand.expr, scope, facts))
            else:
                self._equal(left_node, left, operand.expr, right)
            left_node, left = operand.expr, right
        return BOOLEAN

    def _order(self, sign: str, left_node: nodes.Node, left: Type, right_node: nodes.Node, right: Type) -> None:
        a, b = sorts(left), sorts(right)
        for node, type_, kinds in ((left_node, left, a), (right_node, right, b)):
            if kinds is not None and kinds and not kinds - {"mapping", "null"}:
                self.reports.error("comparison", start_of(node), 1, f"'{spelled(node)}' is {spell(type_)}, which has no order for `{sign}`")
                return
        if a and b and not _alike(a, b):
            self.reports.error("comparison", start_of(left_node), 1, f"{spell(left)} `{sign}` {spell(right)} cannot be compared", "compare two numbers or two texts; `| int` makes a number of a text")

    def _equal(self, left_node: nodes.Node, left: Kind, right_node: nodes.Node, right: Kind) -> None:
        if not is_type(left) or not is_type(right):
            for node, kind in ((left_node, left), (right_node, right)):
                if isinstance(kind, (StepKind, Steps)):
                    self.reports.error("not-a-value", start_of(node), len(spelled(node)), f"'{spelled(node)}' is {name_kind(kind)}, not a value", f"write '{spelled(node)}.output'")
            return
        for one, one_type, other, other_type in ((left_node, left, right_node, right), (right_node, right, left_node, left)):
            if self._missing_word(one, one_type, other, other_type):  # type: ignore[arg-type]
                return
        a, b = sorts(left), sorts(right)  # type: ignore[arg-type]
        if a and b and not _alike(a, b) and not (may_be_absent(left) and may_be_absent(right)):  # type: ignore[arg-type]
            self.reports.error("comparison", start_of(right_node), 1, f"{spell(left)} is never equal to {spell(right)}", None)  # type: ignore[arg-type]

    def _missing_word(self, one: nodes.Node, one_type: Type, other: nodes.Node, type_: Type) -> bool:
        """Report a literal word that an enum does not hold."""
        if not isinstance(one_type, Const) or not isinstance(one_type.value, str):
            return False
        alternatives = [m for m in members(type_) if not isinstance(m, Null)]
        if not alternatives or not all(isinstance(m, Enum) for m in alternatives):
            return False
        words = [w for m in alternatives if isinstance(m, Enum) for w in m.words]
        if one_type.value in words:
            return False
        start, length = string_in(self.reports.site.text, one)
        self.reports.error("enum-word", start, length, f"'{spelled(other)}' is never {one_type.value!r}: it is one of {', '.join(words)}", did_you_mean(one_type.value, words, "the words are"))
        return True

    def _contains(self, item_node: nodes.Node, item: Kind, holder_node: nodes.Node, holder: Type) -> None:
        if isinstance(holder_node, (nodes.List, nodes.Tuple)):
            for word in holder_node.items:
                if isinstance(word, nodes.Const) and isinstance(word.value, str) and is_type(item):
                    self._missing_word(word, Const(word.value), item_node, item)  # type: ignore[arg-type]
        kinds = sorts(holder)
        if kinds and not kinds - {"number", "boolean"}:
            self.reports.error("comparison", start_of(holder_node), 1, f"'{spelled(holder_node)}' is {spell(holder)}, which holds nothing: `in` needs a list, a mapping or a text")
            return
        if not is_type(item):
            return
        of_item = sorts(item)  # type: ignore[arg-type]
        if kinds == {"text"} and of_item and "text" not in of_item:
            self.reports.error("comparison", start_of(item_node), 1, f"{spell(item)} is never in a text", None)  # type: ignore[arg-type]
        elif kinds == {"list"}:
            items = [m.item for m in members(holder) if isinstance(m, List)]
            held = sorts(union(*items))
            for i in items:
                if self._missing_word(item_node, item, holder_node, i):  # type: ignore[arg-type]
                    return
            if held and of_item and not _alike(held, of_item):
                self.reports.error("comparison", start_of(item_node), 1, f"{spell(item)} is never in {spell(holder)}", None)  # type: ignore[arg-type]

    # -- arithmetic and text -------------------------------------------------------------------------------

    def _arithmetic(self, node: nodes.BinExpr, scope: Scope, facts: Facts) -> Kind:
        sign = _ARITHMETIC.get(type(node), "?")
        left, right = self.need(node.left, scope, facts), self.need(node.right, scope, facts)
        a, b = sorts(left), sorts(right)
        if not a or not b or len(a) > 1 or len(b) > 1:
            return ANY
        (one,), (other,) = a, b
        if one in {"number", "boolean"} and other in {"number", "boolean"}:
            whole = sign not in {"/", "**"} and all(isinstance(m, Integer) or (isinstance(m, Const) and isinstance(m.value, int)) for t in (left, right) for m in members(t))
            return INTEGER if whole else NUMBER
        if sign == "+" and one == other == "text":
            return STRING
        if sign == "+" and one == other == "list":
            return List(union(*(m.item for t in (left, right) for m in members(t) if isinstance(m, List))))
        if sign == "*" and {one, other} in ({"text", "number"}, {"list", "number"}):
            return left if other == "number" else right
        wrong, type_ = (node.left, left) if one not in {"number", "boolean"} else (node.right, right)
        hint = "join texts with `~`" if sign == "+" and "text" in {one, other} else "`| int` or `| float` makes a number of a text" if "text" in {one, other} else None
        self.reports.error("arithmetic", start_of(wrong), len(spelled(wrong)) if isinstance(wrong, (nodes.Name, nodes.Getattr)) else 1, f"`{sign}` on {spell(left)} and {spell(right)}: '{spelled(wrong)}' is {spell(type_)}, not a number", hint)
        return ANY

    def _sign(self, node: nodes.UnaryExpr, scope: Scope, facts: Facts) -> Kind:
        type_ = self.need(node.node, scope, facts)
        kinds = sorts(type_)
        if isinstance(type_, Const) and not isinstance(type_.value, str):
            return Const(-type_.value) if isinstance(node, nodes.Neg) else type_
        if kinds and not kinds & {"number", "boolean"}:
            self.reports.error("arithmetic", start_of(node.node), 1, f"'{spelled(node.node)}' is {spell(type_)}, not a number")
            return ANY
        return widen(type_) if kinds else ANY

    def _concat(self, node: nodes.Concat, scope: Scope, facts: Facts) -> Kind:
        for part in node.nodes:
            self.need(part, scope, facts)
        return STRING

    # -- calls, filters, tests -----------------------------------------------------------------------------

    def _call(self, node: nodes.Call, scope: Scope, facts: Facts) -> Kind:
        target = node.node
        if isinstance(target, nodes.Getattr):
            method = self._method(target, scope, facts)
            if method is not None:
                self._arguments(node, scope, facts)
                return method
        kind = self.infer(target, scope, facts)
        match kind:
            case MacroKind():
                return self.call_macro(node, kind, scope, facts)
            case Function("range"):
                self._arguments(node, scope, facts)
                return List(INTEGER)
            case Function("namespace"):
                self._arguments(node, scope, facts)
                return Namespace({k.key for k in node.kwargs})
            case Function("dict"):
                types = {k.key: self.value(k.value, scope, facts) for k in node.kwargs}
                self._arguments(node, scope, facts)
                return Record(tuple(Field(k, t) for k, t in types.items())) if types and not node.args else Map(ANY)
            case Function("caller"):
                self._arguments(node, scope, facts)
                return STRING
            case Function("loop.changed"):
                self._arguments(node, scope, facts)
                return BOOLEAN
            case Function():
                kinds = [self.infer(a, scope, facts) for a in node.args]
                return union(*(k for k in kinds if is_type(k))) if kinds and all(map(is_type, kinds)) else ANY  # type: ignore[misc]
        self._arguments(node, scope, facts)
        if is_type(kind) and not isinstance(expand(kind), AnyType) and not isinstance(kind, AnyType):  # type: ignore[arg-type]
            self.reports.error("not-a-function", start_of(target), len(spelled(target)), f"'{spelled(target)}' is {name_kind(kind)}, which cannot be called")
        elif isinstance(kind, (Steps, StepKind)):
            self.value(target, scope, facts)
        return ANY

    def _method(self, node: nodes.Getattr, scope: Scope, facts: Facts) -> Kind | None:
        """Return what a call of a method of text or list gives, or None where it is no such method."""
        if isinstance(node.node, nodes.Name) and node.node.name in {"steps", "inputs", "values"}:
            return None
        base = self._quietly(node.node, scope, facts)
        if not is_type(base):
            return None
        kinds = sorts(base)  # type: ignore[arg-type]
        table = _TEXT_METHODS if kinds == {"text"} else _LIST_METHODS if kinds == {"list"} else {}
        if node.attr not in table:
            if kinds == {"mapping"} and node.attr in {"items", "keys", "values", "get"} and not any(isinstance(m, Record) for m in members(base)):  # type: ignore[arg-type]
                start, _ = attribute_of(self.reports.site.text, node)
                self.reports.unknown_field(start, node.attr, node.node, base, [])
                return ANY
            return None
        self.need(node.node, scope, facts)
        return table[node.attr]

    def _arguments(self, node: nodes.Call | nodes.Filter | nodes.Test, scope: Scope, facts: Facts) -> None:
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

    def call_macro(self, node: nodes.Call, macro: MacroKind, scope: Scope, facts: Facts) -> Kind:
        """Check a call of a macro; the reader of statements knows how."""
        raise NotImplementedError

    def filter(self, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
        """Return what a filter gives; the reader of statements has the table of filters."""
        raise NotImplementedError

    def _filter(self, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
        return self.filter(node, scope, facts)

    def _test(self, node: nodes.Test, scope: Scope, facts: Facts) -> Kind:
        if node.name not in TESTS:
            at = test_name_of(self.reports.site.text, node)
            self.reports.error("unknown-test", at, len(node.name), f"there is no test {node.name!r}", did_you_mean(node.name, [t for t in TESTS if t.isalpha()]))
            self.infer(node.node, scope, facts)
            return BOOLEAN
        if node.name in {"odd", "even", "divisibleby"}:
            self.need(node.node, scope, facts)
        elif node.name in {"eq", "==", "equalto", "ne", "!="} and node.args:
            self._equal(node.node, self.infer(node.node, scope, facts), node.args[0], self.infer(node.args[0], scope, facts))
        elif node.name == "in" and node.args:
            self._contains(node.node, self.infer(node.node, scope, facts), node.args[0], self.need(node.args[0], scope, facts))
        elif node.name not in {"defined", "undefined"} or not isinstance(node.node, nodes.Name) or scope.find(node.node.name) is not None:
            kind = self.infer(node.node, scope, facts)
            if isinstance(kind, StepKind):
                self.value(node.node, scope, facts)
        self._arguments(node, scope, facts)
        return BOOLEAN


def _alike(a: set[str], b: set[str]) -> bool:
    """Tell whether values of these kinds of JSON can be equal or ordered: true is 1 to Jinja as to Python."""
    number = {"number", "boolean"}
    return bool(a & b) or bool(a & number and b & number)


def _left_out(field: Field) -> bool:
    """Tell whether an optional field may be absent: it has no default that stands in for it."""
    return field.optional and (field.default is MISSING or field.default is None)


def _field_of(type_: Type, name: str) -> bool:
    return any(isinstance(m, Record) and m.get(name) for m in members(type_))


def _why(step: StepKind) -> str:
    if "when" in step.causes:
        return f"step {step.id!r} is skipped when its `when` is false"
    if "error" in step.causes:
        return f"step {step.id!r} is skipped when it fails (`on_error: skip`)"
    return f"step {step.id!r} is skipped with a step that it reads (`on_skip: skip`)"


_Handler = Callable[["Expressions", nodes.Node, Scope, Facts], Kind]
_HANDLERS: dict[type[nodes.Node], _Handler] = {
    nodes.Name: Expressions._name,  # type: ignore[dict-item]  # each handler takes its own node
    nodes.Getattr: Expressions._getattr,  # type: ignore[dict-item]
    nodes.Getitem: Expressions._getitem,  # type: ignore[dict-item]
    nodes.Const: Expressions._const,  # type: ignore[dict-item]
    nodes.List: Expressions._list,  # type: ignore[dict-item]
    nodes.Tuple: Expressions._list,  # type: ignore[dict-item]
    nodes.Dict: Expressions._dict,  # type: ignore[dict-item]
    nodes.And: Expressions._and_or,  # type: ignore[dict-item]
    nodes.Or: Expressions._and_or,  # type: ignore[dict-item]
    nodes.Not: Expressions._not,  # type: ignore[dict-item]
    nodes.CondExpr: Expressions._choice,  # type: ignore[dict-item]
    nodes.Compare: Expressions._compare,  # type: ignore[dict-item]
    nodes.Neg: Expressions._sign,  # type: ignore[dict-item]
    nodes.Pos: Expressions._sign,  # type: ignore[dict-item]
    nodes.Concat: Expressions._concat,  # type: ignore[dict-item]
    nodes.Call: Expressions._call,  # type: ignore[dict-item]
    nodes.Filter: Expressions._filter,  # type: ignore[dict-item]
    nodes.Test: Expressions._test,  # type: ignore[dict-item]
}
