"""Get one answer for a chat step: render the messages, ask, read, ask again, fall back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flowkit import answers
from flowkit.chat import Attempt, ChatRequest, Completion, Message
from flowkit.config import Resolved
from flowkit.errors import CallError, ModelError, OutputError, RenderError
from flowkit.plan import ChatWork, Plan, PlannedCheck, PlannedMessage, PlannedPart, PlannedStep, TextOf
from flowkit.retry import Policy
from flowkit.runner.sending import Sending
from flowkit.runner.services import ATTEMPT_TIMEOUT, Entry
from flowkit.runner.tooling import Toolbox
from flowkit.runner.turn import Turn
from flowkit.types.validators import FieldError, Invalid
from flowkit.wire.reply import usable

#: Questions asked again after an answer that cannot be used.
REASKS = 2
#: Roles that history may not bring, nor `steps.x.messages` hold: they belong to the flow.
_OWN_ROLES = frozenset({"system", "developer"})


def render(work: ChatWork, names: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the messages as they are sent: few-shot examples stand after the leading system messages."""
    messages = [m for planned in work.messages for m in _message(planned, names)]
    if not work.examples:
        return tuple(messages)
    start = next((i for i, m in enumerate(messages) if m.role not in _OWN_ROLES), len(messages))
    pairs = [m for e in work.examples for m in (Message("user", _text(e.user, names)), Message("assistant", _text(e.assistant, names)))]
    return (*messages[:start], *pairs, *messages[start:])


def _text(text: TextOf | str, names: Mapping[str, Any]) -> str:
    return text if isinstance(text, str) else text.render(names)


def _message(planned: PlannedMessage, names: Mapping[str, Any]) -> list[Message]:
    if planned.history is not None:
        return _history(planned.history.of(names))
    if planned.text is not None:
        return [Message(planned.role, planned.text.render(names))]
    return [Message(planned.role, tuple(_part(p, names) for p in planned.parts))]


def _history(found: Any) -> list[Message]:
    if not isinstance(found, list):
        raise RenderError("`history` is not a list of messages")
    messages = []
    for entry in found:
        if not isinstance(entry, dict) or not isinstance(entry.get("role"), str) or not isinstance(entry.get("content"), str):
            raise RenderError("a message of `history` is not {role, content}")
        if entry["role"] in _OWN_ROLES:
            raise RenderError(f"a message of `history` has the role {entry['role']!r}: instructions belong to the flow, not to data")
        messages.append(Message(entry["role"], entry["content"]))
    return messages


def _part(part: PlannedPart, names: Mapping[str, Any]) -> Mapping[str, Any]:
    values = {name: text.render(names) for name, text in part.values.items()}
    return {"type": part.kind, "text": values["text"]} if part.kind == "text" else {"type": part.kind, part.kind: values}


async def ask(plan: Plan, step: PlannedStep, work: ChatWork, turn: Turn, names: Mapping[str, Any], toolbox: Toolbox | None = None) -> Any:
    """Return the typed answer; the models of the step are asked in turn until one gives it. Raises RunError."""
    messages = render(work, names)
    models = work.models or ("",)
    calls: list[Entry] = []
    for at, name in enumerate(models):
        try:
            return await _ask(plan, step, work, turn, names, messages=messages, model=name, toolbox=toolbox, calls=calls)
        except (ModelError, OutputError, CallError) as e:
            if isinstance(e, CallError) or at + 1 == len(models) or turn.shown:
                if not isinstance(e, ModelError):
                    # These answers came, and led nowhere: to take them again would end the same way.
                    for call in calls:
                        call.rejected()
                raise
            turn.repaired(f"{name} gave no answer ({e.kind}: {e.message}); asked {models[at + 1]} instead")
    raise AssertionError("the last model returns or raises")


