"""Read the tests of a file once more for another version of their flow: what fits it, and why the rest does not. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowkit import project, source
from flowkit.compiler import Checked
from flowkit.errors import Place, Problem, Problems
from flowkit.parser.reading import Reading
from flowkit.plan import ModelNames, Plan
from flowkit.source import Mapping as MappingNode
from flowkit.suites.loading import TEST_SUFFIX
from flowkit.suites.reading import Suites
from flowkit.suites.spec import Suite

#: Checks the other version with variants of its steps.
Check = Callable[[Mapping[str, str]], Checked]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The tests that fit, and by name the first problem of each one that does not."""

    suite: Suite
    misfits: Mapping[str, str] = field(default_factory=dict)


def fit(suite: Suite, plan: Plan, check: Check, *, cwd: Path, models: ModelNames | None) -> Fitted:
    """Return the tests of a suite for another version of its flow. What the tests read, such as judges and data, is as it is now."""
    problems = Problems()
    document = source.parse(project.read_bytes(suite.path), path=suite.path, shown=suite.shown, problems=Problems())
    node = document.root
    if not suite.path.name.endswith(TEST_SUFFIX) and isinstance(node, MappingNode):
        node = node.get("tests")
    assert node is not None, "these tests were read before"
    reading = Reading(document.file, project.find(suite.path), problems, None, document.complete)
    reader = Suites(reading, plan, cwd, models)
    read = reader.suite(node)
    reading.hide_secrets()
    wrong = [problem for problem in problems.found if problem.severity == "error"]
    misfits = {name: _reason(suite, name, wrong) for name in {test.name for test in suite.tests} - {test.name for test in read.tests}}
    plans = {frozenset[tuple[str, str]](): plan}
    for test in read.tests:
        for column in test.columns:
            key = frozenset(column.variants.items())
            found = plans.get(key) or check(column.variants).plan
            if found is None:
                misfits[test.name] = f"its variants {', '.join(f'{step}={name}' for step, name in column.variants.items())} are wrong there"
            else:
                plans[key] = found
    tests = tuple(test for test in read.tests if test.name not in misfits)
    return Fitted(Suite(suite.path, suite.shown, plan, plans, tests, read.metrics, suite.files), misfits)


def _reason(suite: Suite, name: str, problems: list[Problem]) -> str:
    """Return the first problem of a test in words: by its line, or of a file of its data."""
    places: dict[str, Place] = {test.name: test.place for test in suite.tests}
    starts = sorted(place.line for place in places.values())
    begin = places[name].line
    end = next((line for line in starts if line > begin), None)
    own = [p for p in problems if p.place.path == suite.shown and p.place.line >= begin and (end is None or p.place.line < end)]
    found = next(iter(own or problems), None)
    return "it does not fit" if found is None else found.message
