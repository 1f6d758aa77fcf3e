"""The rows of inputs that a command is about: those of a data file, or the one row of its options. Knows no run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from flowkit.batch import Asked
from flowkit.commands import columns, given, screen
from flowkit.commands.columns import Columns
from flowkit.commands.dataset import Dataset, Selection
from flowkit.commands.opening import Opening
from flowkit.types.algebra import Record


def rows(opening: Opening, declared: Record, data: str, mapped: tuple[str, ...], limit: int | None) -> Iterator[Mapping[str, Any]]:
    """Yield the inputs of each row of a data file; a row that has none is told on stderr. Raises as `each` does."""
    for asked in each(opening, declared, data, mapped, limit):
        if asked.inputs is None:
            screen.say(f"{asked.place}: {asked.wrong}")
        else:
            yield asked.inputs


def each(opening: Opening, declared: Record, data: str, mapped: tuple[str, ...], limit: int | None) -> Iterator[Asked]:
    """Yield each row of a data file, good and bad.

    Raises:
        InputError: the columns do not fit the inputs.
        ConfigError: the file cannot be read.
    """
    dataset = Dataset(data)
    fixed = given.mapping(opening.inputs, sys.stdin.read) if opening.inputs is not None else {}
    fixed |= given.values(opening.input, declared)
    found = Columns(declared, columns.pairs(mapped, declared), fixed, textual=dataset.form == "csv")
    dataset.check(found)
    yield from dataset.asked(found, Selection(limit))
