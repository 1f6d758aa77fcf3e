"""Turn flowkit.toml, or its table in pyproject.toml, into a Config, or into every mistake in it. Resolves nothing."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from flowkit.config.ready import READY
from flowkit.config.resolving import Config
from flowkit.config.settings import ALIAS_KEYS, PROVIDER_KEYS, Settings, address, known, read
from flowkit.errors import ConfigError
from flowkit.project import PathRefused, read_text
from flowkit.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flowkit.project import Project

#: Bytes of the largest file that is read for its settings.
LARGEST = 1024 * 1024

_TABLES = ("providers", "models", "network")
_NETWORK = ("proxy", "ca_file")


def load(project: Project, env: Mapping[str, str]) -> Config:
    """Read the project's configuration; `env` is kept and read when a model is resolved.

    Raises:
        ConfigError: the file cannot be read, or with every mistake in it as `file: key: mistake`.
    """
    if project.config is None:
        return Config(env=env)
    file, table = project.config.name, _parse(project.config)
    prefix = "tool.flowkit." if file == "pyproject.toml" else ""
    wrong = [f"{prefix}{key}: unknown key{known(key, _TABLES)}" for key in table if key not in _TABLES]
    given: dict[str, Mapping[str, Any]] = {}
    for key in _TABLES:
        found = table.get(key, {})
        if not isinstance(found, dict):
            wrong.append(f"{prefix}{key}: must be a table")
        given[key] = found if isinstance(found, dict) else {}
    providers = {name: _provider(name, each, f"{prefix}providers.{name}", wrong) for name, each in given["providers"].items()}
    aliases = {name: _alias(each, f"{prefix}models.{name}", wrong) for name, each in given["models"].items()}
    proxy, ca_file = _network(given["network"], project.root, f"{prefix}network", wrong)
    if wrong:
        raise ConfigError("\n".join(f"{file}: {each}" for each in wrong))
    return Config(file, providers, aliases, proxy, ca_file, env)


def _parse(path: Path) -> Mapping[str, Any]:
    import tomllib  # slow at start-up, and most projects of one file have no configuration

    try:
        data = tomllib.loads(read_text(path, LARGEST))
    except PathRefused as refused:
        raise ConfigError(f"{path.name}: {refused.message}") from None
    except RecursionError:
        raise ConfigError(f"{path.name}: is nested too deep") from None
    except ValueError as error:  # TOML, and integers beyond Python's limit
        raise ConfigError(f"{path.name}: is not valid TOML: {error}") from None
    if path.name != "pyproject.toml":
        return data
    tool = data.get("tool")
    table = tool.get("flowkit", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"{path.name}: tool.flowkit: must be a table")
    return table


def _provider(name: str, written: object, where: str, wrong: list[str]) -> Settings:
    if not isinstance(written, dict):
        wrong.append(f'{where}: must be a table, such as {{base_url = "https://host/v1"}}')
        return Settings()
    if "/" in name or not name.strip():
        wrong.append(f"{where}: a provider's name stands before the slash of provider/model, so it holds none")
    if name not in READY and "base_url" not in written:
        guess = nearest(name, READY)
        wrong.append(f"{where}: lacks base_url" + (f"; did you mean the ready provider {guess!r}?" if guess else ""))
    return read(written, PROVIDER_KEYS, where, wrong)


def _alias(written: object, where: str, wrong: list[str]) -> Settings:
    if isinstance(written, str):
        written = {"model": written}
    if not isinstance(written, dict):
        wrong.append(f'{where}: must be text such as "openai/gpt-4.1-mini", or a table with model')
        return Settings()
    if "model" not in written:
        wrong.append(f"{where}: lacks model")
    return read(written, ALIAS_KEYS, where, wrong)


def _network(written: Mapping[str, Any], root: Path, where: str, wrong: list[str]) -> tuple[str | None, str | None]:
    found: dict[str, str] = {}
    for key, value in written.items():
        if key not in _NETWORK:
            wrong.append(f"{where}.{key}: unknown key{known(key, _NETWORK)}")
        elif not isinstance(value, str) or not value.strip():
            wrong.append(f"{where}.{key}: must be text")
        else:
            try:
                found[key] = address(value) if key == "proxy" else str(root / value)
            except ValueError as mistake:
                wrong.append(f"{where}.{key}: {mistake}")
    return found.get("proxy"), found.get("ca_file")


def dotenv(path: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with what a .env file adds; what is set already is never overridden. For the command line only.

    Raises:
        ConfigError: the file cannot be read.
    """
    from dotenv import dotenv_values  # the command line alone needs it, and only where there is such a file

    try:
        text = read_text(path, LARGEST)
    except PathRefused as refused:
        raise ConfigError(refused.message) from None
    # Not interpolated: the library would read the process's own environment for that.
    added = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {**{name: value for name, value in added.items() if value is not None}, **env}
