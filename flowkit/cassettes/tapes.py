"""Recorded calls as small text files: one for each case and step, whose lines show what changed when they are recorded again.

    cassettes/<flow>/<case>/<step>.yaml
    cassettes/<flow>/<case>/repeat-2/<step>.yaml

Knows the form of a file, neither a run nor a server. Neither headers nor keys ever stand in one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from flowkit import source
from flowkit.cassettes import text
from flowkit.errors import ConfigError, Problems
from flowkit.identity import digest

FOLDER: Final = "cassettes"
#: Begins the name of the folder of a run that is not the first one of its case.
REPEAT: Final = "repeat-"
#: Largest file that is written; more calls of a step go into a second one.
LARGEST: Final = 1024 * 1024
_HEAD: Final = "# A recorded answer of a model; made by `flowkit test --record`, used by --replay. Keys and headers are never kept.\n"
_BY_HAND: Final = "# Written by hand, not by a model: what tests are told in place of one. `flowkit test --record` asks the model.\n"


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
    def question(self) -> str:
        """What is looked for: the question, wherever it is asked."""
        return digest(canonical(self.request))


def canonical(request: Mapping[str, Any]) -> str:
    """Return a request as one text: keys of the top level sorted, as in `flowkit.identity`."""
    return json.dumps(dict(sorted(request.items())), ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Shelf:
    """The recorded calls of one run of one case, in one folder."""

    folder: Path
    calls: list[Call] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path, flow: str, case: str, repeat: int = 0) -> Shelf:
        """Return the calls of a case; none where nothing was recorded. Raises ConfigError when a file is wrong."""
        folder = root / slug(flow) / slug(case)
        shelf = cls(folder / f"{REPEAT}{repeat + 1}" if repeat else folder)
        for path in shelf.files():
            shelf.calls += _read(path)
        return shelf

    def files(self) -> list[Path]:
        """Return the files that are there."""
        return sorted(self.folder.glob("*.yaml"))

    def write(self, calls: Iterable[Call]) -> list[Path]:
        """Put these calls in the place of all that was there; return the files. A file that says the same is not touched.

        Raises:
            ConfigError: a file cannot be written.
        """
        files: dict[str, list[Call]] = {}
        for call in sorted(calls, key=_order):
            files.setdefault(slug(call.step), []).append(call)
        texts = {name: said for step, found in files.items() for name, said in _texts(step, found)}
        try:
            if texts:
                self.folder.mkdir(parents=True, exist_ok=True)
            for name, said in texts.items():
                text.put(self.folder / name, said)
            for path in self.files():
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
    head = _BY_HAND if all(call.by_hand for call in calls) else _HEAD
    parts = [""]
    for call in calls:
        one = _dumped(call)
        if parts[-1] and len(parts[-1]) + len(one) > LARGEST:
            parts.append("")
        parts[-1] += one
    return [(f"{step}.{number}.yaml" if number > 1 else f"{step}.yaml", head + part) for number, part in enumerate(parts, start=1)]


def _dumped(call: Call) -> str:
    """Return a call as YAML; parts that YAML would not give back as they are stand there as JSON in one text."""
    said = _plain(call)
    as_json = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in said.items()}
    return text.of([said]) or text.written([as_json])


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
