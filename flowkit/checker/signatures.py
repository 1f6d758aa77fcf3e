"""Compare the call of a filter with the arguments that the filter takes."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, NamedTuple

from jinja2 import nodes

from flowkit.checker.scope import did_you_mean
from flowkit.checker.tree import keyword_at, length_of, start_of
from flowkit.templates.filters import FILTERS


class _Takes(NamedTuple):
    """The arguments of a filter besides its value; `any_` of them where it passes them on."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    any_: bool


@cache
def _takes(name: str) -> _Takes:
    function = FILTERS[name]
    params = list(inspect.signature(function).parameters.values())
    # Jinja gives some filters its environment or context first; then comes the value.
    params = params[2 if hasattr(function, "jinja_pass_arg") else 1 :]
    plain = [p for p in params if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    required = tuple(p.name for p in plain if p.default is p.empty)
    return _Takes(tuple(p.name for p in plain), required, len(plain) < len(params))


def wrong_arguments(text: str, node: nodes.Filter) -> tuple[int, int, str, str | None] | None:
    """Return place, length, message and hint of what is wrong with the arguments of a filter, or None."""
    takes = _takes(node.name)
    if takes.any_ or node.dyn_args is not None or node.dyn_kwargs is not None:
        return None
    keywords: list[Any] = list(node.kwargs)  # Jinja's annotation says Pair; they are Keyword
    for keyword in keywords:
        if keyword.key not in takes.names:
            hint = did_you_mean(keyword.key, list(takes.names), "it takes")
            return keyword_at(text, keyword), len(keyword.key), f"filter {node.name!r} has no argument {keyword.key!r}", hint
    if len(node.args) > len(takes.names):
        extra = node.args[len(takes.names)]
        most = f"at most {len(takes.names)}" if takes.names else "no"
        return start_of(extra), length_of(extra), f"filter {node.name!r} takes {most} argument{'s' * (len(takes.names) != 1)}", None
    given = {*takes.names[: len(node.args)], *(k.key for k in keywords)}
    missing = [n for n in takes.required if n not in given]
    if missing:
        return node.lineno, len(node.name), f"filter {node.name!r} needs {', '.join(map(repr, missing))}", None
    return None
