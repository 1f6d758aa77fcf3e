"""Follow names, fields, items and methods: what `a.b[0].c()` is."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import nodes

from flowkit.checker.inference import Inference
from flowkit.checker.kinds import (
    LOOP_NAMES,
    Facts,
    Function,
    Kind,
    Loop,
    MacroKind,
    Method,
    Module,
    Namespace,
    Row,
    Rows,
    StepKind,
    Steps,
    is_type,
)
from flowkit.checker.narrowing import holds
from flowkit.checker.reports import sorts, spell
from flowkit.checker.scope import Scope
from flowkit.checker.tree import attribute_of, key_of, length_of, spelled, start_of
from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    MISSING,
    NULL,
    STRING,
    AnyType,
    Const,
    Enum,
    Field,
    List,
    Map,
    Null,
    Object,
    Record,
    String,
    Type,
    may_be_absent,
    members,
    nullable,
    present,
    union,
)

#: What the methods of text return; each of them is pure.
TEXT_METHODS: Mapping[str, Type] = (
    dict.fromkeys(
        "capitalize casefold lower lstrip removeprefix removesuffix replace rstrip strip title upper".split(),
        STRING,
    )
    | dict.fromkeys(["count", "find", "index", "rfind"], INTEGER)
    | dict.fromkeys(["split", "rsplit", "splitlines", "partition", "rpartition"], List(STRING))
    | dict.fromkeys(
        "endswith isalnum isalpha isascii isdecimal isdigit islower isnumeric isspace isupper startswith".split(),
        BOOLEAN,
    )
)
_LIST_METHODS: Mapping[str, Type] = {"count": INTEGER, "index": INTEGER}


def name(of: Inference, node: nodes.Name, scope: Scope, facts: Facts) -> Kind:
    """Return what a name stands for."""
    binding = scope.find(node.name)
    if binding is None:
        of.reports.unknown_name(node, scope)
        return ANY
    if binding.key in {"inputs", "values"} and isinstance(binding.kind, Record):
        # Used whole unless a look-up takes one field, see `_lookup`.
        getattr(of.uses, binding.key).update(binding.kind.names())
    return _narrowed(binding.kind, node, scope, facts)


def attribute(of: Inference, node: nodes.Getattr, scope: Scope, facts: Facts) -> Kind:
    """Return what `a.b` is."""
    return _narrowed(_lookup(of, node, node.attr, scope, facts), node, scope, facts)


def item(of: Inference, node: nodes.Getitem, scope: Scope, facts: Facts) -> Kind:
    """Return what `a[…]` is."""
    arg = node.arg
    if isinstance(arg, nodes.Const) and isinstance(arg.value, str):
        return _narrowed(_lookup(of, node, arg.value, scope, facts), node, scope, facts)
    base = of.infer(node.node, scope, facts)
    if isinstance(base, Steps):
        message = "the name of a step must be a literal: steps[…] with a computed name cannot be checked"
        of.reports.error("dynamic-step", start_of(arg), length_of(arg), message, "name the step: steps.NAME.output")
        return ANY
    if isinstance(arg, nodes.Slice):
        for part in arg.iter_child_nodes():
            of.need(part, scope, facts)
        return _slice(of, node, base, scope, facts)
    of.need(arg, scope, facts)
    if isinstance(base, Row):
        at = arg.value if isinstance(arg, nodes.Const) else None
        return base.items[at] if isinstance(at, int) and -len(base.items) <= at < len(base.items) else ANY
    if isinstance(base, Rows):
        return base.item
    return _narrowed(_item_type(base), node, scope, facts) if is_type(base) else ANY


def _item_type(base: Type) -> Type:
    found: list[Type] = []
    for m in members(base):
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
    return union(*found)


def _slice(of: Inference, node: nodes.Getitem, base: Kind, scope: Scope, facts: Facts) -> Kind:
    if isinstance(base, Rows):
        return base
    if not is_type(base):
        return ANY
    if may_be_absent(base):
        base = of.need(node.node, scope, facts)
    kinds = sorts(base)
    if kinds is not None and kinds - {"text", "list"}:
        message = f"'{spelled(node.node)}' is {spell(base)}, of which no part can be cut"
        of.reports.error("no-slice", start_of(node.node), length_of(node.node), message)
        return ANY
    if kinds == {"list"}:
        return union(*(List(m.item) for m in members(base) if isinstance(m, List)))
    return STRING if kinds == {"text"} else ANY


def _narrowed(kind: Kind, node: nodes.Node, scope: Scope, facts: Facts) -> Kind:
    if not facts or not is_type(kind) or isinstance(kind, Const):
        return kind
    key = key_of(node, scope)
    if key is None:
        return kind
    if ("absent", key) in facts and not isinstance(kind, AnyType):
        return NULL
    return present(kind) if ("present", key) in facts and may_be_absent(kind) else kind


def _lookup(of: Inference, node: nodes.Getattr | nodes.Getitem, name: str, scope: Scope, facts: Facts) -> Kind:
    """Return what `base.name` is."""
    base_node = node.node
    if isinstance(base_node, nodes.Name):
        root = scope.find(base_node.name)
        if root is not None and root.key in {"inputs", "values"} and isinstance(root.kind, Record):
            getattr(of.uses, root.key).add(name)
            return _field(of, node, name, root.kind)
    base = of.infer(base_node, scope, facts)
    start, _ = attribute_of(of.reports.site.text, node)
    match base:
        case Steps():
            return _step(of, start, name)
        case StepKind():
            return _of_step(of, base, node, name, facts)
        case Loop():
            found = base.attribute(name)
            if found is None:
                of.reports.unknown_field(start, name, base_node, base, LOOP_NAMES)
            return ANY if found is None else found
        case Module():
            if name not in base.macros:
                of.reports.unknown_field(start, name, base_node, base, list(base.macros))
            return base.macros.get(name, ANY)
        case Row():
            at = {"grouper": 0, "list": 1}.get(name)
            return base.items[at] if at is not None and len(base.items) == 2 else ANY
        case Namespace():
            if not base.open and name not in base.names:
                of.reports.unknown_field(start, name, base_node, base, sorted(base.names))
            return ANY
        case Rows() | MacroKind() | Method() | Function():
            return ANY
    return _field(of, node, name, base)


def _step(of: Inference, start: int, name: str) -> Kind:
    if name == of.me:
        return ANY  # a circle of one; the plan reports it
    found = of.steps.get(name)
    if found is None:
        of.reports.unknown_step(start, name, [s for s in of.steps if s != of.me])
        return ANY
    of.uses.steps.add(name)
    return found


def _of_step(of: Inference, step: StepKind, node: nodes.Getattr | nodes.Getitem, name: str, facts: Facts) -> Kind:
    found = step.attribute(name)
    if found is not None:
        return nullable(found) if name not in {"skipped", "error"} and causes_left(step, facts) else found
    start, length = attribute_of(of.reports.site.text, node)
    if name in {"results", "messages"}:
        which = "foreach" if name == "results" else "messages or a prompt"
        of.reports.error("unknown-field", start, length, f"step {step.id!r} has no {name!r}: only a step with {which} has")
    elif any(isinstance(m, Record) and m.get(name) for m in members(step.output)):
        message = f"'steps.{step.id}' has no field {name!r}"
        of.reports.error("unknown-field", start, length, message, f"did you mean 'steps.{step.id}.output.{name}'?")
    else:
        of.reports.unknown_field(start, name, node.node, step, step.names())
    return ANY


def causes_left(step: StepKind, facts: Facts) -> frozenset[str]:
    """Return why a step may have been skipped, after all that is known here."""
    causes = step.causes
    if not causes or ("ran", step.id) in facts:
        return frozenset()
    if "when" in causes and step.condition is not None and facts and holds(step.condition, facts):
        causes -= {"when"}
    if ("absent", f"steps.{step.id}.error") in facts:
        causes -= {"error"}
    return causes


def _field(of: Inference, node: nodes.Getattr | nodes.Getitem, name: str, base: Type) -> Kind:
    """Return the type of a field of an ordinary value; a field of what is absent is absent."""
    start, _ = attribute_of(of.reports.site.text, node)
    found: list[Type] = []
    lacking: list[Record] = []
    bare: list[Type] = []
    for m in members(base):
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
            case _:
                bare.append(m)
    real = [f for f in found if not isinstance(f, Null)]
    if not real and lacking:
        of.reports.unknown_field(start, name, node.node, lacking[0], [n for r in lacking for n in r.names()])
        return ANY
    if not real and bare:
        of.reports.no_fields(start, name, node.node, bare[0], method=name in TEXT_METHODS and sorts(bare[0]) == {"text"})
        return ANY
    if lacking:
        found.append(NULL)
    return union(*found) if found else ANY


def _left_out(field: Field) -> bool:
    """Tell whether an optional field may be absent: it has no default that stands in for it."""
    return field.optional and (field.default is MISSING or field.default is None)


def method(of: Inference, node: nodes.Getattr, scope: Scope, facts: Facts) -> Kind | None:
    """Return what a call of a method of text or list gives, or None where it is no such method."""
    if isinstance(node.node, nodes.Name) and node.node.name in {"steps", "inputs", "values"}:
        return None
    base = of.quietly(node.node, scope, facts)
    if not is_type(base):
        return None
    kinds = sorts(base)
    table = TEXT_METHODS if kinds == {"text"} else _LIST_METHODS if kinds == {"list"} else {}
    if node.attr in table:
        of.need(node.node, scope, facts)
        return table[node.attr]
    named = {"items", "keys", "values", "get"}
    start, _ = attribute_of(of.reports.site.text, node)
    if kinds == {"mapping"} and node.attr in named and not any(isinstance(m, Record) for m in members(base)):
        of.reports.unknown_field(start, node.attr, node.node, base, [])
        return ANY
    if table:
        of.infer(node.node, scope, facts)
        of.reports.unknown_method(start, node, base, sorted(table))
        return ANY
    return ANY if kinds is not None and "text" in kinds and node.attr in TEXT_METHODS else None
