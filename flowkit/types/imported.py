"""Turn a JSON Schema into a Type, as far as a type can hold it; every other keyword is an error. Knows no files.

Read: type (or a list of types), properties, required, additionalProperties, items, enum (of texts), const (a text), anyOf, oneOf, allOf
(of one), $ref (within the document), $defs, definitions, minimum, maximum, exclusiveMinimum and exclusiveMaximum (integers), minLength,
maxLength, pattern, minItems, maxItems, format (date, date-time), description, default, examples. Skipped: $schema, $id, $comment, title,
deprecated, readOnly, writeOnly. A record is closed, whether `additionalProperties` is false or not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    MISSING,
    NULL,
    OBJECT,
    Date,
    DateTime,
    Enum,
    Field,
    Integer,
    List,
    Map,
    Number,
    Record,
    Ref,
    String,
    Type,
    union,
)


class SchemaUnsupported(ValueError):
    """A JSON Schema says something that no type can hold; `pointer` is the JSON pointer to it."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or '/'}: {message}")
        self.pointer = pointer
        self.message = message


def from_json_schema(data: Mapping[str, Any], *, name: str, table: dict[str, Type]) -> Type:
    """Read a schema. What it defines under `$defs` goes into `table` as `<name>.<definition>`.

    A schema that refers to itself (`#`) refers to `table[name]`, which this sets. Raises SchemaUnsupported.
    """
    return _Reader(data, name, table).whole()


_SKIPPED = frozenset({"$schema", "$id", "$comment", "title", "deprecated", "readOnly", "writeOnly", "$defs", "definitions"})
_ABOUT = frozenset({"description", "default", "examples"})
#: What each `type` is written with.
_KEYWORDS: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "object": frozenset({"properties", "required", "additionalProperties"}),
}
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")


