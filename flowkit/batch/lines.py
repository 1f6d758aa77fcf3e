"""Results as lines of a file, and the file as far as it is sound. Knows nothing of how results come about."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from flowkit import printable
from flowkit.batch.answering import RowResult
from flowkit.results import Status


def line(result: RowResult) -> bytes:
    """Return a result as one line of JSON: the same bytes for the same answer, whenever and in whatever company it came."""
    document: dict[str, Any] = {"row": result.row, "status": str(result.status)}
    if result.status is Status.SUCCEEDED:
        document["outputs"] = result.outputs
    elif result.error is not None:
        error = result.error
        document["error"] = {"kind": error.kind, "message": error.message}
        if error.step is not None:
            document["error"]["step"] = error.step
        if error.place is not None:
            document["error"]["place"] = error.place
    return f"{printable.json_text(document)}\n".encode()


@dataclass(frozen=True, slots=True)
class Written:
    """A line that was read again: the row, and the kind of its error, None where it has outputs."""

    row: int
    error: str | None
    raw: bytes


class Damaged(ValueError):
    """A line is none that a batch writes."""


def read(raw: bytes) -> Written:
    """Read one line, line end included. Raises Damaged."""
    try:
        found = json.loads(raw)
        row, status = found["row"], found["status"]
        error = found["error"]["kind"] if status == "failed" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged("not a line that a batch writes") from None
    if not raw.endswith(b"\n") or not isinstance(row, int) or status not in {"succeeded", "failed"} or not isinstance(error, str | None):
        raise Damaged("not a line that a batch writes")
    return Written(row, error, raw)


def read_all(file: BinaryIO) -> Iterator[Written]:
    """Yield the lines of a file that a batch wrote, without an end that was cut. Raises Damaged."""
    for raw in file:
        if raw.endswith(b"\n"):
            yield read(raw)


def last(path: Path, size: int) -> Written | None:
    """Return the line that ends after `size` bytes, None where none does."""
    with path.open("rb") as file:
        if size <= 0 or file.seek(0, os.SEEK_END) < size:
            return None
        start, tail = size, b""
        while start > 0 and b"\n" not in tail[:-1]:
            step = min(64 * 1024, start)
            start -= step
            file.seek(start)
            tail = file.read(step) + tail
    try:
        return read(tail[tail.rfind(b"\n", 0, len(tail) - 1) + 1 :])
    except Damaged:
        return None


class Out:
    """The file that lines are written to, cut to what is sound, each line handed to the system at once."""

    def __init__(self, path: Path, *, keep: int = 0) -> None:
        # Nobody else is to read answers before the user says so.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self.size = keep
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if self._regular:
            self._file.truncate(keep)
            self._file.seek(keep)

    def write(self, raw: bytes) -> None:
        """Write one line. Raises OSError."""
        left = memoryview(raw)
        while left:
            left = left[self._file.write(left) :]
        self.size += len(raw)

    def sync(self) -> None:
        """Return when what was written outlives the machine. Raises OSError."""
        if self._regular:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
