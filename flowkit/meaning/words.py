"""Turn templates and expressions into a spelling that layout, quotes and comments do not change. Reads files through `read` only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment

from flowkit.plan import Computed, Fixed, ListValue, MapValue, TextOf
from flowkit.templates import Reader, ReadRefused

#: Data as JSON has it. The order of keys counts wherever it is written down.
Json: TypeAlias = Any
_Token: TypeAlias = tuple[str, Any]

#: Lexes as the sandbox of flowkit.templates does; parses and runs nothing.
_LEXER = Environment(trim_blocks=True, lstrip_blocks=True).lexer  # noqa: S701 - no page of HTML is made here

_BEGIN = {"variable_begin": "{{", "block_begin": "{%"}
_END = {"variable_end": "}}", "block_end": "%}"}
_TIGHT_BEFORE = frozenset({"dot", "comma", "rparen", "rbracket", "rbrace", "colon"})
_TIGHT_AFTER = frozenset({"dot", "lparen", "lbracket", "lbrace"})
_LITERALS = {"true": True, "True": True, "false": False, "False": False, "none": "none", "None": "none"}
_CALLED = frozenset({"name", "rparen", "rbracket", "string"})


@dataclass(slots=True)
class Written:
    """How the spellings of a flow stand in its files: for people, not for the fingerprint."""

    #: Spelling → what is written, where that differs.
    texts: dict[str, str] = field(default_factory=dict)
    #: Spelling of an included file → its path beside the flow.
    files: dict[str, str] = field(default_factory=dict)

    def note(self, spelling: str, text: str) -> str:
        """Remember how a spelling is written, and return it."""
        if spelling and spelling != text:  # nothing is nothing, whatever blank lines it is written with
            self.texts.setdefault(spelling, text)
        return spelling


class Words:
    """Spells the texts and expressions of one flow file."""

    def __init__(self, path: Path, home: Path, read: Reader, written: Written) -> None:
        self._path = path
        self._home = home
        self._read = read
        self._written = written
        #: `inputs` and `values` where they are used whole, so that the order of their fields reaches something.
        self.whole: set[str] = set()

    # -- texts ---------------------------------------------------------------------------------------------

    def text(self, text: TextOf | str) -> Json:
        """Return the spelling of a template, with those of the files that it reaches; plain text is spelled as a template of it."""
        if isinstance(text, str):
            return self._written.note(_escaped(text), text)
        reached: dict[tuple[Path, frozenset[str] | None], str] = {}
        spelling = self._written.note(self._spelled(_tokens(text.node.text, None), self._path, reached), text.node.text.removesuffix("\n"))
        return {"text": spelling, "included": list(reached.values())} if reached else spelling

    def _spelled(self, tokens: list[_Token], beside: Path, reached: dict[tuple[Path, frozenset[str] | None], str]) -> str:
        """Return a spelling in which files have numbers: what they are called reaches nobody."""
        found = list(tokens)
        for at, verb, name in _named_files(tokens):
            try:
                path, text = self._read(name, beside)
            except ReadRefused:
                if tokens[at + 1] == ("name", "ignore"):  # `ignore missing`
                    continue
                raise
            names = None if verb == "include" else frozenset(_imported(tokens, at)) if verb == "from" else frozenset({"*"})
            key = (path, names)
            if key not in reached:
                reached[key] = ""  # keeps the place in the list, and ends circles
                inner = _tokens(text, None)
                reached[key] = self._spelled(inner if names is None else _used(inner, names), path, reached)
                self._written.note(reached[key], text)
                self._written.files.setdefault(reached[key], Path(os.path.relpath(path, self._home)).as_posix())
            found[at] = ("string", f"file {list(reached).index(key) + 1}")
        self._notice(found)
        return _joined(found)

    # -- expressions ---------------------------------------------------------------------------------------

    def value(self, value: Computed | None) -> Json:
        """Return an expression as its spelling, a fixed value as itself, lists and mappings of them as such."""
        match value:
            case None:
                return None
            case Fixed():
                return "none" if value.value is None else value.value  # None is where nothing is written
            case ListValue():
                return [self.value(item) for item in value.items]
            case MapValue():
                return {name: self.value(item) for name, item in value.items.items()}
        tokens = _tokens(value.node.text, "variable")
        match tokens:
            case [("integer" | "float", number)]:
                return number  # `n: "1"` is `n: 1`
            case [("name", word)] if word in _LITERALS:
                return _LITERALS[word]
        self._notice(tokens)
        return self._written.note(_joined(tokens), value.node.text)

    def _notice(self, tokens: list[_Token]) -> None:
        for before, (kind, word), after in zip([("", ""), *tokens], tokens, [*tokens[1:], ("", "")], strict=False):
            if kind == "name" and word in ("inputs", "values") and before[0] != "dot" and after[0] not in ("dot", "lbracket"):
                self.whole.add(word)


# -- tokens ------------------------------------------------------------------------------------------------


def _tokens(source: str, state: str | None) -> list[_Token]:
    return [(token.type, token.value) for token in _LEXER.wrap(_LEXER.tokeniter(source, None, None, state))]


def _joined(tokens: list[_Token]) -> str:
    """Return tokens as text, with one way to set blanks."""
    said: list[str] = []
    before = ""
    for kind, word in tokens:
        if kind == "data":
            said.append(_escaped(word))
            before = ""
        elif kind in _BEGIN:
            said.append(_BEGIN[kind] + " ")
            before = ""
        elif kind in _END:
            said.append(" " + _END[kind])
            before = ""
        else:
            tight = not before or kind in _TIGHT_BEFORE or before in _TIGHT_AFTER or (kind in ("lparen", "lbracket") and before in _CALLED)
            said.append(("" if tight else " ") + (_quoted(word) if kind == "string" else str(word)))
            before = kind
    return "".join(said)


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _escaped(data: str) -> str:
    """Return text as a template that gives it: what stood in a `raw` block is not to be taken for a value."""
    for sign in ("{{", "{%", "{#"):
        if sign in data:
            return data.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}").replace("{#", "{{ '{#' }}")
    return data


def _named_files(tokens: list[_Token]) -> Iterator[tuple[int, str, str]]:
    """Yield where a file is named, by which word, and its name."""
    for at in range(2, len(tokens)):
        begin, verb, name = tokens[at - 2 : at + 1]
        if begin[0] == "block_begin" and verb in (("name", "include"), ("name", "import"), ("name", "from")) and name[0] == "string":
            yield at, verb[1], name[1]


def _imported(tokens: list[_Token], at: int) -> Iterator[str]:
    """Yield the names that `from 'file' import …` takes, the file's name standing at `at`."""
    for (kind, word), before in zip(tokens[at + 2 :], tokens[at + 1 :], strict=False):
        if kind == "block_end" or word in ("with", "without"):
            return
        if kind == "name" and word != "as" and before[1] != "as":
            yield word


