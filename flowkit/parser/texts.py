"""Turn the values of text keys and expression keys into templates and expressions. Knows braces and comments, not Jinja's grammar."""

from __future__ import annotations

import re

from flowkit.parser.reading import Reading, own
from flowkit.parser.shapes import is_empty, shown
from flowkit.parser.values import BAD, finite
from flowkit.source import Mapping, Node, Scalar, Sequence
from flowkit.spec import Expr, Expression, ListOf, Literal_, MapOf, Text

#: Parts of a template that are text or nothing, whatever stands in them.
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}|\{#.*?#\}", re.DOTALL)
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_BRACES = re.compile(r"\$\{\{|\{\{|\{%|\{#|\$\{")
_WHOLE = re.compile(r"\s*\$?\{\{[-+]?\s*(.*?)\s*[-+]?\}\}\s*", re.DOTALL)
_PIECES = re.compile(r"\$?\{\{[-+]?\s*(.*?)\s*[-+]?\}\}", re.DOTALL)


def text(r: Reading, node: Node, what: str) -> Text | None:
    """Read a template; what is wrong with it as a text is reported, and None when it is none."""
    if is_empty(node):
        r.error("empty-text", node.place(), f"{what} is empty", "write the text behind it, or below it after |")
        return None
    if not isinstance(node, Scalar):
        hint = "quote it, or write it below after |" if isinstance(node, Mapping) else None
        r.error("not-text", node.place(), f"{what} must be text, not {shown(node)}", hint)
        return None
    if not isinstance(node.value, str):
        r.error("not-text", node.place(), f"{what} must be text; YAML reads {node.text} as {_kind(node)}", f'quote it: "{node.text}"')
        return None
    if not node.text.strip():
        r.error("empty-text", node.place(), f"{what} is empty")
        return None
    if (comment := node.comment) is not None:
        place = node.file.place(node.end_line, node.comment_column, node.comment_column + len(comment))
        message = f"'#' after a blank begins a comment, so that {what} ends before {_short(comment)!r}"
        r.error("comment-cuts-text", place, message, "quote the text, or write it below after |; a comment stands on a line of its own")
    _dollar(r, node, what)
    return Text(node.text, node)


def _dollar(r: Reading, node: Scalar, what: str) -> None:
    if "${{" not in node.text:
        return
    seen = _RAW.sub(lambda m: " " * len(m[0]), node.text)
    at = seen.find("${{")
    if at >= 0:
        hint = "write {{ … }}; for a dollar sign before a value {{ '$' }}{{ … }}"
        r.error("dollar-braces", node.place(at, at + 3), f"{what} holds '${{{{', the braces of another tool", hint)


def expression(r: Reading, node: Node, what: str) -> Expr:
    """Read what stands under an expression key; what is wrong is reported and becomes an expression that says nothing."""
    match node:
        case Sequence():
            return ListOf(tuple(expression(r, item, f"an entry of {what}") for item in node.items), node)
        case Mapping():
            return mapping(r, node, [(entry.key, entry.value) for entry in node.entries], what)
    if is_empty(node):
        r.error("empty-expression", node.place(), f"{what} is empty", "write an expression, or null if absence is meant")
        return unknown(node)
    if not isinstance(node.value, str):
        return unknown(node) if finite(r, node, what) is BAD else Literal_(node.value, node)
    if not node.text.strip():
        r.error("empty-expression", node.place(), f"{what} is empty", "an expression for the empty text is \"''\"")
        return unknown(node)
    return _without_braces(r, node, what) if "{" in node.text else Expression(node.text, node)


#: Its type is `any`, so that nothing follows from it.
_UNKNOWN = "[][0]"


def unknown(node: Scalar) -> Expression:
    """Return an expression of which nothing can be known, for one whose own mistake has been reported."""
    return Expression(_UNKNOWN, node)


def is_unknown(expr: Expr | None) -> bool:
    """Whether an expression was reported, so that nothing is known of it."""
    return isinstance(expr, Expression) and expr.text == _UNKNOWN != expr.node.text


def mapping(r: Reading, node: Mapping, pairs: list[tuple[Scalar, Node]], what: str) -> MapOf:
    """Read a mapping of expressions, of which `pairs` are the entries that count."""
    items: dict[str, Expr] = {}
    keys: dict[str, Scalar] = {}
    for key, value in pairs:
        keys[key.text] = key
        items[key.text] = expression(r, value, f"{key.text!r} in {what}")
    return MapOf(items, node, keys)


def named(r: Reading, node: Node, key: Scalar, what: str) -> Expr:
    """Read a mapping of expressions, or one expression for the whole record, which no list is."""
    if isinstance(node, Mapping):
        return mapping(r, node, own(node), what)
    if isinstance(node, Sequence):
        hint = "write name: expression"
        r.error("wrong-type", node.place(), f"{what} must be a mapping of expressions, or one expression, not a list", hint)
        return unknown(key)
    return expression(r, node, what)


def _without_braces(r: Reading, node: Scalar, what: str) -> Expr:
    """Report braces around or in an expression, and return what is meant when they are all around it."""
    seen = _STRING.sub(lambda m: " " * len(m[0]), node.text)
    found = _BRACES.search(seen)
    if found is None:
        return Expression(node.text, node)
    if found[0].startswith("$"):
        code, message = "dollar-braces", f"{what} holds {found[0]!r}, the braces of another tool; an expression takes none"
    else:
        code, message = "braces-in-expression", f"{what} is an expression and takes no braces"
    whole = _WHOLE.fullmatch(node.text)
    meant = whole[1] if whole and "{{" not in whole[1] else ""
    r.error(code, node.place(found.start(), found.end()), message, f"write {meant}" if meant else _joined(node.text))
    if not meant or whole is None:
        return unknown(node)
    # As long as before, so that each name keeps its place.
    return Expression(" " * whole.start(1) + meant + " " * (len(node.text) - whole.end(1)), node)


def _joined(text: str) -> str:
    if "{%" in text or "{#" in text:
        return "an expression has no statements: for a choice write a if b else c"
    pieces: list[str] = []
    at = 0
    for found in _PIECES.finditer(text):
        pieces += [_quoted(text[at : found.start()]), found[1]]
        at = found.end()
    pieces = [piece for piece in (*pieces, _quoted(text[at:])) if piece]
    return f'write "{" ~ ".join(pieces)}"' if at else "write the expression without braces"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'" if text else ""


def _kind(node: Scalar) -> str:
    if node.value is None:
        return "null"
    return "a boolean" if isinstance(node.value, bool) else "a number"


def _short(comment: str) -> str:
    return comment if len(comment) <= 40 else comment[:39] + "…"
