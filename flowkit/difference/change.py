"""One change of what a flow means, and the comparison of plain data that finds them. Knows no step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, TypeAlias

Json: TypeAlias = Any
Kind = Literal["added", "removed", "changed", "renamed", "moved"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `before` and `after` are JSON data, texts as their authors wrote them; None where there is nothing.

    Of what was renamed they are the names, of what was moved its old and its new place.
    """

    #: What changed: `steps.draft.messages[1].text`, `steps.child/ask.params.temperature`, `inputs.ticket`, `file style.md`.
    path: str
    kind: Kind
    before: Json
    after: Json
    #: The steps that it reaches directly, as paths such as `child/ask`.
    steps: tuple[str, ...] = ()
    #: Whether it changes what models are told or what comes out; else it changes time, cost or labels.
    counts: bool = True


class Sides:
    """What both sides are written like, and the changes so far."""

    def __init__(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        self._before = dict(before)
        self._after = after
        self._meant: dict[str, str] = {}
        self.found: list[Change] = []

    def alias(self, spelling: str, meant: str) -> None:
        """Show a spelling of the old side that was rewritten to be compared as what it stood for."""
        self._before.setdefault(spelling, self._before.get(meant, meant))
        self._meant[spelling] = meant

    def meant(self, spelling: str) -> str:
        """Return the spelling that the old side has for one of it."""
        return self._meant.get(spelling, spelling)

    def add(self, path: str, kind: Kind, before: Json, after: Json, *, steps: tuple[str, ...] = (), counts: bool = True) -> None:
        """Note a change of spellings, which are shown as they are written."""
        self.found.append(Change(path, kind, _shown(before, self._before), _shown(after, self._after), steps, counts))

    def plain(self, path: str, before: Json, after: Json, *, steps: tuple[str, ...] = (), counts: bool = True) -> None:
        """Compare data key by key, or as a whole where one side is no mapping; None is nothing."""
        if _same(before, after):
            return
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            for key in dict.fromkeys([*before, *after]):
                where = f"{path}.{key}" if path else key
                if key in before and key in after:
                    self.plain(where, before[key], after[key], steps=steps, counts=counts)
                else:
                    self.add(where, "added" if key in after else "removed", before.get(key), after.get(key), steps=steps, counts=counts)
            if _same(sorted(before.items(), key=_key), sorted(after.items(), key=_key)):
                self.add(path, "moved", list(before), list(after), steps=steps, counts=counts)
        else:
            kind: Kind = "added" if before is None else "removed" if after is None else "changed"
            self.add(path, kind, before, after, steps=steps, counts=counts)

    def lists(
        self,
        path: str,
        before: Sequence[Json],
        after: Sequence[Json],
        steps: tuple[str, ...],
        compare: Callable[[str, Json, Json], None],
    ) -> None:
        """Compare lists entry by entry: what is the same on both sides is paired first, the rest in order."""
        lost: list[int] = []
        new: list[int] = []
        for old, now in _pairs(before, after):
            if old is not None and now is not None:
                compare(f"{path}[{now}]", before[old], after[now])
            elif old is not None:
                lost.append(old)
            elif now is not None:
                new.append(now)
        for old in lost:
            same = next((now for now in new if _same(before[old], after[now])), None)
            if same is None:
                self.add(f"{path}[{old}]", "removed", before[old], None, steps=steps)
            else:
                new.remove(same)
                self.add(f"{path}[{same}]", "moved", f"{path}[{old}]", f"{path}[{same}]", steps=steps)
        for now in new:
            self.add(f"{path}[{now}]", "added", None, after[now], steps=steps)


def _pairs(before: Sequence[Json], after: Sequence[Json]) -> Iterator[tuple[int | None, int | None]]:
    a, b = [_text(entry) for entry in before], [_text(entry) for entry in after]
    for tag, a_from, a_to, b_from, b_to in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        # What stands elsewhere on the other side was moved, not rewritten.
        olds = [at for at in range(a_from, a_to) if a[at] not in b]
        news = [at for at in range(b_from, b_to) if b[at] not in a]
        yield from zip(olds, news, strict=False)
        yield from ((at, None) for at in range(a_from, a_to) if at not in olds[: len(news)])
        yield from ((None, at) for at in range(b_from, b_to) if at not in news[: len(olds)])


def _shown(value: Json, written: Mapping[str, str]) -> Json:
    match value:
        case str():
            return written.get(value, value)
        case Mapping():
            return {key: _shown(each, written) for key, each in value.items()}
        case list():
            return [_shown(each, written) for each in value]
    return value


def _same(a: Json, b: Json) -> bool:
    """Whether data is the same as JSON: 1 is not true, and the order of keys counts."""
    return _text(a) == _text(b)


def _text(value: Json) -> str:
    return json.dumps(value)


def _key(item: tuple[str, Json]) -> str:
    return item[0]
