"""The rows of a data file as a batch asks about them: which of them, and with which inputs. Knows no run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from flowkit import rows
from flowkit.batch import Asked
from flowkit.commands.columns import Columns
from flowkit.errors import ConfigError, InputError
from flowkit.rows import BadRow, Form, Row

#: Rows of a file that are looked at before a column counts as missing: in JSONL each row may have other keys.
_LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that are wanted: a random `sample` of all, the same for the same `seed`, and of these the first `limit`."""

    limit: int | None = None
    sample: int | None = None
    seed: str = ""


class Dataset:
    """A JSONL or CSV file, or stdin, which can be read once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stdin = name == rows.STDIN
        self.shown = "<stdin>" if self.stdin else name
        self.form: Form = "jsonl" if self.stdin else rows.form_of(name)
        #: Whether reading may block, and cannot be repeated.
        self.stream = self.stdin or not Path(name).is_file()
        if not self.stdin and (not Path(name).exists() or Path(name).is_dir()):
            raise ConfigError(f"{name}: {'is a folder' if Path(name).is_dir() else 'there is no such file'}")
        self._ahead: list[Row | BadRow] = []
        self._open: Iterator[Row | BadRow] | None = None

    def check(self, columns: Columns) -> None:
        """Compare the columns that are wanted with those that are there, before anything is called. Raises InputError, ConfigError."""
        if self.form == "csv" and not self.stream:
            with _opened(self.name) as file:
                try:
                    names = rows.header(file.read)
                except InputError as error:
                    raise InputError(f"{self.name}: {error}") from None
            columns.check(names, f"the header of {self.name}")
            return
        found = self._rows()
        keys: dict[str, None] = {}
        ahead: list[Row | BadRow] = []
        for row in itertools.islice(found, _LOOKED_AT):
            ahead.append(row)
            if isinstance(row, Row):
                keys |= dict.fromkeys(row.values)
                # A stream may be slow: no more of it is waited for than is needed.
                if set(columns.needed) <= keys.keys():
                    break
        if self.stream:
            self._ahead, self._open = ahead, found
        if keys:
            columns.check(list(keys), self.shown if len(ahead) > 1 else f"the first row of {self.shown}")

    def total(self, chosen: Selection) -> int | None:
        """Return how many rows will be asked about, None when it cannot be known."""
        if self.stream:
            return None
        wanted = [number for number in (chosen.limit, chosen.sample) if number is not None]
        with _opened(self.name) as file:
            return min([rows.count(file.read, self.form), *wanted])

    def asked(self, columns: Columns, chosen: Selection) -> Iterator[Asked]:
        """Yield the chosen rows with their inputs. Raises ConfigError when the file cannot be read."""
        kept = None if chosen.sample is None else self._sample(chosen.sample, chosen.seed)
        found = (row for row in self._rows() if kept is None or row.number in kept)
        for row in itertools.islice(found, chosen.limit):
            yield self._asked(row, columns)

    def _asked(self, row: Row | BadRow, columns: Columns) -> Asked:
        place = f"{self.shown}:{row.line}"
        if isinstance(row, BadRow):
            return Asked(row.number, None, row.message, place, row.digest)
        try:
            return Asked(row.number, columns.inputs(row.values), None, place, row.digest)
        except InputError as error:
            return Asked(row.number, None, str(error), place, row.digest)

    def _sample(self, size: int, seed: str) -> set[int]:
        if self.stream:
            raise ConfigError("--sample needs to know how many rows there are: write them to a file first")
        with _opened(self.name) as file:
            total = rows.count(file.read, self.form)
        return set(random.Random(seed).sample(range(1, total + 1), min(size, total)))  # noqa: S311 - a sample, no secret

    def _rows(self) -> Iterator[Row | BadRow]:
        if self._open is not None:
            yield from self._ahead
            yield from self._open
            return
        with _opened(self.name) as file:
            try:
                yield from rows.read(file.read, self.form)
            except InputError as error:
                raise InputError(f"{self.shown}: {error}") from None
            except OSError as error:
                raise ConfigError(f"{self.shown}: {error.strerror}") from None


def _opened(name: str) -> FileIO:
    # Without a buffer: a thread that blocks in a buffered read would keep the process from ending.
    try:
        return FileIO(0 if name == rows.STDIN else name, "rb", closefd=name != rows.STDIN)
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror}") from None
