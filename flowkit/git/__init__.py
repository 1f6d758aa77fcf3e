"""The repository that flows live in: what is committed, what changed, and a flow as it was. Only reads."""

from __future__ import annotations

from flowkit.git.process import GitFailed
from flowkit.git.repository import Commit, Entry, Repository, Revision
from flowkit.git.snapshot import Snapshot, at, split

__all__ = ["Commit", "Entry", "GitFailed", "Repository", "Revision", "Snapshot", "at", "split"]
