"""The names that a text sees, and where offsets in the text stand in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from flowkit.checker.kinds import Kind
from flowkit.errors import Place
from flowkit.spelling import nearest

_uids = count(1)


@dataclass(frozen=True, slots=True)
class Binding:
    """What a name stands for. `key` identifies the value: two names with one key are the same value."""

    kind: Kind
    key: str


@dataclass(slots=True)
class Scope:
    """Names in layers; a block such as `for` opens a layer, which ends with it."""

    names: dict[str, Binding] = field(default_factory=dict)
    parent: Scope | None = None
    #: Names that are not here though one may look for them, and what to do instead.
    gone: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Binding | None:
        """Return what a name stands for here."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def bind(self, name: str, kind: Kind, key: str | None = None) -> None:
        """Give a name a value in the innermost layer; without a key, a value unlike any other."""
        self.names[name] = Binding(kind, key or f"{name}#{next(_uids)}")

    def inner(self) -> Scope:
        """Return a new layer inside this one."""
        return Scope(parent=self)

    def visible(self) -> list[str]:
        """Return all names that can be used here."""
        found: dict[str, None] = {}
        scope: Scope | None = self
        while scope is not None:
            found.update(dict.fromkeys(scope.names))
            scope = scope.parent
        return list(found)

    def instead(self, name: str) -> str | None:
        """Return what to do instead of reading a name that is not here."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.gone:
                return scope.gone[name]
            scope = scope.parent
        return None


@dataclass(frozen=True, slots=True)
class Site:
    """One text under check: the text, and how offsets in it become places in a file."""

    text: str
    place: Callable[[int, int], Place]

    def at(self, start: int, length: int = 1) -> Place:
        """Return the place of a piece of the text."""
        return self.place(start, start + max(length, 1))


def did_you_mean(name: str, names: list[str], what: str = "there is") -> str | None:
    """Return a hint: the nearest name, or all of them when they are few."""
    found = nearest(name, names)
    if found:
        return f"did you mean {found!r}?"
    return f"{what} {', '.join(names)}" if names and len(names) <= 16 else None
