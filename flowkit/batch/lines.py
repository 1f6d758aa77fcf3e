"""Results as lines of a file, and the file as far as it is sound. Knows nothing of how results come about."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final

from flowkit import printable
from flowkit.batch.answering import RowResult
from flowkit.results import Status

_CHUNK: Final = 1024 * 1024
_BEGIN: Final = b'{"row": '


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


def chain() -> blake2b:
    """Return what lines are fed to as they are written, so that nobody changes one of them unseen."""
    return blake2b(digest_size=16)


def chained(path: Path, size: int) -> blake2b | None:
    """Return the chain over the first `size` bytes of a file, None when there are fewer. Raises OSError."""
    found, left = chain(), size
    with path.open("rb") as file:
        while left:
            part = file.read(min(left, _CHUNK))
            if not part:
                return None
            found.update(part)
            left -= len(part)
    return found


def foreign(path: Path, size: int) -> bool:
    """Whether something stands behind the first `size` bytes that no batch wrote before it was killed. Raises OSError."""
    with path.open("rb") as file:
        file.seek(size)
        for raw in file:
            if not raw.endswith(b"\n"):  # cut in the middle
                return not (raw.startswith(_BEGIN) or _BEGIN.startswith(raw))
            try:
                read(raw)
            except Damaged:
                return True
    return False


class Out:
    """The file that lines are written to, each line handed to the system at once. A new one is for its user alone.

    It is as it was until `cut` makes it end behind what is kept of it.
    """

    def __init__(self, path: Path, *, keep: int = 0) -> None:
        # Nobody else is to read answers before the user says so.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self.size = keep
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def cut(self) -> None:
        """End behind what is kept. Raises OSError."""
        if self._regular:
            self._file.truncate(self.size)
            self._file.seek(self.size)

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
