"""Turn problems of flow files into text: for people, for programs, for GitHub. Knows nothing of how they were found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowkit import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowkit.errors import Place, Problem

_TAB = "    "
_NUMBER_COLUMNS = 5
#: A source line beyond this many columns is shown around its caret only.
LINE_COLUMNS: Final = 160

_PLAIN: Final = {"path": "", "error": "", "warning": "", "gutter": "", "hint": "", "end": ""}
_COLOR: Final = {
    "path": "\x1b[1m",
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "gutter": "\x1b[36m",
    "hint": "\x1b[1;36m",
    "end": "\x1b[0m",
}


def text(problems: Sequence[Problem], *, files: int, color: bool = False, columns: int = LINE_COLUMNS) -> str:
    """Return each problem with its source line, a caret line and its hint, and a count of all at the end.

    `files` is the number of files that were read. `columns` bounds a source line that is shown, gutter not counted.
    """
    paint = _COLOR if color else _PLAIN
    parts = [_problem(problem, paint, columns) for problem in problems]
    parts.append(_summary(problems, files, paint))
    return "\n".join(parts) + "\n"


def _problem(problem: Problem, paint: dict[str, str], columns: int) -> str:
    place, end = problem.place, paint["end"]
    where = printable.line(place.path)
    if place.line > 0:
        where += f":{place.line}:{place.column}"
    lines = [f"{paint['path']}{where}:{end} {paint[problem.severity]}{problem.severity}:{end} {printable.line(problem.message)}"]
    if place.line > 0 and place.source.strip():
        shown, carets = _mark(place, columns)
        gutter = f"{place.line:>{_NUMBER_COLUMNS}}"
        lines.append(f"{paint['gutter']}{gutter} |{end} {shown}".rstrip())
        lines.append(f"{paint['gutter']}{' ' * len(gutter)} |{end} {_before(carets, paint[problem.severity])}{end}")
    if problem.hint:
        first, *rest = problem.hint.splitlines()
        lines.append(f"   {paint['hint']}hint:{end} {printable.line(first)}")
        lines.extend(f"         {printable.line(more)}".rstrip() for more in rest)
    return "\n".join(lines)


def _before(carets: str, color: str) -> str:
    start = len(carets) - len(carets.lstrip(" "))
    return carets[:start] + color + carets[start:]


def _mark(place: Place, columns: int) -> tuple[str, str]:
    """Return the source line as a terminal shows it, and the line of carets below it.

    Each character is made visible by itself, so that places keep counting code points whatever a tab or a wide character takes.
    """
    cells = [_TAB if char == "\t" else printable.line(char) for char in place.source.rstrip()]
    first = min(max(place.column - 1, 0), len(cells))
    last = max(first + 1, min(place.end_column - 1, len(cells)))
    widths = [printable.width(cell) for cell in cells] + [1]
    before, marked = sum(widths[:first]), max(1, sum(widths[first:last]))
    if before + marked <= columns and sum(widths[:-1]) <= columns:
        return "".join(cells), " " * before + "^" * marked
    return _window(cells, widths, first, last, columns)


def _window(cells: list[str], widths: list[int], first: int, last: int, columns: int) -> tuple[str, str]:
    """Show the part of a long line around what is marked: a third of the room before it, the rest behind."""
    room = max(columns - 2, 20)  # an ellipsis at both ends
    start, taken = first, 0
    while start > 0 and taken + widths[start - 1] <= room // 3:
        start -= 1
        taken += widths[start]
    end = start
    taken = 0
    while end < len(cells) and taken + widths[end] <= room:
        taken += widths[end]
        end += 1
    head, tail = "…" if start else "", "…" if end < len(cells) else ""
    before = len(head) + sum(widths[start:first])
    marked = max(1, sum(widths[first : min(last, max(end, first + 1))]))
    return head + "".join(cells[start:end]) + tail, " " * before + "^" * marked


def _summary(problems: Sequence[Problem], files: int, paint: dict[str, str]) -> str:
    if not problems:
        return f"no problems in {printable.plural(files, 'file')}"
    counts = []
    for severity in ("error", "warning"):
        number = sum(problem.severity == severity for problem in problems)
        if number:
            counts.append(f"{paint[severity]}{printable.plural(number, severity)}{paint['end']}")
    touched = len({problem.place.path for problem in problems})
    among = printable.plural(touched, "file") if touched >= files else f"{touched} of {files} files"
    return f"{', '.join(counts)} in {among}"


def json(problems: Sequence[Problem], *, files: int) -> str:
    """Return one JSON object with all problems, as `check --format json` prints it; columns count code points from 1."""
    rows = [
        {
            "path": problem.place.path,
            "line": problem.place.line,
            "column": problem.place.column,
            "end_column": problem.place.end_column,
            "severity": problem.severity,
            "code": problem.code,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in problems
    ]
    return printable.json_text({"problems": rows, "files": files}, indent=2) + "\n"


def github(problems: Sequence[Problem]) -> str:
    """Return one workflow command a problem, which GitHub shows as an annotation of that line of the file."""
    return "".join(map(_command, problems))


def _command(problem: Problem) -> str:
    place = problem.place
    values = {"file": place.path}
    if place.line > 0:
        values |= {"line": str(place.line), "col": str(place.column), "endColumn": str(place.end_column)}
    values["title"] = problem.code
    properties = ",".join(f"{name}={_escape(value, property_=True)}" for name, value in values.items())
    message = f"{problem.message}\nhint: {problem.hint}" if problem.hint else problem.message
    return f"::{problem.severity} {properties}::{_escape(message)}\n"


def _escape(text: str, *, property_: bool = False) -> str:
    """Escape as actions/toolkit does (packages/core/src/command.ts), so that no text can end or add a command."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    if property_:
        text = text.replace(":", "%3A").replace(",", "%2C")
    return printable.encodable(text)
