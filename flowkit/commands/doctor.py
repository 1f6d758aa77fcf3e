"""`flowkit doctor`: show what flowkit runs on, what is configured and where that was said, and whether servers can be reached."""

from __future__ import annotations

import http.client
import os
import platform
import socket
import ssl
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from flowkit import __version__, config, printable, project
from flowkit.commands import screen
from flowkit.commands.verb import Verb
from flowkit.config import Config, Origin
from flowkit.endpoints import Endpoint
from flowkit.errors import ConfigError

_EXAMPLES = (
    ("flowkit doctor", "of this folder's project"),
    ("flowkit doctor --offline", "without asking any server"),
    ("flowkit doctor --json | jq .servers", "for programs"),
)
_LIBRARIES = ("pydantic", "jinja2", "pyyaml", "httpx", "httpx-aiohttp", "aiohttp", "networkx", "click", "rich", "orjson")
#: Seconds for each server.
_PATIENCE = 4.0


@dataclass(frozen=True, slots=True)
class Server:
    """One server and whether it answers; `said` is what it or the connection said."""

    address: str
    names: tuple[str, ...]
    reachable: bool
    said: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is shown. `mistake` is what is wrong with the configuration."""

    facts: dict[str, str]
    libraries: dict[str, str]
    found: project.Project
    origins: tuple[Origin, ...]
    servers: tuple[Server, ...]
    mistake: str | None


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("folder", default=".")
@click.option("--offline", is_flag=True, help="Ask no server.")
@click.option("--env-file", metavar="FILE", help="Add variables, such as keys, that are not set.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, folder: str, offline: bool, env_file: str | None, as_json: bool) -> int:
    """Show versions, configuration, keys and servers.

    Each setting is shown with where it was said, keys only as set or not. Servers of aliases and of providers in use are asked
    whether they are there, without a key; no model is called.

    Exit codes: 0 ok; 2 the configuration is wrong; 3 a server cannot be reached.
    """
    env = os.environ if env_file is None else config.dotenv(Path(env_file), os.environ)
    found = project.find(Path(folder))
    mistake: str | None = None
    known = Config(env=env)
    try:
        known = config.load(found, env)
    except ConfigError as error:
        mistake = str(error)
    origins = known.origins()
    servers = () if offline else asked(endpoints(known), known)
    facts = {
        "flowkit": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "installed": str(Path(__file__).parent.parent),
    }
    libraries = {name: version for name in _LIBRARIES if (version := _version(name))}
    findings = Findings(facts, libraries, found, origins, servers, mistake)
    screen.out(printable.json_text(_document(findings), indent=2) + "\n" if as_json else _text(findings, offline=offline))
    if mistake is not None:
        return 2
    return 3 if any(not server.reachable for server in servers) else 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def endpoints(known: Config) -> dict[str, Endpoint]:
    """Return the endpoints by name: of aliases, and of providers that were set up or whose key is set."""
    found: dict[str, Endpoint] = {}
    providers = {origin.key.split(".")[1] for origin in known.origins() if origin.key.startswith("providers.")}
    for name in (*known.aliases, *(f"{provider}/any" for provider in sorted(providers))):
        try:
            resolved = known.resolve(name, {}, {})
        except ConfigError:
            continue  # an alias that leads nowhere is the flow's business, and `origins` shows it
        if resolved.missing is None:
            found[name.removesuffix("/any")] = resolved.endpoint
    return found


def asked(wanted: dict[str, Endpoint], known: Config) -> tuple[Server, ...]:
    """Ask each server once, all at the same time."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, endpoint in wanted.items():
        parts = urlsplit(endpoint.base_url)
        names.setdefault((parts.scheme, parts.netloc.rpartition("@")[2]), []).append(name)
    if not names:
        return ()
    if known.proxy is not None:
        proxy = urlsplit(known.proxy)
        names = {(proxy.scheme, proxy.netloc.rpartition("@")[2]): ["network.proxy"]}
    with ThreadPoolExecutor(len(names)) as threads:
        return tuple(threads.map(lambda each: _ask(each[0], tuple(each[1]), known), names.items()))


def _ask(where: tuple[str, str], names: tuple[str, ...], known: Config) -> Server:
    """Ask for anything: whatever HTTP answer comes, the server is there. Redirects are not followed, and no key is sent."""
    scheme, host = where
    address = f"{scheme}://{host}"
    try:
        if scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, timeout=_PATIENCE, context=ssl.create_default_context(cafile=known.ca_file)
            )
        else:
            connection = http.client.HTTPConnection(host, timeout=_PATIENCE)
        try:
            connection.request("GET", "/v1/models", headers={"User-Agent": f"flowkit/{__version__}"})
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return Server(address, names, False, _why(error))
    return Server(address, names, True, f"answers (HTTP {status})")


def _why(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case socket.gaierror():
            return "the host name is not known"
        case TimeoutError():
            return f"no answer within {_PATIENCE:g} s"
        case ConnectionRefusedError():
            return "nothing listens there"
        case OSError():
            return error.strerror or str(error)
    return f"no HTTP: {type(error).__name__}"


def _text(said: Findings, *, offline: bool) -> str:
    bold, red, end = ("\x1b[1m", "\x1b[1;31m", "\x1b[0m") if screen.color(sys.stdout) else ("", "", "")
    lines = [f"{bold}versions{end}", *_columns(list(said.facts.items()))]
    libraries = ", ".join(f"{name} {version}" for name, version in said.libraries.items())
    lines.append(textwrap.fill(libraries, 100, initial_indent="  libraries  ", subsequent_indent=" " * 13, break_on_hyphens=False))
    config_file = said.found.config.name if said.found.config else "none (flowkit.toml would stand in the root)"
    lines += ["", f"{bold}project{end}", f"  root    {said.found.root}", f"  config  {config_file}"]
    lines += ["", f"{bold}configuration{end}"]
    if said.mistake is not None:
        lines += [f"  {red}{each}{end}" for each in printable.block(said.mistake).splitlines()]
    lines += _columns([(each.key, printable.line(each.value), f"({each.where})" if each.where else "") for each in said.origins])
    lines += ["", f"{bold}servers{end}"]
    if offline:
        lines.append("  not asked (--offline)")
    elif not said.servers:
        lines.append("  none in use yet: set OPENAI_API_KEY, or write a flowkit.toml (`flowkit init`)")
    marks = {True: "✓", False: f"{red}✗{end}"}
    lines += _columns([(f"{marks[each.reachable]} {each.address}", each.said, ", ".join(each.names)) for each in said.servers])
    return "\n".join(lines) + "\n"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    widths = [max(printable.width(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  " + "  ".join(printable.pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _document(said: Findings) -> dict[str, Any]:
    return {
        "schema": 1,
        "versions": {**said.facts, "libraries": said.libraries},
        "project": {"root": str(said.found.root), "config": str(said.found.config) if said.found.config else None},
        "configuration": [{"key": each.key, "value": each.value, "origin": each.where} for each in said.origins],
        "error": said.mistake,
        "servers": [
            {"address": each.address, "names": list(each.names), "reachable": each.reachable, "said": each.said} for each in said.servers
        ],
    }
