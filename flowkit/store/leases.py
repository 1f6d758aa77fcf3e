"""Who writes here and lives: each process holds a lock on a file of its own, which the system lets go when it dies. Knows no clock.

A lease that ends by time needs clocks that agree and hearts that beat; a lock needs neither, and a pid may come back.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

try:
    import fcntl as _locks
except ImportError:  # Windows; there, an open file cannot be deleted, which serves as well
    _locks = None  # type: ignore[assignment]  # a module elsewhere

fcntl: Any = _locks

SUFFIX = ".lock"
#: Seconds between two looks whether the other one is done.
_LOOK = 0.005


@contextmanager
def opening(folder: Path, patience: float) -> Iterator[None]:
    """Let one process at a time open the record: who is alone there may look through it, and move it aside.

    Raises:
        TimeoutError: another one is at it for longer than `patience`, in seconds.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)  # a folder can be locked like a file
    try:
        until = monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > until:
                    raise TimeoutError(errno.ETIMEDOUT, "another process has been opening it for long") from None
                sleep(_LOOK)
        yield
    finally:
        os.close(file)


class Lease:
    """The lock of this process, held until `release` or its death. Its file says how many commits are done."""

    def __init__(self, folder: Path, session: str) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / f"{session}{SUFFIX}"
        self._file = -1
        while self._file < 0:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)  # who looks whether it lives holds it for a moment
                if not _same(file, self._path):  # and may have swept it away, for it was not locked yet
                    os.close(file)
                    continue
            self._file = file

    def note(self, commits: int) -> None:
        """Say how many commits are done: what the record knows less of was lost. It need not outlast a power failure."""
        with suppress(OSError):  # on a full disk nothing was lost yet
            os.pwrite(self._file, b"%020d" % commits, 0)

    def release(self) -> None:
        """Let go."""
        if self._file < 0:
            return
        # On Windows an open file cannot go; there nobody looks at it before it is closed.
        if fcntl is None:
            os.close(self._file)
        with suppress(OSError):  # first, or who looks in between takes it for that of a process that died
            self._path.unlink()
        if fcntl is not None:
            os.close(self._file)
        self._file = -1


def alive(folder: Path, session: str) -> bool:
    """Whether the process that holds this lease still runs."""
    path = folder / f"{session}{SUFFIX}"
    if fcntl is None:
        with suppress(FileNotFoundError):
            try:
                path.unlink()
            except PermissionError:
                return True
        return False
    file = _free(path)
    if file is None:
        return path.exists()
    os.close(file)
    return False


def living(folder: Path) -> set[str]:
    """Return the sessions whose processes run."""
    return {path.stem for path in folder.glob(f"*{SUFFIX}") if alive(folder, path.stem)}


def sweep(folder: Path) -> dict[str, int]:
    """Remove the leases of processes that died; return how many commits each had done."""
    found = {}
    for path in folder.glob(f"*{SUFFIX}"):
        if fcntl is None:
            alive(folder, path.stem)  # removes it
        elif (file := _free(path)) is not None:
            said = os.pread(file, 20, 0)
            found[path.stem] = int(said) if said.isdigit() else 0
            with suppress(OSError):
                path.unlink()
            os.close(file)
    return found


def _free(path: Path) -> int | None:
    """Return the open file of a lease that nobody holds, held for as long as it is open; None when there is none such.

    The lock is a shared one, so that two who look do not take each other for the owner.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    if not _same(file, path):  # its owner took it away meanwhile
        os.close(file)
        return None
    return file


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
