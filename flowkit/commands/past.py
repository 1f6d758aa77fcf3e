"""Walk the commits of a flow, the newest first, and keep those that changed what it means."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flowkit.commands.versions import Read, Reader, called
from flowkit.comparing import Comparison, Version, compare
from flowkit.errors import ConfigError
from flowkit.git import Commit
from flowkit.project import CONFIG_NAME

#: Versions beside which a commit is held before it is read: it is one of them when its files are.
_BESIDE = 6
#: Commits in a row that cannot be read, beyond which nothing is looked for that could.
_BROKEN = 50
#: Digits of a commit that people read.
_SHORT = 10


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a version. `blobs` are the files that it comes from, None for one that is not there."""

    version: Version
    broken: str | None = None
    blobs: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """A commit that changed what a flow means, or the working tree (`commit` None), beside what was before it."""

    commit: Commit | None
    comparison: Comparison


class Past:
    """The past of one flow, read as far as it is asked for. `told` hears of each commit that was looked at."""

    def __init__(self, reader: Reader, today: Path, told: Callable[[int], None]) -> None:
        self._reader = reader
        self._repository = reader.repository
        self._today = today
        self._told = told
        self._known: dict[str, Known] = {}
        self._looked = 0
        #: Names that the flow had, from the top of the repository.
        self.names: dict[str, None] = {self._repository.path(today): None}

    def turns(self) -> Iterator[Turn]:
        """Yield what changed the meaning. Raises ConfigError when the flow is neither here nor in HEAD."""
        here = self._working() if self._today.is_file() else None
        try:
            head: str | None = self._repository.resolve("HEAD")
        except ConfigError:  # nothing is committed yet
            head = None
        name = None if head is None else called(self._repository, self._today, head)
        if here is None and name is None:
            raise ConfigError(f"neither the working tree nor HEAD has {str(self._today)!r}")
        last = self._absent("HEAD", head) if head is None or name is None else self._at(head, name)
        if here is not None and _another(last, here):
            yield Turn(None, self._compared(last, here))
        if head is not None and name is not None:
            yield from self._committed(head, name, () if here is None else tuple(here.blobs))

    def _committed(self, head: str, name: str, more: tuple[str, ...]) -> Iterator[Turn]:
        queue: list[tuple[int, int, Commit]] = []
        seen: set[str] = set()
        watched: set[str] = set()

        def watch(paths: set[str], since: str, flow: str) -> None:
            watched.update(paths)
            for at, commit in enumerate(self._repository.log([flow, *sorted(paths - {flow})], since)):
                if commit.id not in seen:
                    seen.add(commit.id)
                    heapq.heappush(queue, (-commit.seconds, at, _called(commit, flow)))

        if (merge := self._repository.commit(head)).merge:  # it may join what two sides changed, and touch no file itself
            seen.add(head)
            heapq.heappush(queue, (-merge.seconds, -1, _called(merge, name, name)))
        watch({name, *self._known[head].blobs, *more}, head, name)
        while queue:
            _, _, commit = heapq.heappop(queue)
            self._looked += 1
            self._told(self._looked)
            now = self._named(commit.id, commit.names.get(_FLOW))
            parent = self._parent(commit.id)
            if parent is None:
                before = self._absent("the beginning", None)
            else:
                before = self._named(parent, None if commit.names.get(_FLOW) is None else self._before(parent, commit))
            if _another(before, now):
                yield Turn(commit, self._compared(before, now))
            flow = commit.names.get(_FLOW)
            if flow is not None and (found := {path for path, blob in before.blobs.items() if blob is not None} - watched) and parent:
                watch(found, parent, before.version.shown)

    def _before(self, parent: str, commit: Commit) -> str | None:
        return called(self._repository, self._repository.root / commit.names[_FLOW], parent, commit.id)

    def _parent(self, commit: str) -> str | None:
        try:
            return self._repository.resolve(f"{commit}^1")
        except ConfigError:
            return None

    # -- versions ------------------------------------------------------------------------------------------

    def _working(self) -> Known:
        return self._of(self._reader.working(self._today, self._repository.path(self._today)), {})

    def _named(self, commit: str, name: str | None) -> Known:
        return self._absent(commit, commit) if name is None else self._at(commit, name)

    def _absent(self, label: str, commit: str | None) -> Known:
        return Known(Version(label, commit, self._repository.path(self._today)))

    def _readable(self, known: Known) -> Known:
        """Return a version, or the one before it that could be read."""
        for _ in range(_BROKEN):
            commit = known.version.commit
            parent = None if commit is None else self._parent(commit)
            if known.broken is None or commit is None or parent is None:
                break
            name = called(self._repository, self._repository.root / known.version.shown, parent, commit)
            known = self._named(parent, name)
        return known

    def _at(self, commit: str, name: str) -> Known:
        if commit not in self._known:
            self._known[commit] = self._beside(commit, name) or self._read(commit, name)
            self.names[name] = None
        return self._known[commit]

    def _beside(self, commit: str, name: str) -> Known | None:
        """Return what is known already of the very same files."""
        for known in list(self._known.values())[: -_BESIDE - 1 : -1]:
            if known.version.shown == name and known.blobs and self._blobs(commit, known.blobs) == known.blobs:
                return known
        return None

    def _read(self, commit: str, name: str) -> Known:
        with self._reader.committed(self._repository.root / name, commit, commit[:_SHORT], name) as found:
            return self._of(found, self._blobs(commit, {*found.files, *_configs(name)}))

    def _of(self, found: Read, blobs: dict[str, str | None]) -> Known:
        return Known(found.version, found.broken, blobs or dict.fromkeys(found.files))

    def _blobs(self, commit: str, files: set[str] | dict[str, str | None]) -> dict[str, str | None]:
        there = {entry.path: entry.id for entry in self._repository.entries(commit, sorted(files))}
        return {path: there.get(path) for path in files}

    def _compared(self, before: Known, after: Known) -> Comparison:
        shown = after.version.shown
        if after.broken is not None:
            return Comparison(shown, before.version, after.version, broken=after.broken)
        before = self._readable(before)
        if before.broken is not None:
            return Comparison(shown, before.version, after.version, broken=before.broken)
        return compare(shown, before.version, after.version, same_text=False)


#: Under which name a commit holds the name of the flow.
_FLOW = ""


def _called(commit: Commit, flow: str, name: str | None = None) -> Commit:
    """Return a commit that says how the flow was called in it."""
    known = name or commit.names.get(flow)
    return Commit(commit.id, commit.author, commit.seconds, commit.subject, {} if known is None else {_FLOW: known})


def _another(before: Known, after: Known) -> bool:
    return (before.version.fingerprint, before.broken is None) != (after.version.fingerprint, after.broken is None)


def _configs(name: str) -> set[str]:
    """Return the files above a flow that may hold the configuration of its project."""
    return {(folder / file).as_posix() for folder in PurePosixPath(name).parents for file in (CONFIG_NAME, "pyproject.toml")}
