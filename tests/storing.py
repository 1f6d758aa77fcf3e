"""Stores and their rows, for tests of the record."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from flowkit.identity import digest
from flowkit.store import AttemptRow, BatchRow, Body, CallRow, ItemRow, NoteRow, RunRow, SessionRow, StepRow
from flowkit.store.sqlite import FILE, SqliteStore


class Warned(list[str]):
    """Takes warnings; a call adds one."""

    def __call__(self, text: str) -> None:
        self.append(text)


def opened(folder: Path, warn: Any = None, **more: Any) -> SqliteStore:
    """A store; a warning that nobody expects fails."""
    return SqliteStore(folder, version="1.0", warn=warn if warn is not None else unexpected, **more)


def unexpected(text: str) -> None:
    raise AssertionError(f"warned: {text}")


def run_row(id_: str = "r1", **more: Any) -> RunRow:
    said: dict[str, Any] = {
        "id": id_,
        "session": "none",
        "flow": "triage",
        "path": "/p/triage.flow.yaml",
        "fingerprint": "f00",
        "source": None,
        "status": "succeeded",
        "simulated": 0,
        "inputs": '{"a":"ü"}',
        "options": "{}",
        "outputs": None,
        "error": None,
        "message": None,
        "failed": None,
        "started": 1000.5,
        "seconds": 1.25,
        "calls": 1,
        "reused": 0,
        "input_tokens": 10,
        "output_tokens": None,
        "cost": "0.00012",
        "unpriced": 0,
        "revision": None,
        "dirty": None,
        "version": "1.0",
    }
    return RunRow(**(said | more))


def call_row(run: str = "r1", number: int = 1, **more: Any) -> CallRow:
    said: dict[str, Any] = {
        "run": run,
        "number": number,
        "step": "say",
        "item": None,
        "sample": None,
        "key": "k1",
        "again": 0,
        "url": "http://h/v1",
        "name": "m",
        "model": "gpt",
        "returned": None,
        "cache": "on",
        "request": digest("{}"),
        "reply": None,
        "state": "open",
        "source": None,
        "finish": None,
        "error": None,
        "message": None,
        "started": 1000.5,
        "seconds": None,
        "input_tokens": None,
        "output_tokens": None,
        "cached_tokens": None,
        "reasoning_tokens": None,
        "cost": None,
    }
    return CallRow(**(said | more))


def answered(run: str, number: int, key: str, text: str, **more: Any) -> tuple[Body, CallRow]:
    """A call with its answer."""
    return Body(digest(text), text), call_row(run, number, key=key, state="answered", reply=digest(text), **more)


def batch_row(id_: str = "b1", **more: Any) -> BatchRow:
    said: dict[str, Any] = {
        "id": id_,
        "session": "none",
        "flow": "triage",
        "path": "/p/triage.flow.yaml",
        "fingerprint": "f00",
        "data": "in.jsonl",
        "out": "out.jsonl",
        "options": "{}",
        "status": "running",
        "simulated": 0,
        "started": 5.0,
        "seconds": 0.5,
        "rows": 3,
        "bytes": 120,
        "digest": "ab",
        "tallies": "{}",
        "version": "1.0",
    }
    return BatchRow(**(said | more))


def one_of_each() -> list[Any]:
    """A row of every table, with every kind of value."""
    return [
        Body(digest("snow \N{SNOWMAN}\0 end"), "snow \N{SNOWMAN}\0 end"),
        SessionRow("s1", 42, "1.0", 3.5, 7),
        run_row(source=digest("x"), outputs="[]", error="timeout", message="m", failed="say", revision="abc", dirty=1, batch="b1", row=2),
        StepRow("r1", "say", -1, "chat", "succeeded", '"x"', "gpt", None, None, 0.125, 1e-9, 2, 0, 1, 2, "0.1", 3),
        ItemRow("r1", "say", 0, "failed", "auth", "no", 0.5, 1e300, 1),
        call_row(item=3, sample=1, returned="gpt-1", reply=digest("y"), source="r0:1", finish="stop", seconds=0.1, cost="0.2"),
        AttemptRow("r1", 1, 1, "sent", 1000.0, 200, 0.5, 0.25, 0.1, "json_schema", "", 1, 2**62, "0.3"),
        NoteRow("r1", 1, "say", None, "repair", 1.5, "a\nb"),
        batch_row(),
    ]


def tables(path: Path) -> dict[str, list[Any]]:
    """All that is in a database, by table."""
    connection = sqlite3.connect(path)
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    finally:
        connection.close()


def sound(folder: Path) -> bool:
    """Whether SQLite finds nothing wrong."""
    connection = sqlite3.connect(folder / FILE)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()
