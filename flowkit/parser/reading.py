"""What a file is read with: its project, its problems, and how its mappings are read. Knows keys only as tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowkit.errors import Place, Problems
from flowkit.keys import SECRET_HINT, SECRET_KEYS, Key, Table
from flowkit.project import Project
from flowkit.parser.shapes import admits
from flowkit.source import Mapping, Node, Scalar, SourceFile
from flowkit.spelling import nearest


@dataclass(frozen=True, slots=True)
class Reading:
    """One file on its way to a value. `complete` is False when something of the file was refused before: then nothing is missed."""

    file: SourceFile
    project: Project
    problems: Problems
    #: Gives the object behind `pkg.mod:name`, looked for from the file and the root.
    load_object: Callable[[str, Path, Path], object] | None = None
    complete: bool = True
    #: Texts that no problem may show.
    secrets: set[str] = field(default_factory=set)
    #: Readers of other files of types, by path; of the package `parser` alone.
    others: dict[Path, Any] = field(default_factory=dict)

    def error(self, code: str, place: Place, message: str, hint: str | None = None) -> None:
        """Report a mistake."""
        self.problems.error(code, place, message, hint)

    def warning(self, code: str, place: Place, message: str, hint: str | None = None) -> None:
        """Report something that is probably not meant."""
        self.problems.warning(code, place, message, hint)

    def hide_secrets(self) -> None:
        """Take the secrets that were found out of every source line that a problem shows."""
        for i, problem in enumerate(self.problems.found):
            source = problem.place.source
            for secret in self.secrets:
                source = source.replace(secret, "***")
            if source != problem.place.source:
                self.problems.found[i] = replace(problem, place=replace(problem.place, source=source))


# -- mappings ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A key of a table and its value. `written` is the key as it stands there; when it differs, that has been reported."""

    written: Scalar
    value: Node

    @property
    def place(self) -> Place:
        """Where the key stands."""
        return self.written.place()


def entries(r: Reading, node: Mapping, table: Table, where: str) -> dict[str, Found]:
    """Return the entries of a mapping by the keys of its table; a misspelt key is reported and stands under its right name.

    Keys with `x-` are free. What stands under a key that nobody knows is not read at all.
    """
    found: dict[str, Found] = {}
    strange: list[tuple[Scalar, Node]] = []
    for name, entry in node.named.items():
        if table.get(name) is not None:
            found[name] = Found(entry.key, entry.value)
        elif not name.startswith("x-"):
            strange.append((entry.key, entry.value))
    for key, value in strange:
        meant = _unknown(r, key, value, table, where)
        if meant is not None and meant.name not in found and admits(meant.shape, value):
            found[meant.name] = Found(key, value)
    if r.complete:
        for known in table.keys:
            if known.required and known.name not in found and not strange:
                r.error("missing-key", node.place(), f"{where} lacks {known.name!r}", f"write {known.example}")
    return found


def _unknown(r: Reading, key: Scalar, value: Node, table: Table, where: str) -> Key | None:
    name = key.text
    if _secret(r, name, value):
        r.error("inline-secret", key.place(), f"{name!r} in {where} holds a secret, and a flow file is shared", SECRET_HINT)
        return None
    lowered = name.lower().replace("-", "_")
    hint: str | None = None
    meant: str | None = None
    if name in table.hints or lowered in table.hints:
        hint = table.hints.get(name) or table.hints[lowered]
    elif lowered in table.meant and lowered not in table.names():
        meant = table.meant[lowered]
        hint = f"here it is called {meant!r}"
    else:
        meant = nearest(name, table.names())
        if meant is not None:
            hint = f"did you mean {meant!r}?"
        elif (near := nearest(name, table.meant)) is not None:
            meant = table.meant[near]
            hint = f"did you mean {meant!r}?"
        elif table.names():
            hint = f"known here: {', '.join(table.names())}; keys of your own begin with 'x-'"
    r.error("unknown-key", key.place(), f"unknown key {name!r} in {where}", hint)
    return table.get(meant) if meant else None


_SECRET_ENDS = ("api_key", "apikey", "secret", "password", "access_token", "auth_token", "secret_key")
_KEY_TEXT = re.compile(r"(?:sk|pk|rk|gsk|xai|ghp|hf|key)[-_][A-Za-z0-9_-]{16,}")


def _secret(r: Reading, name: str, value: Node) -> bool:
    """Whether a key and its value look like a secret; its text is then kept out of every problem."""
    if not isinstance(value, Scalar) or not value.text:
        return False
    lowered = name.lower().replace("-", "_")
    named = lowered in SECRET_KEYS and (isinstance(value.value, str) and len(value.text) >= 8 and " " not in value.text)
    if named or lowered.endswith(_SECRET_ENDS) or looks_secret(value.text):
        r.secrets.add(value.text)
        return True
    return False


def looks_secret(text: str) -> bool:
    """Whether a text looks like a key of some service."""
    return _KEY_TEXT.fullmatch(text.strip().removeprefix("Bearer ").strip()) is not None


def own(node: Mapping) -> list[tuple[Scalar, Node]]:
    """Return the entries of a mapping whose names the author chose; those with `x-` are free."""
    return [(entry.key, entry.value) for name, entry in node.named.items() if not name.startswith("x-")]
