"""`flowkit models`: where the names of models lead, whether their servers answer, and which form of typed answers each holds to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from flowkit import compiler, config, printable, project
from flowkit.client import Client
from flowkit.client.probing import Pong, Trial, models_url, ping, probe, strongest
from flowkit.commands import screen
from flowkit.commands.verb import Verb, Verbs
from flowkit.config import Config, FlowModel, Resolved
from flowkit.endpoints import Endpoint, Secret
from flowkit.errors import ConfigError
from flowkit.plan import ChatWork, Plan

_EXAMPLES = (
    ("flowkit models ls", "the names of this folder's project"),
    ("flowkit models ls flows/triage.flow.yaml", "those of a flow too"),
    ("flowkit models ping", "are their servers there, and do they take the keys?"),
    ("flowkit models ping -m ollama/qwen3:8b --probe", "which form of typed answers does this model hold to?"),
)
#: Seconds for each server, and for each question of a probe.
_PATIENCE = 5.0
_PROBE_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Named:
    """One name that can be asked for, and where it leads. A provider leads to no model; `mistake` is why a name leads nowhere."""

    name: str
    kind: Literal["alias", "model", "provider"]
    origin: str
    resolved: Resolved | None = None
    mistake: str | None = None

    @property
    def endpoint(self) -> Endpoint | None:
        """Where a call may go; None as long as something is missing."""
        return self.resolved.endpoint if self.resolved is not None and self.resolved.missing is None else None


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of asking for one name: `pong` is None where nobody was asked."""

    named: Named
    pong: Pong | None = None
    trials: tuple[Trial, ...] = ()


@click.group(cls=Verbs, examples=_EXAMPLES)
def command() -> None:
    """Show where models lead, and whether their servers answer."""


