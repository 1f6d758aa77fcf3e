"""Read the files that a flow names for its data. Knows the kinds of files, not what is done with what they hold."""

from __future__ import annotations

import json
import os.path
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit import project, source
from flowkit.parser.values import BAD
from flowkit.project import PathRefused
from flowkit.source import Document, Scalar, SourceFile

if TYPE_CHECKING:
    from flowkit.errors import Place
    from flowkit.parser.reading import Reading

_CODES = {
    "escape": "path-escape",
    "missing": "file-not-found",
    "too-large": "file-too-large",
    "not-utf8": "not-utf8",
    "unreadable": "unreadable-file",
    "not-a-file": "not-a-file",
    "bad-path": "bad-path",
}


def find(r: Reading, name: Scalar, path: str | None = None) -> Path | None:
    """Return the file that a scalar names, or None when that has been reported. `path`: its text, when that is only a part."""
    try:
        found = project.resolve(name.text if path is None else path, beside=r.file.path, root=r.project.root)
    except PathRefused as refused:
        _refused(r, name.place(), refused)
        return None
    r.named[found] = None
    return found


def _refused(r: Reading, place: Place, refused: PathRefused) -> None:
    r.error(_CODES[refused.reason], place, refused.message, refused.hint)


def shown(r: Reading, path: Path) -> str:
    """Return the path of another file as people see it: from where the path of this one is seen."""
    here = os.path.relpath(path, r.file.path.parent)
    return os.path.normpath(Path(r.file.shown).parent / here).replace(os.sep, "/")


def text(r: Reading, name: Scalar, path: Path) -> str | None:
    """Return what a text file holds."""
    try:
        return project.read_text(path)
    except PathRefused as refused:
        _refused(r, name.place(), refused)
        return None


def tree(r: Reading, name: Scalar, path: Path) -> Document | None:
    """Return a YAML file as a tree; its mistakes are reported in it."""
    try:
        data = project.read_bytes(path)
    except PathRefused as refused:
        _refused(r, name.place(), refused)
        return None
    return source.parse(data, path=path, shown=shown(r, path), problems=r.problems)


def json_value(r: Reading, name: Scalar, path: Path) -> Any:
    """Return the data of a JSON file, or BAD."""
    content = text(r, name, path)
    return BAD if content is None else _json(r, _lines(r, path, content), content, 1)


def rows(r: Reading, name: Scalar, path: Path) -> list[tuple[Place, Any]] | None:
    """Return the data of each line of a JSONL file with its place; empty lines do not count. None when it cannot be read."""
    content = text(r, name, path)
    if content is None:
        return None
    file = _lines(r, path, content)
    found = [
        (file.place(number, 1, len(line) + 1), _json(r, file, line, number)) for number, line in enumerate(file.lines, 1) if line.strip()
    ]
    return None if any(value is BAD for _, value in found) else found


def _lines(r: Reading, path: Path, content: str) -> SourceFile:
    return SourceFile(path, shown(r, path), tuple(content.split("\n")))


def _json(r: Reading, file: SourceFile, content: str, line: int) -> Any:
    try:
        return json.loads(content, parse_constant=_no_constant, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = file.place(line + error.lineno - 1, error.colno)
        r.error("json-syntax", place, f"this is not JSON: {error.msg[0].lower()}{error.msg[1:]}")
    except RecursionError:
        r.error("json-syntax", file.place(line, 1), "this JSON is nested too deeply")
    except ValueError as error:  # a constant, a key written twice, a number of too many digits
        r.error("json-syntax", file.place(line, 1), f"this JSON cannot be used: {error}")
    return BAD


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} is written twice")
    return found
