"""Check operators: logic, comparison, arithmetic, joining of texts."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import nodes

from flowkit.checker.bounds import too_large
from flowkit.checker.inference import Inference
from flowkit.checker.kinds import Facts, Kind, StepKind, Steps, is_type, join
from flowkit.checker.reports import name_kind, sorts, spell
from flowkit.checker.scope import Scope, did_you_mean
from flowkit.checker.tree import length_of, spelled, start_of, string_in
from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    Const,
    Enum,
    Integer,
    List,
    Null,
    Type,
    may_be_absent,
    members,
    present,
    union,
    widen,
)

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
_NUMERIC = {"number", "boolean"}


# -- logic -------------------------------------------------------------------------------------------------


def and_or(of: Inference, node: nodes.And | nodes.Or, scope: Scope, facts: Facts) -> Kind:
    """Return what `a and b` or `a or b` is; that `a or b` is there is left to run time, as the format says."""
    true, false, left = of.condition(node.left, scope, facts)
    right = of.infer(node.right, scope, true if isinstance(node, nodes.And) else false)
    if isinstance(node, nodes.Or) and is_type(left):
        either = may_be_absent(left) and is_type(right) and may_be_absent(right) and not isinstance(right, Null)
        return join(present(left), present(right) if either and is_type(right) else right)
    return join(left, right)


def negation(of: Inference, node: nodes.Not, scope: Scope, facts: Facts) -> Kind:
    """Return what `not a` is."""
    of.condition(node.node, scope, facts)
    return BOOLEAN


def choice(of: Inference, node: nodes.CondExpr, scope: Scope, facts: Facts) -> Kind:
    """Return what `a if c else b` is."""
    true, false, _ = of.condition(node.test, scope, facts)
    yes = of.infer(node.expr1, scope, true)
    return join(yes, NULL if node.expr2 is None else of.infer(node.expr2, scope, false))


# -- comparison --------------------------------------------------------------------------------------------


def compare(of: Inference, node: nodes.Compare, scope: Scope, facts: Facts) -> Kind:
    """Check `a < b == c in d`."""
    left_node = node.expr
    left = of.infer(left_node, scope, facts)
    for operand in node.ops:
        right = of.infer(operand.expr, scope, facts)
        if operand.op in _ORDER:
            left_type, right_type = of.need(left_node, scope, facts), of.need(operand.expr, scope, facts)
            _order(of, _ORDER[operand.op], left_node, left_type, operand.expr, right_type)
        elif operand.op in {"in", "notin"}:
            contains(of, left_node, left, operand.expr, of.need(operand.expr, scope, facts))
        else:
            equal(of, left_node, left, operand.expr, right)
        left_node, left = operand.expr, right
    return BOOLEAN


def _order(of: Inference, sign: str, left_node: nodes.Node, left: Type, right_node: nodes.Node, right: Type) -> None:
    a, b = sorts(left), sorts(right)
    for node, type_, kinds in ((left_node, left, a), (right_node, right, b)):
        if kinds is not None and kinds and not kinds - {"mapping"}:
            of.reports.error(
                "comparison", start_of(node), length_of(node), f"'{spelled(node)}' is {spell(type_)}, which has no order for `{sign}`"
            )
            return
    if a and b and not _alike(a, b):
        hint = "compare two numbers or two texts" + ("; `| int` makes a number of a text" if "text" in a | b and "number" in a | b else "")
        if "list" in a | b:
            hint = "compare the number of its items: `| length`"
        message = f"{spell(left)} `{sign}` {spell(right)} cannot be compared"
        of.reports.error("comparison", start_of(left_node), length_of(left_node), message, hint)


def equal(of: Inference, left_node: nodes.Node, left: Kind, right_node: nodes.Node, right: Kind) -> None:
    """Report two values that are never equal."""
    for node, kind in ((left_node, left), (right_node, right)):
        if isinstance(kind, (StepKind, Steps)):
            message = f"'{spelled(node)}' is {name_kind(kind)}, not a value"
            of.reports.error("not-a-value", start_of(node), length_of(node), message, f"write '{spelled(node)}.output'")
            return
    if not is_type(left) or not is_type(right):
        return
    for one, one_type, other, other_type in ((left_node, left, right_node, right), (right_node, right, left_node, left)):
        if missing_word(of, one, one_type, other, other_type):
            return
    a, b = sorts(left), sorts(right)
    both_absent = may_be_absent(left) and may_be_absent(right)
    if a and b and not _alike(a, b) and not both_absent:
        hint = None
        if isinstance(right, Const) and isinstance(right.value, str) and "text" not in a:
            meant = right.value.strip().lower()
            hint = (
                f"without quotes: {meant}"
                if _NUMERIC & a and (meant in {"true", "false"} or meant.replace(".", "", 1).lstrip("-").isdigit())
                else None
            )
        of.reports.error("comparison", start_of(right_node), length_of(right_node), f"{spell(left)} is never equal to {spell(right)}", hint)


def missing_word(of: Inference, one: nodes.Node, one_type: Type, other: nodes.Node, type_: Type) -> bool:
    """Report a literal word that an enum does not hold."""
    if not isinstance(one_type, Const) or not isinstance(one_type.value, str):
        return False
    alternatives = [m for m in members(type_) if not isinstance(m, Null)]
    if not alternatives or not all(isinstance(m, Enum) for m in alternatives):
        return False
    words = [w for m in alternatives if isinstance(m, Enum) for w in m.words]
    if one_type.value in words:
        return False
    start, length = string_in(of.reports.site.text, one)
    message = f"'{spelled(other)}' is never {one_type.value!r}: it is one of {', '.join(words)}"
    of.reports.error("enum-word", start, length, message, did_you_mean(one_type.value, words, "the words are"))
    return True


def contains(of: Inference, item_node: nodes.Node, item: Kind, holder_node: nodes.Node, holder: Type) -> None:
    """Report what `a in b` can never find."""
    if isinstance(holder_node, (nodes.List, nodes.Tuple)):
        for word in holder_node.items:
            if isinstance(word, nodes.Const) and isinstance(word.value, str) and is_type(item):
                missing_word(of, word, Const(word.value), item_node, item)
    kinds = sorts(holder)
    if kinds and not kinds - _NUMERIC:
        message = f"'{spelled(holder_node)}' is {spell(holder)}, which holds nothing: `in` needs a list, a mapping or a text"
        of.reports.error("comparison", start_of(holder_node), length_of(holder_node), message)
        return
    if not is_type(item):
        return
    of_item = sorts(item)
    if kinds == {"text"} and of_item and "text" not in of_item:
        of.reports.error("comparison", start_of(item_node), length_of(item_node), f"{spell(item)} is never in a text")
    elif kinds == {"list"}:
        items = [m.item for m in members(holder) if isinstance(m, List)]
        held = sorts(union(*items))
        if not isinstance(holder_node, (nodes.List, nodes.Tuple)) and any(missing_word(of, item_node, item, holder_node, i) for i in items):
            return
        if held and of_item and not _alike(held, of_item) and not may_be_absent(item):
            of.reports.error("comparison", start_of(item_node), length_of(item_node), f"{spell(item)} is never in {spell(holder)}")


def _alike(a: set[str], b: set[str]) -> bool:
    """Tell whether values of these kinds of JSON can be equal or ordered: true is 1 to Jinja as to Python."""
    return bool(a & b) or bool(a & _NUMERIC and b & _NUMERIC)


# -- arithmetic and text -----------------------------------------------------------------------------------


def arithmetic(of: Inference, node: nodes.BinExpr, scope: Scope, facts: Facts) -> Kind:
    """Return what `a + b` and the like give."""
    sign = _ARITHMETIC.get(type(node), "?")
    left, right = of.need(node.left, scope, facts), of.need(node.right, scope, facts)
    a, b = sorts(left), sorts(right)
    if not a or not b or len(a) > 1 or len(b) > 1:
        return ANY
    (one,), (other,) = a, b
    if (large := too_large(node)) is not None:
        of.reports.error("template-limit", start_of(node), length_of(node), large)
        return ANY
    if one in _NUMERIC and other in _NUMERIC:
        whole = sign not in {"/", "**"} and all(_whole(m) for t in (left, right) for m in members(t))
        if sign in {"/", "//", "%"} and isinstance(right, Const) and right.value == 0:
            of.reports.error("arithmetic", start_of(node.right), 1, f"`{sign}` by 0 has no result")
            return ANY
        return INTEGER if whole else NUMBER
    if sign == "+" and one == other == "text":
        return STRING
    if sign == "+" and one == other == "list":
        return List(union(*(m.item for t in (left, right) for m in members(t) if isinstance(m, List))))
    if sign == "*" and {one, other} in ({"text", "number"}, {"list", "number"}):
        return widen(left if other == "number" else right)
    wrong, type_ = (node.left, left) if one not in _NUMERIC else (node.right, right)
    hint = None
    if "text" in {one, other}:
        hint = (
            "join texts with `~`"
            if sign == "+"
            else "use the filter `format`"
            if sign == "%" and one == "text"
            else "`| int` or `| float` makes a number of a text"
        )
    message = f"`{sign}` on {spell(left)} and {spell(right)}: '{spelled(wrong)}' is {spell(type_)}, not a number"
    of.reports.error("arithmetic", start_of(wrong), length_of(wrong), message, hint)
    return ANY


def _whole(type_: Type) -> bool:
    return isinstance(type_, Integer) or (isinstance(type_, Const) and isinstance(type_.value, int))


def sign(of: Inference, node: nodes.UnaryExpr, scope: Scope, facts: Facts) -> Kind:
    """Return what `-a` is."""
    type_ = of.need(node.node, scope, facts)
    kinds = sorts(type_)
    if isinstance(type_, Const) and not isinstance(type_.value, str):
        return Const(-type_.value) if isinstance(node, nodes.Neg) else type_
    if kinds and not kinds & _NUMERIC:
        of.reports.error("arithmetic", start_of(node.node), length_of(node.node), f"'{spelled(node.node)}' is {spell(type_)}, not a number")
        return ANY
    return widen(type_) if kinds else ANY


def concat(of: Inference, node: nodes.Concat, scope: Scope, facts: Facts) -> Kind:
    """Return what `a ~ b` is."""
    for part in node.nodes:
        of.need(part, scope, facts)
    return STRING
