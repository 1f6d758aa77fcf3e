"""Warn when a server answered as another model than the lock says, or than it did in the last run of the flow."""

from __future__ import annotations

import os
from pathlib import Path

from flowkit import __version__, locking, project
from flowkit.commands import screen
from flowkit.errors import ConfigError, StoreError
from flowkit.locking import FILE, Lock
from flowkit.project import PathRefused
from flowkit.store import home, open_existing

#: Earlier runs of a flow among which the last answer of a model is looked for.
_EARLIER = 20


def warn(path: Path, *, run: str | None = None, batch: str | None = None) -> None:
    """Say on stderr, a line each, which models changed in a run or batch of the flow at `path`.

    What cannot be read is passed over: the run is over, and this is no part of it.
    """
    try:
        record = open_existing(home(project.find(path), os.environ), version=__version__, warn=lambda _: None)
        if record is None:
            return
        with record:
            answered = record.served(run=run, batch=batch)
            if not answered:
                return
            begun = min(each.started for each in answered)
            runs = (row for row in record.runs(path=str(path), rows=True, limit=_EARLIER + 1) if row.id != run and row.started < begun)
            earlier = [each for row in runs for each in record.served(run=row.id)]
            changes = locking.silent_changes(answered, _lock(path), earlier)
    except StoreError:
        return
    for change in changes:
        screen.say(f"warning: {change}")


def _lock(path: Path) -> Lock | None:
    try:
        return locking.parse(project.read_text(project.find(path).root / FILE))
    except (PathRefused, ConfigError):
        return None
