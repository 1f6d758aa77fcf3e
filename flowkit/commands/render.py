"""`flowkit render`: show what a step would send. The flow runs up to it, and a server inside this process keeps the request."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from flowkit import printable
from flowkit.chat import ChatRequest
from flowkit.commands import given, screen
from flowkit.commands.narrowing import Narrowing
from flowkit.commands.opening import BY_TYPE, Opening, options
from flowkit.commands.verb import Verb
from flowkit.errors import InputError, RunError
from flowkit.flow import Flow
from flowkit.plan import ChatWork, Plan, PlannedStep
from flowkit.simulator import Simulator
from flowkit.spelling import did_you_mean
from flowkit.types.algebra import Field, Record
from flowkit.types.validators import Invalid, Validator
from flowkit.wire.response import Response

_EXAMPLES = (
    ("flowkit render flows/triage.flow.yaml extract -i ticket=@ticket.txt", "a step that reads inputs alone"),
    ("flowkit render flows/triage.flow.yaml draft --item 2 --inputs inputs.json --simulate replies.yaml", "the second item of a foreach"),
    ("flowkit render flows/triage.flow.yaml reply --inputs inputs.json --given draft:=@drafts.json", "with an answer of your own"),
    ("flowkit render flows/triage.flow.yaml extract --inputs inputs.json --json | jq .messages", "the very body of the request"),
)
_GIVEN = "The output of a step before it: STEP=TEXT, STEP=@FILE, STEP:=JSON, STEP:=@FILE, or a JSON or YAML FILE of several."


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow")
@click.argument("step")
@options
@click.option("--simulate", is_flag=False, flag_value=BY_TYPE, metavar="[REPLIES]", help="Answers of steps before it; else made by type.")
@click.option("--given", "outputs", multiple=True, metavar="STEP=@FILE", help=_GIVEN)
@click.option("--item", type=click.IntRange(min=1), metavar="N", help="Of a foreach: which item, from 1.")
@click.option("--run-functions", is_flag=True, help="Run Python functions before it; else sample values stand for what they return.")
@click.option("--json", "as_json", is_flag=True, help="Print the very body of the request.")
def command(
    opening: Opening,
    *,
    step: str,
    simulate: str | None,
    outputs: tuple[str, ...],
    item: int | None,
    run_functions: bool,
    as_json: bool,
) -> int:
    """Show the exact messages that a step would send; nothing is called.

    The schema, the model and its parameters are shown too. STEP is a step, or step/inner for one inside a sub-flow. The outputs of
    the steps before it are simulated, or given.
    """
    plan = opening.check().valid()
    planned = _find(plan, step)
    values = opening.values(plan, f"flowkit render {{}} {step}")
    narrowing = Narrowing(_outputs(outputs, plan), run_functions=run_functions, seed=opening.seed)
    recorder = Recorder(opening.simulator(simulate, plan), step, None if item is None else item - 1)
    flow_to_it = Flow(narrowing.upto(plan, step.split("/")), opening.runtime(recorder))
    started = flow_to_it.start(values)
    try:
        asyncio.run(started.finish())
    except RunError as error:
        if recorder.request is None:
            raise RunError(f"{error}\n   hint: give the output that it reads: --given STEP:=@FILE.json", kind=error.kind) from error
    if recorder.request is None:
        raise InputError(recorder.nothing())
    for line in _notes(narrowing, planned):
        screen.say(f"note: {line}")
    screen.out(_pretty(recorder.body) if as_json else "".join(_shown(recorder)))
    return 0


class Recorder:
    """A simulated server that keeps the first request of one step, of one of its items."""

    def __init__(self, simulator: Simulator, step: str, item: int | None) -> None:
        self._simulator = simulator
        self._step = step
        self._item = item
        self._items: set[int] = set()
        self.request: ChatRequest | None = None
        self.body = b""

    @property
    def learn(self) -> Any:
        """Take the types of the flow, as a simulator does."""
        return self._simulator.learn

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        """Keep the request if it is the one, and answer it."""
        if request.step == self._step:
            if request.item is not None:
                self._items.add(request.item)
            if self.request is None and self._item in {None, request.item}:
                self.request, self.body = request, body
        return await self._simulator.respond(request, body)

    def nothing(self) -> str:
        """Say why there is no request."""
        if self._item is not None and self._items:
            return f"step {self._step!r} has {printable.plural(len(self._items), 'item')}, so none is number {self._item + 1}"
        if self._item is not None:
            return f"step {self._step!r} has no items here: it is no foreach, or its list is empty"
        why = "a list that it goes over is empty, or a flow around it is skipped"
        return f"step {self._step!r} would send nothing with these values: {why}"


def _find(plan: Plan, path: str) -> PlannedStep:
    """Return the step behind a path. Raises InputError."""
    steps = {found: step for found, _, step in plan.walk()}
    asking = [found for found, step in steps.items() if isinstance(step.work, ChatWork)]
    step = steps.get(path)
    if step is None:
        hint = did_you_mean(path, asking) or f"the steps that ask a model are {', '.join(asking)}"
        raise InputError(f"flow {plan.name!r} has no step {path!r}; {hint}")
    if not isinstance(step.work, ChatWork):
        inside = [found for found in asking if found.startswith(f"{path}/")]
        raise InputError(f"step {path!r} asks no model itself; these do: {', '.join(inside or asking)}")
    return step


def _outputs(texts: Sequence[str], plan: Plan) -> dict[str, Any]:
    """Read `--given`: outputs by path of the step, checked by type. Raises InputError."""
    steps = {path: step for path, _, step in plan.walk()}
    declared = Record(tuple(Field(path, step.output) for path, step in steps.items()))
    found: dict[str, Any] = {}
    for text in texts:
        if "=" in text:
            found |= given.values([text], declared, what="step")
        else:
            found |= given.mapping(text, sys.stdin.read, what="outputs of steps")
    wrong = []
    for path, value in found.items():
        if path not in steps:
            hint = did_you_mean(path, steps) or f"its steps are {', '.join(steps)}"
            wrong.append(f"--given: flow {plan.name!r} has no step {path!r}; {hint}")
            continue
        try:
            found[path] = Validator(steps[path].output).value(value)
        except Invalid as error:
            wrong += [f"--given {path}: {each}" for each in error.errors]
    if wrong:
        raise InputError("\n".join(wrong))
    return found


def _notes(narrowing: Narrowing, step: PlannedStep) -> Iterator[str]:
    if narrowing.simulated:
        yield f"simulated: {', '.join(narrowing.simulated)}"
    if narrowing.sampled:
        functions = ", ".join(narrowing.sampled)
        yield f"not run, sample values stand for what they return: {functions} (--run-functions runs them)"
    if step.when is not None:
        yield "shown whatever its `when` says"


def _pretty(body: bytes) -> str:
    return printable.json_text(json.loads(body), indent=2) + "\n"


def _shown(recorder: Recorder) -> Iterator[str]:
    """Write the body for reading: each message below its role, then what goes with them."""
    body: Mapping[str, Any] = json.loads(recorder.body)
    safe = printable.block if screen.terminal(sys.stdout) else printable.encodable
    bold, end = ("\x1b[1m", "\x1b[0m") if screen.color(sys.stdout) else ("", "")
    assert recorder.request is not None
    if recorder.request.item is not None:
        yield f"{bold}# item{end} {recorder.request.item + 1}\n\n"
    for message in body["messages"]:
        yield f"{bold}── {message['role']} {'─' * (40 - len(message['role']))}{end}\n"
        content = message.get("content")
        text = content if isinstance(content, str) else printable.json_text(content, indent=2)
        yield safe(text) + ("" if text.endswith("\n") else "\n")
    yield f"{bold}── request {'─' * 33}{end}\n"
    yield f"model: {safe(body['model'])}\n"
    for name, value in body.items():
        if name not in {"model", "messages"}:
            yield f"{name}: {printable.json_text(value, indent=2 if isinstance(value, dict) else None)}\n"
