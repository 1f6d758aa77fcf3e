"""Read the text of a flow in a test, and say its problems shortly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit import functions, parser, source
from flowkit.errors import Problem, Problems
from flowkit.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from flowkit.spec import FlowSpec


def read(text: str, root: Path, name: str = "x.flow.yaml") -> tuple[FlowSpec | None, tuple[Problem, ...]]:
    """Return what a flow file in `root` says, and its problems."""
    problems = Problems()
    path = root / name
    document = source.parse(text, path=path, shown=name, problems=problems)

    def load(reference: str, beside: Path) -> object:
        return functions.load(reference, beside=beside, root=root)

    spec = parser.parse(document, Project(root), path, problems, load)
    return spec, problems.ordered()


def right(text: str, root: Path) -> FlowSpec:
    """Return what a flow without problems says."""
    spec, problems = read(text, root)
    assert [f"{p.place.line}:{p.place.column} {p.message}" for p in problems] == []
    assert spec is not None
    return spec


def step(body: str) -> str:
    """Return a flow whose one step `a` has these lines; the first one is line 4, at column 5."""
    return "flowkit: 1\nsteps:\n  a:\n" + "".join(f"    {line}\n" for line in body.splitlines())


def top(lines: str) -> str:
    """Return a flow with these lines at the top level, the first one line 2, and one step."""
    return f"flowkit: 1\n{lines}\nsteps: {{a: {{prompt: hi}}}}\n"


def said(problems: tuple[Problem, ...]) -> list[str]:
    """Return place and code of each problem, such as `4:13 not-text`."""
    return [f"{p.place.line}:{p.place.column} {p.code}" for p in problems]
