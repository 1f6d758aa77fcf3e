"""Call a Python function of a flow: plain data in, plain data out. Knows no step."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from flowkit.errors import CallError, RenderError
from flowkit.plan import CallWork
from flowkit.templates.data import LimitExceeded, NotText, plain


async def call(work: CallWork, names: Mapping[str, Any]) -> Any:
    """Return what the function of a step gave. Raises as `invoke` does, and RenderError when its arguments are no mapping."""
    return await invoke(work.function, work.name, arguments(work.with_.of(names)))


async def invoke(function: Callable[..., Any], name: str, given: Mapping[str, Any]) -> Any:
    """Return what a function gave, as plain data; a plain function runs in a thread, so that it may block.

    Raises:
        CallError: it raised, or gave what is no data.
    """
    try:
        if inspect.iscoroutinefunction(function):
            found = await function(**given)
        else:
            found = await asyncio.to_thread(_guarded, function, given)
            if inspect.isawaitable(found):
                found = await found
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise CallError(f"{name} was cancelled from within") from None
    except _Raised as e:
        raise _said(name, e.error) from e.error
    except (Exception, SystemExit) as e:  # the function is the user's, and may raise anything
        raise _said(name, e) from e
    try:
        return plain(to_jsonable_python(found))
    except (PydanticSerializationError, NotText, LimitExceeded, ValueError, TypeError, RecursionError) as e:
        raise CallError(f"{name} returned what is no plain data: {e}") from e


def arguments(given: Any) -> dict[str, Any]:
    """Return the value of `with` if it is a mapping. Raises RenderError."""
    if not isinstance(given, dict):
        raise RenderError(f"`with` must give a mapping, not {'nothing' if given is None else type(given).__name__}")
    return given


class _Raised(Exception):
    """Carries what a function raised out of its thread: some exceptions, StopIteration for one, would hang a future."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _guarded(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    try:
        return function(**given)
    except (Exception, SystemExit) as e:  # the function is the user's, and may raise anything
        raise _Raised(e) from e


def _said(name: str, error: BaseException) -> CallError:
    return CallError(f"{name} raised {type(error).__name__}: {error}")
