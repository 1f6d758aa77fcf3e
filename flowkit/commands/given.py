"""Turn the inputs of a command line into values, by the types that the flow declares. Knows no flow and no command."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from flowkit import project, source
from flowkit.errors import FlowError, InputError, Problems
from flowkit.project import PathRefused
from flowkit.spelling import did_you_mean
from flowkit.types.algebra import (
    MISSING,
    AnyType,
    Boolean,
    Date,
    DateTime,
    Enum,
    Field,
    Integer,
    Number,
    Record,
    String,
    Type,
    expand,
    members,
)
from flowkit.types.texts import meant
from flowkit.types.wording import spell

#: Largest file of inputs in bytes: what a flow may hold, it may hold several times.
LARGEST = 64 * 1024 * 1024


def values(texts: Sequence[str], declared: Record, *, what: str = "input") -> dict[str, Any]:
    """Read `name=text`, `name=@file`, `name:=json` and `name:=@file`; text is read by its declared type. `what` is said in errors.

    Raises:
        InputError: with everything that cannot be read.
    """
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for text in texts:
        try:
            name, value = _one(text, declared, what)
            if name in found:
                _refuse(f"{what} {name!r} is given twice")
            found[name] = value
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError("\n".join(wrong))
    return found


def _one(text: str, declared: Record, what: str) -> tuple[str, Any]:
    head, equals, written = text.partition("=")
    as_json = head.endswith(":")
    name = head.removesuffix(":").strip()
    if not equals or not name:
        _refuse(f"{text!r} is not of the form name=text, name=@file or name:=json")
    shown, field = f"{what} {name!r}", declared.get(name)
    if as_json:
        return name, _json(shown, _file(shown, written[1:]) if written.startswith("@") else written)
    if written.startswith("@"):
        written = _file(shown, written[1:])
        # A file ends with a line end that nobody means when it holds one number or word.
        if field is not None and not _takes_text(field.type):
            written = written.strip()
    return name, written if field is None else by_type(shown, written, field.type)


def _takes_text(type_: Type) -> bool:
    return any(isinstance(kind, String | AnyType) for kind in members(type_))


def by_type(shown: str, text: str, type_: Type) -> Any:
    """Return the value that a text means in a place of this type. Raises InputError, which begins with `shown`, when it means none."""
    found = meant(text, type_)
    if found is not MISSING:
        return found
    if any(isinstance(kind, Boolean | Integer | Number | Enum) for kind in members(type_)):
        raise InputError(f"{shown} is {spell(type_)}, not {_short(text)!r}")
    raise InputError(f"{shown} is {spell(type_)}, which no text is; give JSON: NAME:=JSON or NAME:=@FILE.json")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


def _text_of(path: Path) -> str:
    """Return the text of a file that the user names; a pipe such as <(…) or /dev/stdin is as good as a file. Raises PathRefused."""
    if not path.is_fifo():
        return project.read_text(path, LARGEST)
    return path.read_bytes().decode("utf-8", "replace")


def _file(shown: str, path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    try:
        return _text_of(Path(path))
    except PathRefused as refused:
        hint = f" ({refused.hint})" if refused.hint else ""
        _refuse(f"{shown}: {refused.message}{hint}")


def _json(shown: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _refuse(f"{shown}: not JSON: {error}")


class _NoNumber(ValueError):
    """NaN or an infinity, which Python would take for JSON."""


def _no_constant(word: str) -> NoReturn:
    raise _NoNumber(f"{word} is not JSON")


def _refuse(message: str) -> NoReturn:
    raise InputError(message)


def mapping(path: str, stdin: Callable[[], str], *, what: str = "inputs") -> dict[str, Any]:
    """Read a JSON or YAML file that holds a mapping; `-` is stdin.

    Raises:
        InputError: it cannot be read or is no mapping.
        FlowError: it is no YAML, with the places.
    """
    if path == "-":
        text, shown = stdin(), "<stdin>"
    else:
        shown = path
        try:
            text = _text_of(Path(path))
        except PathRefused as refused:
            raise InputError(f"{path}: {refused.message}" + (f" ({refused.hint})" if refused.hint else "")) from None
    found = _data(text, shown)
    if not isinstance(found, dict):
        raise InputError(f"{shown}: {what} are a mapping from names to values")
    return found


def _data(text: str, shown: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            # JSON is YAML too, but this is some hundred times as fast.
            return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            if shown.endswith(".json") or isinstance(error, _NoNumber):  # in YAML it would be a text
                raise InputError(f"{shown}: not JSON: {error}") from None
    problems = Problems()
    document = source.parse(text, path=Path(shown), shown=shown, problems=problems)
    if problems.fatal:
        raise FlowError(problems.ordered())
    return {} if document.root is None else source.plain(document.root)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def require(found: Mapping[str, Any], declared: Record, *, flow: str, line: str) -> None:
    """Refuse names that the flow does not have and inputs that are missing, all at once; `line` begins an example command.

    Raises:
        InputError: with the types of what is missing, and a command that gives it.
    """
    said = []
    for name in found:
        if declared.get(name) is None:
            known = ", ".join(declared.names())
            hint = did_you_mean(name, declared.names()) or (f"its inputs are {known}" if known else "it has none")
            said.append(f"flow {flow!r} has no input {name!r}; {hint}")
    missing = [field for field in declared.fields if field.name not in found and not field.optional and field.default is MISSING]
    if missing:
        said.append(f"flow {flow!r} needs {'this input' if len(missing) == 1 else 'these inputs'}:")
        said += [f"  {field.name}: {spell(field.type)}" + (f", {field.description}" if field.description else "") for field in missing]
        said.append(f"   hint: {line} {' '.join(_example(field) for field in missing)}")
    if said:
        raise InputError("\n".join(said))


def _example(field: Field) -> str:
    """Return the option that gives an input, with a value that shows its form."""
    kind = expand(field.type)
    if field.examples:
        first = field.examples[0]
        text = f"{field.name}={first}" if isinstance(first, str) else f"{field.name}:={json.dumps(first, ensure_ascii=False)}"
        return f"-i {shlex.quote(text)}"
    match kind:
        case Enum():
            return f"-i {shlex.quote(f'{field.name}={kind.words[0]}')}"
        case Integer() | Number():
            return f"-i {field.name}={1 if kind.min is None else kind.min:g}"
        case Boolean():
            return f"-i {field.name}=true"
        case Date():
            return f"-i {field.name}=2026-01-31"
        case DateTime():
            return f"-i {field.name}=2026-01-31T12:00:00Z"
        case String() | AnyType():
            return f"-i {field.name}='…'"
    return f"-i {field.name}:=@{field.name}.json"
