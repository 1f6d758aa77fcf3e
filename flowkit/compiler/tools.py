"""Turn the names under `tools` into what a model may call. Knows functions and flows, not who asks for them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flowkit.chat import Tool
from flowkit.checker.scope import did_you_mean
from flowkit.compiler.session import Session
from flowkit.functions import LoadFailed
from flowkit.plan import Plan, PlannedTool
from flowkit.source import Scalar
from flowkit.types import schemas
from flowkit.types.algebra import AnyType, Record
from flowkit.types.annotations import Signature, signature
from flowkit.types.validators import Validator

#: Names that the protocol takes.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
#: Annotations that say on purpose that anything may come; where there is none, nobody said so.
_ANYTHING = (Any, object, "Any", "typing.Any", "object")


def is_flow(name: str) -> bool:
    """Whether an entry of `tools` names a flow; else it is a function."""
    return name.endswith((".yaml", ".yml"))


def name_of_flow(name: str) -> str:
    """Return by which name a model knows a flow: that of its file."""
    return Path(name).name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".flow")


class Tools:
    """Plans the tools of one step. `flows` holds the plan of each flow that is named, None after a problem."""

    def __init__(self, session: Session, path: Path, flows: Mapping[str, Plan | None]) -> None:
        self._session = session
        self._problems = session.problems
        self._path = path
        self._flows = flows

    def plan(self, entries: tuple[Scalar, ...]) -> tuple[PlannedTool, ...]:
        """Return what can be called; every problem stands at the entry that names the tool."""
        found: dict[str, PlannedTool] = {}
        for entry in entries:
            made = self._flow(entry) if is_flow(entry.text) else self._function(entry)
            if made is None:
                continue
            name = made.tool.name
            if not _NAME.fullmatch(name):
                message = f"{name!r} is no name of a tool: it has letters a to z, digits, '_' and '-', at most 64"
                self._problems.error("tool-name", entry.place(), message, "give the function or file another name")
            elif name in found:
                message = f"two tools are called {name!r}, and the model knows them by name alone"
                self._problems.error("duplicate-tool", entry.place(), message, "give one of them another name, or take it away")
            else:
                found[name] = made
        return tuple(found.values())

    def _flow(self, entry: Scalar) -> PlannedTool | None:
        plan = self._flows.get(entry.text)
        if plan is None:
            return None
        return PlannedTool(Tool(name_of_flow(entry.text), plan.description, schemas.json_schema(plan.inputs)), plan.input_validator, plan)

    def _function(self, entry: Scalar) -> PlannedTool | None:
        function = loaded(self._session, entry, self._path)
        if function is None:
            return None
        read = signature(function)
        if read.positional_only:
            report_positional(self._session, entry, read, "a tool gets its arguments by name")
            return None
        untold = [p.name for p in read.params if isinstance(p.type, AnyType) and not _says_anything(function, p.name)]
        if untold:
            names = ", ".join(map(repr, untold))
            message = f"function {entry.text!r} does not say of which type {names} is, so the model cannot know what to give"
            hint = f"annotate it with a type that JSON has, such as `{untold[0]}: str`"
            self._problems.error("tool-annotation", entry.place(), message, hint)
            return None
        params = Record(read.params)
        name = entry.text.rpartition(":")[2].rpartition(".")[2]
        return PlannedTool(Tool(name, inspect.getdoc(function) or "", schemas.json_schema(params)), Validator(params), function)


def loaded(session: Session, name: Scalar, path: Path) -> Callable[..., Any] | None:
    """Return the function that a flow names, None after a problem."""
    try:
        function = session.load(name.text, path)
    except LoadFailed as e:
        module, _, attribute = name.text.rpartition(":")
        meant = module if e.code == "unknown-module" else attribute
        hint = did_you_mean(meant, list(e.names), "there is" if e.code == "unknown-module" else "it has")
        session.problems.error(e.code, name.place(), e.message, hint)
        return None
    if not callable(function):
        session.problems.error("unknown-function", name.place(), f"{name.text!r} is no function")
        return None
    found: Callable[..., Any] = function
    return found


def report_positional(session: Session, name: Scalar, read: Signature, why: str) -> None:
    """Report a function that cannot be called by name."""
    names = ", ".join(map(repr, read.positional_only))
    message = f"function {name.text!r} takes {names} by position only, but {why}"
    session.problems.error(
        "positional-only", name.place(), message, "take the / out of its arguments, or wrap it in a function of your own"
    )


def _says_anything(function: Callable[..., Any], parameter: str) -> bool:
    return inspect.signature(function).parameters[parameter].annotation in _ANYTHING
