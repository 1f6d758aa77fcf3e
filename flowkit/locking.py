"""What the names of models lead to, and which model answered, as the text of `flowkit.lock`. Knows no project and no record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from flowkit.errors import ConfigError
from flowkit.store import Served

FILE: Final = "flowkit.lock"
VERSION: Final = 1

_HEAD = """\
# Written by `flowkit lock`: what names of models lead to, and which model answered. Review it like code.
"""


@dataclass(frozen=True, slots=True)
class Locked:
    """One name of a model. `model` is `provider/model`; `returned` is what the server called the model that answered, None: unknown."""

    model: str
    host: str
    params: Mapping[str, Any] = field(default_factory=dict)
    returned: str | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """All names of a project, and by the path of a flow those that it defines itself."""

    models: Mapping[str, Locked] = field(default_factory=dict)
    flows: Mapping[str, Mapping[str, Locked]] = field(default_factory=dict)

    def every(self) -> Iterator[Locked]:
        """Yield what all names lead to."""
        yield from self.models.values()
        for names in self.flows.values():
            yield from names.values()


def host_of(url: str) -> str:
    """Return the host of an address, with its port where it says one."""
    return urlsplit(url).netloc.rpartition("@")[2]


# -- text --------------------------------------------------------------------------------------------------


def text(lock: Lock) -> str:
    """Return the file: sorted, a table for each name."""
    parts = [f"{_HEAD}version = {VERSION}\n"]
    parts += [_table(["models", name], locked) for name, locked in sorted(lock.models.items())]
    parts += [_table(["flows", path, name], locked) for path, names in sorted(lock.flows.items()) for name, locked in sorted(names.items())]
    return "\n".join(parts)


def _table(path: list[str], locked: Locked) -> str:
    lines = [f"[{'.'.join(map(_key, path))}]", f"model = {_value(locked.model)}", f"host = {_value(locked.host)}"]
    lines += [f"params = {_value(locked.params)}"] if locked.params else []
    lines += [f"returned = {_value(locked.returned)}"] if locked.returned is not None else []
    return "".join(f"{line}\n" for line in lines)


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else _value(name)


def _value(value: Any) -> str:
    match value:
        case Mapping():
            inner = ", ".join(f"{_key(str(key))} = {_value(each)}" for key, each in sorted(value.items()) if each is not None)
            return f"{{{inner}}}"
        case list() | tuple():
            return f"[{', '.join(_value(each) for each in value if each is not None)}]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def parse(content: str) -> Lock:
    """Read the file. Raises ConfigError."""
    import tomllib  # slow at start-up, and most runs have no lock

    try:
        data = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{FILE}: is not valid TOML: {error}; `flowkit lock` writes it anew") from None
    if data.get("version") != VERSION:
        raise ConfigError(f"{FILE}: is of version {data.get('version')!r}, and this flowkit knows {VERSION}: `flowkit lock` writes it anew")
    try:
        models = {name: _locked(table) for name, table in data.get("models", {}).items()}
        flows = {path: {name: _locked(table) for name, table in names.items()} for path, names in data.get("flows", {}).items()}
    except (TypeError, KeyError, AttributeError):
        raise ConfigError(f"{FILE}: is not what `flowkit lock` writes; let it write the file anew") from None
    return Lock(models, flows)


def _locked(table: Mapping[str, Any]) -> Locked:
    returned = table.get("returned")
    return Locked(str(table["model"]), str(table["host"]), dict(table.get("params", {})), None if returned is None else str(returned))


# -- answers -----------------------------------------------------------------------------------------------


def silent_changes(answered: Iterable[Served], lock: Lock | None, earlier: Iterable[Served]) -> list[str]:
    """Return a line for each model that answered as another one than the lock says; where it says nothing, than it did before."""
    locked = {(each.model, each.host): each.returned for each in (() if lock is None else lock.every()) if each.returned is not None}
    before: dict[tuple[str, str], str] = {}
    for each in earlier:  # the newest come first
        before.setdefault((each.name, host_of(each.url)), each.returned)
    said: dict[str, None] = {}
    for each in answered:
        who = (each.name, host_of(each.url))
        if who in locked:
            if each.returned != locked[who]:
                said[f"{each.name} answered as {each.returned}, the lock says {locked[who]}; `flowkit lock` accepts it"] = None
        elif before.get(who, each.returned) != each.returned:
            said[f"{each.name} answered as {each.returned}, the last run was answered by {before[who]}"] = None
    return list(said)
