"""Make a text in which a regular expression is found. Knows common patterns; look-around and back-references it only tries."""

from __future__ import annotations

import re
from collections.abc import Callable
from re import _constants as codes  # type: ignore[attr-defined]  # the standard library's own parser has no public door
from re import _parser as parser  # type: ignore[attr-defined]  # as above
from typing import Any

_READABLE = "aeinorstlcdAEINOR0123456789"
_PRINTABLE = _READABLE + "".join(c for c in map(chr, range(32, 127)) if c not in _READABLE)


def matching(pattern: str, low: int, high: int | None, turn: int) -> str:
    """Return a text of `low` to `high` characters that the pattern is found in; `turn` chooses among such texts.

    Where none is found, the best attempt comes back: the value will then be refused like any wrong value.
    """
    try:
        tree = parser.parse(pattern)
        found = re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return "text"
    best = ""
    for more in (1, 0, 2, 3, 5, 8, low, (low // 2) + 1, 20, 60):
        text = _Writer(turn, more).sequence(tree)
        for candidate in (text, text.ljust(low, "x"), "x" * max(0, low - len(text)) + text):
            if low <= len(candidate) and (high is None or len(candidate) <= high) and found.search(candidate):
                return candidate
        best = best or text
    return best


class _Writer:
    """Writes one match; `more` is how often it repeats beyond what must be."""

    def __init__(self, turn: int, more: int) -> None:
        self.turn = turn
        self.more = more
        self.groups: dict[int, str] = {}

    def next(self, n: int) -> int:
        self.turn = (self.turn * 31 + 7) % 10_007
        return self.turn % n

    def sequence(self, items: Any) -> str:
        return "".join(self.item(code, argument) for code, argument in items)

    def item(self, code: Any, argument: Any) -> str:
        if code is codes.LITERAL:
            return chr(argument)
        if code is codes.NOT_LITERAL:
            return next(c for c in _READABLE if ord(c) != argument)
        if code is codes.ANY:
            return _READABLE[self.next(len(_READABLE))]
        if code is codes.IN:
            return self.one_of(argument)
        if code is codes.BRANCH:
            return self.sequence(argument[1][self.next(len(argument[1]))])
        if code is codes.SUBPATTERN:
            text = self.sequence(argument[3])
            if argument[0] is not None:
                self.groups[argument[0]] = text
            return text
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            least, most, inner = argument
            n = min(int(most), int(least) + self.more, max(int(least), 2_000))
            return "".join(self.sequence(inner) for _ in range(n))
        if code is codes.GROUPREF:
            return self.groups.get(argument, "")
        if code is codes.ATOMIC_GROUP:
            return self.sequence(argument)
        return ""  # an anchor or a look-around adds no characters

    def one_of(self, members: Any) -> str:
        negated = members[0][0] is codes.NEGATE
        allowed = [c for c in _PRINTABLE if any(_holds(member, c) for member in members) is not negated]
        if allowed:
            readable = [c for c in allowed if c in _READABLE] or allowed
            return readable[self.next(len(readable))]
        first = members[0][1]
        return chr(first[0] if isinstance(first, tuple) else first) if isinstance(first, tuple | int) else "x"


_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    codes.CATEGORY_DIGIT: str.isdigit,
    codes.CATEGORY_SPACE: str.isspace,
    codes.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
}
_OPPOSITES = {
    codes.CATEGORY_NOT_DIGIT: codes.CATEGORY_DIGIT,
    codes.CATEGORY_NOT_SPACE: codes.CATEGORY_SPACE,
    codes.CATEGORY_NOT_WORD: codes.CATEGORY_WORD,
}


def _holds(member: Any, char: str) -> bool:
    code, argument = member
    if code is codes.LITERAL:
        return bool(ord(char) == argument)
    if code is codes.RANGE:
        return bool(argument[0] <= ord(char) <= argument[1])
    if code is codes.CATEGORY:
        opposite = _OPPOSITES.get(argument)
        return not _CATEGORIES[opposite](char) if opposite is not None else _CATEGORIES[argument](char)
    return False
