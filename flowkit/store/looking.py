"""Read a record that other processes may be writing, and change nothing: no file is made, none is moved, no run is marked."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from flowkit.errors import StoreError
from flowkit.store import leases, schema
from flowkit.store.reading import Reading
from flowkit.store.sqlite import BUSY, FILE, LEASES

_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


class Looking(Reading):
    """The record in a folder as it is now, for readers. Use it as `with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._lock = threading.Lock()
        with _said(self._path):
            self._connection = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go."""
        with self._lock:
            self._connection.close()

    @property
    def where(self) -> str:
        """The path of the file."""
        return str(self._path)

    @property
    def form(self) -> int:
        """The form of its tables; 0: nothing was ever written."""
        with self.reading() as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def alive(self, session: str) -> bool:
        """Whether the process of a session still runs."""
        return leases.alive(self._folder / LEASES, session)

    def progress(self, runs: Sequence[str]) -> dict[str, Counter[str]]:
        """Return of each run how many steps of its flow, not of what is inside them, are in which state. Raises StoreError."""
        found: dict[str, Counter[str]] = {run: Counter() for run in runs}
        with self.reading() as connection:
            for run in runs:
                counted = "SELECT status, count(*) FROM steps WHERE run = ? AND item < 0 AND instr(step, '/') = 0 GROUP BY status"
                for status, number in connection.execute(counted, (run,)):
                    found[run][str(status)] = int(number)
        return found

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection. Raises StoreError."""
        with self._lock, _said(self._path):
            yield self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened("mode=ro")
        except sqlite3.OperationalError as error:
            # Where nothing can be written, SQLite cannot make the file that readers share; then nobody writes either.
            if error.sqlite_errorcode & 0xFF not in _READ_ONLY or self._pending():
                raise
            return self._opened("mode=ro&immutable=1")

    def _pending(self) -> bool:
        """Whether something was written that is not yet in the file itself."""
        wal = self._path.with_name(f"{FILE}-wal")
        return wal.exists() and wal.stat().st_size > 0

    def _opened(self, how: str) -> sqlite3.Connection:
        address = f"file:{quote(str(self._path.absolute()))}?{how}"
        connection = sqlite3.connect(address, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            self._refuse_unknown(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_unknown(self, connection: sqlite3.Connection) -> None:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (ours,) = connection.execute("PRAGMA application_id").fetchone()
        (form,) = connection.execute("PRAGMA user_version").fetchone()
        if tables and ours != schema.APPLICATION_ID:
            raise StoreError(f"{self._path} is no record of flowkit")
        if form > schema.VERSION:
            raise StoreError(
                f"the record {self._path} has form {form}, and this flowkit knows forms up to {schema.VERSION}: use the newer flowkit,"
                " or another record with FLOWKIT_HOME"
            )


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Say what SQLite and the disk say in the words of a reader."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise StoreError(f"the record {path} is locked by another process for {BUSY:g} s; try again when it is done") from error
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise StoreError(_damaged(path, error)) from error
        raise StoreError(f"the record {path} cannot be read: {error}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # of a schema that is damaged, not even the message is a text
        raise StoreError(_damaged(path, error)) from error
    except OSError as error:
        raise StoreError(f"the record {path} cannot be read: {error.strerror or error}") from error


def _damaged(path: Path, error: Exception) -> str:
    return f"the record {path} is damaged: {error}; the next run moves it aside and begins a new one, or set FLOWKIT_HOME to a copy of it"
