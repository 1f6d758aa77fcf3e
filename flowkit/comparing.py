"""Put two versions of a flow side by side: what they mean, and what runs of both would say. Knows no git, no file and no screen."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest

from flowkit.chat import Completion, Message
from flowkit.difference import ALIKE, Change, affected, difference, likeness
from flowkit.forecast import Forecast
from flowkit.meaning import Meaning, fingerprint
from flowkit.plan import Plan
from flowkit.rendered import Rendered, Sampled, Which

#: What a flow means that is not there.
_NOTHING: Meaning = {"flow": {}, "settings": {}, "written": {}, "files": {}}


@dataclass(frozen=True, slots=True)
class Version:
    """A flow as it is, or was. `label` is what people call it: a revision, or the working tree. `meaning` None: it is not there."""

    label: str
    commit: str | None
    #: Path of the flow as people see it; it may have been renamed.
    shown: str
    meaning: Meaning | None = None
    plan: Plan | None = None

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of what it means."""
        return None if self.meaning is None else fingerprint(self.meaning)


@dataclass(frozen=True, slots=True)
class Pair:
    """The messages of one question on both sides; None: that side does not ask it, or nobody knows."""

    row: int
    step: str
    item: int | None
    again: int
    before: tuple[Message, ...] | None
    after: tuple[Message, ...] | None


@dataclass(slots=True)
class Said:
    """What one step says over all rows. `differ` are those questions that are not the same; the reasons count rows."""

    step: str
    same: int = 0
    differ: list[Pair] = field(default_factory=list)
    #: Why its messages are not known: reason → rows.
    unknown: dict[str, int] = field(default_factory=dict)
    skipped: int = 0


@dataclass(slots=True)
class Messages:
    """What runs of both sides say, over all rows of inputs."""

    rows: int = 0
    steps: dict[str, Said] = field(default_factory=dict)
    #: Steps whose answers of before were taken for those of after, so that what is below them can be seen.
    assumed: dict[str, None] = field(default_factory=dict)
    #: Functions for which sample values stand.
    sampled: tuple[str, ...] = ()
    simulated: bool = False
    #: What kept a row from being rendered, each once.
    failures: dict[str, None] = field(default_factory=dict)

    @property
    def differ(self) -> int:
        """How many questions are not the same."""
        return sum(len(said.differ) for said in self.steps.values())


@dataclass(frozen=True, slots=True)
class Comparison:
    """One flow on both sides. `same_text`: not one byte of it differs."""

    flow: str
    before: Version
    after: Version
    changes: tuple[Change, ...] = ()
    #: Steps below those that changed: they read answers that may be others now.
    affected: tuple[str, ...] = ()
    same_text: bool = False
    messages: Messages | None = None
    forecast: Forecast | None = None
    #: How the flow is called after, where it is only there under another name.
    renamed_to: str | None = None
    #: Why it cannot be compared, in words.
    broken: str | None = None

    @property
    def counting(self) -> tuple[Change, ...]:
        """The changes of what models are told or what comes out."""
        return tuple(change for change in self.changes if change.counts)

    @property
    def settings(self) -> tuple[Change, ...]:
        """The changes of time, cost and labels."""
        return tuple(change for change in self.changes if not change.counts)

    @property
    def renamed_from(self) -> str | None:
        """How the flow was called before, where that was another name."""
        there = self.before.meaning is not None and self.after.meaning is not None
        return self.before.shown if there and self.before.shown != self.after.shown else None

    @property
    def names_only(self) -> bool:
        """Whether what counts are other names, and nothing else."""
        return bool(self.counting) and all(change.kind == "renamed" for change in self.counting)

    @property
    def differs(self) -> bool:
        """Whether a reader of this is told anything but that nothing changed."""
        return bool(self.changes or self.broken or (self.messages is not None and self.messages.differ))


def compare(flow: str, before: Version, after: Version, *, same_text: bool) -> Comparison:
    """Compare what two versions mean."""
    changes = (*difference(before.meaning or _NOTHING, after.meaning or _NOTHING), *_renamed_files(before, after))
    touched = [step for change in changes if change.counts and change.kind != "renamed" for step in change.steps]
    below = () if after.plan is None or before.meaning is None else affected(after.plan, touched)
    return Comparison(flow, before, after, changes, below, same_text)