async def _ask(
    plan: Plan,
    step: PlannedStep,
    work: ChatWork,
    turn: Turn,
    names: Mapping[str, Any],
    *,
    messages: tuple[Message, ...],
    model: str,
    toolbox: Toolbox | None,
    calls: list[Entry],
) -> Any:
    services = turn.services
    resolved = services.models(model, plan)
    endpoint = resolved.endpoint
    params = _params(resolved, work)
    shape = work.shape if endpoint.lengths else work.shape_without_lengths
    turn.model = endpoint.name
    turn.tariff = services.tariff(resolved, params)
    turn.shape = shape
    policy = _policy(work, simulated=services.simulated)
    attempt_timeout = work.timeout.attempt or resolved.timeout or ATTEMPT_TIMEOUT
    # Without a word of the author only attempts are bounded: how long a call waits for its turn is no fault of the server.
    total = work.timeout.total
    deadline = None if total is None else asyncio.get_running_loop().time() + total
    said = toolbox.said_to(endpoint.base_url) if toolbox is not None else []
    request = ChatRequest(
        endpoint.model,
        (*messages, *said),
        _after_tools(params) if said else params,
        shape,
        stream=services.stream,
        tools=() if toolbox is None else toolbox.tools,
        step=turn.path,
        item=turn.item,
        sample=turn.sample,
        samples=turn.samples,
    )
    again = REASKS if "invalid_output" in policy.on else 0
    before = len(turn.attempts)
    left = policy.attempts
    while True:
        bounded = policy if left == policy.attempts else replace(policy, attempts=left)
        sending = Sending(resolved, request, turn)
        try:
            completion = await sending.answer(cache=step.cache, policy=bounded, attempt_timeout=attempt_timeout, deadline=deadline)
            _refuse_useless(completion, sending, typed=shape is not None)
        except ModelError as e:
            _blame(e, work)
            raise
        if sending.entry is not None:
            calls.append(sending.entry)
        if completion.tool_calls and toolbox is not None:
            got = await toolbox.answer(completion, deadline)
            request = replace(request, messages=(*request.messages, *got), params=_after_tools(request.params))
            # What the tools gave is asked about by a new question, with all of its attempts.
            before, left = len(turn.attempts), policy.attempts
            continue
        if completion.tool_calls and not completion.text.strip():
            raise ModelError("the model asked for a tool, but the step has none", kind="bad_response", text=completion.text)
        wrapped = shape is not None and shape.wrapped
        value, wrong = _read(step, completion, turn, names, wrapped=wrapped)
        if wrong is not None and sending.reused and not (again and sending.knows(_again(request, completion, wrong), cache=step.cache)):
            # It was accepted by what was asked of it then, and is not by what is asked of it now.
            completion = await sending.answer(
                cache=step.cache, policy=bounded, attempt_timeout=attempt_timeout, deadline=deadline, anew=True
            )
            value, wrong = _read(step, completion, turn, names, wrapped=wrapped)
        if wrong is None:
            turn.messages = [*_talk(messages, work), Message("assistant", completion.text)]
            for warning in completion.warnings:
                turn.repaired(warning)
            return value
        # One budget for all requests of an answer, whatever was wrong with them.
        left = policy.attempts - _counted(turn.attempts[before:])
        if again == 0 or left < 1:
            raise wrong
        again -= 1
        turn.repaired(f"asked again: {wrong.message}")
        request = _again(request, completion, wrong)


def _again(request: ChatRequest, completion: Completion, wrong: _Unusable) -> ChatRequest:
    """Return the question that tells the model what was wrong with its answer."""
    return replace(request, messages=(*request.messages, Message("assistant", completion.text), Message("user", wrong.ask)))


def _refuse_useless(completion: Completion, sending: Sending, *, typed: bool) -> None:
    """Raise ModelError when the answer is of no use, and then let no other run use it."""
    try:
        usable(completion, typed=typed)
    except ModelError:
        if sending.entry is not None:
            sending.entry.rejected()
        raise


