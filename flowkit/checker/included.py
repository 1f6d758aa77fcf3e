"""Parse the files that templates include or import, once each. Knows no scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import nodes

from flowkit.checker.scope import Site
from flowkit.errors import Place, Problems
from flowkit.templates.syntax import SyntaxProblem, parse_template


@dataclass(slots=True)
class Included:
    """A file that texts include or import: its tree, or None when it could not be read."""

    path: Path
    text: str
    tree: nodes.Template | None
    site: Site
    macros: dict[str, nodes.Macro] = field(default_factory=dict)


#: Opens an included file: (name as written, the file that names it) → Included. Raises ReadRefused.
Opener = Callable[[str, Path], Included]


def included(path: Path, text: str, shown: str, problems: Problems) -> Included:
    """Parse an included file once."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    def place(start: int, end: int) -> Place:
        row = max(i for i, s in enumerate(starts) if s <= max(start, 0))
        row = min(row, len(lines) - 1)
        column = start - starts[row] + 1
        return Place(shown, row + 1, column, max(column + 1, min(end - starts[row], len(lines[row])) + 1), lines[row])

    site = Site(text, place)
    try:
        tree = parse_template(text)
    except SyntaxProblem as e:
        problems.error(e.code, site.at(e.start, e.end - e.start), e.message)
        return Included(path, text, None, site)
    return Included(path, text, tree, site, {m.name: m for m in tree.body if isinstance(m, nodes.Macro)})
