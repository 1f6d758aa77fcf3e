"""Choose cases by `-k` and `--tag`. Knows words and names, not what a test does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from flowkit.errors import ConfigError
from flowkit.suites.spec import Case

#: Whether a text is chosen.
Choose: TypeAlias = Callable[[str], bool]

_TOKENS = re.compile(r"\s*(\(|\)|[^\s()]+)")


def chosen(cases: Sequence[Case], *, expression: str | None = None, tags: Sequence[str] = ()) -> list[Case]:
    """Return the cases whose id or tags fit the expression, and that have one of the tags if any is given. Raises ConfigError."""
    choose = parsed(expression) if expression is not None and expression.strip() else lambda _text: True
    return [case for case in cases if (not tags or set(tags) & set(case.test.tags)) and choose(" ".join((case.id, *case.test.tags)))]


def parsed(expression: str) -> Choose:
    """Return what `-k` chooses: words that stand in a text whatever their case, with `and`, `or`, `not` and brackets, as in pytest.

    Raises:
        ConfigError: it is no such expression.
    """
    return _Parser(expression, [found[1] for found in _TOKENS.finditer(expression)]).whole()


@dataclass(slots=True)
class _Parser:
    text: str
    tokens: list[str]

    def whole(self) -> Choose:
        found = self._or()
        if self.tokens:
            raise self._wrong(f"{self.tokens[0]!r} is one too many")
        return found

    def _or(self) -> Choose:
        parts = list(self._parts("or", self._and))
        return parts[0] if len(parts) == 1 else lambda text: any(part(text) for part in parts)

    def _and(self) -> Choose:
        parts = list(self._parts("and", self._not))
        return parts[0] if len(parts) == 1 else lambda text: all(part(text) for part in parts)

    def _parts(self, word: str, one: Callable[[], Choose]) -> Iterator[Choose]:
        yield one()
        while self.tokens and self.tokens[0] == word:
            self.tokens.pop(0)
            yield one()

    def _not(self) -> Choose:
        if not self.tokens:
            raise self._wrong("a word is missing")
        token = self.tokens.pop(0)
        if token == "not":  # noqa: S105 - a token of the expression
            inner = self._not()
            return lambda text: not inner(text)
        if token == "(":  # noqa: S105 - the same
            inner = self._or()
            if not self.tokens or self.tokens.pop(0) != ")":
                raise self._wrong("a bracket is not closed")
            return inner
        if token in {")", "and", "or"}:
            raise self._wrong(f"a word is missing before {token!r}")
        word = token.casefold()
        return lambda text: word in text.casefold()

    def _wrong(self, why: str) -> ConfigError:
        return ConfigError(f"-k {self.text!r}: {why}; write words with and, or, not and brackets")
