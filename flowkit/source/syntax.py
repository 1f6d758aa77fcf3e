"""Turn an error of the YAML reader into one problem in the words of the person who wrote the line. Knows what people leave unquoted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yaml.error import MarkedYAMLError

    from flowkit.errors import Problems
    from flowkit.source.tree import SourceFile

QUOTE = "quote it or write it as a block under |"
WHOLE_CHARACTER = "write the character itself, or its one escape such as \\U0001F600"
#: Characters of a text that a hint repeats.
LONGEST_SHOWN = 80

_DASHES = r"[ ]*(?:-[ ]+)*"
#: The place where the value of a line begins: after dashes, and after a key.
_VALUE = re.compile(_DASHES + r"""(?:(?:(?:"[^"]*"|'[^']*')[ ]*|[^\s#'"{}\[\]&*!|>@%`,-][^:#{}\[\]]*):[ \t]+)?""")
_CLOSED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\']|\'\')*\'')
_NO_SPACE = re.compile(_DASHES + r"[A-Za-z_][\w-]*:[^\s:/]")
_OPENS_BLOCK = re.compile(r":[ \t]+[|>](?:[1-9][+-]?|[+-][1-9]?)?(?:[ \t]+#.*|[ \t]*)$")
_BLOCK_HEADER = re.compile(r"[|>](?:[1-9][+-]?|[+-][1-9]?)?(?:[ \t]+#.*|[ \t]*)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?|\'[^\']*\'?')
#: What the reader says where a value has ended and something else follows on its line.
_ENDED = re.compile(r"did not find expected (?:key|'-'|comment)|expected <block end>|expected a comment")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_INDICATORS = {
    "@": "which YAML keeps for itself",
    "`": "which YAML keeps for itself",
    "%": "which YAML reads as a directive",
    "*": "which YAML reads as an alias",
    "&": "which YAML reads as an anchor",
    "!": "which YAML reads as a tag",
    "?": "which YAML reads as a complex key",
    "-": "which YAML reads as a list",
    "]": "which YAML reads as the end of a list",
    "}": "which YAML reads as the end of a mapping",
    ",": "which YAML reads as a comma of a list",
}


@dataclass(frozen=True, slots=True)
class _Mistake:
    code: str
    line: int
    column: int
    end_column: int
    message: str
    hint: str


def line_of(error: MarkedYAMLError, file: SourceFile) -> int:
    """Return the line of an error of the YAML reader, from 1."""
    return _where(error.problem_mark or error.context_mark, file.lines)[0] + 1


def report(error: MarkedYAMLError, file: SourceFile, problems: Problems) -> None:
    """Add the one problem behind an error of the YAML reader."""
    found = _explain(error, file.lines)
    problems.error(found.code, file.place(found.line, found.column, found.end_column), found.message, found.hint)


def quoted(text: str) -> str:
    """Return a text as a YAML scalar in quotes, by the quotes that need the fewest escapes."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def quoting(text: str) -> str:
    """Return the hint to quote a text, with the text in quotes when it is short."""
    return f"quote it, {quoted(text)}, or write it under |" if len(text) <= LONGEST_SHOWN else QUOTE


def _explain(error: MarkedYAMLError, lines: tuple[str, ...]) -> _Mistake:
    said = error.problem or "this is not YAML"
    row, column = _where(error.problem_mark or error.context_mark, lines)
    context_row, context_column = _where(error.context_mark or error.problem_mark, lines)
    line = lines[row]
    if "unexpected end of stream" in said or "unexpected document" in said:
        return _at("unclosed-quote", context_row, context_column, 1, "the quote that opens here is never closed", "close it, or use |")
    margin = line[: len(line) - len(line.lstrip(" \t"))]
    if "\t" in margin:
        tab = margin.index("\t")
        return _at("tab-indent", row, tab, 1, "a tab is used to indent; tabs are not allowed for indentation in YAML", "use spaces")
    if surrogate := _SURROGATE.search(line):
        message = f"{surrogate.group()} is an escape for half of a character"
        return _at("lone-surrogate", row, surrogate.start(), 6, message, WHOLE_CHARACTER)
    if "escape" in said:
        hint = r"write a backslash as \\, or use single quotes or |, where it is itself"
        return _at("unknown-escape", row, column, 1, f"{line[column : column + 2]!r} is no escape that double quotes know", hint)
    return (
        _open_quote(lines, row, column)
        or _unquoted(lines, row, column, said)
        or _indentation(lines, row, column, said)
        or _flow(lines, row, column, context_row, context_column, said)
        or _no_key(lines, row, context_row, context_column, said)
        or _at("yaml-syntax", row, column, 1, f"this is not YAML: {said}", f"if it is text, {QUOTE}")
    )


def _where(mark: object, lines: tuple[str, ...]) -> tuple[int, int]:
    """Return row and column from 0; an error at the end of the file stands at the end of the last line with text."""
    row, column = getattr(mark, "line", 0), getattr(mark, "column", 0)
    if row < len(lines) and lines[row].strip():
        return row, column
    row = min(row, len(lines) - 1)
    while row > 0 and not lines[row].strip():
        row -= 1
    return row, len(lines[row].rstrip())


def _at(code: str, row: int, column: int, width: int, message: str, hint: str) -> _Mistake:
    return _Mistake(code, row + 1, column + 1, column + 1 + max(width, 1), message, hint)


def _open_quote(lines: tuple[str, ...], row: int, column: int) -> _Mistake | None:
    """Find the line of a quote that was never closed, so that the next quote below closed it."""
    quote = lines[row][:column].rstrip()[-1:]
    if quote not in {'"', "'"} or lines[row].count(quote, 0, column) % 2 == 0:
        return None
    for above in range(row - 1, -1, -1):
        if lines[above].count(quote) % 2:
            message = f"the quote that opens here is closed only on line {row + 1}, where more text follows"
            return _at("unclosed-quote", above, lines[above].rindex(quote), 1, message, "close it on its line, or write the text under |")
    return None


def _left_of_block(lines: tuple[str, ...], row: int) -> bool:
    """Whether a line was meant for the block of text above it, but stands left of it, and right of its key."""
    indent = _indent(lines[row])
    above = row - 1
    while above >= 0 and (not lines[above].strip() or _indent(lines[above]) > indent):
        above -= 1
    return 0 <= above < row - 1 and _indent(lines[above]) < indent and _OPENS_BLOCK.search(lines[above]) is not None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _unquoted(lines: tuple[str, ...], row: int, column: int, said: str) -> _Mistake | None:
    """Look in the line of the error for text that YAML reads as something else."""
    line = lines[row]
    match = _VALUE.match(line)
    start = match.end() if match else 0
    value = line[start:].rstrip()
    if _left_of_block(lines, row):
        message = "this line is indented less than the text above it, so YAML takes it for something else"
        return _at("bad-indent", row, start, len(value), message, "indent it like the lines of the text")
    if value.startswith(("{{", "{%", "{#")):
        message = f"a text that begins with {value[:2]!r} must be quoted: YAML reads a brace as the start of a mapping"
        return _at("unquoted-text", row, start, len(value), message, quoting(value))
    bare = _QUOTED.sub(lambda m: "." * len(m.group()), line)
    if value[:1] in {"[", "{"} and (braces := re.search(r"\{\{|\{%", bare[start + 1 :])):
        message = f"a text with {braces.group()!r} must be quoted inside brackets: YAML reads a brace as the start of a mapping"
        return _at("unquoted-text", row, start + 1 + braces.start(), 2, message, f"quote that text, or {QUOTE}")
    if (closed := _CLOSED.match(value)) and (rest := value[closed.end() :].strip()) and rest[0] not in "#:,]}":
        behind = line.index(rest, start + closed.end())
        message = "text goes on after the closing quote; quotes hold the whole value or nothing"
        return _at("unquoted-text", row, behind, len(rest), message, quoting(value))
    if value[:1] in {"|", ">"} and not _BLOCK_HEADER.fullmatch(value):
        message = f"after {value[0]!r}, which begins a block, the text must begin on the next line"
        return _at("unquoted-text", row, start, len(value), message, "write the text below, indented; or quote the whole value")
    if value[:1] in _INDICATORS and column >= start and not (value[0] == "-" and not value.startswith("- ")):
        message = f"a text may not begin with {value[0]!r}, {_INDICATORS[value[0]]}"
        return _at("unquoted-text", row, start, len(value), message, quoting(value))
    if value[:1] in {"[", "{"} and start < column < len(line) and _ENDED.search(said):
        message = f"this goes on after the {'list' if value[0] == '[' else 'mapping'} in brackets"
        return _at("unquoted-text", row, column, 1, message, "if the whole is an expression or text, " + quoting(value))
    if "cannot start any token" in said and column < len(line):
        message = f"{line[column]!r} may not begin a text"
        return _at("unquoted-text", row, column, 1, message, f"quote the whole text, not a part of it, or {QUOTE}")
    if "mapping values are not allowed" in said:
        return _colon(lines, row, column, start, value)
    return None


def _colon(lines: tuple[str, ...], row: int, column: int, start: int, value: str) -> _Mistake:
    if start and column >= start:
        message = "': ' inside a plain text: YAML reads what stands before it as a key"
        return _at("unquoted-text", row, column, 1, message, quoting(value))
    above = row - 1
    while above > 0 and not lines[above].strip():
        above -= 1
    if row == 0:
        return _at("yaml-syntax", row, column, 1, "': ' without a key before it", f"if it is text, {QUOTE}")
    if _NO_SPACE.match(lines[above]):
        return _no_space(lines, above)
    hint = "indent it like the line above if it is a key of its own; if it is text, quote the whole text or write it as a block under |"
    return _at("yaml-syntax", row, column, 1, f"': ' in a line that goes on with the value of line {above + 1}", hint)


def _no_space(lines: tuple[str, ...], row: int) -> _Mistake:
    colon = lines[row].index(":")
    return _at("yaml-syntax", row, colon, 1, "after the ':' of a key a space is missing", "write a space after it; if it is text, " + QUOTE)


def _indentation(lines: tuple[str, ...], row: int, column: int, said: str) -> _Mistake | None:
    line = lines[row]
    indent = len(line) - len(line.lstrip(" "))
    if column != indent or not ("did not find expected" in said or "expected <block end>" in said):
        return None
    above = row - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    if above >= 0 and (cut := re.search(r"(?<=\s)#", lines[above])) and indent > len(lines[above]) - len(lines[above].lstrip(" ")):
        message = f"' #' begins a comment, which cuts off the text that line {row + 1} wants to continue"
        return _at("unquoted-text", above, cut.start(), len(lines[above]) - cut.start(), message, "quote the text, or write it under |")
    levels = _levels(lines, row)
    if not levels:
        return None
    if indent in levels:
        if line.lstrip().startswith("- "):
            message, hint = "a list item stands where a key is expected", "indent the list, or write a key for it"
        else:
            message = "a key stands where '- ' of the list above is expected"
            hint = "write '- ' before it, or indent it like the keys of the item"
        return _at("bad-indent", row, column, 1, message, hint)
    message = f"this line is indented by {indent}, which agrees with no line above"
    known = " or ".join(map(str, levels))
    return _at("bad-indent", row, column, 1, message, f"indent it by as many spaces as its siblings; above: {known}")


def _levels(lines: tuple[str, ...], row: int) -> list[int]:
    """Return the indentations of what is open above a row, outermost first."""
    levels: list[int] = []
    for line in reversed(lines[:row]):
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        if text and text[0] != "#" and (not levels or indent < levels[0]):
            levels.insert(0, indent)
            if indent == 0:
                break
    return levels


def _flow(lines: tuple[str, ...], row: int, column: int, context_row: int, context_column: int, said: str) -> _Mistake | None:
    if "',' or" not in said:
        at_end = "node content" in said and column >= len(lines[row].rstrip())
        opened = lines[context_row][context_column : context_column + 1]
        if not (at_end or "could not find expected" in said) or opened not in {"[", "{"}:
            return None
    opened = lines[context_row][context_column : context_column + 1] or "["
    at_end = column >= len(lines[row].rstrip()) or row > context_row
    if at_end:
        message = f"the {opened!r} that opens here is never closed, or a text in it needs quotes"
        return _at("yaml-syntax", context_row, context_column, 1, message, "close it, and quote texts that hold brackets, commas or ': '")
    message = f"{lines[row][column]!r} does not belong here: inside {opened!r} YAML expects a comma or the end"
    return _at("yaml-syntax", row, column, 1, message, 'quote the text that holds brackets, commas or quotes, as in "enum(a | b)"')


def _no_key(lines: tuple[str, ...], row: int, context_row: int, context_column: int, said: str) -> _Mistake | None:
    if "could not find expected ':'" not in said:
        return None
    for candidate in (context_row, row):
        if _NO_SPACE.match(lines[candidate]):
            return _no_space(lines, candidate)
    width = len(lines[context_row].rstrip()) - context_column
    message = "this line is neither 'key: value' nor the continuation of a text"
    hint = "write a key and ': ' before it; if it belongs to a text, indent it and write the text under |"
    return _at("yaml-syntax", context_row, context_column, width, message, hint)
