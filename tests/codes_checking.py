"""Check the examples of the catalogue of codes in a folder of their own."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from flowkit import compiler, config, replies, source, suites
from flowkit.codes import Example
from flowkit.errors import Problem, Problems
from flowkit.project import Project

#: What stands in place of the temporary folder, so that a page is the same wherever it is written.
FOLDER = "/home/me/project"


def problems_of(example: Example) -> tuple[Problem, ...]:
    """Return what a check reports of an example."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for path, held in example.files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(held if isinstance(held, str) else "a" * held, encoding="utf-8")
        if example.replies:
            problems = Problems()
            document = source.parse(example.whole(), path=folder / "replies.yaml", shown="replies.yaml", problems=problems)
            replies.parse_replies(document, problems)
            return problems.ordered()
        flow = folder / "hello.flow.yaml"
        flow.write_bytes(example.whole())
        found = Project(folder)
        models = config.load(found, example.env)
        checked = compiler.check(flow, cwd=folder, models=models, found=found, overrides=example.sets)
        (folder / "flowkit.toml").touch()
        reported = tuple(dict.fromkeys([*checked.problems, *suites.load(flow, cwd=folder, models=models, checked=checked).problems]))
        return tuple(replace(p, hint=p.hint and p.hint.replace(str(folder), FOLDER)) for p in reported)
