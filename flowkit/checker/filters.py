"""What each filter takes and gives, in types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from jinja2 import nodes

from flowkit.checker.bounds import wide_filter
from flowkit.checker.filter_items import argument, field_of, input_of, items_of, refuse
from flowkit.checker.inference import Inference
from flowkit.checker.kinds import Facts, Kind, Row, Rows, StepKind, is_type, join
from flowkit.checker.narrowing import learn
from flowkit.checker.operators import missing_word
from flowkit.checker.reports import sorts, spell
from flowkit.checker.scope import Scope, did_you_mean
from flowkit.checker.signatures import wrong_arguments
from flowkit.checker.tree import length_of, spelled, start_of, string_in
from flowkit.templates.filters import FILTERS, TESTS
from flowkit.types.algebra import (
    ANY,
    INTEGER,
    NUMBER,
    STRING,
    Const,
    List,
    Map,
    Null,
    Object,
    Record,
    Type,
    may_be_absent,
    members,
    present,
    union,
    widen,
)

_ELSEWHERE = {
    "random": "nothing random is allowed: the same values must give the same text",
    "attr": "write the name behind a dot",
    "pprint": "use `tojson(indent=2)`",
    "urlize": "this filter does not exist here",
    "xmlattr": "this filter does not exist here",
    "fromjson": "give the step that answers an `output` type instead",
    "from_json": "give the step that answers an `output` type instead",
    "to_json": "use `tojson`",
    "len": "use `length`",
    "size": "use `length`",
    "str": "use `string`",
    "avg": "use `mean`",
    "average": "use `mean`",
    "split": "write `.split(…)`",
    "strip": "use `trim`",
    "filter": "use `select` or `selectattr`",
    "concat": "use `join`, or `+` for lists",
}

_Filter: TypeAlias = Callable[[Inference, nodes.Filter, Scope, Facts], Kind]


def infer_filter(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    """Return what a filter gives."""
    if node.name not in FILTERS:
        hint = _ELSEWHERE.get(node.name) or did_you_mean(node.name, list(FILTERS))
        of.reports.error("unknown-filter", node.lineno, len(node.name), f"there is no filter {node.name!r}", hint)
        if node.node is not None:
            of.infer(node.node, scope, facts)
        return ANY
    wrong = wrong_arguments(of.reports.site.text, node)
    if wrong is not None:
        start, length, message, hint = wrong
        of.reports.error("filter-arguments", start, length, message, hint)
        return ANY
    wide = wide_filter(node)
    if wide is not None:
        of.reports.error("template-limit", node.lineno, len(node.name), wide)
        return ANY
    if node.node is None:  # the text of a filter block
        of.arguments(node, scope, facts)
        return STRING
    return _FILTERS.get(node.name, _text)(of, node, scope, facts)


# -- filters by what they give ---------------------------------------------------------------------------------


def _text(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    input_of(of, node, scope, facts)
    of.arguments(node, scope, facts)
    return STRING


def _on_text(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    _text(of, node, scope, facts)
    return List(STRING) if node.name == "lines" else INTEGER if node.name == "wordcount" else STRING


def _length(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    assert node.node is not None
    if isinstance(of.infer(node.node, scope, facts), (Row, Rows)):
        return INTEGER
    type_ = input_of(of, node, scope, facts)
    kinds = sorts(type_)
    if kinds and not kinds & {"text", "list", "mapping"}:
        hint = "mind the brackets" if "boolean" in kinds else None
        return refuse(of, node, type_, "a list, a text or a mapping", hint)
    return INTEGER


def _number(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    type_ = input_of(of, node, scope, facts)
    of.arguments(node, scope, facts)
    kinds = sorts(type_)
    if node.name in {"int", "float"}:
        return INTEGER if node.name == "int" else NUMBER
    if kinds and not kinds & {"number", "boolean"}:
        return refuse(of, node, type_, "a number", "`| float` makes a number of a text" if kinds == {"text"} else None)
    return widen(type_) if node.name == "abs" and kinds else NUMBER


def _keep(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    """A list in, the same items out: list, sort, reverse, unique, select, reject."""
    assert node.node is not None
    given = of.infer(node.node, scope, facts)
    if isinstance(given, Rows):
        return given
    attribute = argument(node, "attribute", {"sort": 2, "unique": 1}.get(node.name))
    item = items_of(of, node, scope, facts)
    if item is None:
        return ANY
    if node.name == "reverse" and is_type(given) and sorts(given) == {"text"}:
        return STRING
    if attribute is not None and not (isinstance(attribute, nodes.Const) and attribute.value is None):
        for name in _split(attribute):
            field_of(of, name, item)
    for arg in of.arguments_of(node):
        if arg is not attribute:
            of.infer(arg, scope, facts)
    if node.name in {"select", "reject"} and node.args and isinstance(node.args[0], nodes.Const) and isinstance(node.args[0].value, str):
        _known_test(of, node.args[0], node.args[0].value)
    if node.name in {"select", "reject"} and is_type(item):
        item = _tested(node, item, [a.value for a in node.args[:1] if isinstance(a, nodes.Const)])
    return _listed(item)


def _listed(item: Kind) -> Kind:
    """Return a list of items."""
    return Rows(item) if isinstance(item, Row) else List(item) if is_type(item) else ANY


def _split(attribute: nodes.Expr) -> list[nodes.Expr]:
    """Return each of the names of `sort(attribute='a,b')`, in its place."""
    if not isinstance(attribute, nodes.Const) or not isinstance(attribute.value, str):
        return []
    found: list[nodes.Expr] = []
    for part in re.finditer(r"[^,\s]+", attribute.value):
        found.append(nodes.Const(part[0], lineno=attribute.lineno + part.start()))
    return found


def _tested(node: nodes.Filter, item: Type, names: list[object]) -> Type:
    """Return the items that pass: without a test, or with `defined`, what is there."""
    if node.name == "select" and (not names or names[0] in {"defined", "string", "number", "mapping", "eq", "in"}):
        return present(item)
    return present(item) if node.name == "reject" and names and names[0] in {"none", "undefined"} else item


def _by_attribute(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    """Selectattr and rejectattr: the same items out, those that pass a test on a field."""
    item = items_of(of, node, scope, facts)
    if item is None:
        return ANY
    if node.args:
        found = field_of(of, node.args[0], item)
        for arg in node.args[1:]:
            of.infer(arg, scope, facts)
        test = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], nodes.Const) else None
        if test in {"eq", "==", "equalto", "ne", "!="} and len(node.args) > 2:
            word = of.infer(node.args[2], scope, facts)
            if is_type(word):
                missing_word(of, node.args[2], word, node.args[0], found)
        elif test is not None and isinstance(test, str):
            _known_test(of, node.args[1], test)
    return _listed(item)


def _known_test(of: Inference, node: nodes.Expr, name: str) -> None:
    if name not in TESTS:
        start, length = string_in(of.reports.site.text, node)
        of.reports.error("unknown-test", start, length, f"there is no test {name!r}", did_you_mean(name, [t for t in TESTS if t.isalpha()]))


def _map(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    item = items_of(of, node, scope, facts)
    if item is None:
        return ANY
    attribute = argument(node, "attribute")
    if attribute is not None:
        found = field_of(of, attribute, item)
        default = argument(node, "default")
        if default is not None:
            found = union(present(found) if may_be_absent(found) else found, widen(of.value(default, scope, facts)))
        return List(found)
    for arg in of.arguments_of(node):
        of.infer(arg, scope, facts)
    name = node.args[0].value if node.args and isinstance(node.args[0], nodes.Const) else None
    if isinstance(name, str) and name not in FILTERS:
        start, length = string_in(of.reports.site.text, node.args[0])
        of.reports.error("unknown-filter", start, length, f"there is no filter {name!r}", did_you_mean(name, list(FILTERS)))
        return List(ANY)
    given: dict[str, Type] = {
        "int": INTEGER,
        "float": NUMBER,
        "length": INTEGER,
        "count": INTEGER,
        "wordcount": INTEGER,
        "abs": NUMBER,
        "round": NUMBER,
        "lines": List(STRING),
    }
    if name in given:
        return List(given[name])
    return List(STRING) if name in _TO_TEXT else List(ANY)


def _one(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    """first, last, min, max: one of the items; that there may be none is left to run time."""
    assert node.node is not None
    given = of.infer(node.node, scope, facts)
    if isinstance(given, Rows):
        return given.item
    item = items_of(of, node, scope, facts)
    attribute = argument(node, "attribute", 1) if node.name in {"min", "max"} else None
    if attribute is not None and item is not None:
        field_of(of, attribute, item)
    return ANY if item is None else item


def _sum(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    item = items_of(of, node, scope, facts)
    attribute = argument(node, "attribute", 0)
    if item is None:
        return ANY
    if attribute is not None:
        item = field_of(of, attribute, item)
    start = argument(node, "start", 1)
    if start is not None:
        of.infer(start, scope, facts)
        return ANY
    if not is_type(item) or (kinds := sorts(item)) is None:
        return ANY
    if kinds and not kinds & {"number", "boolean"}:
        return refuse(of, node, List(item), "numbers")
    if may_be_absent(item):
        return _absent_items(of, node, "to add")
    return item if kinds and spell(item) == "integer" else NUMBER


def _mean(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    item = items_of(of, node, scope, facts)
    if item is None or not is_type(item):
        return NUMBER
    kinds = sorts(item)
    if kinds and not kinds & {"number", "boolean"}:
        return refuse(of, node, List(item), "numbers")
    return _absent_items(of, node, "to add") if may_be_absent(item) else NUMBER


def _join(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    item = items_of(of, node, scope, facts)
    attribute = argument(node, "attribute", 1)
    if attribute is not None and item is not None:
        item = field_of(of, attribute, item)
    for arg in of.arguments_of(node):
        if arg is not attribute:
            of.infer(arg, scope, facts)
    if item is not None and is_type(item) and not isinstance(item, Const) and may_be_absent(item):
        _absent_items(of, node, "to join")
    return STRING


def _absent_items(of: Inference, node: nodes.Filter, what: str) -> Type:
    """Report that a filter meets items that are not there."""
    assert node.node is not None
    message = f"an item of '{spelled(node.node)}' may be absent, so that there is nothing {what}"
    hint = f"leave them out first: `| select('defined') | {node.name}`"
    of.reports.error("unhandled-absent", start_of(node.node), length_of(node.node), message, hint)
    return ANY


def _default(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    assert node.node is not None
    inner = node.node
    if isinstance(inner, nodes.Name) and scope.find(inner.name) is None:
        of.reports.unknown_name(inner, scope)
        kind: Kind = ANY
    else:
        kind = of.infer(inner, scope, facts)
    if isinstance(kind, StepKind):
        kind = of.value(inner, scope, facts)
    replacement = argument(node, "default_value", 0)
    other: Kind = STRING
    if replacement is not None:
        other = of.infer(replacement, scope, facts | learn(inner, scope, of.steps, truth=False))
    for arg in of.arguments_of(node):
        if arg is not replacement:
            of.infer(arg, scope, facts)
    if is_type(kind) and not isinstance(kind, Const) and may_be_absent(kind):
        rest = [m for m in members(kind) if not isinstance(m, Null)]
        return join(union(*rest), other) if rest else other
    boolean = argument(node, "boolean", 1)
    return join(kind, other) if boolean is not None else kind


def _pairs(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    """Items and dictsort: pairs of key and value."""
    assert node.node is not None
    type_ = of.value(node.node, scope, facts) if node.name == "items" else input_of(of, node, scope, facts)
    of.arguments(node, scope, facts)
    kinds = sorts(type_)
    if kinds is None or not kinds:
        return List(ANY)
    if "mapping" not in kinds:
        return refuse(of, node, type_, "a mapping")
    values: list[Type] = []
    for m in members(type_):
        match m:
            case Map():
                values.append(m.value)
            case Record():
                values.extend(f.type for f in m.fields)
            case Object():
                values.append(ANY)
    return Rows(Row((STRING, union(*values))))


def _groups(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    item = items_of(of, node, scope, facts)
    attribute = argument(node, "attribute", 0)
    if item is None or attribute is None:
        return ANY
    default = argument(node, "default", 1)
    key = field_of(of, attribute, item)
    if default is not None:
        key = union(present(key), widen(of.value(default, scope, facts)))
    return Rows(Row((key, _listed(item))))


def _batches(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    item = items_of(of, node, scope, facts)
    of.arguments(node, scope, facts)
    return List(List(item)) if item is not None and is_type(item) else ANY


def _json(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind:
    return _text(of, node, scope, facts)


_TO_TEXT = frozenset(
    (
        "capitalize center dedent e escape forceescape format indent lower replace safe string striptags title trim "
        "truncate truncate_words upper urlencode wordwrap filesizeformat join tojson json"
    ).split()
)

_FILTERS: dict[str, _Filter] = {
    **dict.fromkeys(_TO_TEXT, _text),
    **dict.fromkeys(("lines", "wordcount"), _on_text),
    **dict.fromkeys(("length", "count"), _length),
    **dict.fromkeys(("abs", "round", "int", "float"), _number),
    **dict.fromkeys(("list", "sort", "reverse", "unique", "select", "reject"), _keep),
    **dict.fromkeys(("selectattr", "rejectattr"), _by_attribute),
    **dict.fromkeys(("first", "last", "min", "max"), _one),
    **dict.fromkeys(("default", "d"), _default),
    **dict.fromkeys(("items", "dictsort"), _pairs),
    **dict.fromkeys(("batch", "slice"), _batches),
    "groupby": _groups,
    "map": _map,
    "sum": _sum,
    "mean": _mean,
    "join": _join,
    "json": _json,
    "tojson": _json,
}
