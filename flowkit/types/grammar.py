"""Turn the text of a type into a Type, and a Type into text. Knows offsets in that text, not the file around it.

type  = atom { "|" atom } [ ", description" in field position ]
atom  = string range? | integer range? | number range? | boolean | date | datetime | any | object | null
      | enum(a | b c | 'quoted, word') | list(type) | map(type) | Message | Name | ( type )
range = (1..5) (0..) (..280)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NoReturn

from flowkit.spelling import nearest
from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    MESSAGE,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Date,
    DateTime,
    Enum,
    Integer,
    List,
    Map,
    Number,
    String,
    Type,
    union,
)
from flowkit.types.hints import range_hint, rewrite
from flowkit.types.wording import BARE_WORD, spell


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a type text says: the type, the description behind it, and the names of the flow's types that it used."""

    type: Type
    description: str = ""
    used: frozenset[str] = frozenset()


class TypeSyntaxError(ValueError):
    """A text is no type. `start` and `end` are offsets into it.

    `code` is `unknown-type`, `type-syntax`, `type-range` or `type-enum`.
    """

    def __init__(self, message: str, start: int, end: int, hint: str | None = None, code: str = "type-syntax") -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint
        self.code = code


_PLAIN: dict[str, Type] = {
    "string": STRING,
    "integer": INTEGER,
    "number": NUMBER,
    "boolean": BOOLEAN,
    "date": Date(),
    "datetime": DateTime(),
    "any": ANY,
    "object": OBJECT,
    "null": NULL,
}
_RANGED = ("string", "integer", "number")
#: The words of the grammar, which no type of a flow may be called.
KEYWORDS = frozenset(_PLAIN) | {"enum", "list", "map"}

_DEPTH = 40  # parentheses in parentheses; nobody writes 40
_WORD = re.compile(r"[^\s|(),\[\]<>{}?'\"]+")
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})?\s*\.\.\s*({_NUMBER})?\s*")
_WHOLE = re.compile(r"[+-]?[0-9]+")


def parse_type(text: str, lookup: Callable[[str], Type | None], *, field: bool, names: Collection[str] = ()) -> Parsed:
    """Read a type. In field position a comma and a description may follow it.

    `lookup` gives the type behind a name of the flow or None, `names` are all such names, for suggestions.
    Raises TypeSyntaxError at the first mistake.
    """
    reader = _Reader(text, lookup, names)
    try:
        return reader.whole(field=field)
    except TypeSyntaxError as error:
        better = _meant(text, lookup, field=field)
        if better is not None and not (error.hint or "").startswith("write "):
            error.hint = f"write {better}"
        elif error.hint is None and error.code == "unknown-type":
            error.hint = reader.suggestion(text[error.start : error.end], field=field)
        raise


def _meant(text: str, lookup: Callable[[str], Type | None], *, field: bool) -> str | None:
    """Return the text in the words of the grammar, when it was a type in other words."""
    for candidate in (rewrite(text), _as_enum(text, lookup)):
        if candidate is None or candidate == text:
            continue
        try:
            found = _Reader(candidate, lookup, ()).whole(field=field)
        except TypeSyntaxError:
            continue
        return spell(found.type)
    return None


def _as_enum(text: str, lookup: Callable[[str], Type | None]) -> str | None:
    head, comma, tail = text.partition(",")
    words = [w.strip() for w in head.split("|")]
    if len(words) < 2 or any(w in KEYWORDS or lookup(w) is not None for w in words):
        return None
    return f"enum({' | '.join(words)}){comma}{tail}"


