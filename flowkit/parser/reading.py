"""What a file is read with: its project, its problems, and how its mappings are read. Knows keys only as tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flowkit.keys import SECRET_HINT, SECRET_KEYS, Key, Table
from flowkit.parser.shapes import admits, is_empty, shown
from flowkit.source import Mapping, Node, Scalar, SourceFile
from flowkit.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowkit.errors import Place, Problems
    from flowkit.project import Project


@dataclass(frozen=True, slots=True)
class Reading:
    """One file on its way to a value. `complete` is False when something of the file was refused before: then nothing is missed."""

    file: SourceFile
    project: Project
    problems: Problems
    #: Gives the object behind `pkg.mod:name` for the file that names it; raises LoadFailed.
    load_object: Callable[[str, Path], object] | None = None
    complete: bool = True
    #: What no problem may show.
    secrets: list[Scalar] = field(default_factory=list)
    #: Readers of other files of types, by path; of the package `parser` alone.
    others: dict[Path, Any] = field(default_factory=dict)
    #: The other files that were named and found.
    named: dict[Path, None] = field(default_factory=dict)

    def error(self, code: str, place: Place, message: str, hint: str | None = None) -> None:
        """Report a mistake."""
        self.problems.error(code, place, message, hint)

    def warning(self, code: str, place: Place, message: str, hint: str | None = None) -> None:
        """Report something that is probably not meant."""
        self.problems.warning(code, place, message, hint)

    def hide_secrets(self) -> None:
        """Take the secrets that were found out of the lines that problems show, those of later readers too."""
        masked = list(self.file.lines)
        for secret in self.secrets:
            if secret.file is self.file:
                for row in range(secret.line - 1, secret.end_line):
                    start = secret.column - 1 if row == secret.line - 1 else 0
                    end = secret.end_column - 1 if row == secret.end_line - 1 else len(masked[row])
                    masked[row] = masked[row][:start] + _MASKED.sub("*", masked[row][start:end]) + masked[row][end:]
        if not self.secrets:
            return
        # The tree is frozen for everyone else; but whoever reports something on these lines shows them as they stand here.
        object.__setattr__(self.file, "lines", tuple(masked))
        for at, problem in enumerate(self.problems.found):
            place = problem.place
            if place.path == self.file.shown and 0 < place.line <= len(masked):
                self.problems.found[at] = replace(problem, place=replace(place, source=masked[place.line - 1]))


#: Quotes and backslashes stay, since columns are counted by them.
_MASKED = re.compile(r"[^\s'\"\\]")


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
    puzzling = False
    for key, value in strange:
        meant, explained = _unknown(r, key, value, table, where)
        puzzling = puzzling or not explained
        if meant is not None and meant.name not in found and admits(meant.shape, value):
            found[meant.name] = Found(key, value)
    for known in table.keys:
        # A strange key may be the one that is missing, and what was refused before may have been it.
        if known.required and known.name not in found and r.complete and not puzzling and not _stands_in(strange, known, table):
            r.error("missing-key", node.place(), f"{where} lacks {known.name!r}", table.lacking or f"write {known.example}")
    return found


def _stands_in(strange: list[tuple[Scalar, Node]], known: Key, table: Table) -> bool:
    return any(_meant(key.text, table)[0] == known.name for key, _ in strange)


def _unknown(r: Reading, key: Scalar, value: Node, table: Table, where: str) -> tuple[Key | None, bool]:
    """Report a key that the table lacks; return the key that is meant, and whether the report says what to do instead."""
    name = key.text
    if is_secret(r, key, value, where):
        return None, True
    meant, hint = _meant(name, table)
    others = f"known here: {', '.join(table.names())}; keys of your own begin with 'x-'"
    r.error("unknown-key", key.place(), f"unknown key {name!r} in {where}", hint or others)
    return table.get(meant) if meant else None, hint is not None


def _meant(name: str, table: Table) -> tuple[str | None, str | None]:
    """Return the key that a strange one stands for, and the hint that says so."""
    lowered = name.lower().replace("-", "_")
    if (hint := table.hints.get(name) or table.hints.get(lowered)) is not None:
        return None, hint
    if lowered in table.meant and lowered not in table.names():
        return table.meant[lowered], f"here it is called {table.meant[lowered]!r}"
    meant = nearest(name, table.names())
    if meant is None and (other := nearest(name, table.meant)) is not None:
        meant = table.meant[other]
    return meant, f"did you mean {meant!r}?" if meant else None


_SECRET_ENDS = ("api_key", "apikey", "secret", "password", "access_token", "auth_token", "secret_key")
_KEY_TEXT = re.compile(r"(?:sk|pk|rk|gsk|xai|ghp|hf|key)[-_][A-Za-z0-9_-]{16,}")


def is_secret(r: Reading, key: Scalar, value: Node, where: str) -> bool:
    """Whether a key and its value look like a secret, which is then reported and kept out of every problem."""
    if not isinstance(value, Scalar) or not value.text:
        return False
    name = key.text.lower().replace("-", "_")
    named = name in SECRET_KEYS and isinstance(value.value, str) and len(value.text) >= 8 and " " not in value.text
    if not named and not name.endswith(_SECRET_ENDS) and not looks_secret(value.text):
        return False
    refuse_secret(r, key.place(), value, f"{key.text!r} in {where} holds a secret, and a flow file is shared")
    return True


def refuse_secret(r: Reading, place: Place, value: Scalar, message: str, hint: str = SECRET_HINT) -> None:
    """Report a secret without showing it."""
    r.secrets.append(value)
    r.error("inline-secret", place, message, hint)


def looks_secret(text: str) -> bool:
    """Whether a text looks like a key of some service."""
    return _KEY_TEXT.fullmatch(text.strip().removeprefix("Bearer ").strip()) is not None


def own(node: Mapping) -> list[tuple[Scalar, Node]]:
    """Return the entries of a mapping whose names the author chose; those with `x-` are free."""
    return [(entry.key, entry.value) for name, entry in node.named.items() if not name.startswith("x-")]


def is_mapping(r: Reading, node: Node, what: str, way: str = "write a mapping below it, or leave the key out") -> Mapping | None:
    """Return the node as a mapping, or None when it is none, which is reported with the way out."""
    if isinstance(node, Mapping):
        return node
    if is_empty(node):
        r.error("empty-value", node.place(), f"{what} is empty", way)
    else:
        r.error("wrong-type", node.place(), f"{what} must be a mapping, not {shown(node)}", way if isinstance(node, Scalar) else None)
    return None
