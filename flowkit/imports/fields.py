"""Turn the types and schemas of other tools into what stands under `inputs`, `output` and `types` of a flow. Knows no file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowkit.imports.names import plain
from flowkit.types.algebra import Enum, Field, List, Map, Record, Ref, Type, Union
from flowkit.types.imported import SchemaUnsupported, from_json_schema
from flowkit.types.wording import spell

#: Words of Prompt flow and Prompty for types, in small letters.
TYPES: Mapping[str, str] = {
    "string": "string",
    "str": "string",
    "text": "string",
    "int": "integer",
    "integer": "integer",
    "double": "number",
    "float": "number",
    "number": "number",
    "bool": "boolean",
    "boolean": "boolean",
    "list": "list(any)",
    "array": "list(any)",
    "object": "object",
    "dict": "object",
    "image": "string",
    "file_path": "string",
    "thread": "list(Message)",
}
_SCHEMA_TYPES = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "list(any)": "array",
    "object": "object",
    "string": "string",
}
_DEFAULTS: Mapping[str, Any] = {"string": "", "list(any)": [], "list(Message)": [], "object": {}, "boolean": False}


def type_of(value: Any) -> str:
    """Return the type of a sample."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "number"
    if isinstance(value, list):
        if value and all(isinstance(item, dict) and set(item) == {"role", "content"} for item in value):
            return "list(Message)"
        return "list(string)" if value and all(isinstance(item, str) for item in value) else "list(any)"
    return "object" if isinstance(value, Mapping) else "any" if value is None else "string"


def fitting(value: Any, type_: str) -> tuple[bool, Any]:
    """Return whether a value can be had as a type, and how: other tools turn `"5"` into 5, flowkit does not."""
    read = value
    if isinstance(value, str) and type_ in {"integer", "number", "boolean", "list(any)", "object", "list(Message)"}:
        try:
            read = json.loads(value.strip().lower() if type_ == "boolean" else value)
        except ValueError:
            return False, None
    match type_:
        case "string":
            if isinstance(value, (Mapping, list)) or value is None:
                return False, None
            return True, value if isinstance(value, str) else json.dumps(value)
        case "integer":
            whole = isinstance(read, float) and read.is_integer()
            return (True, int(read)) if whole or (isinstance(read, int) and not isinstance(read, bool)) else (False, None)
        case "number":
            return (True, read) if isinstance(read, (int, float)) and not isinstance(read, bool) else (False, None)
        case "boolean":
            return isinstance(read, bool), read
        case "object":
            return isinstance(read, Mapping), read
        case "any":
            return True, value
    return isinstance(read, list), read


def empty(type_: str) -> tuple[bool, Any]:
    """Return what stands for nothing at all in a type, if anything does."""
    return type_ in _DEFAULTS, _DEFAULTS.get(type_)


def field(type_: str, *, description: str = "", default: Any = ...) -> Any:
    """Write a field: in one line where a comma and a description say it all."""
    if default is not ...:
        long: dict[str, Any] = {"type": type_, "default": default}
        return {**long, "description": " ".join(description.split())} if description else long
    if not description:
        return type_
    one = " ".join(description.split())
    return f"{type_}, {one}"


def schema_of(properties: Any) -> dict[str, Any]:
    """Return the JSON Schema of a mapping or list of properties as Prompty writes them (`kind` or `type`, `name`, `items`)."""
    named = properties.items() if isinstance(properties, Mapping) else [(p.get("name"), p) for p in properties if isinstance(p, Mapping)]
    read = {str(name): _property(p) for name, p in named if name}
    needed = [name for name, p in named if name and not (isinstance(p, Mapping) and p.get("required") is False)]
    return {"type": "object", "properties": read, "required": needed, "additionalProperties": False}


def _property(said: Any) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        return _property({"type": said if isinstance(said, str) and said.lower() in TYPES else "string"})
    word = TYPES.get(str(said.get("kind", said.get("type", "string"))).lower(), "any")
    found: dict[str, Any] = {"type": _SCHEMA_TYPES[word]} if word in _SCHEMA_TYPES else {}
    if isinstance(said.get("description"), str):
        found["description"] = said["description"]
    words = said.get("enum", said.get("enumValues"))
    if isinstance(words, list) and words and all(isinstance(w, str) for w in words):
        found |= {"type": "string", "enum": words}
    if said.get("properties"):
        found = {**schema_of(said["properties"]), **{k: v for k, v in found.items() if k == "description"}}
    if found.get("type") == "array":
        found["items"] = _property(said["items"]) if said.get("items") else {}
    return found


def written(schema: Mapping[str, Any], *, name: str, types: dict[str, Any]) -> Any:
    """Return what stands under `output` for a JSON Schema; records inside lists become named types. Raises SchemaUnsupported."""
    table: dict[str, Type] = {}
    found = from_json_schema(schema, name=name, table=table)
    return _Writer(table, types).top(found, name)


class _Writer:
    def __init__(self, table: Mapping[str, Type], types: dict[str, Any]) -> None:
        self._table = table
        self._types = types

    def top(self, type_: Type, name: str) -> Any:
        if isinstance(type_, Record):
            if not type_.fields:
                return "object"
            return {f"{f.name}?" if f.optional else f.name: self.field(f, name) for f in type_.fields}
        return self.word(type_, name)

    def field(self, found: Field, name: str) -> Any:
        inner = f"{name}_{found.name}"
        if (
            isinstance(found.type, Record)
            and found.type.fields
            and not set(found.type.names()) <= {"type", "description", "default", "examples", "pattern"}
        ):
            return self.top(found.type, inner)
        return field(self.word(found.type, inner), description=found.description)

    def word(self, type_: Type, name: str) -> str:
        """Return a type in one line; a record in it gets a name."""
        match type_:
            case Record():
                return self.named(type_, name) if type_.fields else "object"
            case List():
                return f"list({self.word(type_.item, name)})"
            case Map():
                return f"map({self.word(type_.value, name)})"
            case Union():
                return " | ".join(self.word(member, name) for member in type_.members)
            case Ref():
                return self.named(self._table[type_.name], type_.name) if type_.name in self._table else "any"
            case Enum():
                return f"enum({' | '.join(map(_enum_word, type_.words))})"
        return spell(type_)

    def named(self, type_: Type, name: str) -> str:
        title = "".join(part.capitalize() for part in plain(name).split("_")) or "Record"
        if title not in self._types:
            self._types[title] = {}  # before what it holds is read: it may hold itself
            self._types[title] = self.top(type_, name)
        return title


def _enum_word(word: str) -> str:
    return spell(Enum((word, "x"))).removeprefix("enum(").rpartition(" | ")[0]


def words(found: tuple[str, ...]) -> str:
    """Return an enum of these words."""
    return spell(Enum(found))


__all__ = ["TYPES", "SchemaUnsupported", "empty", "field", "fitting", "schema_of", "type_of", "words", "written"]
