"""The record: what was asked, what came back, what it cost. One contract; the only room that knows SQLite."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.store.contract import Answers, Store
from flowkit.store.place import home
from flowkit.store.rows import (
    MAYBE_BILLED,
    AttemptRow,
    BatchRow,
    Body,
    CallRow,
    ItemRow,
    NoteRow,
    Paid,
    RunRow,
    Served,
    SessionRow,
    StepRow,
)

if TYPE_CHECKING:
    from flowkit.store.looking import Looking

__all__ = [
    "MAYBE_BILLED",
    "Answers",
    "AttemptRow",
    "BatchRow",
    "Body",
    "CallRow",
    "ItemRow",
    "NoteRow",
    "Paid",
    "RunRow",
    "Served",
    "SessionRow",
    "StepRow",
    "Store",
    "home",
    "open_existing",
    "open_store",
]


def open_store(folder: Path, *, version: str, warn: Callable[[str], None], clock: Callable[[], float] = time.time) -> Store:
    """Open the store in a folder, which is made if need be. `warn` is told what was moved aside because it was damaged.

    Raises:
        StoreError: it cannot be opened or written, is of a newer flowkit, or another process holds it.
    """
    from flowkit.store.sqlite import SqliteStore  # sqlite3 is slow to import, and check needs none

    return SqliteStore(folder, version=version, warn=warn, clock=clock)


def open_existing(folder: Path, *, version: str, warn: Callable[[str], None]) -> Looking | None:
    """Open the record in a folder to read it, None where there is none: looking makes nothing, and damage stays where it is.

    Raises:
        StoreError: it cannot be read, is damaged, or is of a newer flowkit.
    """
    from flowkit.store import looking, schema, sqlite  # as above

    if not (folder / sqlite.FILE).exists():
        return None
    found = looking.Looking(folder)
    if found.form == schema.VERSION:
        return found
    empty = found.form == 0
    found.close()
    if empty:
        return None
    open_store(folder, version=version, warn=warn).close()  # it brings the tables up to date
    return looking.Looking(folder)
