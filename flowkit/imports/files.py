"""Read the files of another tool's folder: text, YAML with the lines of its values, and what is missing. Knows no format."""

from __future__ import annotations

import base64
import json
import mimetypes
from pathlib import Path
from typing import Any

from flowkit import project, source
from flowkit.errors import Problems
from flowkit.imports.draft import Report, Unreadable
from flowkit.project import PathRefused

#: Bytes of the largest image that is put beside a flow.
LARGEST_IMAGE = 4 * 1024 * 1024


class Folder:
    """A folder of another tool, and files elsewhere that it says belong to it."""

    def __init__(self, root: Path, *, cwd: Path) -> None:
        self.root = root
        self._cwd = cwd
        self._others: dict[str, Path] = {}

    def add(self, path: Path, name: str) -> None:
        """Take a file or folder from elsewhere as if it lay here under that name."""
        self._others[name] = path

    def path(self, name: str) -> Path:
        """Return where a name of this folder leads to."""
        first, _, rest = name.replace("\\", "/").partition("/")
        here = self.root / name.replace("\\", "/")
        if not here.exists() and first in self._others:
            return self._others[first] / rest if rest else self._others[first]
        return here

    def has(self, name: str) -> bool:
        """Whether there is such a file below the folder."""
        path = self.path(name)
        return path.is_file() and (path.resolve().is_relative_to(self.root.resolve()) or name.split("/", maxsplit=1)[0] in self._others)

    def shown(self, name: str) -> str:
        """Return the name of a file as people see it."""
        return project.shown(self.path(name).resolve(), self._cwd)

    def text(self, name: str) -> str:
        """Return the text of a file. Raises PathRefused."""
        return project.read_text(self.path(name))

    def data(self, name: str) -> bytes:
        """Return the bytes of a file. Raises PathRefused."""
        return project.read_bytes(self.path(name))

    def picture(self, name: str) -> str:
        """Return an image as a data URL, or nothing where it is none of this folder, or too large."""
        kind = mimetypes.guess_type(name)[0] or ""
        if not self.has(name) or not kind.startswith("image/"):
            return ""
        try:
            data = project.read_bytes(self.path(name), LARGEST_IMAGE)
        except PathRefused:
            return ""
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"

    def held(self, name: str, report: Report, place: tuple[str, int]) -> Any:
        """Return the data of a JSON or YAML file, or None when it cannot be read, which is told."""
        try:
            text = self.text(name)
            return json.loads(text) if name.endswith(".json") else plain(tree(text, self.path(name), self.shown(name)))
        except (PathRefused, Unreadable, ValueError) as error:
            report.left(*place, f"the file {name!r} cannot be read: {error}", "write its data into the flow")
            return None


def tree(text: str, path: Path, shown: str) -> source.Node | None:
    """Read YAML. Raises Unreadable with what is wrong with it."""
    problems = Problems()
    document = source.parse(text, path=path, shown=shown, problems=problems)
    if document.root is None and problems.fatal:
        first = problems.ordered()[0]
        raise Unreadable(f"{shown}:{first.place.line}: {first.message}" + (f" ({first.hint})" if first.hint else ""))
    return document.root


def plain(node: source.Node | None) -> Any:
    """Return the data of a node, of none None."""
    return None if node is None else source.plain(node)


def line(node: source.Node | None, default: int = 1) -> int:
    """Return the line of a node."""
    return default if node is None else node.line
