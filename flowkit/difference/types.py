"""Compare two types, given as JSON Schemas, field by field, and spell them in the words of the flow file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowkit.difference.change import Sides
from flowkit.types.schemas import SchemaUnsupported, from_json_schema
from flowkit.types.wording import spell

Schema = Mapping[str, Any]


class Types:
    """Compares the types at one place of two flows."""

    def __init__(self, sides: Sides, before: Schema, after: Schema, *, steps: tuple[str, ...]) -> None:
        self._sides = sides
        self._roots = (before, after)
        self._steps = steps
        self._seen: set[tuple[str, str]] = set()

    def compare(self, path: str) -> None:
        """Note every change; a field that is in one side only is told as a whole."""
        self._types(path, *self._roots)

    def _types(self, path: str, before: Schema, after: Schema) -> None:
        a, b = _expanded(before, self._roots[0]), _expanded(after, self._roots[1])
        if "properties" in a and "properties" in b:
            records = (json.dumps(a["properties"]), json.dumps(b["properties"]))
            if records in self._seen:  # a type that holds itself, or stands at two places: its changes are told once
                return
            self._seen.add(records)
            self._sides.plain(f"{path} (description)", a.get("description"), b.get("description"), steps=self._steps)
            self._records(path, a, b)
        elif a.get("type") == b.get("type") == "array" and _bare(a) == _bare(b):
            self._types(f"{path}[]", a["items"], b["items"])
        elif (old := spelled(a, self._roots[0])) != (new := spelled(b, self._roots[1])):
            self._sides.add(path, "changed", old, new, steps=self._steps)

    def _records(self, path: str, before: Schema, after: Schema) -> None:
        old, new = before["properties"], after["properties"]
        for name in dict.fromkeys([*old, *new]):
            mark = ["" if name in side.get("required", ()) else "?" for side in (before, after)]
            where = f"{path}.{name}"
            if name not in new:
                self._sides.add(where, "removed", _optional(spelled(old[name], self._roots[0]), mark[0]), None, steps=self._steps)
            elif name not in old:
                self._sides.add(where, "added", None, _optional(spelled(new[name], self._roots[1]), mark[1]), steps=self._steps)
            elif mark[0] != mark[1]:
                told = [_optional(spelled(each[name], root), m) for each, root, m in zip((old, new), self._roots, mark, strict=True)]
                self._sides.add(where, "changed", *told, steps=self._steps)
            else:
                self._types(where, old[name], new[name])
        shared = [[name for name in one if name in other] for one, other in ((old, new), (new, old))]
        if shared[0] != shared[1]:
            self._sides.add(path, "moved", *shared, steps=self._steps)


def fields(schema: Schema) -> dict[str, str] | str:
    """Return the fields of a record in words; of another type the type itself."""
    whole = _expanded(schema, schema)
    if "properties" not in whole:
        return spelled(whole, schema)
    required = whole.get("required", ())
    return {f"{name}{'' if name in required else '?'}": spelled(each, schema) for name, each in whole["properties"].items()}


def spelled(schema: Schema, root: Schema) -> str:
    """Return a schema in the words of the flow file, with its description and default; as JSON where they lack a word for it."""
    own = {key: value for key, value in schema.items() if key not in ("description", "default", "examples", "$defs")}
    try:
        words = spell(from_json_schema({**own, "$defs": root.get("$defs", {})}, name="", table={}))
    except SchemaUnsupported:
        words = json.dumps(own, ensure_ascii=False)
    if "default" in schema:
        words += f" = {json.dumps(schema['default'], ensure_ascii=False)}"
    return f"{words}, {schema['description']}" if schema.get("description") else words


def _optional(words: str, mark: str) -> str:
    return f"{words} (optional)" if mark else words


def _expanded(schema: Schema, root: Schema) -> Schema:
    """Return what a reference stands for; what is said beside it stays."""
    seen = 0
    while "$ref" in schema and seen < 100:
        seen += 1
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {}), **beside}
    return schema


def _bare(schema: Schema) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("items", "$defs", "examples")}
