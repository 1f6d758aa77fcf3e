"""The options that run and render share, and the flow, inputs and replies that they mean."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from flowkit import config, project, replies, source
from flowkit.client import Responder
from flowkit.commands import given, screen
from flowkit.commands.keeping import Keeping
from flowkit.commands.revision import Located, kept
from flowkit.compiler import Checked
from flowkit.errors import ConfigError, FlowError, Problems
from flowkit.flow import Flow
from flowkit.plan import ChatWork, Plan
from flowkit.project import PathRefused
from flowkit.provenance import Committed
from flowkit.replies import Replies
from flowkit.runtime import Runtime
from flowkit.simulator import Simulator
from flowkit.spelling import did_you_mean
from flowkit.store import home

#: What commands keep that call nothing.
NOTHING = Keeping(record=False)
#: Stands for `--simulate` without a file.
BY_TYPE = "-"
FLOW_SUFFIX = ".flow.yaml"


@dataclass(frozen=True, slots=True)
class Opening:
    """What the shared options say; fields are named as the options are."""

    flow: str
    input: tuple[str, ...] = ()
    inputs: str | None = None
    model: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    seed: str = ""
    env_file: str | None = None
    variant: tuple[str, ...] = ()

    @property
    def located(self) -> Located:
        """Where the flow is read, and where it is in the working tree. Raises ConfigError for a revision without it."""
        return kept(self.flow)

    def open(self, *, simulate: str | None, keeping: Keeping = NOTHING) -> Flow:
        """Check the flow whole and return it, with the servers or the simulator that the options name, and the record.

        Raises:
            FlowError: the flow or the file of replies is wrong.
            ConfigError: an option or the configuration is wrong.
        """
        checked = self.check()
        plan = checked.valid()
        runtime = self.runtime(None if simulate is None else self.simulator(simulate, plan), keeping)
        self._refuse_unused(plan, runtime)
        snapshot = self.located.snapshot
        committed = None if snapshot is None else Committed(self.located.today, snapshot.commit)
        options = self.changes(simulate, keeping)
        return Flow(plan, runtime, warnings=checked.problems, files=checked.files, options=options, committed=committed)

    def changes(self, simulate: str | None, keeping: Keeping) -> dict[str, Any]:
        """Return what the options change about the flow, as data: with it `resume` opens the same flow again, from any folder."""
        said = {
            "model": list(self.model),
            "set": list(self.settings),
            "variant": list(self.variant),
            "seed": self.seed,
            "env_file": self.env_file and str(Path(self.env_file).absolute()),
            "simulate": simulate if simulate in {None, BY_TYPE} else str(Path(str(simulate)).absolute()),
            "fresh": keeping.fresh,
            "revision": self.located.snapshot and self.located.snapshot.commit,
        }
        return {name: value for name, value in said.items() if value}

    def _refuse_unused(self, plan: Plan, runtime: Runtime) -> None:
        """Refuse an alias of `-m` that leads nowhere: another model than the one that was meant would be paid. Raises ConfigError."""
        used: set[str] = set()
        for _, owner, step in plan.walk():
            for name in (step.work.models or ("default",)) if isinstance(step.work, ChatWork) else ():
                try:
                    used |= {name, *runtime.resolve(name, owner).chain}
                except ConfigError:
                    used.add(name)  # said when the run begins
        for name in pairs(self.model):
            if name not in used:
                meant = did_you_mean(name, sorted(used)) or f"the steps use {', '.join(sorted(used)) or 'no model'}"
                raise ConfigError(f"-m {name}=…: no step uses the model {name!r}; {meant}")

    def check(self) -> Checked:
        """Check the flow as the options change it. Raises ConfigError."""
        found = self.located
        variants = pairs(self.variant, "--variant", "STEP=NAME, such as reply=short")
        return found.check(models=self.runtime(None).config(found.path), overrides=self.settings, variants=variants)

    def runtime(self, responder: Responder | None, keeping: Keeping = NOTHING) -> Runtime:
        """Return what asks the servers that the options name, or the responder in their place. Raises ConfigError."""
        env = None if self.env_file is None else config.dotenv(Path(self.env_file), os.environ)
        record = keeping.record
        if record is True and (found := self.located).snapshot is not None:  # what ran is kept where the flow is today
            record = home(project.find(found.today), os.environ)
        return Runtime(
            models=pairs(self.model),
            simulate=responder or False,
            env=env,
            record=record,
            cache=not keeping.fresh,
            warn=screen.say,
        )

    def simulator(self, simulate: str | None, plan: Plan) -> Simulator:
        """Return a simulated server that answers from a file, or by type. Raises FlowError when the file is wrong."""
        return Simulator(self.replies(simulate, plan), seed=self.seed)

    def replies(self, simulate: str | None, plan: Plan) -> Replies | None:
        """Return what `--simulate` says, None where it names no file. Raises FlowError when the file is wrong."""
        return None if simulate in {None, BY_TYPE} else _replies(Path(str(simulate)), plan)

    def values(self, plan: Plan, command: str) -> dict[str, Any]:
        """Return the inputs, those of the file below those that are named.

        `command` is shown where some are missing, with the flow in the place of `{}`.

        Raises:
            InputError: with everything that does not fit.
        """
        found = given.mapping(self.inputs, sys.stdin.read) if self.inputs is not None else {}
        found |= given.values(self.input, plan.inputs)
        given.require(found, plan.inputs, flow=plan.name, line=command.format(shlex.quote(self.flow)))
        return found


def options(function: Callable[..., int]) -> Callable[..., int]:
    """Declare the options of an `Opening`, and hand it to the function in their place, as `opening`."""

    @wraps(function)
    def opened(
        flow: str | None,
        input: tuple[str, ...],  # noqa: A002 - named as the option is
        inputs: str | None,
        model: tuple[str, ...],
        settings: tuple[str, ...],
        seed: str,
        env_file: str | None,
        variant: tuple[str, ...],
        **others: Any,
    ) -> int:
        return function(Opening(flow or "", input, inputs, model, settings, seed, env_file, variant), **others)

    declared: Callable[..., int] = opened
    for declare in reversed(_OPTIONS):
        declared = declare(declared)
    return declared


_INPUT = "An input: NAME=TEXT (read by its type), NAME=@FILE, NAME:=JSON, NAME:=@FILE."
_SET = "Change the file for this run: steps.x.params.temperature=0."
_OPTIONS = (
    click.option("-i", "--input", multiple=True, metavar="NAME=VALUE", help=_INPUT),
    click.option("--inputs", metavar="FILE", help="Inputs from a JSON or YAML file; - is stdin. -i counts more."),
    click.option("-m", "--model", multiple=True, metavar="ALIAS=MODEL", help="Use another model: fast=ollama/qwen3:8b."),
    click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help=_SET),
    click.option("--variant", multiple=True, metavar="STEP=NAME", help="Use a variant of a step; step/inner inside a sub-flow."),
    click.option("--seed", default="", metavar="TEXT", help="Other simulated answers; the same for the same text."),
    click.option("--env-file", metavar="FILE", help="Add variables, such as keys, that are not set. No .env is read unasked."),
)


def sorted_out(opening: Opening, simulate: str | None) -> tuple[Opening, str | None]:
    """Sort out `--simulate FLOW`, in which the flow was taken for the file of replies."""
    if not opening.flow and simulate is not None and simulate.endswith(FLOW_SUFFIX):
        return replace(opening, flow=simulate), BY_TYPE
    if not opening.flow:
        raise click.UsageError("which flow? name a file such as flows/hello.flow.yaml", click.get_current_context())
    return opening, simulate


def pairs(texts: Sequence[str], option: str = "-m", form: str = "alias=model, such as fast=openai/gpt-4.1-mini") -> dict[str, str]:
    """Read texts with a name on either side of `=`. Raises ConfigError."""
    found = {}
    for text in texts:
        left, equals, right = text.partition("=")
        if not equals or not left.strip() or not right.strip():
            raise ConfigError(f"{option} {text}: write it as {form}")
        found[left.strip()] = right.strip()
    return found


def _replies(path: Path, plan: Plan) -> Replies:
    """Read a file of replies for a flow. Raises FlowError, also when it names a step that asks no model."""
    problems = Problems()
    try:
        data = project.read_bytes(path)
    except PathRefused as refused:
        raise ConfigError(f"--simulate: {refused.message}" + (f" ({refused.hint})" if refused.hint else "")) from None
    shown = project.shown(path.resolve(), Path.cwd())
    said = replies.parse_replies(source.parse(data, path=path, shown=shown, problems=problems), problems)
    steps = {step_path: step for step_path, _, step in plan.walk()}
    asking = [name for name, step in steps.items() if isinstance(step.work, ChatWork)]
    for name, place in said.steps.items():
        if place is None or name in asking:
            continue
        if name in steps:
            problems.error("reply-step", place, f"step {name!r} asks no model, so nothing replies to it", f"these do: {', '.join(asking)}")
        else:
            hint = did_you_mean(name, asking) or f"the steps that ask a model are {', '.join(asking)}"
            problems.error("unknown-step", place, f"flow {plan.name!r} has no step {name!r}", hint)
    if problems.fatal:
        raise FlowError(problems.ordered())
    return said