def _renamed_files(before: Version, after: Version) -> Iterator[Change]:
    """Yield the included files that have another name: the text is the same, or much alike, and nothing has the old name."""
    olds, news = _files(before), _files(after)
    lost = {place: held for place, held in olds.items() if place not in news}
    for place, (name, text) in news.items():
        if place in olds:
            continue
        rated = {was: 1.0 if old == text else likeness(old.split(), text.split()) for was, (_, old) in lost.items()}
        best = max(rated, key=rated.__getitem__, default=None)
        if best is not None and rated[best] >= ALIKE:
            yield Change(f"file {name}", "renamed", lost.pop(best)[0], name, counts=False)


def _files(side: Version) -> dict[str, tuple[str, str]]:
    """Return the files that a flow includes: the path from where its own counts from → the one beside it, and the text."""
    files: dict[str, str] = {} if side.meaning is None else side.meaning["files"]
    folder = posixpath.dirname(side.shown)
    return {posixpath.normpath(posixpath.join(folder, path)): (path, text) for text, path in files.items()}


# -- messages ----------------------------------------------------------------------------------------------


def renames(changes: Sequence[Change]) -> Mapping[str, str]:
    """Return the steps that were renamed, old path → new one."""
    told = {
        (change.steps[0].rpartition("/")[0], change.before): change.after for change in changes if change.kind == "renamed" and change.steps
    }
    return _Renames(told)


class _Renames(dict[str, str]):
    """Knows the new path of every old one: of a step, and of what lies in it."""

    def __init__(self, told: Mapping[tuple[str, str], str]) -> None:
        super().__init__()
        self._told = told

    def __missing__(self, path: str) -> str:
        now = ""
        for name in path.split("/"):
            now = f"{now}/{self._told.get((now, name), name)}".removeprefix("/")
        self[path] = now
        return now


def carried(answers: Mapping[Sampled, Completion], renamed: Mapping[str, str]) -> dict[Sampled, Completion]:
    """Return answers of one side under the names that their steps have on the other."""
    return {(renamed[step], item, sample, again): answer for (step, item, sample, again), answer in answers.items()}


def add(found: Messages, before: Rendered | None, after: Rendered | None, renamed: Mapping[str, str], steps: Iterable[str]) -> None:
    """Add one row of inputs to what is known of both sides. `steps` are those that ask, in their order, by their new names."""
    found.rows += 1
    olds: dict[Which, tuple[Message, ...]] = {}
    unknown: dict[str, str] = {}
    for side in (before, after):
        if side is not None and side.failure is not None:
            found.failures[side.failure] = None
    if before is not None:
        olds = {(renamed[step], item, again): messages for (step, item, again), messages in before.messages.items()}
        unknown = {renamed[step]: why for step, why in before.unknown.items()}
        found.assumed |= {renamed[step]: None for step in before.assumed}
    if after is not None:
        unknown |= after.unknown
        found.assumed |= after.assumed
    for step in steps:
        said = found.steps.setdefault(step, Said(step))
        if step in unknown:
            said.unknown[unknown[step]] = said.unknown.get(unknown[step], 0) + 1
            continue
        if after is not None and step in after.skipped:
            said.skipped += 1
        for pair in _pairs(found.rows, step, olds, {} if after is None else after.messages):
            if pair.before == pair.after:
                said.same += 1
            else:
                said.differ.append(pair)


def _pairs(row: int, step: str, olds: Mapping[Which, tuple[Message, ...]], news: Mapping[Which, tuple[Message, ...]]) -> Iterator[Pair]:
    for which in sorted({key for side in (olds, news) for key in side if key[0] == step}, key=_order):
        yield Pair(row, *which, olds.get(which), news.get(which))


def aligned(before: Sequence[Message], after: Sequence[Message]) -> Iterator[tuple[Message | None, Message | None]]:
    """Yield the messages of both sides that belong together: first those that are the same, then the others in their order."""
    olds, news = ([repr(message) for message in side] for side in (before, after))
    for _, a, b, c, d in SequenceMatcher(None, olds, news, autojunk=False).get_opcodes():
        yield from zip_longest(before[a:b], after[c:d])


def _order(which: Which) -> tuple[int, int]:
    _, item, again = which
    return -1 if item is None else item, again
