"""Recognise Python functions that only read a model's answer: as JSON, as one of some words, as a number. Runs nothing of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any, Literal

#: Calls that a function may make and still only read an answer.
_TEXT_METHODS = frozenset(
    "strip lstrip rstrip lower upper casefold title capitalize replace startswith endswith split removeprefix removesuffix".split()
)
_FREE = frozenset({"print", "len", "next", "any", "str", "isinstance", "list", "iter"})


@dataclass(frozen=True, slots=True)
class Glue:
    """What a function does with an answer. `sure`: a typed output does exactly this."""

    kind: Literal["json", "words", "number", "trim", "list"]
    parameter: str
    sure: bool = True
    #: For JSON: the keys that are known, with what they hold where nothing better is known; for a part of it, its key.
    fields: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    #: What it gives where the answer cannot be read.
    otherwise: Any = None
    words: tuple[str, ...] = ()
    type: str = ""


def recognise(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Glue | None:
    """Return what a function of one text does, if it only reads it."""
    names = [arg.arg for arg in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]]
    if len(names) != 1 or function.args.vararg or function.args.kwarg or isinstance(function, ast.AsyncFunctionDef):
        return None
    body = [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    return (
        _json(body, names[0])
        or _number(body, names[0])
        or _trim(body, names[0])
        or _words(function, body, names[0])
        or _list(function, names[0])
    )


def _calls(body: list[ast.stmt]) -> list[str]:
    found = []
    for part in body:
        for node in ast.walk(part):
            if isinstance(node, ast.Call):
                found.append(
                    ast.unparse(node.func)
                    if isinstance(node.func, ast.Name)
                    else node.func.attr
                    if isinstance(node.func, ast.Attribute)
                    else "?"
                )
    return found


def _only(body: list[ast.stmt], *more: str) -> bool:
    return all(name in _TEXT_METHODS or name in _FREE or name in more or name == "format" for name in _calls(body))


def _returned(body: list[ast.stmt]) -> list[ast.expr]:
    return [node.value for part in body for node in ast.walk(part) if isinstance(node, ast.Return) and node.value is not None]


def _json(body: list[ast.stmt], parameter: str) -> Glue | None:
    """`json.loads` of the text, or of a part of it, with a constant where it cannot be read."""
    calls = _calls(body)
    if "loads" not in calls:
        return None
    fallback: Any = None
    handlers = [node for part in body for node in ast.walk(part) if isinstance(node, ast.ExceptHandler)]
    failed = {id(value) for handler in handlers for value in _returned(handler.body)}
    for handler in handlers:
        for value in _returned(handler.body):
            fallback = _constant(value)
    loaded = {
        node.id
        for part in body
        for node in ast.walk(part)
        if isinstance(node, ast.Assign) and _loads(node.value)
        for node in node.targets
        if isinstance(node, ast.Name)
    }
    keys: set[str] = set()
    plain = True
    for value in _returned(body):
        if id(value) in failed:
            plain = plain and _constant(value) is not None
            continue
        key, of = "", value
        if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant) and isinstance(value.slice.value, str):
            key, of = value.slice.value, value.value
        plain = plain and (_loads(of) or (isinstance(of, ast.Name) and of.id in loaded))
        keys.add(key)
    quiet = _only(body, "loads", "error", "warning", "info", "exception", "debug")
    branches = any(isinstance(node, (ast.If, ast.For, ast.While)) for part in body for node in ast.walk(part))
    sure = plain and quiet and len(keys) == 1 and not branches
    fields = dict(fallback) if isinstance(fallback, dict) else {}
    return Glue("json", parameter, sure, fields, next(iter(keys)) if len(keys) == 1 else "", fallback) if quiet or sure else None


def _loads(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in {"json.loads", "loads"}


def _number(body: list[ast.stmt], parameter: str) -> Glue | None:
    """`int(text)` or `float(text)`."""
    calls = _calls(body)
    made = [name for name in calls if name in {"int", "float"}]
    if len(set(made)) != 1 or not _only(body, made[0]) or len(body) > 3:
        return None
    handlers = [node for part in body for node in ast.walk(part) if isinstance(node, ast.ExceptHandler)]
    failed = {id(value): _constant(value) for handler in handlers for value in _returned(handler.body)}
    good = [value for value in _returned(body) if id(value) not in failed]
    sure = all(isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == made[0] for value in good)
    return Glue("number", parameter, sure, otherwise=next(iter(failed.values()), None), type={"int": "integer", "float": "number"}[made[0]])


def _trim(body: list[ast.stmt], parameter: str) -> Glue | None:
    """`text.strip()`."""
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return None
    return Glue("trim", parameter) if ast.unparse(body[0].value) in {f"{parameter}.strip()", f"str({parameter}).strip()"} else None


def _words(function: ast.FunctionDef | ast.AsyncFunctionDef, body: list[ast.stmt], parameter: str) -> Glue | None:
    """One of some words, found in the text."""
    lists = [node for part in body for node in ast.walk(part) if isinstance(node, (ast.List, ast.Tuple, ast.Set))]
    words = [tuple(item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)) for node in lists]
    words = [found for node, found in zip(lists, words, strict=True) if len(found) == len(node.elts) >= 2]
    compared = tuple(
        dict.fromkeys(
            side.value
            for part in body
            for node in ast.walk(part)
            if isinstance(node, ast.Compare)
            for side in [node.left, *node.comparators]
            if isinstance(side, ast.Constant) and isinstance(side.value, str) and side.value
        )
    )
    returned = [value.value for value in _returned(body) if isinstance(value, ast.Constant)]
    given = [text for text in returned if isinstance(text, str) and text]
    if not _only(body) or any(isinstance(node, ast.While) for part in body for node in ast.walk(part)):
        return None
    if len(words) == 1:
        others = [value for value in _returned(body) if not isinstance(value, ast.Constant)]
        fallback = [part.orelse.value for value in others if isinstance(part := value, ast.IfExp) and isinstance(part.orelse, ast.Constant)]
        fallback += [
            call.args[1].value
            for value in others
            if isinstance(call := value, ast.Call) and len(call.args) == 2 and isinstance(call.args[1], ast.Constant)
        ]
        every = (*words[0], *given, *(text for text in fallback if isinstance(text, str) and text))
        return Glue("words", parameter, words=tuple(dict.fromkeys(every)))
    if len(given) >= 2 and len(given) == len(returned) == len(_returned(body)) and compared:
        # The words that it looks for are others than those that it gives, so a model would have to be told.
        same = {text.lower() for text in compared} <= {text.lower() for text in given}
        return Glue("words", parameter, sure=same, words=tuple(dict.fromkeys(given)))
    return None


def _list(function: ast.FunctionDef | ast.AsyncFunctionDef, parameter: str) -> Glue | None:
    """A text cut into a list."""
    body = function.body
    if "split" not in _calls(body) or not _only(body) or function.returns is None or "ist" not in ast.unparse(function.returns):
        return None
    return Glue("list", parameter, sure=False, type="list(string)")


def _constant(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError):
        return None
