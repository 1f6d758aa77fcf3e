"""Lay the project of a flow out as it was in a commit, in a folder of its own, without touching the working tree. Compiles nothing."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from types import ModuleType

from flowkit import project
from flowkit.errors import ConfigError, Problem
from flowkit.git.repository import Entry, Repository
from flowkit.project import CONFIG_NAME, LARGEST_FILE, Project

#: Bytes and files that are laid out at most: those nearest to the flow first, small ones before large ones.
LARGEST_TREE = 64 * 1024 * 1024
MOST_FILES = 20_000

_PREFIX = "flowkit-at-"
_AT = re.compile(r"(.+?\.ya?ml)@(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A flow as it was in a commit. `path` and `project` are in a folder that lives as long as the snapshot is open."""

    commit: str
    #: The revision as people named it.
    revision: str
    path: Path
    project: Project
    #: Of the layout; give it to the compiler as the folder that paths are shown from.
    top: Path
    #: Path of the flow in the commit, from the top of the repository.
    name: str
    #: Files of the project that are not laid out: links, submodules, and what is too large.
    left_out: tuple[str, ...]

    def shown(self, path: str) -> str:
        """Return a path of the snapshot, or one shown from its top, as people see it: `flows/a.flow.yaml@REV`."""
        inside = Path(path)
        name = inside.relative_to(self.top).as_posix() if inside.is_relative_to(self.top) else path
        return f"{name}@{self.revision}"

    def problems(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Return problems with paths as people see them."""
        return tuple(replace(p, place=replace(p.place, path=self.shown(p.place.path))) for p in problems)


def split(text: str) -> tuple[str, str | None]:
    """Return the path and the revision in `FLOW@REV`; a text that is no such pair is a path."""
    found = _AT.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


@contextmanager
def at(repository: Repository, revision: str, flow: Path, *, name: str | None = None) -> Iterator[Snapshot]:
    """Lay out the project of a flow as it was in a revision; `flow` is its path today. Its name then is found, unless it is given.

    Python modules that the flow names are loaded from the snapshot too, and so is what they import by plain names: compile, take the
    meaning and run while it is open. Modules are of the whole process: load flows of the working tree before or after.

    Raises:
        ConfigError: there is no such revision, or the flow is not in it.
    """
    commit = repository.resolve(revision)
    today = repository.path(flow)
    name = name or repository.name_at(commit, today)
    if name is None:
        raise ConfigError(f"revision {revision!r} has no {today!r}: name one that has it, or see `git log -- {today}`")
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
        top = Path(folder).resolve()
        (top / ".git").mkdir()  # where there is no configuration, the top of the repository is the root of the project
        found = _found(repository, commit, name, top)
        entries = repository.list(commit, _spelled(PurePosixPath(found.root.relative_to(top))))
        taken = _nearest(entries, name)
        _lay_out(repository, taken, top)
        left_out = {entry.path for entry in entries} - {entry.path for entry in taken}
        with _modules(repository.root, top, taken):
            yield Snapshot(commit, revision, top / name, found, top, name, tuple(sorted(left_out)))


def _found(repository: Repository, commit: str, name: str, top: Path) -> Project:
    """Return the project of the flow by the configuration files above it, which are laid out for that."""
    wanted = [_spelled(folder / file) for folder in PurePosixPath(name).parents for file in (CONFIG_NAME, "pyproject.toml")]
    _lay_out(repository, [e for e in repository.entries(commit, wanted) if _sound(e)], top)
    (top / name).parent.mkdir(parents=True, exist_ok=True)
    return project.find((top / name).parent)


def _spelled(path: PurePosixPath) -> str:
    """Return a path as git names it; the top is empty."""
    return "" if path == PurePosixPath() else path.as_posix()


def _sound(entry: Entry) -> bool:
    """Whether a file can be laid out: a tree made by hand may hold names that lead elsewhere."""
    parts = entry.path.split("/")
    return entry.regular and entry.size <= LARGEST_FILE and not {"", ".", ".."}.intersection(parts) and parts[0] != ".git"


def _nearest(entries: Sequence[Entry], name: str) -> list[Entry]:
    folder = PurePosixPath(name).parent.parts

    def distance(entry: Entry) -> tuple[int, int]:
        parts = PurePosixPath(entry.path).parent.parts
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(folder, parts, strict=False)))
        return len(folder) + len(parts) - 2 * shared, entry.size

    taken: list[Entry] = []
    size = 0
    for entry in sorted((e for e in entries if _sound(e)), key=distance):
        if len(taken) == MOST_FILES or size + entry.size > LARGEST_TREE:
            break
        taken.append(entry)
        size += entry.size
    return taken


def _lay_out(repository: Repository, entries: Sequence[Entry], top: Path) -> None:
    for path, data in repository.contents(entries).items():
        file = top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


@contextmanager
def _modules(root: Path, top: Path, taken: Sequence[Entry]) -> Iterator[None]:
    """Hide the modules of the working tree and of other open snapshots, and forget those of this snapshot at the end."""
    own = {str(root / entry.path) for entry in taken if entry.path.endswith(".py")}
    others = str(top.parent / _PREFIX)
    found = [(name, module, _file(module) or "") for name, module in sys.modules.items() if _plain(name)]
    hidden = {name: module for name, module, file in found if file in own or file.startswith(others)}
    for name in hidden:
        del sys.modules[name]
    try:
        yield
    finally:
        inside = [name for name, module in sys.modules.items() if (_file(module) or "").startswith(f"{top}{os.sep}")]
        for name in inside:
            del sys.modules[name]
        sys.modules.update(hidden)


def _plain(name: str) -> bool:
    """Whether a module was imported by its plain name: flowkit's own, and those of flows, have names that nobody shares."""
    return name.partition(".")[0] not in ("flowkit", "__main__") and not name.startswith("flowkit_loaded_")


def _file(module: ModuleType) -> str | None:
    found = getattr(module, "__file__", None)
    return _real(found) if isinstance(found, str) else None


@lru_cache(maxsize=8192)
def _real(path: str) -> str:
    """Resolve a path once: there are thousands of modules, and a search through history asks for each version."""
    return os.path.realpath(path)
