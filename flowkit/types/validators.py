"""Turn a Type into a fast check of values, and a failed check into words. Knows nothing of models or of files.

A value that passes is plain JSON data: text, numbers, booleans, null, lists and mappings with text as keys. Fields stand in the
author's order, defaults are filled, and an optional field that is absent or null is not there. Nothing is converted: `"5"` is no
number, `true` is no integer, and a date stays the text that it was.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

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
)
from flowkit.types.complaints import EXPECTED, LABEL, FieldError, Invalid, Loc, NotPlainError, explain
from flowkit.types.dates import is_date, is_datetime
from flowkit.types.wording import describe, show

__all__ = ["FieldError", "Invalid", "Validator", "pattern_error"]


class Validator:
    """Checks values of one type. Compiled at the first use, so that a plan may hold many."""

    __slots__ = ("_core", "type")

    def __init__(self, type_: Type) -> None:
        self.type = type_
        self._core: SchemaValidator | None = None

    def json(self, text: bytes | str) -> Any:
        """Read JSON text. Safe on any depth, on huge integers and on NaN. Raises Invalid."""
        core = self._core or self._compile()
        try:
            return core.validate_json(text)
        except ValidationError as error:
            raise Invalid(explain(error, self.type)) from None

    def value(self, obj: Any) -> Any:
        """Check plain data and return a copy of it. Raises Invalid, also for Python objects that are no JSON data."""
        core = self._core or self._compile()
        try:
            return core.validate_python(obj)
        except ValidationError as error:
            raise Invalid(explain(error, self.type)) from None

    def _compile(self) -> SchemaValidator:
        self._core = core = SchemaValidator(_Compiler().whole(self.type))
        return core


def pattern_error(pattern: str) -> str | None:
    """Say why a `pattern` is no regular expression, or return None."""
    try:
        SchemaValidator(_text(String(pattern=pattern)))
    except SchemaError as error:
        return str(error).strip().splitlines()[-1].rpartition("error: ")[2].strip()
    return None


# -- from types to pydantic-core -----------------------------------------------------------------------------

#: With a bound, even this one, pydantic-core looks into the text and refuses half surrogates.
_STRICT_TEXT = core_schema.str_schema(strict=True, min_length=0)
#: Python refuses to print an integer of more digits than this.
_HUGE = 10**4_200

_Scalar = String | Integer | Number | Boolean | Date | DateTime | Enum | Const | Null


class _Compiler:
    """Builds one schema; every named type becomes a definition, so that a type may contain itself."""

    def __init__(self) -> None:
        self.definitions: dict[str, core_schema.CoreSchema] = {}
        self.refs: dict[tuple[int, str], str] = {}
        #: Names that are being built with no list, mapping or record in between: one of them again has no end.
        self.direct: set[tuple[int, str]] = set()

    def whole(self, type_: Type) -> core_schema.CoreSchema:
        schema = self.build(type_)
        return core_schema.definitions_schema(schema, list(self.definitions.values())) if self.definitions else schema

    def build(self, type_: Type) -> core_schema.CoreSchema:
        match type_:
            case AnyType():
                return core_schema.no_info_after_validator_function(_plain, core_schema.any_schema())
            case Object():
                return core_schema.no_info_after_validator_function(_plain, core_schema.dict_schema(_STRICT_TEXT, strict=True))
            case List():
                item = self.inner(type_.item)
                return core_schema.list_schema(item, min_length=type_.min_items, max_length=type_.max_items, strict=True)
            case Map():
                return core_schema.dict_schema(_STRICT_TEXT, self.inner(type_.value), strict=True)
            case Record():
                return self.record(type_)
            case Union():
                return self.union(type_)
            case Ref():
                return self.named(type_)
            case _:
                return _expecting(_scalar(type_), describe(type_))

    def inner(self, type_: Type) -> core_schema.CoreSchema:
        direct, self.direct = self.direct, set()
        schema = self.build(type_)
        self.direct = direct
        return schema

    def named(self, ref: Ref) -> core_schema.CoreSchema:
        for _ in range(100):  # a name for a name
            target = ref.table.get(ref.name, ANY)
            if not isinstance(target, Ref):
                break
            ref = target
        else:
            target = ANY
        key = (id(ref.table), ref.name)
        if key in self.direct:
            return self.build(ANY)
        if key not in self.refs:
            name = self.refs[key] = f"{ref.name}#{len(self.refs)}"
            self.direct.add(key)
            schema = self.build(target)
            self.direct.discard(key)
            schema["ref"] = name  # type: ignore[index, typeddict-unknown-key, unused-ignore]  # every kind of schema that we build has it
            self.definitions[name] = schema
        return core_schema.definition_reference_schema(self.refs[key])

    def record(self, record: Record) -> core_schema.CoreSchema:
        fields: dict[str, core_schema.TypedDictField] = {}
        drop: list[str] = []
        fill: dict[str, Any] = {}
        for f in record.fields:
            schema = self.inner(f.type)
            if _optional(f):
                drop.append(f.name)
                fields[f.name] = core_schema.typed_dict_field(core_schema.nullable_schema(schema), required=False)
            elif f.default is not MISSING:
                if not _takes_null(f.type):
                    fill[f.name] = f.default
                    schema = core_schema.nullable_schema(schema)
                fields[f.name] = core_schema.typed_dict_field(_with_default(schema, f.default))
            else:
                fields[f.name] = core_schema.typed_dict_field(schema)
        whole = core_schema.typed_dict_schema(fields, strict=True, extra_behavior="forbid")
        if drop or fill:
            return core_schema.no_info_after_validator_function(_settle(tuple(drop), fill), whole)
        return whole

    def union(self, union: Union) -> core_schema.CoreSchema:
        rest = [m for m in union.members if not isinstance(m, Null)]
        null = len(rest) < len(union.members)
        if all(isinstance(m, _Scalar) for m in rest):
            schemas = [_scalar(m) for m in rest]
            schema = schemas[0] if len(schemas) == 1 else core_schema.union_schema(list(schemas), mode="left_to_right")
            return _expecting(core_schema.nullable_schema(schema) if null else schema, describe(union))
        if len(rest) == 1:
            schema = self.build(rest[0])
        else:
            choices = [(self.build(m), f"{LABEL}{i}{LABEL}{describe(m)}") for i, m in enumerate(rest)]
            schema = core_schema.union_schema(list(choices), mode="left_to_right")
        return core_schema.nullable_schema(schema) if null else schema


def _optional(f: Field) -> bool:
    return (f.optional and f.default is MISSING) or (f.default is None and not _takes_null(f.type))


def _takes_null(type_: Type) -> bool:
    type_ = expand(type_)
    if isinstance(type_, Union):
        return any(_takes_null(m) for m in type_.members if not isinstance(m, Ref))
    return isinstance(type_, Null | AnyType)


def _with_default(schema: core_schema.CoreSchema, default: Any) -> core_schema.CoreSchema:
    if isinstance(default, list | dict):  # each value its own copy
        return core_schema.with_default_schema(schema, default_factory=lambda: copy.deepcopy(default))
    return core_schema.with_default_schema(schema, default=default)


def _settle(drop: tuple[str, ...], fill: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Treat null as absent: optional fields go, fields with a default get it."""

    def settle(record: dict[str, Any]) -> dict[str, Any]:
        for name in drop:
            if record.get(name, MISSING) is None:
                del record[name]
        for name, default in fill.items():
            if record[name] is None:
                record[name] = copy.deepcopy(default)
        return record

    return settle


