"""Draw the flow of a run as it was then: from its files where they are still the same, else from the texts that were kept."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from flowkit import compiler, project
from flowkit.drawing.planned import sketch
from flowkit.drawing.svg import svg
from flowkit.errors import ConfigError
from flowkit.history.data import value
from flowkit.history.tree import RunTree
from flowkit.plan import Plan
from flowkit.project import PathRefused, Project
from flowkit.report.graph import marked


def picture(run: RunTree) -> tuple[str | None, str]:
    """Return the picture, or None and why there is none."""
    if not run.sources:
        return None, "the text of its files is not in the record"
    plan = _plan(run)
    if plan is None:
        return None, "its files changed since, and what was kept of them is not enough to draw it"
    return svg(marked(sketch(plan), run)), ""


def _plan(run: RunTree) -> Plan | None:
    path = Path(run.row.path)
    root = project.find(path).root
    if path.is_file() and _same(root, run.sources):
        return _checked(run, path, Project(root))
    main = project.shown(path, root)
    if main not in run.sources or not all(map(_inside, run.sources)):
        return None
    with tempfile.TemporaryDirectory(prefix="flowkit-") as folder:
        for name, text in run.sources.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")
        return _checked(run, Path(folder, main), Project(Path(folder)))


def _same(root: Path, sources: Mapping[str, str]) -> bool:
    try:
        return all(project.read_text(root / name) == text for name, text in sources.items())
    except PathRefused:
        return False


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _checked(run: RunTree, path: Path, found: Project) -> Plan | None:
    options = value(run.row.options)
    said = options if isinstance(options, dict) else {}
    variants = dict(str(each).split("=", 1) for each in said.get("variant", ()) if "=" in str(each))
    overrides = [str(each) for each in said.get("set", ())]
    try:
        return compiler.check(path, cwd=found.root, found=found, overrides=overrides, variants=variants).plan
    except ConfigError:  # a variant that is no longer there
        return None
