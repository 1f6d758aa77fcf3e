"""Turn the types of a file, its named ones and the fields of records, into values of the type algebra. Knows no step."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from flowkit.errors import Problems
from flowkit.functions import LoadFailed
from flowkit.keys import TABLES
from flowkit.parser import files
from flowkit.parser.data import data
from flowkit.parser.names import field_name
from flowkit.parser.reading import Found, Reading, entries, own
from flowkit.parser.shapes import is_empty, shown
from flowkit.parser.values import BAD, value_of
from flowkit.source import Mapping, Node, Scalar, Sequence
from flowkit.spelling import did_you_mean, nearest
from flowkit.types import grammar
from flowkit.types.algebra import (
    ANY,
    MISSING,
    Field,
    List,
    Map,
    Record,
    Ref,
    String,
    Type,
    Union,
    endless,
    nullable,
    union,
)
from flowkit.types.annotations import type_of_class
from flowkit.types.imported import SchemaUnsupported, from_json_schema
from flowkit.types.validators import pattern_error
from flowkit.types.wording import spell

_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_FOREIGN = re.compile(r"([^\s#]+\.ya?ml)(?:#(.*))?")
_LONG = TABLES["field"]
#: Names inside each other before a name is left to be looked up when it is needed.
_DEEP = 40
#: Types in a type before it is referred to by its name: written out again at each mention it would grow without bounds.
_LARGE = 200


class Types:
    """The names of types in one file, each read when it is first needed; a name inside itself becomes a Ref."""

    def __init__(self, r: Reading, node: Mapping | None) -> None:
        self.r = r
        self.entries = {key.text: (key, value) for key, value in own(node)} if node else {}
        self.done: dict[str, Type] = {}
        self.defining: list[str] = []
        #: Names that something else than their own definition speaks of.
        self.used: set[str] = set()
        #: Names that stand inside themselves.
        self.circular: set[str] = set()

    def define_all(self) -> None:
        """Read all names, and report what no value could have."""
        for name, (key, _) in self.entries.items():
            self.define(name)
            if name in grammar.KEYWORDS or name == "Message":
                hint = "write another name, such as 'My" + name.capitalize() + "'"
                self.r.error("reserved-name", key.place(), f"{name!r} is a word of the grammar and cannot name a type", hint)
            elif field_name(self.r, key, "a type") and name in self.circular and endless(Ref(name, self.done)):
                hint = "make the field that leads back optional, or a list"
                self.r.error("endless-type", key.place(), f"a value of the type {name!r} would contain itself without an end", hint)
                self.done[name] = ANY

    def define(self, name: str) -> Type:
        """Return the type behind a name of this file."""
        if name not in self.done:
            self.defining.append(name)
            self.done[name] = self._definition(name, self.entries[name][1])
            self.defining.pop()
        return self.done[name]

    def lookup(self, name: str) -> Type | None:
        """Return the type behind a name, for the grammar."""
        if name not in self.entries:
            return None
        if not self.defining or self.defining[-1] != name:
            self.used.add(name)
        if name in self.defining:
            self.circular.add(name)
            return Ref(name, self.done)
        if name not in self.done and len(self.defining) >= _DEEP:
            return Ref(name, self.done)
        found = self.define(name)
        return Ref(name, self.done) if _size(found) > _LARGE else found

    def _definition(self, name: str, node: Node) -> Type:
        what = f"the type {name!r}"
        if isinstance(node, Mapping):
            return self.record(node, what, name=name)
        if not isinstance(node, Scalar) or is_empty(node):
            return self.expression(node, what)
        if _OBJECT.fullmatch(node.text):
            found = self._class(node)
        elif node.text.endswith(".json"):
            found = self._schema(node, name)
        elif foreign := _FOREIGN.fullmatch(node.text):
            found = self._foreign(node, foreign[1], foreign[2])
        else:
            return self.expression(node, what)
        return replace(found, name=name) if isinstance(found, Record) and found.name is None else found

    # -- from elsewhere

    def _class(self, node: Scalar) -> Type:
        if self.r.load_object is None:
            return ANY
        try:
            return type_of_class(self.r.load_object(node.text, self.r.file.path))
        except LoadFailed as failed:
            hint = did_you_mean(node.text.rpartition(":")[2], failed.names)
            self.r.error(failed.code, node.place(), failed.message, hint)
            return ANY

    def _schema(self, node: Scalar, name: str) -> Type:
        path = files.find(self.r, node)
        schema = files.json_value(self.r, node, path) if path else BAD
        if schema is BAD:
            return ANY
        if not isinstance(schema, dict):
            self.r.error("unsupported-schema", node.place(), f"{node.text!r} holds no JSON Schema: that is an object")
            return ANY
        try:
            return from_json_schema(schema, name=name, table={})
        except SchemaUnsupported as error:
            message = f"the JSON Schema {node.text!r} says at {error.pointer or '/'}: {error.message}"
            self.r.error("unsupported-schema", node.place(), message)
            return ANY

    def _foreign(self, node: Scalar, name: str, member: str | None) -> Type:
        path = files.find(self.r, node, name)
        if path is None:
            return ANY
        if path not in self.r.others:
            document = files.tree(self.r, node, path)
            self.r.others[path] = None
            if document is not None and isinstance(document.root, Mapping):
                reading = replace(self.r, file=document.file, complete=document.complete)
                self.r.others[path] = Types(reading, document.root)
            elif document is not None and document.root is not None:
                self.r.error("wrong-type", document.root.place(), "a file of types is a mapping from names to types")
        other: Types | None = self.r.others[path]
        if other is None:
            return ANY
        if not member:
            self.r.error("type-syntax", node.place(), f"{node.text!r} names no type in the file", f"write {name}#Name")
            return ANY
        found = other.lookup(member)
        if found is None and other.r.complete:
            hint = did_you_mean(member, other.entries) or f"it holds {', '.join(sorted(other.entries)[:8]) or 'nothing'}"
            at = node.text.index("#") + 1
            self.r.error("unknown-type", node.place(at, len(node.text)), f"{name!r} holds no type {member!r}", hint)
        return ANY if found is None else found

    # -- types and fields

    def expression(self, node: Node, what: str) -> Type:
        """Return the type that a text says; `any` when it says none, which has been reported."""
        return self._parsed(node, what, field=False)[0]

    def _parsed(self, node: Node, what: str, *, field: bool) -> tuple[Type, str]:
        if is_empty(node):
            self.r.error("empty-value", node.place(), f"{what} has no type", "write string, integer, list(string), …")
            return ANY, ""
        if not isinstance(node, Scalar):
            hint = "write list(T), or enum(a | b)" if isinstance(node, Sequence) else "give the record a name under `types`"
            self.r.error("type-syntax", node.place(), f"{what} must have a type, not {shown(node)}", hint)
            return ANY, ""
        try:
            found = grammar.parse_type(node.text, self.lookup, field=field, names=self.entries)
        except grammar.TypeSyntaxError as error:
            self.r.error(error.code, node.place(error.start, error.end), f"{what}: {error.message}", error.hint)
            return ANY, ""
        return found.type, found.description

    def output(self, node: Node, what: str) -> Type:
        """Return the type under `output`: a mapping is a record of fields."""
        return self.record(node, what) if isinstance(node, Mapping) else self.expression(node, what)

    def record(self, node: Mapping, what: str, *, name: str | None = None, empty: bool = False) -> Record:
        """Return a mapping of fields; with `empty` it may have none."""
        fields: dict[str, Field] = {}
        pairs = own(node)
        behind = 0
        for at, (key, value) in enumerate(pairs):
            if at < behind:
                continue
            torn = _torn(pairs, at)
            if torn:
                behind = torn
                message = f"a comma inside {{ }} ends the value, so '(' of the field {key.text!r} is never closed"
                self.r.error(
                    "type-syntax", value.place(), message, "separate the words of an enum with |, or put quotes around the whole type"
                )
            field = Field(key.text.removesuffix("?"), ANY, key.text.endswith("?")) if torn else self.field(key, value)
            if field.name in fields:
                self.r.error("duplicate-field", key.place(), f"the field {field.name!r} stands twice, once with '?'", "delete one of them")
            fields[field.name] = field
        if not fields and not empty and self.r.complete:
            self.r.error("empty-value", node.place(), f"{what} has no fields", "write name: type")
        return Record(tuple(fields.values()), name=name)

    def field(self, key: Scalar, node: Node) -> Field:
        """Return one field: `name: type, description`, a nested record, or the long form."""
        optional = key.text.endswith("?")
        bare = replace(key, text=key.text[:-1], value=key.text[:-1]) if optional else key
        field_name(self.r, bare, "a field")
        what = f"the field {bare.text!r}"
        if not isinstance(node, Mapping):
            type_, description = self._parsed(node, what, field=True)
            return Field(bare.text, type_, optional, description)
        if self._long(node, what):
            return self._long_field(bare.text, node, optional=optional, what=what)
        return Field(bare.text, self.record(node, what), optional)

    def _long(self, node: Mapping, what: str) -> bool:
        """Whether a mapping is the long form of a field, as its keys say."""
        names = [key.text for key, _ in own(node)]
        known = _LONG.names()
        if not names or all(name in known for name in names):
            return bool(names)
        near = (*known, *_LONG.meant, *_LONG.hints)
        if "type" not in names or not all(nearest(name, near) for name in names):
            return False
        # A slip in the long form, or a record with such names: if it makes no record, it is a slip.
        trial = Types(replace(self.r, problems=Problems()), None)
        trial.entries, trial.done, trial.defining = self.entries, dict(self.done), [*self.defining]
        trial.record(node, what)
        return trial.r.problems.fatal

    def _long_field(self, name: str, node: Mapping, *, optional: bool, what: str) -> Field:
        found = entries(self.r, node, _LONG, what)
        type_ = self.expression(found["type"].value, what) if "type" in found else ANY
        read = {
            k: value_of(self.r, _LONG[k].shape, f.value, f"{k!r} of {what}")
            for k, f in found.items()
            if k not in ("type", "default", "examples")
        }
        type_ = self._bounded(type_, found, {k: v for k, v in read.items() if v is not BAD}, what)
        wanted = nullable(type_) if optional else type_
        default: Any = MISSING
        if "default" in found:
            default = data(self.r, wanted, found["default"].value, f"the default of {what}", "invalid-default")
        return Field(
            name,
            type_,
            optional,
            description="" if read.get("description", BAD) is BAD else read["description"],
            default=MISSING if default is BAD else default,
            examples=self._examples(found.get("examples"), type_, what),
        )

    def _examples(self, found: Found | None, type_: Type, what: str) -> tuple[Any, ...]:
        if found is None:
            return ()
        if not isinstance(found.value, Sequence):
            value_of(self.r, _LONG["examples"].shape, found.value, f"'examples' of {what}")
            return ()
        values = (data(self.r, type_, item, f"an example of {what}", "invalid-example") for item in found.value.items)
        return tuple(value for value in values if value is not BAD)

    def _bounded(self, type_: Type, found: dict[str, Found], read: dict[str, Any], what: str) -> Type:
        """Return the type with pattern and numbers of items added."""
        for key in ("pattern", "min_items", "max_items"):
            if key not in read:
                continue
            if key == "pattern" and (wrong := pattern_error(read[key])) is not None:
                self.r.error("wrong-pattern", found[key].value.place(), f"the pattern of {what} is no regular expression: {wrong}")
                continue
            bounded = _with(type_, key, read[key])
            if bounded is None:
                wanted = "text" if key == "pattern" else "a list"
                message = f"{key!r} bounds {wanted}, and {what} is {spell(type_)}"
                self.r.error("misplaced-key", found[key].place, message)
            else:
                type_ = bounded
        if read.get("min_items", 0) > read.get("max_items", read.get("min_items", 0)):
            self.r.error("out-of-range", found["min_items"].value.place(), f"'min_items' of {what} is more than 'max_items'")
        return type_


def _size(type_: Type) -> int:
    match type_:
        case Record():
            return 1 + sum(_size(field.type) for field in type_.fields)
        case List():
            return 1 + _size(type_.item)
        case Map():
            return 1 + _size(type_.value)
        case Union():
            return 1 + sum(map(_size, type_.members))
    return 1


def _with(type_: Type, key: str, value: Any) -> Type | None:
    match type_:
        case String() if key == "pattern":
            return replace(type_, pattern=value)
        case List() if key == "min_items":
            return replace(type_, min_items=value)
        case List() if key == "max_items":
            return replace(type_, max_items=value)
        case Union():
            changed = [_with(m, key, value) for m in type_.members]
            return union(*(c or m for c, m in zip(changed, type_.members, strict=True))) if any(changed) else None
    return type_ if type_ == ANY or isinstance(type_, Ref) else None


def _torn(pairs: list[tuple[Scalar, Node]], at: int) -> int:
    """Return the position behind the pieces of a type that commas of `{ }` tore apart, 0 where it is whole."""
    value = pairs[at][1]
    if not isinstance(value, Scalar) or value.style != "plain" or value.text.count("(") <= value.text.count(")"):
        return 0
    text = value.text
    for behind, (key, piece) in enumerate(pairs[at + 1 :], at + 2):
        if not isinstance(piece, Scalar) or piece.value is not None:
            return 0
        text += key.text
        if text.count("(") <= text.count(")"):
            return behind
    return 0
