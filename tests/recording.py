"""Projects with a record, whose model is a counting server: for tests of what is kept and used again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from counting_server import CountingServer

import flowkit
from flowkit.errors import RunError
from flowkit.results import Run
from flowkit.store import AttemptRow, CallRow, RunRow
from flowkit.store.sqlite import FILE, SqliteStore

HEAD = "flowkit: 1\ndefaults: {model: m}\n"


def project(folder: Path, server: CountingServer, *, provider: str = "", model: str = "") -> Path:
    """A project that asks the server; further lines for the provider and for its model."""
    folder.mkdir(exist_ok=True)
    lines = (
        f'[providers.p]\nbase_url = "{server.url}"\n{provider}\n[models.m]\nmodel = "p/gpt"\nprice = {{input = 1, output = 2}}\n{model}\n'
    )
    (folder / "flowkit.toml").write_text(lines)
    return folder


def flow(folder: Path, text: str, *, head: str = HEAD) -> Path:
    path = folder / "a.flow.yaml"
    path.write_text(head + text)
    return path


def run(
    path: Path,
    /,
    *,
    id: str | None = None,  # noqa: A002 - what it is called
    record: Any = True,
    cache: bool | None = True,
    more: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> Run:
    """One run by a runtime of its own, as a process would."""
    loaded = flowkit.load(path, runtime=flowkit.Runtime(record=record, cache=cache, **(more or {})))
    return asyncio.run(loaded.start(inputs, id=id).finish())


def failed(path: Path, /, **more: Any) -> RunError:
    try:
        run(path, **more)
    except RunError as error:
        return error
    raise AssertionError("it succeeded")


def looked(folder: Path) -> SqliteStore:
    """The record of a project."""
    return SqliteStore(folder / ".flowkit", version="1", warn=print)


def rows(folder: Path) -> tuple[list[RunRow], list[CallRow], list[AttemptRow]]:
    with closing(looked(folder)) as store:
        return store.select(RunRow), store.select(CallRow), store.select(AttemptRow)


def integrity(folder: Path) -> str:
    with closing(sqlite3.connect(folder / ".flowkit" / FILE)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
