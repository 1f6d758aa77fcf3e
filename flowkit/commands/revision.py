"""Find the flow that a command line names: a file, or the same as it was in a revision, `FLOW@REV`, laid out while it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import click

from flowkit import compiler, project
from flowkit.compiler import Checked
from flowkit.git import Repository, Snapshot, at, split
from flowkit.plan import ModelNames
from flowkit.project import Project

#: Under which name a command keeps the flows that are laid out for it.
_KEPT = "flowkit.revision"


@dataclass(frozen=True, slots=True)
class Located:
    """A flow to be read at `path`; in the working tree it is `today`, which need not be there any more."""

    path: Path
    today: Path
    #: The folder that its paths are shown from.
    cwd: Path
    snapshot: Snapshot | None = None

    @property
    def project(self) -> Project:
        """The project that the flow is read in."""
        return project.find(self.path) if self.snapshot is None else self.snapshot.project

    def check(self, *, models: ModelNames, overrides: Sequence[str] = (), variants: Mapping[str, str] = MappingProxyType({})) -> Checked:
        """Check the flow; problems show a revision behind their paths. Raises ConfigError as the compiler does."""
        found = compiler.check(self.path, cwd=self.cwd, models=models, found=self.project, overrides=overrides, variants=variants)
        if self.snapshot is None:
            return found
        plan = None if found.plan is None else replace(found.plan, shown=self.snapshot.shown(found.plan.shown))
        return replace(found, plan=plan, problems=self.snapshot.problems(found.problems))


@contextmanager
def located(text: str) -> Iterator[Located]:
    """Find a flow by what the command line says; one of a revision is there as long as this is open.

    Python functions of the working tree and of a revision are not to be loaded inside of one another: see `flowkit.git.at`.

    Raises:
        ConfigError: there is no such revision or repository, or the flow is not in it.
    """
    path, revision = split(text)
    if revision is None or Path(text).exists():
        yield Located(Path(text), Path(text), Path.cwd())
        return
    today = Path(path)
    with at(Repository.open(today), revision, today) as snapshot:
        yield Located(snapshot.path, today, snapshot.top, snapshot)


def kept(text: str) -> Located:
    """Find a flow once for the command that runs; one of a revision is there until the command ends. Raises as `located` does."""
    if split(text)[1] is None:
        return Located(Path(text), Path(text), Path.cwd())
    context = click.get_current_context()
    found: dict[str, Located] = context.meta.setdefault(_KEPT, {})
    if text not in found:
        found[text] = context.with_resource(located(text))
    return found[text]
