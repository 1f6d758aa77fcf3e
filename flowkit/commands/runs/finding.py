"""Find the record of a project, and in it the runs that people name. Opens it for reading alone."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowkit import __version__, project
from flowkit.commands import screen
from flowkit.errors import ConfigError
from flowkit.history.words import ago
from flowkit.store import BatchRow, RunRow, home, open_existing
from flowkit.store.place import FOLDER, RECORD

if TYPE_CHECKING:
    from flowkit.store.looking import Looking

_AGE = re.compile(r"(\d{1,9})\s*(s|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
FLOW_SUFFIX = ".flow.yaml"
#: Digits of a run that are shown at least.
DIGITS = 8
#: Runs that are named where one could not be told.
_CANDIDATES = 8


def moment(_: click.Context, __: click.Parameter, said: str | None) -> float | None:
    """Read a time in the past, an age such as `2d` or a date, as seconds since 1970; a callback of options."""
    if said is None:
        return None
    if age := _AGE.fullmatch(said.strip()):
        return time.time() - int(age[1]) * _UNITS[age[2]]
    try:
        return datetime.fromisoformat(said.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(f"{said!r} is no age such as 90m, 12h, 2d or 1w, and no date such as 2026-01-31") from None


def folder(flow: str | None = None) -> Path:
    """Return the folder of the record: that of the project of a flow file, else of the current folder."""
    named = flow is not None and is_file(flow)
    return home(project.find(Path(str(flow)) if named else Path.cwd()), os.environ)


def is_file(flow: str) -> bool:
    """Whether a flow is named by its file, and not by its name."""
    return flow.endswith(FLOW_SUFFIX) or "/" in flow


def opened(flow: str | None = None) -> Looking | None:
    """Return the record, None where there is none yet. Raises StoreError."""
    return open_existing(folder(flow), version=__version__, warn=screen.say)


#: Says where the record is.
of_project = click.option("--flow", metavar="FLOW", help="A flow file whose project holds the record; else that of this folder.")


@contextmanager
def record(flow: str | None = None) -> Iterator[Looking]:
    """Lend the record of the project of a flow file, or of the current folder. Raises ConfigError where there is none, and StoreError."""
    found = opened(flow)
    if found is None:
        hint = "name a flow file of the project with --flow; flowkit run keeps a record, and FLOWKIT_HOME names the folder of another one"
        raise ConfigError(f"{nothing(folder(flow))}\n   hint: {hint}")
    with found:
        yield found


def nothing(where: Path) -> str:
    """Say that there is no record, and where below this folder one is: a folder with its own flowkit.toml has its own."""
    here = Path.cwd()
    said = f"no run is recorded in {project.shown(where, here)}"
    below = sorted(path.parent.parent for depth in ("*", "*/*") for path in here.glob(f"{depth}/{FOLDER}/{RECORD}"))
    if not below:
        return said
    names = ", ".join(project.shown(path, here) for path in below[:3])
    return f"{said}; there are records of {names}: go there, or name a flow of it"


def one(kept: Looking, name: str | None) -> RunRow:
    """Return the run that a prefix of its id names, without one the newest. Raises ConfigError, and StoreError."""
    if name is None:
        newest = kept.runs(limit=1) or kept.runs(rows=True, limit=1)
        if not newest:
            raise ConfigError(nothing(Path(kept.where).parent))
        return newest[0]
    if (exact := kept.run(name.lower())) is not None:
        return exact
    if "." not in name and (batch := _batches(kept, name)):
        raise ConfigError(f"{name!r} is a batch, not a run\n   hint: flowkit runs ls --batch {batch[0].id} lists its rows")
    found = kept.runs(prefix=name.lower(), limit=_CANDIDATES + 1) if name else []
    if len(found) == 1:
        return found[0]
    if found:
        more = "\n     and others" if len(found) > _CANDIDATES else ""
        raise ConfigError(f"several runs begin with {name!r}:\n{_named(found[:_CANDIDATES])}{more}\n   hint: give more of its id")
    newest = kept.runs(limit=5)
    said = f"   the newest are:\n{_named(newest)}" if newest else "   none is recorded"
    raise ConfigError(f"no run begins with {name!r}\n{said}")


def batch(kept: Looking, name: str) -> BatchRow:
    """Return the batch that a prefix of its id names. Raises ConfigError, and StoreError."""
    found = _batches(kept, name)
    if len(found) == 1:
        return found[0]
    what = f"several batches begin with {name!r}" if found else f"no batch begins with {name!r}"
    now = time.time()
    there = "\n".join(f"     {row.id}  {ago(row.started, now)}  {row.flow}" for row in (found or kept.batches())[:_CANDIDATES])
    raise ConfigError(f"{what}; there are:\n{there}" if there else f"{what}, and none is recorded")


def _batches(kept: Looking, name: str) -> list[BatchRow]:
    return [row for row in kept.batches() if name and row.id.startswith(name.lower())]


def _named(runs: Sequence[RunRow]) -> str:
    now = time.time()
    return "\n".join(f"     {row.id}  {ago(row.started, now)}  {row.flow}  {row.status}" for row in runs)


def write_private(path: Path, text: str, option: str) -> None:
    """Write a file that only this user may read: it holds what was said to models. Raises ConfigError."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8", errors="backslashreplace", newline="") as writer:
            if stat.S_ISREG(os.fstat(file).st_mode):  # it may have been there, open to all
                os.fchmod(file, 0o600)
            writer.write(text)
    except OSError as error:
        raise ConfigError(f"{option} {path}: {error.strerror or error}") from None
