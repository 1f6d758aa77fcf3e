"""Turn the annotations of Python functions and classes into Types. Imports nothing by name; what it cannot read is `any`."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    MISSING,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
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
    may_be_absent,
    union,
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a Python function takes by name and gives back."""

    params: tuple[Field, ...]
    returns: Type
    #: It has `**kwargs`, so that any other name is taken too.
    extra_keywords: bool = False
    #: Calling it gives something to await.
    is_async: bool = False
    #: Parameters that cannot be given by name and have no default: such a function cannot be called from a flow.
    positional_only: tuple[str, ...] = ()

    def record(self) -> Record:
        """Return the parameters as a record, for comparing them with what is given."""
        return Record(self.params)


def signature(func: Callable[..., Any]) -> Signature:
    """Read the signature of a function. Never raises: what cannot be read takes and gives anything."""
    try:
        found = inspect.signature(func)
    except (ValueError, TypeError):  # some functions of C
        return Signature((), ANY, extra_keywords=True, is_async=_is_async(func))
    hints = _hints(func if inspect.isroutine(func) or inspect.isclass(func) else type(func).__call__)
    reader = _Reader()
    params: list[Field] = []
    positional: list[str] = []
    extra = False
    for p in found.parameters.values():
        if p.kind is p.VAR_KEYWORD:
            extra = True
        elif p.kind is p.POSITIONAL_ONLY:
            positional += [p.name] if p.default is p.empty else []
        elif p.kind is not p.VAR_POSITIONAL:
            annotation = hints.get(p.name, Any)
            params.append(_parameter(p, reader.read(annotation), _about(annotation)))
    returns = reader.read(hints.get("return", Any))
    return Signature(tuple(params), returns, extra, _is_async(func), tuple(positional))


def type_of(annotation: Any) -> Type:
    """Read one annotation, already evaluated. Never raises."""
    return _Reader().read(annotation)


def type_of_class(obj: Any) -> Type:
    """Read a class that a flow names as a type: dataclass, TypedDict, pydantic model, enum, or any other annotation."""
    return _Reader().read(obj)


def _is_async(func: Any) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(type(func).__call__)


def _parameter(p: inspect.Parameter, type_: Type, description: str) -> Field:
    if p.default is p.empty:
        return Field(p.name, type_, description=description)
    default = p.default if type(p.default) in (str, int, float, bool) else MISSING
    return Field(p.name, type_, optional=True, description=description, default=default)


#: What evaluating an annotation in a string may raise: it is code of the project, run as Python itself would run it.
_ODD = (
    NameError,
    AttributeError,
    TypeError,
    ValueError,
    SyntaxError,
    LookupError,
    ArithmeticError,
    ImportError,
    RecursionError,
    AssertionError,
)


def _hints(obj: Any) -> Mapping[str, Any]:
    """Return the annotations of a function or class, evaluated; those that cannot be are `Any`."""
    try:
        return typing.get_type_hints(obj, include_extras=True)
    except _ODD:
        pass
    names = getattr(inspect.unwrap(obj) if callable(obj) else obj, "__globals__", None) or vars(inspect.getmodule(obj) or types)
    hints: dict[str, Any] = {}
    for name, annotation in dict(getattr(obj, "__annotations__", {})).items():
        one = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints[name] = typing.get_type_hints(one, names, include_extras=True)[name]
        except _ODD:
            hints[name] = Any
    return hints


_SIMPLE: dict[Any, Type] = {
    str: STRING,
    int: INTEGER,
    float: NUMBER,
    bool: BOOLEAN,
    None: NULL,
    type(None): NULL,
    datetime.date: Date(),
    datetime.datetime: DateTime(),
    dict: OBJECT,
    list: List(ANY),
    tuple: List(ANY),
    set: List(ANY),
    frozenset: List(ANY),
    Any: ANY,
    object: ANY,
}
_LISTS = (
    list,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Collection,
    collections.abc.Iterable,
    collections.abc.Set,
)
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_WRAPPERS = (typing.Required, typing.NotRequired, typing.ClassVar, typing.Final)