def _talk(messages: tuple[Message, ...], work: ChatWork) -> list[Message]:
    """Return what was said, so that a talk can go on: neither instructions nor few-shot examples are a part of it."""
    start = next((i for i, m in enumerate(messages) if m.role not in _OWN_ROLES), len(messages))
    return [m for m in messages[start + 2 * len(work.examples) :] if m.role not in _OWN_ROLES]


def _blame(error: ModelError, work: ChatWork) -> None:
    """Say where a parameter stands that the server refuses by name."""
    if error.kind != "bad_request":
        return
    for name, place in work.param_places.items():
        if re.search(rf"\b{re.escape(name)}\b", error.message):
            error.message += f" (the parameter {name!r} stands at {place.path}:{place.line}:{place.column})"
            error.args = (error.message,)
            return


def _after_tools(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let the model answer: a `tool_choice` that demands a call holds for the first request only, or there would be no end."""
    if params.get("tool_choice") in (None, "auto", "none"):
        return params
    return {name: value for name, value in params.items() if name != "tool_choice"}


def _counted(attempts: Sequence[Attempt]) -> int:
    """Return how many attempts were spent: stepping down to a weaker form of typed answers is free."""
    return len(attempts) - len({a.structured for a in attempts}) + 1


class _Unusable(OutputError):
    """An answer that cannot be taken; `ask` tells the model what was wrong."""

    def __init__(self, message: str, ask: str, kind: str) -> None:
        super().__init__(message, kind=kind)
        self.ask = ask


def _read(
    step: PlannedStep, completion: Completion, turn: Turn, names: Mapping[str, Any], *, wrapped: bool
) -> tuple[Any, _Unusable | None]:
    """Return the typed value, or why it cannot be taken."""
    value: Any = completion.text
    if step.validator is not None:
        try:
            answer = answers.read(completion.text, step.validator, wrapped=wrapped)
        except Invalid as e:
            return None, _Unusable(f"the answer does not fit its type: {_errors(e.errors)}", answers.reask(e.errors), "invalid_output")
        value = answer.value
        for repair in answer.repairs:
            turn.repaired(repair)
    broken = check(step.checks, value, turn, names)
    if broken:
        said = "\n".join(f"- {b}" for b in broken)
        ask_again = f"Your answer was not accepted:\n{said}\nAnswer again, in full and in the same form."
        return None, _Unusable("the answer failed a check: " + "; ".join(broken), ask_again, "check")
    return value, None


def check(checks: Sequence[PlannedCheck], value: Any, turn: Turn, names: Mapping[str, Any]) -> list[str]:
    """Return what the checks say against an answer; a check that only records notes it."""
    broken = []
    for one in checks:
        seen = {**names, "output": value}
        if not one.expr.of(seen):
            said = one.message.render(seen).strip() if one.message is not None else f"{one.shown} does not hold"
            if one.on_fail == "record":
                turn.repaired(f"check not met: {said}")
            else:
                broken.append(said)
    return broken


def _errors(errors: Sequence[FieldError]) -> str:
    said = [str(e) for e in errors[:5]]
    return "; ".join(said) + (f"; and {len(errors) - 5} more" if len(errors) > 5 else "")


def _params(resolved: Resolved, work: ChatWork) -> Mapping[str, Any]:
    if not resolved.params:
        return work.params
    merged = {**resolved.params, **work.params}
    if "extra_body" in resolved.params and "extra_body" in work.params:
        merged["extra_body"] = {**resolved.params["extra_body"], **work.params["extra_body"]}
    return merged


def _policy(work: ChatWork, *, simulated: bool) -> Policy:
    said = work.retry
    default = Policy()
    return Policy(
        said.attempts if said.attempts is not None else default.attempts,
        frozenset(said.on) if said.on is not None else default.on,
        # Nobody waits for a server that is not there.
        0.0 if simulated else said.initial if said.initial is not None else default.initial,
        said.factor if said.factor is not None else default.factor,
        said.max if said.max is not None else default.max,
    )
