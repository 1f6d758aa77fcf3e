"""Know where the recorded calls of cases lie, and which of them belong to no case any more. Knows names of files, not what is in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from flowkit.cassettes import FOLDER, REPEAT, Call, Shelf, slug
from flowkit.errors import ConfigError
from flowkit.suites.loading import FLOW_SUFFIX, TEST_SUFFIX
from flowkit.suites.spec import Case, Suite


def beside(path: Path) -> str:
    """Return the name under which a file of tests keeps what belongs to it: `triage` of a flow, `triage.tests` of `triage.test.yaml`."""
    if path.name.endswith(TEST_SUFFIX):
        return f"{path.name.removesuffix(TEST_SUFFIX)}.tests"
    return path.name.removesuffix(FLOW_SUFFIX)


def shelf(case: Case, repeat: int = 0) -> Shelf:
    """Return the recorded calls of one run of a case, with places as people see them. Raises ConfigError when a file is wrong."""
    root, shown = case.suite.path.parent / FOLDER, Path(case.suite.shown).parent / FOLDER
    found = Shelf.of(root, beside(case.suite.path), case.name, repeat)
    calls = [replace(call, place=call.place.replace(str(root), str(shown), 1)) for call in found.calls]
    return Shelf(shown / found.folder.relative_to(root), calls)


def folder(suite: Suite) -> Path:
    """Return where the recorded calls of a file of tests lie."""
    return suite.path.parent / FOLDER / slug(beside(suite.path))


def recorded(case: Case) -> bool:
    """Whether calls of a case are recorded."""
    return next((folder(case.suite) / slug(case.name)).glob("**/*.yaml"), None) is not None


def write(case: Case, repeat: int, calls: Iterable[Call]) -> None:
    """Put calls in the place of what was recorded of one run of a case. Raises ConfigError when a file cannot be written."""
    place = folder(case.suite) / slug(case.name)
    Shelf(place / f"{REPEAT}{repeat + 1}" if repeat else place).write(calls)


def stale(suite: Suite, asking: Sequence[Case], repeats: int | None = None) -> list[Path]:
    """Return folders of a file of tests that belong to no case, or to a repeat that no case has any more.

    `asking` are its cases that ask models; `repeats` stands above their own, where it is more.
    """
    kept = {slug(case.name): max(case.test.repeat, repeats or 0) for case in asking}
    found = []
    for place in _folders(folder(suite)):
        if place.name not in kept:
            found.append(place)
            continue
        for inner in _folders(place):
            number = inner.name.removeprefix(REPEAT)
            if not number.isdecimal() or int(number) > kept[place.name]:
                found.append(inner)
    return found


def orphans(roots: Iterable[Path]) -> list[Path]:
    """Return folders of recorded calls in these folders whose file of tests is gone, or holds no tests any more."""
    found = []
    for root in dict.fromkeys(roots):
        flows = [path for path in root.glob(f"*{FLOW_SUFFIX}") if b"\ntests:" in path.read_bytes()]
        files = {slug(beside(path)) for path in (*flows, *root.glob(f"*{TEST_SUFFIX}"))}
        found += [place for place in _folders(root / FOLDER) if place.name not in files]
    return found


def remove(places: Iterable[Path]) -> None:
    """Remove folders, and those around them that are empty then. Raises ConfigError."""
    for place in places:
        try:
            shutil.rmtree(place)
        except FileNotFoundError:  # another process was here
            continue
        except OSError as error:
            raise ConfigError(f"{place}: cannot be removed: {error.strerror}") from None
        for above in (place.parent, place.parent.parent):
            if FOLDER in {above.name, above.parent.name}:
                _drop(above)


def _drop(place: Path) -> None:
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


def _folders(place: Path) -> list[Path]:
    return sorted(each for each in place.iterdir() if each.is_dir()) if place.is_dir() else []
