"""Find the tests that a word of the command line names: in the working tree, or those of a revision, `FILE@REV`, laid out while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flowkit.commands.revision import kept
from flowkit.errors import ConfigError
from flowkit.git import Snapshot, split
from flowkit.runtime import Runtime
from flowkit.suites.loading import FLOW_SUFFIX, TEST_SUFFIX, Loaded, found, load


def place(word: str) -> Path:
    """Return the file or folder that a word such as `FILE@REV::NAME` names, as it is laid out. Raises ConfigError."""
    return kept(word.partition("::")[0]).path


def revision(word: str) -> str | None:
    """Return the revision that a word such as `FILE@REV::NAME` names."""
    return split(word.partition("::")[0])[1]


def files(word: str) -> list[Path]:
    """Return the files that may hold the tests of a word; of a flow of a revision also the one beside it. Raises ConfigError."""
    name = word.partition("::")[0]
    folder, _, revision_ = name.rpartition("@")
    if revision_ and revision(word) is None and not Path(name).exists() and Path(folder).is_dir():
        said = f"{name!r}: only a file takes @REV, and {folder!r} is a folder"
        raise ConfigError(f"{said}\n   hint: name its files, or compare with all of it: flowkit test {folder} --against {revision_}")
    located = kept(name)
    if located.snapshot is None:
        return list(found(located.path))
    beside = located.path.with_name(located.path.name.removesuffix(FLOW_SUFFIX) + TEST_SUFFIX)
    return [located.path, beside] if located.path.name.endswith(FLOW_SUFFIX) and beside.is_file() else [located.path]


def loaded(file: Path, words: Sequence[str], runtime: Runtime) -> Loaded:
    """Return the tests of a file; those of a revision show it in their ids and problems. Raises ConfigError."""
    snapshot = past(file, words)
    models = runtime.config(file)
    if snapshot is None:
        return load(file, cwd=Path.cwd(), models=models)
    read = load(file, cwd=snapshot.top, models=models)
    suite = None if read.suite is None else replace(read.suite, shown=snapshot.shown(read.suite.shown))
    return Loaded(suite, snapshot.problems(read.problems), read.files)


def past(file: Path, words: Sequence[str]) -> Snapshot | None:
    """Return the snapshot that a file lies in, None for one of the working tree."""
    snapshots = (kept(word.partition("::")[0]).snapshot for word in words)
    return next((each for each in snapshots if each is not None and file.is_relative_to(each.top)), None)