class _Reader:
    def __init__(self, data: Mapping[str, Any], name: str, table: dict[str, Type]) -> None:
        self.data = data
        self.name = name
        self.table = table
        self.depth = 0
        self.refers_to_itself = False

    def fail(self, pointer: str, message: str) -> NoReturn:
        raise SchemaUnsupported(pointer, message)

    def whole(self) -> Type:
        found = self.read(self.data, "", self.name)
        if self.refers_to_itself:
            self.table[self.name] = found
        return found

    def read(self, data: Any, pointer: str, name: str | None = None) -> Type:
        if data is True:
            return ANY
        if not isinstance(data, Mapping):
            self.fail(pointer, "a schema is an object")
        self.depth += 1
        if self.depth > 60:
            self.fail(pointer, "nested too deeply")
        found = self.schema(data, pointer, name)
        self.depth -= 1
        return found

    def schema(self, data: Mapping[str, Any], pointer: str, name: str | None) -> Type:
        keys = set(data) - _SKIPPED - _ABOUT
        if "$ref" in data:
            self.only(keys, {"$ref"}, pointer, "$ref")
            return self.reference(data["$ref"], f"{pointer}/$ref")
        for keyword in _ALTERNATIVES:
            if keyword in data:
                self.only(keys, {keyword}, pointer, keyword)
                return self.alternatives(data[keyword], f"{pointer}/{keyword}", keyword)
        if "enum" in data or "const" in data:
            self.only(keys, {"enum", "const", "type"}, pointer, "enum")
            return self.words(data, pointer)
        kind = data.get("type")
        if kind is None:
            if "properties" not in data:
                self.only(keys, set(), pointer, "a schema without type")
                return ANY
            kind = "object"
        kinds = kind if isinstance(kind, list) else [kind]
        for k in kinds:
            if k not in _KEYWORDS:
                self.fail(f"{pointer}/type", f"{k!r} is not a type of JSON Schema")
        self.only(keys, {"type"}.union(*(_KEYWORDS[k] for k in kinds)), pointer, f"type {kind!r}")
        return union(*(self.typed(k, data, pointer, name) for k in kinds))

    def only(self, keys: set[str], known: set[str], pointer: str, beside: str) -> None:
        for key in sorted(keys - known):
            if not key.startswith("x-"):
                self.fail(f"{pointer}/{_escape(key)}", f"{key!r} is not supported beside {beside}")

    def typed(self, kind: str, data: Mapping[str, Any], pointer: str, name: str | None) -> Type:
        match kind:
            case "string":
                return self.text(data, pointer)
            case "integer":
                low, high = self.whole_number(data, "minimum", pointer), self.whole_number(data, "maximum", pointer)
                above, below = self.whole_number(data, "exclusiveMinimum", pointer), self.whole_number(data, "exclusiveMaximum", pointer)
                lows = [b for b in (low, None if above is None else above + 1) if b is not None]
                highs = [b for b in (high, None if below is None else below - 1) if b is not None]
                return Integer(max(lows, default=None), min(highs, default=None))
            case "number":
                return Number(self.number(data, "minimum", pointer), self.number(data, "maximum", pointer))
            case "boolean":
                return BOOLEAN
            case "null":
                return NULL
            case "array":
                items = self.read(data["items"], f"{pointer}/items") if "items" in data else ANY
                return List(items, self.whole_number(data, "minItems", pointer), self.whole_number(data, "maxItems", pointer))
            case _:
                return self.object(data, pointer, name)

    def text(self, data: Mapping[str, Any], pointer: str) -> Type:
        form = data.get("format")
        if form in ("date", "date-time"):
            return Date() if form == "date" else DateTime()
        if form is not None:
            self.fail(f"{pointer}/format", f"format {form!r} is not supported; a pattern can say it")
        pattern = data.get("pattern")
        if pattern is not None and not isinstance(pattern, str):
            self.fail(f"{pointer}/pattern", "a pattern is text")
        return String(self.whole_number(data, "minLength", pointer), self.whole_number(data, "maxLength", pointer), pattern)

    def object(self, data: Mapping[str, Any], pointer: str, name: str | None) -> Type:
        properties = data.get("properties", {})
        more = data.get("additionalProperties")
        if not isinstance(properties, Mapping):
            self.fail(f"{pointer}/properties", "properties are an object")
        if not properties and more is not False:
            return Map(self.read(more, f"{pointer}/additionalProperties")) if isinstance(more, Mapping) else OBJECT
        if more is not None and more is not False:
            self.fail(f"{pointer}/additionalProperties", "a record is closed; use false, or no properties")
        required = data.get("required", [])
        if not isinstance(required, list) or not set(map(str, required)) <= set(properties):
            self.fail(f"{pointer}/required", "required lists names of the properties")
        fields = []
        for key, sub in properties.items():
            type_ = self.read(sub, f"{pointer}/properties/{_escape(key)}")
            about = sub if isinstance(sub, Mapping) else {}
            examples = about.get("examples", [])
            fields.append(
                Field(
                    name=key,
                    type=type_,
                    optional=key not in required and "default" not in about,
                    description=str(about.get("description", "")),
                    default=about.get("default", MISSING),
                    examples=tuple(examples) if isinstance(examples, list) else (),
                )
            )
        return Record(tuple(fields), name, str(data.get("description", "")))

    def words(self, data: Mapping[str, Any], pointer: str) -> Type:
        words = data["enum"] if "enum" in data else [data["const"]]
        if not isinstance(words, list) or not words:
            self.fail(f"{pointer}/enum", "an enum is a list of texts")
        texts = [w for w in words if w is not None]
        if not all(isinstance(w, str) for w in texts):
            self.fail(f"{pointer}/{'enum' if 'enum' in data else 'const'}", "only words that are text are supported")
        found = [Enum(tuple(dict.fromkeys(texts)))] if texts else []
        return union(*found, *([NULL] if len(texts) < len(words) else []))

    def alternatives(self, data: Any, pointer: str, keyword: str) -> Type:
        if not isinstance(data, list) or not data:
            self.fail(pointer, f"{keyword} is a list of schemas")
        if keyword == "allOf" and len(data) > 1:
            self.fail(pointer, "allOf of several schemas is not supported")
        return union(*(self.read(d, f"{pointer}/{i}") for i, d in enumerate(data)))

    def reference(self, target: Any, pointer: str) -> Type:
        if target == "#":
            self.refers_to_itself = True
            return Ref(self.name, self.table)
        for place in ("$defs", "definitions"):
            prefix = f"#/{place}/"
            if isinstance(target, str) and target.startswith(prefix):
                key = _unescape(target.removeprefix(prefix))
                definitions = self.data.get(place)
                if not isinstance(definitions, Mapping) or key not in definitions:
                    self.fail(pointer, f"{target!r} leads nowhere")
                name = f"{self.name}.{key}"
                if name not in self.table:
                    self.table[name] = ANY  # until it is read: it may refer to itself
                    self.table[name] = self.read(definitions[key], f"/{place}/{_escape(key)}", name)
                return Ref(name, self.table)
        raise SchemaUnsupported(pointer, f"{target!r} is not supported; only #, #/$defs/… and #/definitions/… of this file are")

    def number(self, data: Mapping[str, Any], keyword: str, pointer: str) -> float | None:
        value = data.get(keyword)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(f"{pointer}/{keyword}", f"{keyword} is a number")
        return value

    def whole_number(self, data: Mapping[str, Any], keyword: str, pointer: str) -> int | None:
        value = self.number(data, keyword, pointer)
        if value is None:
            return None
        if value != int(value):
            self.fail(f"{pointer}/{keyword}", f"{keyword} is a whole number here")
        return int(value)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _unescape(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")