def _used(tokens: list[_Token], wanted: frozenset[str]) -> list[_Token]:
    """Return what an import of these names reaches in a file: their macros, those that these call, and statements; `*` is all.

    The text of such a file goes nowhere, so that it does not count; nor does the order of macros.
    """
    macros: dict[str, list[_Token]] = {}
    rest: list[_Token] = []
    at = 0
    while at < len(tokens):
        if tokens[at][0] == "block_begin" and tokens[at + 1] == ("name", "macro"):
            end = _end_of_macro(tokens, at)
            macros[tokens[at + 2][1]] = tokens[at:end]
            at = end
        else:
            rest += [tokens[at]] if tokens[at][0] != "data" else []
            at += 1
    reached: dict[str, None] = {}
    pending = list(macros) if "*" in wanted else [*wanted, *(word for kind, word in rest if kind == "name")]
    while pending:
        name = pending.pop()
        if name in macros and name not in reached:
            reached[name] = None
            pending += [word for kind, word in macros[name] if kind == "name"]
    return [*rest, *(token for name in sorted(reached) for token in macros[name])]


def _end_of_macro(tokens: list[_Token], start: int) -> int:
    depth = 0
    for at in range(start, len(tokens) - 1):
        if tokens[at][0] == "block_begin":
            depth += {("name", "macro"): 1, ("name", "endmacro"): -1}.get(tokens[at + 1], 0)
        elif tokens[at][0] == "block_end" and depth == 0:
            return at + 1
    return len(tokens)
