"""`flowkit lock`: write down what the names of models lead to and which model answered, so that a change of it is a reviewed diff."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from flowkit import __version__, locking, project
from flowkit.commands import screen, versions
from flowkit.commands.revision import Located
from flowkit.commands.verb import Verb
from flowkit.config import Resolved
from flowkit.console import sides
from flowkit.console.paint import Paint
from flowkit.endpoints import redact
from flowkit.errors import ConfigError, FlowError, Problem
from flowkit.locking import FILE, Lock, Locked
from flowkit.plan import ChatWork, Plan
from flowkit.project import PathRefused, Project
from flowkit.runtime import Runtime
from flowkit.store import Served, home, open_existing

_EXAMPLES = (
    ("flowkit lock", "write flowkit.lock beside flowkit.toml"),
    ("flowkit lock --check", "in CI: fail when it is not what models lead to now"),
)


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flows", nargs=-1, metavar="[FLOW]...")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; end with 1 when the file would change.")
def command(*, flows: tuple[str, ...], only_check: bool) -> int:
    """Write down what models lead to and which answered, or check it.

    flowkit.lock holds for each name of a model the provider's model, the host of the server, the parameters of the alias, and the model
    that the server said had answered last, as far as the record knows; what is not known stays as the file has it. `flowkit run` and
    `flowkit batch` warn when another model answers.

    Without flows, all below the project are read; with some, the names of others stay as they are.

    Exit codes: 0; with --check 1 when the file differs; 2 wrong flow or configuration.
    """
    start = Path(flows[0]) if flows else Path.cwd()
    found = project.find(start)
    paths = [Path(flow) for flow in flows] or list(versions.flows(found.root))
    if strangers := [path for path in paths if project.find(path).root != found.root]:
        raise ConfigError(f"{strangers[0]} is of another project than {start}: each has a {FILE} of its own")
    file = found.root / FILE
    before = _text(file)
    old = locking.parse(before) if before else Lock()
    after = locking.text(_answered(_locked(paths, found, old if flows else Lock()), old, found))
    shown = project.shown(file, Path.cwd())
    if before == after:
        screen.say(f"{shown} is as it should be")
        return 0
    screen.out("".join(f"{line}\n" for line in sides.above(before, after, Paint(on=screen.color(sys.stdout)))))
    if only_check:
        screen.complain(f"{shown} is {'not what models lead to now' if before else 'missing'}\n   hint: `flowkit lock` writes it")
        return 1
    try:
        file.write_text(after, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"{shown}: {error.strerror}") from None
    screen.say(f"{shown} was written")
    return 0


def _text(file: Path) -> str:
    try:
        return project.read_text(file)
    except PathRefused as refused:
        if refused.reason == "missing":
            return ""
        raise ConfigError(f"{FILE}: {refused.message}") from None


def _locked(paths: Sequence[Path], found: Project, kept: Lock) -> Lock:
    """Return what the names of flows lead to, and all aliases of the project.

    Raises:
        FlowError: a flow is wrong.
        ConfigError: the configuration is, or a name leads nowhere.
    """
    runtime = Runtime()
    known = runtime.config(found.root / FILE)
    models = dict(kept.models) | {name: _entry(known.resolve(name, {}, {})) for name in known.aliases}
    flows = {path: dict(names) for path, names in kept.flows.items()}
    wrong: dict[Problem, None] = {}
    for path in paths:
        checked = Located(path, path, Path.cwd()).check(models=runtime.config(path))
        wrong |= dict.fromkeys(checked.errors)
        if checked.plan is None or wrong:
            continue
        for name, owner in _names(checked.plan):
            entry = _entry(known.resolve(name, owner.models, {}))
            if name in owner.models and name not in known.aliases:
                flows.setdefault(project.shown(owner.path, found.root), {})[name] = entry
            else:
                models[name] = entry
    if wrong:
        raise FlowError(tuple(sorted(wrong)))
    return Lock(models, flows)


def _names(plan: Plan) -> list[tuple[str, Plan]]:
    """Return the names of models that steps use; a step without one uses what `-m default=…` says, which nobody can lock."""
    return [(name, owner) for _, owner, step in plan.walk() if isinstance(step.work, ChatWork) for name in step.work.models if name]


def _entry(found: Resolved) -> Locked:
    endpoint = found.endpoint
    return Locked(endpoint.name, locking.host_of(redact(endpoint.url, endpoint.secrets)), found.params)


def _answered(lock: Lock, old: Lock, found: Project) -> Lock:
    """Return a lock with the models that answered: by the record, else as they were known."""
    answered: dict[tuple[str, str], str] = {(each.model, each.host): each.returned for each in old.every() if each.returned is not None}
    answered |= {(each.name, locking.host_of(each.url)): each.returned for each in reversed(_served(found))}

    def known(names: Mapping[str, Locked]) -> dict[str, Locked]:
        return {name: Locked(each.model, each.host, each.params, answered.get((each.model, each.host))) for name, each in names.items()}

    return Lock(known(lock.models), {path: known(names) for path, names in lock.flows.items()})


def _served(found: Project) -> list[Served]:
    record = open_existing(home(found, os.environ), version=__version__, warn=screen.say)
    if record is None:
        return []
    with record:
        return record.served()
