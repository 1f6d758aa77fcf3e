"""Turn a Python function into what makes it the same function: its name, its signature and a digest of its code.

The code is that of the function and of all at the top of its module that it names, on and on; what other modules hold is not followed.
Comments and layout do not count.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def described(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """Return a function as plain data; `source` is None where Python has no source of it."""
    try:
        signature = _ADDRESS.sub("", str(inspect.signature(function)))
    except (ValueError, TypeError):  # built into Python
        signature = "(…)"
    return {"name": name, "signature": signature, "source": _digest(function)}


def _digest(function: Callable[..., Any]) -> str | None:
    module = inspect.getmodule(function)
    if module is None:
        return None
    try:
        text = inspect.getsource(module)
    except (OSError, TypeError):
        return None
    top = str(getattr(function, "__qualname__", "")).partition(".")[0]
    return hashlib.sha256(code(text, top).encode()).hexdigest()[:16]


def code(module: str, name: str) -> str:
    """Return the statements of a module's text that make `name`, in one layout; all of them where none does."""
    statements = [(statement, set(_bound(statement))) for statement in ast.parse(module).body]
    reached: set[int] = set()
    pending = [name]
    known: set[str] = set()
    while pending:
        wanted = pending.pop()
        if wanted in known:
            continue
        known.add(wanted)
        for at, (statement, names) in enumerate(statements):
            if wanted in names and at not in reached:
                reached.add(at)
                pending += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return "\n".join(ast.unparse(statement) for at, (statement, _) in enumerate(statements) if at in reached or not reached)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement at the top of a module gives."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.alias():
                yield node.asname or node.name.partition(".")[0]
            case ast.Name(ctx=ast.Store()):
                yield node.id
