"""Say where a run comes from: the meaning of its flow, all of its text, and the state of the repository."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowkit import project
from flowkit.git import GitFailed, Repository, Revision
from flowkit.meaning import Resolve, fingerprint, meaning, reader
from flowkit.plan import Plan
from flowkit.project import PathRefused
from flowkit.templates import ReadRefused


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a run comes from. `source` is JSON {path below the project: text} of every file that was read."""

    path: str
    fingerprint: str
    source: str | None = None
    revision: str | None = None
    dirty: bool | None = None
    #: JSON of what the command line changed.
    options: str = "{}"


@dataclass(frozen=True, slots=True)
class Committed:
    """Where a flow comes from that was laid out elsewhere: its path in the working tree, and the commit."""

    path: Path
    commit: str


def provenance(
    plan: Plan, files: Sequence[Path], resolve: Resolve, options: Mapping[str, Any], committed: Committed | None = None
) -> Provenance:
    """Return where runs of a plan come from, as far as it can be known: files may be gone, and there may be no repository."""
    root = project.find(plan.path).root
    try:
        print_ = fingerprint(meaning(plan, resolve, reader(root)))
    except ReadRefused:
        print_ = ""
    state = Revision(committed.commit, dirty=False) if committed is not None else _state([plan.path, *files])
    return Provenance(
        str(plan.path if committed is None else committed.path.resolve()),
        print_,
        _source(root, [plan.path, *files]),
        None if state is None else state.commit,
        None if state is None else state.dirty,
        json.dumps(dict(options), ensure_ascii=False, sort_keys=True),
    )


def _state(files: Sequence[Path]) -> Revision | None:
    try:
        repository = Repository.find(files[0])
        return None if repository is None else repository.revision(files)
    except GitFailed:
        return None


def _source(root: Path, files: Sequence[Path]) -> str:
    found = {}
    for path in dict.fromkeys(files):
        try:
            found[project.shown(path, root)] = project.read_text(path)
        except PathRefused:
            continue
    return json.dumps(dict(sorted(found.items())), ensure_ascii=False)
