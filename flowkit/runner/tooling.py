"""Call the tools that a model asks for, and say what came of it. Knows no server, and nothing of how an answer is read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from flowkit.chat import Completion, Message, Tool, ToolCall
from flowkit.errors import CallError, OutputError, RunError, Unknown
from flowkit.plan import Plan, PlannedTool
from flowkit.results import ToolUse
from flowkit.runner.calling import invoke
from flowkit.runner.services import FATAL
from flowkit.runner.turn import Turn
from flowkit.spelling import did_you_mean
from flowkit.templates.data import LimitExceeded, NotText, text_of
from flowkit.types.validators import Invalid

#: Most rounds of tool calls for one answer, and most calls in a round.
ROUNDS = 10
CALLS = 128
#: Most characters of a result, and of an error, that go back to the model.
RESULT = 100_000
ERROR = 2_000

#: Runs a flow as a tool: its plan, its inputs, the name of the tool.
RunFlow: TypeAlias = Callable[[Plan, Mapping[str, Any], str], Awaitable[Any]]


class Toolbox:
    """The tools of one answer, and what was said with them so far, so that another model can go on from there."""

    def __init__(self, tools: Sequence[PlannedTool], turn: Turn, run_flow: RunFlow) -> None:
        self.tools: tuple[Tool, ...] = tuple(each.tool for each in tools)
        #: What the model asked for and what it got, in the order of the talk.
        self.said: list[Message] = []
        self._tools = {each.tool.name: each for each in tools}
        self._turn = turn
        self._run_flow = run_flow
        self._round = 0
        self._server: str | None = None
        #: Names that were called wrongly, of which the model was told.
        self._told: set[str] = set()

    def said_to(self, server: str) -> list[Message]:
        """Return what was said so far, to go on at this server: what another one wrote for itself stays behind."""
        if self._server not in (None, server):
            own = [tuple(replace(call, extra={}) for call in message.tool_calls) for message in self.said]
            self.said = [replace(message, tool_calls=calls, reasoning="") for message, calls in zip(self.said, own, strict=True)]
        self._server = server
        return self.said

    async def answer(self, completion: Completion, deadline: float | None) -> list[Message]:
        """Make all calls of one completion at once; return it as a message, and one message for each call.

        Raises:
            OutputError: a tool was called wrongly again.
            CallError: there were too many rounds or calls.
            RunError: a flow failed in a way that would fail every other call too, or time is up.
        """
        self._round += 1
        if self._round > ROUNDS:
            raise CallError(f"the model asked for tools {ROUNDS} times and still has no answer")
        if len(completion.tool_calls) > CALLS:
            raise CallError(f"the model asked for {len(completion.tool_calls)} calls of tools at once, more than {CALLS}")
        calls = [self._whole(call, at) for at, call in enumerate(completion.tool_calls, start=1)]
        read = [self._read(call) for call in calls]
        wrong = {call.name: given.why for call, given in zip(calls, read, strict=True) if isinstance(given, _Wrong)}
        for name in wrong.keys() & self._told:
            raise OutputError(f"the model called the tool {name!r} wrongly again: {wrong[name]}")
        self._told |= wrong.keys()
        try:
            async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._made(call, given)) for call, given in zip(calls, read, strict=True)]
        except TimeoutError:
            raise RunError("the time of the step ended while its tools were at work", kind="timeout") from None
        said = [Message("assistant", completion.text or None, tuple(calls), reasoning=completion.reasoning)]
        for call, task in zip(calls, tasks, strict=True):
            found = task.result()
            if isinstance(found, RunError):
                raise found
            said.append(Message("tool", found, tool_call_id=call.id))
        self.said += said
        return said

    def _whole(self, call: ToolCall, at: int) -> ToolCall:
        """Give a call what servers leave out and others want back: an id, and arguments that are JSON even if there are none."""
        return replace(call, id=call.id or f"call_{self._round}_{at}", arguments=call.arguments.strip() or "{}")

    def _read(self, call: ToolCall) -> Mapping[str, Any] | _Wrong:
        tool = self._tools.get(call.name)
        if tool is None:
            hint = did_you_mean(call.name, self._tools) or f"the tools are {', '.join(self._tools)}"
            return _Wrong(f"there is no tool {call.name!r}; {hint}")
        try:
            found: Mapping[str, Any] = tool.validator.json(call.arguments)
        except Invalid as e:
            return _Wrong(f"the arguments of {call.name!r} do not fit: {e}")
        return found

    async def _made(self, call: ToolCall, given: Mapping[str, Any] | _Wrong) -> str | RunError:
        """Make one call; return what the model gets to read, or an error that ends the step."""
        clock = self._turn.services.clock
        started = clock()
        error: str | None = None
        text = ""
        if isinstance(given, _Wrong):
            error = given.why
        else:
            try:
                text = _cut(_text(await self._call(call.name, given)), RESULT)
            except RunError as e:
                if e.kind in FATAL:
                    return e
                error = e.message
        if error is not None:
            error = _cut(error, ERROR)
            text = f"Error: {error}"
        arguments = _data(call.arguments) if isinstance(given, _Wrong) else given
        turn = self._turn
        turn.used(ToolUse(call.name, arguments, text, error, clock() - started, self._round, turn.item, turn.sample))
        return text

    async def _call(self, name: str, given: Mapping[str, Any]) -> Any:
        self._turn.go_on()
        target = self._tools[name].target
        if isinstance(target, Plan):
            return await self._run_flow(target, given, name)
        if self._turn.services.dry:
            raise Unknown(f"{name} is a function, which is not called")
        return await invoke(target, name, given)


class _Wrong:
    """Why a call cannot be made."""

    def __init__(self, why: str) -> None:
        self.why = why


def _text(value: Any) -> str:
    if value is None:
        return "null"
    try:
        return text_of(value)
    except (NotText, LimitExceeded) as e:
        raise CallError(f"the result has no text: {e}") from e


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… (cut: {len(text)} characters in all)"


def _data(arguments: str) -> Any:
    """Return arguments as data where they are JSON, else the text as it came."""
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
