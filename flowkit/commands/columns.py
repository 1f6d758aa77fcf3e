"""Say which column of a row feeds which input of a flow, and read cells by their types. Knows no file and no run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flowkit.commands import given
from flowkit.errors import ConfigError, InputError
from flowkit.spelling import did_you_mean
from flowkit.types.algebra import MISSING, AnyType, List, Map, Object, Record, String, Type, members
from flowkit.types.wording import spell

_STRUCTURES: Final = (List, Map, Object, Record)


def pairs(texts: Sequence[str], declared: Record) -> dict[str, str]:
    """Read `input=column` texts. Raises ConfigError, also for an input that the flow does not have."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, column = text.partition("=")
        if not equals or not name or not column:
            raise ConfigError(f"--map {text}: write it as INPUT=COLUMN, such as ticket=body")
        if declared.get(name) is None:
            hint = did_you_mean(name, declared.names()) or f"the inputs are {', '.join(declared.names()) or 'none'}"
            raise ConfigError(f"--map {text}: the flow has no input {name!r}; {hint}")
        if name in found:
            raise ConfigError(f"--map {text}: the input {name!r} is mapped twice")
        found[name] = column
    return found


class Columns:
    """Takes of each row what the flow wants. What is `fixed` counts more than a column; `textual` rows hold cells of text."""

    def __init__(self, declared: Record, mapped: Mapping[str, str], fixed: Mapping[str, Any], *, textual: bool) -> None:
        self._declared = declared
        self._fixed = dict(fixed)
        self._wanted = [
            (field.name, mapped.get(field.name, field.name), field.type) for field in declared.fields if field.name not in fixed
        ]
        self._mapped = mapped
        self._textual = textual

    @property
    def needed(self) -> list[str]:
        """The columns without which no row has its inputs."""
        needed = {f.name for f in self._declared.fields if not f.optional and f.default is MISSING}
        return [column for name, column, _ in self._wanted if name in needed]

    def check(self, columns: Sequence[str], where: str) -> None:
        """Refuse a mapping to a column that is not there, and columns without which no row has its inputs. Raises InputError."""
        said = []
        for name, column in self._mapped.items():
            if column not in columns:
                hint = did_you_mean(column, columns) or f"there are {', '.join(columns) or 'none'}"
                said.append(f"--map {name}={column}: {where} has no column {column!r}; {hint}")
        mapped = set(self._mapped.values())
        for column in self.needed:
            if column not in columns and column not in mapped:
                said.append(f"{where} has no column {column!r}, which the flow needs as an input; there are {', '.join(columns) or 'none'}")
                near = f"{did_you_mean(column, columns) or ''} ".lstrip()
                said.append(f"   hint: {near}--map {column}=COLUMN takes it from another, -i {column}=… gives one to all rows")
        if said:
            raise InputError("\n".join(said))

    def inputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs that a row gives. Raises InputError for a cell that its type cannot mean."""
        found = dict(self._fixed)
        for name, column, type_ in self._wanted:
            if column in values:
                found[name] = _cell(f"column {column!r}", values[column], type_) if self._textual else values[column]
        return found


def _cell(shown: str, text: str, type_: Type) -> Any:
    kinds = list(members(type_))
    structured = any(isinstance(kind, _STRUCTURES) for kind in kinds)
    if not structured or any(isinstance(kind, String | AnyType) for kind in kinds):
        return given.by_type(shown, text, type_)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{shown} is {spell(type_)}, and holds no JSON: {text[:60]!r}") from None