class _Reader:
    """Reads annotations; a class inside itself becomes a name."""

    def __init__(self) -> None:
        self.table: dict[str, Type] = {}
        self.names: dict[type, str] = {}

    def read(self, annotation: Any) -> Type:
        try:
            if annotation in _SIMPLE:
                return _SIMPLE[annotation]
        except TypeError:  # not hashable: no annotation that we know
            return ANY
        origin = typing.get_origin(annotation)
        if origin is not None:
            return self.generic(origin, typing.get_args(annotation))
        if isinstance(annotation, typing.NewType):
            return self.read(annotation.__supertype__)
        if isinstance(annotation, typing.TypeVar):
            return self.read(annotation.__bound__) if annotation.__bound__ is not None else ANY
        if annotation in _LISTS:
            return List(ANY)
        if annotation in _MAPS:
            return OBJECT
        return self.klass(annotation) if isinstance(annotation, type) else ANY

    def generic(self, origin: Any, args: tuple[Any, ...]) -> Type:
        if not args and origin is not tuple:  # typing.List with nothing in brackets
            return _SIMPLE.get(origin, ANY)
        if origin is typing.Annotated:
            return _bounded(self.read(args[0]), args[1:])
        if origin in (typing.Union, types.UnionType):
            return union(*(self.read(a) for a in args))
        if origin is typing.Literal:
            return self.literal(args)
        if origin in _WRAPPERS:
            return self.read(args[0])
        if origin is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return List(self.read(args[0]))
            return List(union(*(self.read(a) for a in args)), len(args), len(args)) if args and args != ((),) else List(ANY)
        if origin in _LISTS:
            return List(self.read(args[0]))
        if origin in _MAPS:
            return Map(self.read(args[1])) if self.read(args[0]) in (STRING, ANY) else OBJECT
        if origin in (collections.abc.Awaitable, collections.abc.Coroutine):
            return self.read(args[-1])
        return ANY

    def literal(self, args: tuple[Any, ...]) -> Type:
        words = tuple(a for a in args if type(a) is str)
        rest = [_SIMPLE.get(type(a), ANY) for a in args if type(a) is not str]
        return union(*([Enum(words)] if words else []), *rest)

    def klass(self, cls: type) -> Type:
        if issubclass(cls, enum.Enum):
            values = [m.value for m in cls]
            if values and all(type(v) is str for v in values):
                return Enum(tuple(values))
            return union(*(_SIMPLE.get(type(v), ANY) for v in values)) if values else ANY
        if not (typing.is_typeddict(cls) or dataclasses.is_dataclass(cls) or isinstance(getattr(cls, "model_fields", None), dict)):
            return _SIMPLE.get(next((b for b in cls.__mro__ if b in _SIMPLE), Any), ANY) if cls.__mro__[-1] is not cls else ANY
        if cls in self.names:
            return Ref(self.names[cls], self.table)
        name = cls.__name__ if cls.__name__ not in self.table else f"{cls.__module__}.{cls.__qualname__}"
        self.names[cls] = name
        self.table[name] = ANY  # until its fields are read
        record = Record(tuple(self.fields(cls)), cls.__name__, _described(cls))
        self.table[name] = record
        return record

    def fields(self, cls: Any) -> collections.abc.Iterator[Field]:
        hints = _hints(cls)
        if typing.is_typeddict(cls):
            for name, annotation in hints.items():
                needed = _required(annotation)
                optional = name in cls.__optional_keys__ if needed is None else not needed
                yield Field(name, self.read(annotation), optional, _about(annotation))
        elif dataclasses.is_dataclass(cls):
            for f in dataclasses.fields(cls):
                annotation = hints.get(f.name, Any)
                default = f.default if f.default is not dataclasses.MISSING else f.default_factory
                if f.init:
                    yield _field(f.name, self.read(annotation), _about(annotation), default, default is dataclasses.MISSING)
        else:
            for name, info in cls.model_fields.items():
                annotation = hints.get(name, info.annotation)
                type_ = _bounded(self.read(annotation), info.metadata)
                label = info.alias if isinstance(info.alias, str) else name
                default = info.default_factory or info.default
                yield _field(label, type_, info.description or _about(annotation), default, info.is_required())


def _field(name: str, type_: Type, description: str, default: Any, required: bool) -> Field:
    """Make the field of a class: a default that is plain data is kept, any other makes the field optional."""
    if required:
        return Field(name, type_, description=description)
    if default in (list, dict):
        default = default()
    plain = type(default) in (str, int, float, bool) or default in ([], {}) or (default is None and may_be_absent(type_))
    return Field(name, type_, not plain, description, default if plain else MISSING)


def _required(annotation: Any) -> bool | None:
    """Say what `Required` and `NotRequired` say; Python overlooks them where annotations are strings."""
    while (origin := typing.get_origin(annotation)) is not None:
        if origin in (typing.Required, typing.NotRequired):
            return origin is typing.Required
        if origin is not typing.Annotated and origin not in _WRAPPERS:
            return None
        annotation = typing.get_args(annotation)[0]
    return None


def _described(cls: type) -> str:
    """Return the first line of a class's own docstring; dataclasses and pydantic write one of their own, which is none."""
    text = (cls.__dict__.get("__doc__") or "").strip()
    line = text.splitlines()[0].strip() if text else ""
    return "" if line.startswith(f"{cls.__name__}(") else line


def _about(annotation: Any) -> str:
    """Return the description in `Annotated[T, "…"]` or `Annotated[T, Field(description="…")]`."""
    while typing.get_origin(annotation) in _WRAPPERS:
        annotation = typing.get_args(annotation)[0]
    for extra in getattr(annotation, "__metadata__", ()):
        text = extra if isinstance(extra, str) else getattr(extra, "description", None)
        if isinstance(text, str):
            return text
    return ""


def _bounded(type_: Type, metadata: typing.Iterable[Any]) -> Type:
    """Narrow a type by the bounds that pydantic and annotated-types write beside it."""
    bounds: dict[str, Any] = {}
    for extra in _flat(metadata):
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern"):
            value = getattr(extra, name, None)
            if value is not None:
                bounds[name] = value
    low, high = bounds.get("min_length"), bounds.get("max_length")
    match type_:
        case String():
            pattern = bounds.get("pattern", type_.pattern)
            return String(_or(low, type_.min), _or(high, type_.max), pattern if isinstance(pattern, str) else None)
        case Integer():
            above, below = bounds.get("gt"), bounds.get("lt")
            least = above + 1 if isinstance(above, int) else bounds.get("ge")
            most = below - 1 if isinstance(below, int) else bounds.get("le")
            return Integer(_or(_int(least), type_.min), _or(_int(most), type_.max))
        case Number():
            return Number(_or(_number(bounds.get("ge")), type_.min), _or(_number(bounds.get("le")), type_.max))
        case List():
            return List(type_.item, _or(low, type_.min_items), _or(high, type_.max_items))
    return type_


def _flat(metadata: typing.Iterable[Any]) -> collections.abc.Iterator[Any]:
    for extra in metadata:
        inner = getattr(extra, "metadata", None)  # pydantic's Field inside Annotated
        yield from inner if isinstance(inner, list) else (extra,)


def _or(new: Any, old: Any) -> Any:
    return old if new is None else new


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None