_flow = click.argument("flow", required=False)
_env_file = click.option("--env-file", metavar="FILE", help="Add variables, such as keys, that are not set.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@command.command("ls", cls=Verb, examples=_EXAMPLES[:2])
@_flow
@_env_file
@_as_json
def ls(*, flow: str | None, env_file: str | None, as_json: bool) -> int:
    """List names of models and where they lead.

    The aliases of the project, and of a flow, with the models that its steps name, and the providers in use: each with the model and
    the address where it leads, whether its key is set, and how it is asked for typed answers. Nothing is called.

    Exit codes: 0 ok; 2 the flow or the configuration is wrong, or a name leads nowhere.
    """
    known, plan = _opened(flow, env_file)
    found = tuple(names(known, plan))
    screen.out(printable.json_text(_listing(found), indent=2) + "\n" if as_json else _lines(found))
    return 2 if any(each.mistake is not None for each in found) else 0


@command.command("ping", cls=Verb, examples=_EXAMPLES[2:])
@_flow
@click.option("-m", "--model", multiple=True, metavar="NAME", help="Ask for this one alone: an alias or provider/model. Repeatable.")
@click.option("--probe", "probing", is_flag=True, help="Find out the forms of typed answers, by three tiny questions to each model.")
@_env_file
@_as_json
def pinged(*, flow: str | None, model: tuple[str, ...], probing: bool, env_file: str | None, as_json: bool) -> int:
    """Ask servers whether they are there and take the key.

    The list of models is asked for, with the key; no model is called but with --probe. A run never needs this.

    Exit codes: 0 all are there; 2 the flow or the configuration is wrong, a name leads nowhere or lacks its key; 3 a server cannot be
    reached or refuses the key.
    """
    known, plan = _opened(flow, env_file)
    found = tuple(_chosen(known, plan, model) if model else names(known, plan))
    heard = asyncio.run(_ask(found, known, probing=probing))
    screen.out(printable.json_text(_hearing(heard), indent=2) + "\n" if as_json else _heard_lines(heard, probing=probing))
    if any(each.pong is not None and (not each.pong.reachable or each.pong.refused) for each in heard):
        return 3
    return 2 if any(each.pong is None for each in heard) else 0


# -- names -------------------------------------------------------------------------------------------------


def _opened(flow: str | None, env_file: str | None) -> tuple[Config, Plan | None]:
    """Return the configuration of the folder or of the flow's project, and the flow. Raises FlowError, ConfigError."""
    env = os.environ if env_file is None else config.dotenv(Path(env_file), os.environ)
    path = Path(flow or ".")
    known = config.load(project.find(path), env)
    if flow is None or path.is_dir():
        return known, None
    return known, compiler.check(path, cwd=Path.cwd(), models=known).valid()


def names(known: Config, plan: Plan | None) -> Iterator[Named]:
    """Yield the aliases of the project and of the flow, the models that its steps name, and the providers in use."""
    file = known.file or "flowkit.toml"
    flow_models: Mapping[str, FlowModel] = plan.models if plan is not None else {}
    seen = set(known.aliases)
    for alias in known.aliases:
        yield _named(known, alias, "alias", file, flow_models)
    for owner, name in _of_flow(plan):
        if name not in seen:
            seen.add(name)
            yield _named(known, name, "alias" if name in owner.models else "model", owner.shown, owner.models)
    where = {origin.key: origin.where for origin in known.origins()}
    for provider in sorted({key.split(".")[1] for key in where if key.startswith("providers.")}):
        origin = file if provider in known.providers else where.get(f"providers.{provider}.api_key", "")
        found = _named(known, provider, "provider", origin, {})
        # Nobody set up a ready provider that lacks its key.
        if found.endpoint is not None or provider in known.providers:
            yield found


def _of_flow(plan: Plan | None) -> Iterator[tuple[Plan, str]]:
    """Yield each alias of a flow and of those that it uses, and each model that a step names."""
    if plan is None:
        return
    yield from ((plan, name) for name in plan.models)
    for _, owner, step in plan.walk():
        if isinstance(step.work, ChatWork):
            yield from ((owner, name) for name in (*owner.models, *step.work.models))


def _chosen(known: Config, plan: Plan | None, wanted: Sequence[str]) -> Iterator[Named]:
    models: Mapping[str, FlowModel] = plan.models if plan is not None else {}
    for name in dict.fromkeys(wanted):
        yield _named(known, name, "alias" if name in {*known.aliases, *models} else "model", "-m", models)


def _named(known: Config, name: str, kind: Literal["alias", "model", "provider"], origin: str, models: Mapping[str, FlowModel]) -> Named:
    try:
        # Where a provider leads does not depend on the model, but for Azure's older surface, whose list stands above the deployments.
        return Named(name, kind, origin, known.resolve(f"{name}/any" if kind == "provider" else name, models, {}))
    except ConfigError as error:
        return Named(name, kind, origin, mistake=str(error))


# -- servers -----------------------------------------------------------------------------------------------


async def _ask(found: Sequence[Named], known: Config, *, probing: bool) -> tuple[Heard, ...]:
    """Ask each server and each model once, all at the same time, whatever the number of names for them."""
    servers: dict[tuple[object, ...], asyncio.Task[Pong]] = {}
    models: dict[tuple[object, ...], asyncio.Task[tuple[Trial, ...]]] = {}
    async with Client(proxy=known.proxy, ca_file=known.ca_file) as client, asyncio.TaskGroup() as group:
        for each in found:
            if (at := each.endpoint) is None:
                continue
            server = _server(at)
            if server not in servers:
                servers[server] = group.create_task(ping(at, patience=_PATIENCE, proxy=known.proxy, ca_file=known.ca_file))
            if probing and each.kind != "provider" and each.resolved is not None and (*server, at.model) not in models:
                models[*server, at.model] = group.create_task(_probed(servers[server], client, each.resolved))
    heard = []
    for each in found:
        if (at := each.endpoint) is None:
            heard.append(Heard(each))
            continue
        trials = models.get((*_server(at), at.model))
        heard.append(Heard(each, servers[_server(at)].result(), trials.result() if trials is not None and each.kind != "provider" else ()))
    return tuple(heard)


def _server(endpoint: Endpoint) -> tuple[str, Secret | None, frozenset[tuple[str, str]]]:
    return models_url(endpoint), endpoint.api_key, frozenset(endpoint.headers.items())


async def _probed(server: asyncio.Task[Pong], client: Client, resolved: Resolved) -> tuple[Trial, ...]:
    pong = await server
    if not pong.reachable or pong.refused:
        return ()
    return await probe(client, resolved.endpoint, resolved.params, patience=_PROBE_PATIENCE)


def _unlisted(heard: Heard) -> bool:
    """Whether the server names its models, and not this one. Azure's list holds models, not deployments."""
    endpoint, pong = heard.named.endpoint, heard.pong
    if endpoint is None or pong is None or pong.models is None or heard.named.kind == "provider" or endpoint.api_style == "azure":
        return False
    # Ollama lists `qwen3:latest` and takes `qwen3`.
    return not {endpoint.model, f"{endpoint.model}:latest"} & pong.models


def _advice(heard: Heard) -> str | None:
    """Return the setting under which typed answers work better than they do now."""
    endpoint, best = heard.named.endpoint, strongest(heard.trials)
    if endpoint is None or best is None:
        return None
    # `auto` steps down where a form is refused, and cannot see that one is ignored.
    automatic = next((trial.form for trial in heard.trials if trial.outcome != "refused"), None)
    in_force = automatic if endpoint.structured == "auto" else endpoint.structured
    return None if in_force == best else best


# -- shown -------------------------------------------------------------------------------------------------


def _key(resolved: Resolved) -> str:
    if resolved.endpoint.api_key is not None:
        return "set"
    return "none" if resolved.missing is None else "missing"


def _lines(found: Sequence[Named]) -> str:
    if not found:
        return "none in use yet: set OPENAI_API_KEY, or write a flowkit.toml (`flowkit init`)\n"
    rows, lost = [], []
    for each in found:
        if (resolved := each.resolved) is None:
            lost.append(f"✗ {each.name}  ({each.origin})  {printable.line(each.mistake or '')}\n")
            continue
        model = f"{each.name}/…" if each.kind == "provider" else resolved.endpoint.name
        address = printable.line(_address(resolved) or "not set")
        rows.append((each.name, model, address, f"key: {_key(resolved)}", resolved.endpoint.structured, f"({each.origin})"))
    return _columns(rows) + "".join(lost)


def _address(resolved: Resolved) -> str | None:
    base = resolved.endpoint.base_url
    return None if resolved.missing is not None and base.endswith(".invalid") else base


def _listing(found: Sequence[Named]) -> dict[str, Any]:
    return {"schema": 1, "models": [_entry(each) for each in found]}


def _entry(each: Named) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": each.name, "kind": each.kind, "origin": each.origin}
    if each.resolved is None:
        return entry | {"model": None, "address": None, "key": None, "structured": None, "missing": None, "error": each.mistake}
    at = each.resolved.endpoint
    return entry | {
        "model": None if each.kind == "provider" else at.name,
        "address": _address(each.resolved),
        "key": _key(each.resolved),
        "structured": at.structured,
        "missing": each.resolved.missing,
        "error": None,
    }


def _hearing(heard: Sequence[Heard]) -> dict[str, Any]:
    return {"schema": 1, "models": [_entry(each.named) | _answer(each) for each in heard]}


def _answer(heard: Heard) -> dict[str, Any]:
    pong = heard.pong
    if pong is None:
        return {"reachable": None, "status": None, "seconds": None, "said": _why(heard), "listed": None, "forms": None, "advice": None}
    known = pong.models is not None and heard.named.kind != "provider"
    return {
        "reachable": pong.reachable,
        "status": pong.status,
        "seconds": round(pong.seconds, 6),
        "said": pong.said,
        "listed": not _unlisted(heard) if known else None,
        "forms": {trial.form: {"outcome": trial.outcome, "said": trial.said} for trial in heard.trials} or None,
        "advice": _advice(heard),
    }


def _why(heard: Heard) -> str:
    """Why nobody was asked."""
    resolved = heard.named.resolved
    return (heard.named.mistake if resolved is None else resolved.missing) or ""


def _heard_lines(heard: Sequence[Heard], *, probing: bool) -> str:
    if not heard:
        return _lines(())
    red, end = ("\x1b[1;31m", "\x1b[0m") if screen.color(sys.stdout) else ("", "")
    text = []
    for row, each in zip(_columns([_row(each) for each in heard]).splitlines(), heard, strict=True):
        good = each.pong is not None and each.pong.reachable and not each.pong.refused
        text.append(f"{'✓' if good else f'{red}✗{end}'} {row}\n")
        text += [f"    {trial.form:<11}  {trial.outcome}{_said(trial)}\n" for trial in each.trials]
        if probing and (advice := _advice(each)):
            text.append(f'    write structured = "{advice}" for it: what it is asked for now does not hold\n')
    return "".join(text)


def _row(heard: Heard) -> tuple[str, str, str, str]:
    named, pong = heard.named, heard.pong
    if pong is None:
        return named.name, "", "", f"not asked: {printable.line(_why(heard))}"
    assert named.endpoint is not None, "it was asked"
    took = f"{pong.seconds * 1000:.0f} ms" if pong.reachable else ""
    said = pong.said or (f"does not list {named.endpoint.model!r}" if _unlisted(heard) else "")
    return named.name, named.endpoint.host, took, printable.line(said)


def _said(trial: Trial) -> str:
    return f"  ({printable.line(trial.said)})" if trial.said else ""


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    widths = [max(printable.width(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "".join("  ".join(map(printable.pad, row, widths)).rstrip() + "\n" for row in rows)
