"""Read a flow as it is in the working tree, or as it was in a revision: what it means, and which files that comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flowkit.commands import check
from flowkit.commands.opening import FLOW_SUFFIX
from flowkit.commands.revision import Located
from flowkit.comparing import Version
from flowkit.compiler import Checked
from flowkit.errors import ConfigError
from flowkit.git import GitFailed, Repository, at
from flowkit.meaning import meaning, reader
from flowkit.printable import plural
from flowkit.project import CONFIG_NAME
from flowkit.runtime import Runtime
from flowkit.templates import ReadRefused

#: What people call the files as they are now.
WORKING_TREE = "working tree"
_CONFIGS = frozenset({CONFIG_NAME, "pyproject.toml"})


@dataclass(frozen=True, slots=True)
class Read:
    """One side. `files` are those that its meaning comes from, from the top of the repository; `broken` says why it has none."""

    version: Version
    located: Located
    checked: Checked
    runtime: Runtime
    files: frozenset[str]
    broken: str | None = None

    @property
    def own(self) -> frozenset[str]:
        """Its files without the configuration, which it shares with other flows."""
        return frozenset(name for name in self.files if PurePosixPath(name).name not in _CONFIGS)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads versions of flows, with what the command line changes about them. `today` is the path of a flow in the working tree."""

    repository: Repository
    overrides: tuple[str, ...]
    variants: Mapping[str, str]
    models: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] | None = None

    def working(self, today: Path, shown: str) -> Read:
        """Return the flow as it is."""
        return self._read(Located(today, today, Path.cwd()), WORKING_TREE, None, shown)

    @contextmanager
    def committed(self, today: Path, revision: str, label: str, name: str | None = None) -> Iterator[Read]:
        """Return the flow as it was; it is laid out while this is open. Raises ConfigError when it is not there."""
        with at(self.repository, revision, today, name=name) as snapshot:
            located = Located(snapshot.path, today, snapshot.top, snapshot)
            yield self._read(located, label, snapshot.commit, snapshot.name)

    def _read(self, located: Located, label: str, commit: str | None, shown: str) -> Read:
        runtime = Runtime(models=self.models, env=self.env)
        top = self.repository.root if located.snapshot is None else located.snapshot.top
        try:
            checked = located.check(models=runtime.config(located.path), overrides=self.overrides, variants=self.variants)
        except ConfigError as error:  # the configuration of then
            return Read(Version(label, commit, shown), located, Checked(None, ()), runtime, self._named(top, located, ()), str(error))
        files = self._named(top, located, checked.files)
        if checked.plan is None or checked.errors:
            first = checked.errors[0]
            place = f"{first.place.path.partition('@')[0]}:{first.place.line}"
            said = f"in {label} it has {plural(len(checked.errors), 'error')}: {place}: {first.message}"
            return Read(Version(label, commit, shown), located, checked, runtime, files, said)
        plan = checked.plan
        try:
            meant = meaning(plan, runtime.configured, reader(located.project.root))
        except ReadRefused as error:
            return Read(Version(label, commit, shown), located, checked, runtime, files, str(error))
        return Read(Version(label, commit, shown, meant, plan), located, checked, runtime, files)

    def _named(self, top: Path, located: Located, files: tuple[Path, ...]) -> frozenset[str]:
        config = located.project.config
        found = [located.path.resolve(), *files, *([] if config is None else [config])]
        return frozenset(path.relative_to(top).as_posix() for path in found if path.is_relative_to(top))


def flows(folder: Path) -> Iterator[Path]:
    """Yield the flow files below a folder; hidden folders are left out."""
    yield from (path for path in check.found(folder) if path.name.endswith(FLOW_SUFFIX))


def called(repository: Repository, today: Path, commit: str, newer: str | None = None) -> str | None:
    """Return how a flow was called in a commit, None where it was not there. `newer` is a commit in which it has the name of today."""
    name = repository.path(today)
    if repository.entries(commit, [name]):
        return name
    if newer is not None:
        return next((before for before, after in repository.renamed(commit, newer) if after == name), None)
    try:
        return repository.name_at(commit, name)
    except (ConfigError, GitFailed):  # no commit has it
        return None
