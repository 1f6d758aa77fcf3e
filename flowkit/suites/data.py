"""Turn `inputs` and `data` of a test into rows of valid inputs, or into every problem in them. Knows the flow's types, runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from flowkit import project, rows
from flowkit.errors import InputError, Place
from flowkit.keys.tests import TABLES
from flowkit.parser import files
from flowkit.parser.data import data, fits, infer
from flowkit.parser.reading import Reading, entries, own
from flowkit.parser.values import BAD, finite, value_of
from flowkit.project import PathRefused
from flowkit.rows import BadRow
from flowkit.source import Mapping as MappingNode
from flowkit.source import Node, Scalar, Sequence
from flowkit.spelling import did_you_mean
from flowkit.suites.spec import Row
from flowkit.types.algebra import ANY, MISSING, Field, List, Record, Type
from flowkit.types.texts import meant
from flowkit.types.validators import FieldError

_TEST, _DATA = TABLES["test"], TABLES["data"]
_FORMS: Final = (".jsonl", ".ndjson", ".csv")
#: Rows of one test of which mistakes are reported; who has more has one mistake in all of them.
_REPORTED: Final = 5


@dataclass(frozen=True, slots=True)
class _Raw:
    """A row as it is written, with its place. `texts`: its values are texts that are read by the types of the inputs."""

    values: Mapping[str, Any]
    place: Place
    texts: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """Reads the inputs of one test of a flow that declares them."""

    r: Reading
    declared: Record
    files: dict[Path, None]

    def one(self, node: Node | None, owner: Node, where: str) -> tuple[Row, ...]:
        """Return the one row of a test without data."""
        what = f"'inputs' of {where}"
        if node is None:
            right = fits(self.r, self.declared, {}, f"{where} has no 'inputs', which", "test-input", lambda _: owner.place())
            return (Row("", {}, {}),) if right else ()
        value = data(self.r, self.declared, node, what, "test-input")
        return () if value is BAD else (Row("", {}, value),)

    def many(self, node: Node, constant: Node | None, where: str) -> tuple[tuple[Row, ...], Type]:
        """Return the rows of a test with data, and the type of one as it is written."""
        fixed = self._constant(constant, where)
        columns: dict[str, str] | None = {}
        named = node
        if isinstance(node, MappingNode):
            found = entries(self.r, node, _DATA, f"'data' of {where}")
            columns = self._columns(found["columns"].value, where) if "columns" in found else {}
            if "file" not in found:
                return (), ANY
            named = found["file"].value
        raw = self._inline(named, where) if isinstance(named, Sequence) else self._file(named, where)
        if raw is None or fixed is None or columns is None:
            return (), ANY
        if not raw:
            self.r.error("test-data", named.place(), f"'data' of {where} holds no rows", "write one row at least")
        found_rows = []
        for number, (key, each) in enumerate(zip(_keys(raw), raw, strict=True), 1):
            inputs = self._inputs(each, columns, fixed, number, where)
            if inputs is not None:
                found_rows.append(Row(key, each.values, inputs))
            elif number - len(found_rows) == _REPORTED:
                break
        kind = infer([dict(each.values) for each in raw])
        return tuple(found_rows), kind.item if isinstance(kind, List) and raw else ANY

    def _constant(self, node: Node | None, where: str) -> dict[str, Any] | None:
        if node is None:
            return {}
        names = [key.text for key, _ in own(node)] if isinstance(node, MappingNode) else []
        part = Record(tuple(f for f in self.declared.fields if f.name in names or not isinstance(node, MappingNode)))
        value = data(self.r, _with_hints(part, self.declared), node, f"'inputs' of {where}", "test-input")
        return None if value is BAD else value

    def _columns(self, node: Node, where: str) -> dict[str, str] | None:
        value = value_of(self.r, _DATA["columns"].shape, node, f"'columns' of {where}")
        if value is BAD or not isinstance(node, MappingNode):
            return None
        right = True
        for name in value:
            if self.declared.get(name) is None and (key := node.key(name)) is not None:
                right = False
                hint = did_you_mean(name, self.declared.names()) or f"its inputs are {', '.join(self.declared.names()) or 'none'}"
                self.r.error("test-input", key.place(), f"the flow has no input {name!r}", hint)
        return dict(value) if right else None

    def _inline(self, node: Sequence, where: str) -> list[_Raw] | None:
        value = value_of(self.r, _TEST["data"].shape.of[1], node, f"'data' of {where}")
        if value is BAD:
            return None
        values = [finite(self.r, item, f"a row of {where}") for item in node.items]
        return None if BAD in values else [_Raw(each, item.place()) for each, item in zip(values, node.items, strict=True)]

    def _file(self, node: Node, where: str) -> list[_Raw] | None:
        if value_of(self.r, _DATA["file"].shape, node, f"'data' of {where}") is BAD or not isinstance(node, Scalar):
            return None
        path = files.find(self.r, node)
        if path is None:
            return None
        if path.suffix.lower() not in _FORMS:
            self.r.error(
                "test-data", node.place(), f"{node.text!r} is no file of rows", "name a .jsonl or .csv file, or write the rows here"
            )
            return None
        self.files[path] = None
        try:
            held = BytesIO(project.read_bytes(path))
            found = list(rows.read(held.read, rows.form_of(path.name)))
        except PathRefused as refused:
            self.r.error("test-data", node.place(), refused.message, refused.hint)
            return None
        except InputError as error:
            self.r.error("test-data", node.place(), f"{node.text!r}: {error}")
            return None
        shown = files.shown(self.r, path)
        for bad in [each for each in found if isinstance(each, BadRow)][:_REPORTED]:
            self.r.error("test-data", Place(shown, bad.line, 1, 2), f"row {bad.number} cannot be read: {bad.message}")
        if any(isinstance(each, BadRow) for each in found):
            return None
        texts = path.suffix.lower() == ".csv"
        return [_Raw(each.values, Place(shown, each.line, 1, 2), texts) for each in found if not isinstance(each, BadRow)]

    def _inputs(self, raw: _Raw, columns: Mapping[str, str], fixed: Mapping[str, Any], number: int, where: str) -> dict[str, Any] | None:
        given = dict(fixed)
        for field in self.declared.fields:
            column = columns.get(field.name, field.name)
            if column in raw.values:
                value = raw.values[column]
                found = meant(value, field.type) if raw.texts else value
                given[field.name] = value if found is MISSING else found  # a text that means nothing is refused as one
            elif field.name in columns and field.name not in fixed:
                hint = did_you_mean(column, raw.values) or f"it has {', '.join(raw.values)}"
                self.r.error("test-data", raw.place, f"row {number} has no column {column!r}", hint)
                return None

        def place(_error: FieldError) -> Place:
            return raw.place

        return given if fits(self.r, self.declared, given, f"row {number} of {where}", "test-input", place) else None


def _keys(raw: list[_Raw]) -> list[str]:
    """Return what names each row: its `id` where every row has one of its own, else its number."""
    ids = [each.values.get("id") for each in raw]
    named = [str(each) for each in ids if isinstance(each, str | int) and not isinstance(each, bool) and str(each).strip()]
    whole = len(named) == len(raw) == len(set(named)) and not any("::" in each or "\n" in each for each in named)
    return named if whole else [str(number) for number in range(1, len(raw) + 1)]


def _with_hints(part: Record, declared: Record) -> Record:
    """Return the fields that are given; where none is, all as optional ones, so that a strange name is told the right one."""
    if part.fields:
        return part
    return Record(tuple(Field(f.name, f.type, optional=True) for f in declared.fields))
