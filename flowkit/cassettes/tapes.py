"""Recorded calls as small text files: one for each case and step, whose lines show what changed when they are recorded again.

    cassettes/<flow>/<case>/<step>.yaml

Knows the form of a file, neither a run nor a server. Neither headers nor keys ever stand in one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from flowkit import source
from flowkit.errors import ConfigError, Problems
from flowkit.identity import digest

FOLDER: Final = "cassettes"
#: Largest file that is written; more calls of a step go into a second one.
LARGEST: Final = 1024 * 1024
_HEAD: Final = "# A recorded answer of a model; made by `flowkit test --record`, used by --replay. Keys and headers are never kept.\n"
_BY_HAND: Final = "# Written by hand, not by a model.\n"


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `request` is the canonical body as data, `reply` the answer as `flowkit.identity.written` gives it, or an `error`."""

    step: str
    request: Mapping[str, Any]
    #: How often the same question was asked before in the same run.
    number: int = 0
    item: int | None = None
    sample: int | None = None
    server: str = ""
    reply: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    #: Whether a person wrote the answer.
    by_hand: bool = False
    #: Where it stands, for messages.
    place: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What is looked for: the question wherever it is asked, and its number."""
        return digest(canonical(self.request)), self.number


def canonical(request: Mapping[str, Any]) -> str:
    """Return a request as one text: keys of the top level sorted, as in `flowkit.identity`."""
    return json.dumps(dict(sorted(request.items())), ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Shelf:
    """The recorded calls of one flow and one case, in one folder."""

    folder: Path
    calls: list[Call] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path, flow: str, case: str) -> Shelf:
        """Return the calls of a case; none where nothing was recorded. Raises ConfigError when a file is wrong."""
        shelf = cls(root / slug(flow) / slug(case))
        for path in sorted(shelf.folder.glob("*.yaml")):
            shelf.calls += _read(path)
        return shelf

    def write(self, calls: Iterable[Call]) -> list[Path]:
        """Put these calls in the place of all that was there; return the files. A file that says the same is not touched.

        Raises:
            ConfigError: a file cannot be written.
        """
        files: dict[str, list[Call]] = {}
        for call in sorted(calls, key=_order):
            files.setdefault(slug(call.step), []).append(call)
        texts = {name: text for step, found in files.items() for name, text in _texts(step, found)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                _put(self.folder / name, text)
            for path in self.folder.glob("*.yaml"):
                if path.name not in texts:
                    path.unlink()
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot record: {error.strerror}") from None
        return [self.folder / name for name in texts]


def slug(name: str) -> str:
    """Return a name that any file system takes, and that two different names never share."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:60]
    return plain if plain == name and plain else f"{plain or 'case'}-{digest(name)[:6]}"


def _order(call: Call) -> tuple[str, int, int, int, str]:
    return (
        call.step,
        -1 if call.item is None else call.item,
        -1 if call.sample is None else call.sample,
        call.number,
        canonical(call.request),
    )


def _texts(step: str, calls: list[Call]) -> list[tuple[str, str]]:
    """Return the files of one step, each of a size that can be read again."""
    found: list[tuple[str, str]] = []
    text = ""
    for call in calls:
        one = _dumped(call)
        if text and len(text) + len(one) > LARGEST:
            found.append((f"{step}.{len(found) + 1}.yaml" if found else f"{step}.yaml", _HEAD + text))
            text = ""
        text += one
    return [*found, (f"{step}.{len(found) + 1}.yaml" if found else f"{step}.yaml", _HEAD + text)]


def _dumped(call: Call) -> str:
    """Return a call as YAML; parts that YAML would not give back as they are stand there as JSON in one text."""
    said = _plain(call)
    text = _yaml(said)
    if _data(text) != [said]:
        text = _yaml({name: json.dumps(value) if isinstance(value, dict) else value for name, value in said.items()})
    return text


def _yaml(said: Mapping[str, Any]) -> str:
    return yaml.dump([said], Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9)


def _data(text: str) -> Any:
    problems = Problems()
    document = source.parse(text.encode("utf-8", "surrogatepass"), path=Path(), shown="", problems=problems)
    return None if problems.fatal or document.root is None else source.plain(document.root)


def _plain(call: Call) -> dict[str, Any]:
    said: dict[str, Any] = {"step": call.step}
    for name in ("item", "sample"):
        if (value := getattr(call, name)) is not None:
            said[name] = value
    if call.number:
        said["number"] = call.number
    said["server"] = call.server
    if call.by_hand:
        said["by_hand"] = True
    said["request"] = dict(call.request)
    if call.error is not None:
        said["error"] = dict(call.error)
    if call.reply is not None:
        said["reply"] = dict(call.reply)
    return said


def _put(path: Path, text: str) -> None:
    data = text.encode("utf-8")
    if path.exists() and path.read_bytes() == data:
        return
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.replace(path)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a diff shows the line."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything where it stands."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _read(path: Path) -> list[Call]:
    problems = Problems()
    try:
        document = source.parse(path.read_bytes(), path=path, shown=str(path), problems=problems)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if problems.fatal or document.root is None:
        said = "; ".join(f"{p.place.path}:{p.place.line}: {p.message}" for p in problems.ordered()) or "it is empty"
        raise ConfigError(f"this is no recorded call: {said}")
    data = source.plain(document.root)
    entries = data if isinstance(data, list) else [data]
    return [_call(entry, f"{path}, call {number}") for number, entry in enumerate(entries, start=1)]


def _read_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _call(entry: Any, place: str) -> Call:
    wrong = None
    if isinstance(entry, Mapping):
        entry = {name: _read_json(value) if name in {"request", "reply", "error"} else value for name, value in entry.items()}
    if not isinstance(entry, Mapping):
        wrong = "is no mapping"
    elif not isinstance(entry.get("step"), str):
        wrong = "names no `step`"
    elif not isinstance(entry.get("request"), Mapping):
        wrong = "has no `request`"
    elif not isinstance(entry.get("reply"), Mapping) and not isinstance(entry.get("error"), Mapping):
        wrong = "has neither `reply` nor `error`"
    if wrong is not None:
        raise ConfigError(f"{place}: {wrong}; record it again with --record")
    return Call(
        entry["step"],
        entry["request"],
        entry.get("number", 0),
        entry.get("item"),
        entry.get("sample"),
        entry.get("server", ""),
        entry.get("reply"),
        entry.get("error"),
        bool(entry.get("by_hand")),
        place,
    )
