"""Turn a Type into JSON Schema, strict for servers or plain for readers. Knows nothing of who asks; the way back is `imported`.

What servers accept as strict: the root is an object, every object is closed and requires all of its fields, an optional field is
one that may be null. A mapping with free keys (`map`, `object`) and `any` cannot be said that way: they appear as plain JSON Schema
says them, and `strict` tells that the whole is no strict schema.
"""

from __future__ import annotations

import re
from typing import Any

from flowkit.chat import Shape
from flowkit.types.algebra import (
    ANY,
    MISSING,
    AnyType,
    Boolean,
    Const,
    Date,
    DateTime,
    Enum,
    Field,
    Integer,
    List,
    Map,
    Null,
    Number,
    Object,
    Record,
    Ref,
    String,
    Type,
    Union,
    expand,
    may_be_absent,
)
from flowkit.types.imported import SchemaUnsupported, from_json_schema

__all__ = ["SchemaUnsupported", "from_json_schema", "json_schema", "shape", "strict"]

Schema = dict[str, Any]

_NULL: Schema = {"type": "null"}


def shape(type_: Type, name: str, *, lengths: bool) -> Shape:
    """Return the type as a strict JSON Schema under a name that servers take.

    Anything but a record or a mapping stands under the one key `value`. `lengths=False` leaves out `minLength` and `maxLength`, which
    some servers refuse. Where the type cannot be strict (see `strict`), the schema is still true but not closed.
    """
    root = expand(type_)
    writer = _Writer(type_, strict=True, lengths=lengths)
    if isinstance(root, Record | Map | Object):
        schema, wrapped = writer.write(root), False
    else:
        value = writer.write(type_)
        schema, wrapped = {"type": "object", "properties": {"value": value}, "required": ["value"], "additionalProperties": False}, True
    return Shape(re.sub(r"[^a-zA-Z0-9_-]+", "_", name)[:64] or "answer", writer.whole(schema), wrapped)


def strict(type_: Type) -> bool:
    """Whether the shape of a type obeys the rules of strict schemas: no `map`, `object` or `any` in it."""
    return _strict(type_, set())


def _strict(type_: Type, seen: set[tuple[int, str]]) -> bool:
    match type_:
        case AnyType() | Object() | Map():
            return False
        case List():
            return _strict(type_.item, seen)
        case Record():
            return all(_strict(f.type, seen) for f in type_.fields)
        case Union():
            return all(_strict(m, seen) for m in type_.members)
        case Ref():
            key = (id(type_.table), type_.name)
            if key in seen:
                return True
            seen.add(key)
            return _strict(type_.table.get(type_.name, ANY), seen)
    return True


def json_schema(type_: Type) -> Schema:
    """Return the type as plain JSON Schema 2020-12: optional fields stay optional, defaults and examples are kept."""
    writer = _Writer(type_, strict=False, lengths=True)
    return writer.whole(writer.write(type_))


class _Writer:
    """Writes one schema. What has a name and is used twice, or contains itself, is a definition; the rest stands in place."""

    def __init__(self, root: Type, *, strict: bool, lengths: bool) -> None:
        self.strict = strict
        self.lengths = lengths
        self.definitions: dict[str, Schema] = {}
        self.names: dict[tuple[int, str], str] = {}
        self.uses: dict[tuple[int, str], int] = {}
        self.count(root)

    def count(self, type_: Type) -> None:
        match type_:
            case List():
                self.count(type_.item)
            case Map():
                self.count(type_.value)
            case Record():
                for f in type_.fields:
                    self.count(f.type)
            case Union():
                for m in type_.members:
                    self.count(m)
            case Ref():
                key = (id(type_.table), type_.name)
                self.uses[key] = self.uses.get(key, 0) + 1
                if self.uses[key] == 1:
                    self.count(type_.table.get(type_.name, ANY))

    def whole(self, schema: Schema) -> Schema:
        return {**schema, "$defs": self.definitions} if self.definitions else schema

    def write(self, type_: Type) -> Schema:
        match type_:
            case String():
                return self.text(type_)
            case Integer():
                return _bounded({"type": "integer"}, minimum=type_.min, maximum=type_.max)
            case Number():
                return _bounded({"type": "number"}, minimum=type_.min, maximum=type_.max)
            case Boolean():
                return {"type": "boolean"}
            case Date():
                return {"type": "string", "format": "date"}
            case DateTime():
                return {"type": "string", "format": "date-time"}
            case AnyType():
                return {}
            case Object():
                return {"type": "object"}
            case Null():
                return dict(_NULL)
            case Enum():
                return {"type": "string", "enum": list(type_.words)}
            case Const():
                return {"const": type_.value}
            case List():
                return _bounded({"type": "array", "items": self.write(type_.item)}, minItems=type_.min_items, maxItems=type_.max_items)
            case Map():
                return {"type": "object", "additionalProperties": self.write(type_.value)}
            case Union():
                return {"anyOf": [self.write(m) for m in type_.members]}
            case Record():
                return self.record(type_)
            case Ref():
                return self.named(type_)

    def text(self, type_: String) -> Schema:
        schema: Schema = {"type": "string"}
        if self.lengths:
            _bounded(schema, minLength=type_.min, maxLength=type_.max)
        return _bounded(schema, pattern=type_.pattern)

    def named(self, ref: Ref) -> Schema:
        key = (id(ref.table), ref.name)
        target = ref.table.get(ref.name, ANY)
        if self.uses.get(key, 0) < 2 or not isinstance(target, Record | List | Map | Union):
            return self.write(target) if not isinstance(target, Ref) else self.write(expand(target))
        if key not in self.names:
            name = re.sub(r"[^a-zA-Z0-9_-]+", "_", ref.name)
            while name in self.definitions:  # the same name from two files
                name += "_"
            self.names[key] = name
            self.definitions[name] = {}
            self.definitions[name] = self.write(target)
        return {"$ref": f"#/$defs/{self.names[key]}"}

    def record(self, record: Record) -> Schema:
        schema: Schema = {"type": "object"}
        if record.description:
            schema["description"] = record.description
        schema["properties"] = {f.name: self.field(f) for f in record.fields}
        schema["required"] = [f.name for f in record.fields if self.strict or not (f.optional or f.default is not MISSING)]
        schema["additionalProperties"] = False
        return schema

    def field(self, f: Field) -> Schema:
        schema = self.write(f.type)
        if self.strict:
            if (f.optional or f.default is not MISSING) and not isinstance(expand(f.type), AnyType) and not may_be_absent(f.type):
                schema = {"anyOf": [*schema["anyOf"], dict(_NULL)]} if list(schema) == ["anyOf"] else {"anyOf": [schema, dict(_NULL)]}
            if f.description and "$ref" in schema:  # a reference takes nothing beside it
                schema = {"anyOf": [schema]}
        if f.description:
            schema = {**schema, "description": f.description}
        if not self.strict:
            if f.default is not MISSING:
                schema = {**schema, "default": f.default}
            if f.examples:
                schema = {**schema, "examples": list(f.examples)}
        return schema


def _bounded(schema: Schema, **bounds: Any) -> Schema:
    schema.update((keyword, bound) for keyword, bound in bounds.items() if bound is not None)
    return schema
