"""Infer the type of every expression, and report what cannot be right. Knows no statements."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jinja2 import nodes

from flowkit.checker import operators, paths
from flowkit.checker.bounds import long_range
from flowkit.checker.filters import infer_filter
from flowkit.checker.inference import Inference
from flowkit.checker.kinds import Facts, Function, Kind, Loop, MacroKind, Namespace, Row, StepKind, Steps, is_type
from flowkit.checker.reports import name_kind
from flowkit.checker.scope import Scope, did_you_mean
from flowkit.checker.tree import length_of, spelled, start_of, test_name_of
from flowkit.templates.filters import TESTS
from flowkit.types.algebra import ANY, BOOLEAN, INTEGER, NULL, STRING, AnyType, Const, Field, List, Map, Record, Type, expand, union

#: Tests of other languages, and what to write instead.
_OTHER_TESTS = {
    "null": "write `is none`",
    "nil": "write `is none`",
    "empty": "write `not x`, or `x | length == 0`",
    "not": "write `is not …`",
    "a": "write `is string`, `is number` …",
}


class Expressions(Inference):
    """The types of the expressions of one text."""

    def infer(self, node: nodes.Node, scope: Scope, facts: Facts) -> Kind:
        """Return what an expression is; ANY after a problem, so that what follows from it stays silent."""
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            return handler(self, node, scope, facts)
        if isinstance(node, nodes.BinExpr):
            return operators.arithmetic(self, node, scope, facts)
        for child in node.iter_child_nodes():
            self.infer(child, scope, facts)
        return ANY

    def call_macro(self, node: nodes.Call, macro: MacroKind, scope: Scope, facts: Facts) -> Kind:
        """Check a call of a macro; the reader of statements knows how."""
        raise NotImplementedError


# -- literals ----------------------------------------------------------------------------------------------


def _const(_of: Inference, node: nodes.Const, _scope: Scope, _facts: Facts) -> Kind:
    return NULL if node.value is None else Const(node.value)


def _list(of: Inference, node: nodes.List | nodes.Tuple, scope: Scope, facts: Facts) -> Kind:
    if isinstance(node, nodes.Tuple):
        return Row(tuple(of.infer(i, scope, facts) for i in node.items))
    return List(union(*(of.value(i, scope, facts) for i in node.items))) if node.items else List(ANY)


def _dict(of: Inference, node: nodes.Dict, scope: Scope, facts: Facts) -> Kind:
    fields: dict[str, Type] = {}
    named = True
    for pair in node.items:
        of.need(pair.key, scope, facts)
        type_ = of.value(pair.value, scope, facts)
        if isinstance(pair.key, nodes.Const) and isinstance(pair.key.value, str):
            fields[pair.key.value] = type_
        else:
            named = False
    return Record(tuple(Field(name, type_) for name, type_ in fields.items())) if named and fields else Map(ANY)


# -- calls, filters, tests ---------------------------------------------------------------------------------


def _call(of: Expressions, node: nodes.Call, scope: Scope, facts: Facts) -> Kind:
    target = node.node
    if isinstance(target, nodes.Getattr):
        method = paths.method(of, target, scope, facts)
        if method is not None:
            of.arguments(node, scope, facts)
            return method
    kind = of.infer(target, scope, facts)
    match kind:
        case MacroKind():
            return of.call_macro(node, kind, scope, facts)
        case Function():
            return _function(of, node, kind.name, scope, facts)
    of.arguments(node, scope, facts)
    if isinstance(kind, Loop):
        of.reports.error(
            "not-a-function", start_of(target), length_of(target), "this loop does not call itself", "write {% for … in … recursive %}"
        )
    elif isinstance(kind, (Steps, StepKind)):
        of.value(target, scope, facts)
    elif is_type(kind) and not isinstance(expand(kind), AnyType):
        message = f"'{spelled(target)}' is {name_kind(kind)}, which cannot be called"
        of.reports.error("not-a-function", start_of(target), length_of(target), message, f"write {spelled(target)} without brackets")
    return ANY


def _function(of: Expressions, node: nodes.Call, name: str, scope: Scope, facts: Facts) -> Kind:
    """Return what a call of one of the templates' own functions gives."""
    if name == "namespace":
        of.arguments(node, scope, facts)
        return Namespace({k.key for k in node.kwargs}, open=bool(node.args or node.dyn_kwargs))
    if name == "dict":
        types = {k.key: of.value(k.value, scope, facts) for k in node.kwargs}
        for arg in node.args:
            of.infer(arg, scope, facts)
        return Record(tuple(Field(k, t) for k, t in types.items())) if types and not node.args else Map(ANY)
    if name == "range":
        for arg in node.args:
            of.need(arg, scope, facts)
        large = long_range(node.args)
        if large is not None:
            of.reports.error("template-limit", start_of(node), len("range"), large)
        return List(INTEGER)
    if name == "loop.cycle":
        kinds = [of.infer(a, scope, facts) for a in node.args]
        types_ = [k for k in kinds if is_type(k)]
        return union(*types_) if kinds and len(types_) == len(kinds) else ANY
    of.arguments(node, scope, facts)
    return BOOLEAN if name == "loop.changed" else STRING


def _test(of: Inference, node: nodes.Test, scope: Scope, facts: Facts) -> Kind:
    if node.name not in TESTS:
        at = test_name_of(of.reports.site.text, node)
        hint = _OTHER_TESTS.get(node.name) or did_you_mean(node.name, [t for t in TESTS if re.fullmatch("[a-z]+", t)])
        of.reports.error("unknown-test", at, len(node.name), f"there is no test {node.name!r}", hint)
        of.infer(node.node, scope, facts)
        return BOOLEAN
    if node.name in {"odd", "even", "divisibleby"}:
        of.need(node.node, scope, facts)
    elif node.name in {"eq", "==", "equalto", "ne", "!="} and node.args:
        operators.equal(of, node.node, of.infer(node.node, scope, facts), node.args[0], of.infer(node.args[0], scope, facts))
        return BOOLEAN
    elif node.name == "in" and node.args:
        operators.contains(of, node.node, of.infer(node.node, scope, facts), node.args[0], of.need(node.args[0], scope, facts))
        return BOOLEAN
    elif node.name not in {"defined", "undefined"} or not isinstance(node.node, nodes.Name) or scope.find(node.node.name) is not None:
        # A name that is not there may be asked for: a file may be included from several places.
        kind = of.infer(node.node, scope, facts)
        if isinstance(kind, StepKind):
            of.value(node.node, scope, facts)
    of.arguments(node, scope, facts)
    return BOOLEAN


#: Each handler takes its own kind of node, which a table cannot say.
_HANDLERS: dict[type[nodes.Node], Callable[[Any, Any, Scope, Facts], Kind]] = {
    nodes.Name: paths.name,
    nodes.Getattr: paths.attribute,
    nodes.Getitem: paths.item,
    nodes.Const: _const,
    nodes.List: _list,
    nodes.Tuple: _list,
    nodes.Dict: _dict,
    nodes.And: operators.and_or,
    nodes.Or: operators.and_or,
    nodes.Not: operators.negation,
    nodes.CondExpr: operators.choice,
    nodes.Compare: operators.compare,
    nodes.Neg: operators.sign,
    nodes.Pos: operators.sign,
    nodes.Concat: operators.concat,
    nodes.Call: _call,
    nodes.Filter: infer_filter,
    nodes.Test: _test,
}