def _expecting(schema: core_schema.CoreSchema, expected: str) -> core_schema.CoreSchema:
    return core_schema.custom_error_schema(
        schema, custom_error_type=EXPECTED, custom_error_message="must be {expected}", custom_error_context={"expected": expected}
    )


def _scalar(type_: Type) -> core_schema.CoreSchema:
    match type_:
        case String():
            return _text(type_)
        case Integer():
            low = -_HUGE if type_.min is None else type_.min
            return core_schema.int_schema(strict=True, ge=low, le=_HUGE if type_.max is None else type_.max)
        case Number():
            return _number(type_)
        case Boolean():
            return core_schema.bool_schema(strict=True)
        case Date():
            return core_schema.no_info_after_validator_function(_date, _STRICT_TEXT)
        case DateTime():
            return core_schema.no_info_after_validator_function(_datetime, _STRICT_TEXT)
        case Enum():
            return core_schema.literal_schema(list(type_.words))
        case Const(bool()):
            return core_schema.no_info_after_validator_function(_exactly(type_.value), core_schema.bool_schema(strict=True))
        case Const(int() | float() as exact):
            return _number(Number(exact, exact))
        case Const():
            return core_schema.literal_schema([type_.value])
        case _:
            return core_schema.none_schema()


def _text(type_: String) -> core_schema.CoreSchema:
    schema = core_schema.str_schema(strict=True, min_length=type_.min or 0, max_length=type_.max)
    if type_.pattern is None:
        return schema
    schema["pattern"] = type_.pattern
    try:
        SchemaValidator(schema)
    except SchemaError:  # look-around and back-references are Python's; the first engine is linear, so it stands first
        schema["regex_engine"] = "python-re"
    return schema


def _number(type_: Number) -> core_schema.CoreSchema:
    """Keep 5 an integer and 5.0 a float: JSON knows one number, templates print what stood there."""
    low = -_HUGE if type_.min is None else math.ceil(type_.min)
    high = _HUGE if type_.max is None else math.floor(type_.max)
    whole = core_schema.int_schema(strict=True, ge=low, le=high)
    broken = core_schema.float_schema(strict=True, ge=type_.min, le=type_.max, allow_inf_nan=False)
    return core_schema.union_schema([whole, broken], mode="left_to_right")


def _exactly(expected: object) -> Callable[[bool], bool]:
    def exactly(value: bool) -> bool:
        if value is not expected:
            raise ValueError
        return value

    return exactly


def _date(text: str) -> str:
    if not is_date(text):
        raise ValueError
    return text


def _datetime(text: str) -> str:
    if not is_datetime(text):
        raise ValueError
    return text


# -- plain data ----------------------------------------------------------------------------------------------

_DEEP = 200  # what pydantic-core reads of JSON


def _plain(value: Any) -> Any:
    """Return a copy of a value of any type, or raise where something in it is no JSON data."""
    return _copy(value, ())


def _copy(value: Any, at: Loc) -> Any:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise NotPlainError("must be text without half surrogates", at, value) from None
        return str.__str__(value)
    if isinstance(value, int):
        if not -_HUGE < value < _HUGE:
            raise NotPlainError("must be an integer of at most 4200 digits", at, value)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotPlainError("must be a finite number", at, value)
        return float(value)
    if len(at) >= _DEEP:
        raise NotPlainError("is nested too deeply", at, None)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise NotPlainError(f"must have text as keys, not {show(key)}", at, None)
        return {_copy(k, at): _copy(v, (*at, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_copy(v, (*at, i)) for i, v in enumerate(value)]
    raise NotPlainError(f"must be JSON data, not {show(value)}", at, value)