class _Reader:
    """One pass over a type text; `at` is where it stands."""

    def __init__(self, text: str, lookup: Callable[[str], Type | None], names: Collection[str]) -> None:
        self.text = text
        self.lookup = lookup
        self.names = names
        self.used: set[str] = set()
        self.at = 0
        self.depth = 0

    # -- places

    def fail(self, message: str, start: int, end: int | None = None, hint: str | None = None, code: str = "type-syntax") -> NoReturn:
        raise TypeSyntaxError(message, start, max(start, min(len(self.text), start + 1 if end is None else end)), hint, code)

    def peek(self) -> str:
        """Skip blanks and return the next character, or nothing at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    # -- rules

    def whole(self, *, field: bool) -> Parsed:
        if not self.peek():
            self.fail("a type is missing", 0, len(self.text), "write string, integer, list(string), …")
        found = self.union()
        description = ""
        if self.peek() == ",":
            if not field:
                self.fail("a description may follow only the type of a field", self.at, len(self.text))
            description = self.text[self.at + 1 :].strip()
            if not description:
                self.fail("a description is missing behind the comma", self.at)
        elif self.peek():
            self.leftover()
        return Parsed(found, description, frozenset(self.used))

    def leftover(self) -> NoReturn:
        rest = self.text[self.at :].rstrip()
        char = rest[0]
        if char == "?":
            before = self.text[: self.at].strip()
            hint = f"write name?: {before}, or {before} | null"
            self.fail("'?' stands behind the name of a field, not behind its type", self.at, None, hint)
        if char == "(":
            self.no_range(self.text[: self.at].strip())
        if char == ")":
            self.fail("')' closes nothing", self.at)
        word = _WORD.match(rest)
        shown = word[0] if word else char
        hint = f"a description follows a comma: {self.text[: self.at].strip()}, {rest.lstrip('-:# ')}"
        self.fail(f"{shown!r} does not belong to the type", self.at, self.at + len(shown), hint)

    def union(self) -> Type:
        self.depth += 1
        if self.depth > _DEPTH:
            self.fail("parentheses are nested too deeply", self.at)
        members = [self.atom()]
        while self.peek() == "|":
            self.at += 1
            members.append(self.atom())
        self.depth -= 1
        return union(*members)

    def atom(self) -> Type:
        char = self.peek()
        start = self.at
        if char == "(":
            self.at += 1
            inner = self.union()
            self.close(start)
            return inner
        word = _WORD.match(self.text, start)
        if word is None:
            if char in ("'", '"'):
                end = self.text.find(char, start + 1) + 1 or len(self.text)
                quoted = self.text[start:end]
                self.fail(f"{quoted} is a word, not a type", start, end, "words of which one is right are written enum(a | b)")
            if not char or char in "|),":
                self.fail("a type is missing here", start)
            self.fail(f"{char!r} begins no type", start)
        self.at = word.end()
        name = word[0]
        if name == "enum":
            return self.enum(start)
        if name in ("list", "map"):
            return self.container(name, start)
        return self.named(name, start)

    def named(self, name: str, start: int) -> Type:
        found = _PLAIN.get(name)
        if found is None:
            found = self.lookup(name)
            if found is not None:
                self.used.add(name)
            elif name == "Message":
                found = MESSAGE
            else:
                self.fail(f"{name!r} is not a type", start, self.at, None, "unknown-type")
        if self.peek() == "(":
            if name not in _RANGED:
                self.no_range(name)
            return self.range(name)
        return found

    def container(self, name: str, start: int) -> Type:
        if self.peek() != "(":
            what = "items" if name == "list" else "values"
            hint = None if self.peek() in ("[", "<") else f"write {name}(string), or {name}(any)"
            self.fail(f"{name!r} needs the type of its {what}", start, start + len(name), hint)
        opened = self.at
        self.at += 1
        inner = self.union()
        if self.peek() == ",":
            hint = "write map(T): its keys are always text" if name == "map" else "a description stands behind the whole type"
            self.fail(f"',' does not belong into {name}(…)", self.at, None, hint)
        self.close(opened)
        if self.peek() == "(":
            self.no_range(name)
        return List(inner) if name == "list" else Map(inner)

    def close(self, opened: int) -> None:
        if self.peek() == ")":
            self.at += 1
        elif self.at >= len(self.text):
            self.fail("'(' is never closed", opened)
        else:
            word = _WORD.match(self.text, self.at)
            shown = word[0] if word else self.text[self.at]
            self.fail(f"expected ')' or '|', found {shown!r}", self.at, self.at + len(shown))

    # -- ranges

    def no_range(self, name: str) -> NoReturn:
        end = self.text.find(")", self.at) + 1 or len(self.text)
        if name.partition("(")[0] in ("list", "map"):
            hint = "bounds of a list are min_items and max_items in the long form"
            self.fail(f"{name!r} takes no range", self.at, end, hint, "type-range")
        hint = "only string (length), integer and number take a range; a description follows a comma"
        self.fail(f"{name!r} takes no range", self.at, end, hint, "type-range")

    def range(self, name: str) -> Type:
        opened = self.at
        closed = self.text.find(")", opened)
        if closed < 0:
            self.fail("'(' is never closed", opened)
        content = self.text[opened + 1 : closed]
        found = _RANGE.fullmatch(content)
        if found is None or found[1] is found[2] is None:
            self.fail(f"{content.strip()!r} is not a range", opened, closed + 1, range_hint(content), "type-range")
        low = self.bound(name, found, 1, opened + 1)
        high = self.bound(name, found, 2, opened + 1)
        if low is not None and high is not None and low > high:
            hint = f"write ({found[2]}..{found[1]})"
            self.fail(f"the range is empty: {found[1]} is more than {found[2]}", opened, closed + 1, hint, "type-range")
        self.at = closed + 1
        if name == "number":
            return Number(low, high)
        low, high = (None if b is None else int(b) for b in (low, high))
        return String(low, high) if name == "string" else Integer(low, high)

    def bound(self, name: str, found: re.Match[str], group: int, shift: int) -> int | float | None:
        text = found[group]
        if text is None:
            return None
        start, end = found.start(group) + shift, found.end(group) + shift
        if not math.isfinite(float(text)):
            self.fail("the bound is too large", start, end, None, "type-range")
        whole = _WHOLE.fullmatch(text) is not None
        if name != "number" and not whole:
            self.fail(f"a bound of {name!r} is a whole number, not {text}", start, end, None, "type-range")
        value = int(text) if whole else float(text)
        if name == "string" and value < 0:
            self.fail("a text is never shorter than 0 characters", start, end, None, "type-range")
        return value

    # -- enum

    def enum(self, start: int) -> Type:
        if self.peek() != "(":
            self.fail("'enum' needs its words", start, start + len("enum"), "write enum(yes | no)", "type-enum")
        opened = self.at
        self.at += 1
        words: dict[str, None] = {}
        while True:
            if self.peek() == ")" and not words:
                self.fail("an enum needs at least one word", opened, self.at + 1, "write enum(yes | no)", "type-enum")
            begin = self.at
            word = self.enum_word(opened)
            if word in words:
                self.fail(f"the word {word!r} stands twice", begin, max(self.at, begin + 1), None, "type-enum")
            words[word] = None
            end = self.peek()
            self.at += 1
            if end == ")":
                break
            if end == ",":
                self.fail("the words of an enum are separated by '|'", self.at - 1, None, "a word with a comma is quoted", "type-enum")
            if not end:
                self.fail("'(' is never closed", opened)
            if end != "|":
                self.fail(f"expected '|' or ')', found {end!r}", self.at - 1, None, "a word with ( ) or quotes is quoted", "type-enum")
        if self.peek() == "(":
            self.no_range("enum")
        return Enum(tuple(words))

    def enum_word(self, opened: int) -> str:
        char = self.peek()
        start = self.at
        if char in ("'", '"'):
            found = re.compile(rf"{char}((?:[^{char}]|{char}{char})*){char}").match(self.text, start)
            if found is None:
                self.fail(f"the quote {char} is never closed", start, None, None, "type-enum")
            self.at = found.end()
            return found[1].replace(char * 2, char)
        bare = BARE_WORD.match(self.text, start)
        if bare is None:
            if not char:
                self.fail("'(' is never closed", opened)
            self.fail("a word is missing here", start, None, None, "type-enum")
        word = bare[0].rstrip()
        self.at = start + len(word)
        return " ".join(word.split())

    # -- suggestions

    def suggestion(self, word: str, *, field: bool) -> str:
        """Say what an unknown name was probably meant to be."""
        if field and word.endswith(":") and word[:-1] in KEYWORDS:
            return f"a description follows a comma: {word[:-1]}, {self.text[self.at :].strip()}"
        found = nearest(word, [*self.names, *sorted(KEYWORDS), "Message"])
        if found is not None:
            return f"did you mean {found!r}?"
        if word.lower() == "optional":
            return "an optional field has ? behind its name: name?: string"
        if re.fullmatch(_NUMBER, word) or word in ("true", "false"):
            return "a type stands here; a default goes into the long form {type: …, default: …}"
        if ":" in word or word.endswith((".json", ".yaml", ".yml")):
            return "a class or a file gets a name under 'types' first"
        if field and self.text[self.at :].strip():
            return f"the type comes first, then a comma and the description: string, {self.text.strip()}"
        own = f", {', '.join(sorted(self.names)[:8])}" if self.names else ""
        return f"types are string, integer, number, boolean, date, datetime, any, object, enum(a | b), list(…), map(…){own}"
