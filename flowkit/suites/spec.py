"""What tests of flows are, as values: suites, tests, cases, assertions, metrics. Knows what is wanted, not how it came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from flowkit.errors import Place
from flowkit.plan import Computed, Plan
from flowkit.replies import Replies
from flowkit.templates import Value
from flowkit.types.validators import Validator

#: Keys and positions from a value to a part of it.
PartPath: TypeAlias = tuple[str | int, ...]

#: The least score of `similar`, `llm-rubric` and `python` where none is written, as in promptfoo.
THRESHOLD = 0.75


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds; None: none."""

    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a number lies within."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        if self.at_least is not None and self.at_least == self.at_most:
            return f"{self.at_least:g}"
        said = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        return " and ".join([*said, f"at most {self.at_most:g}"] if self.at_most is not None else said)


@dataclass(frozen=True, slots=True)
class MessageTest:
    """What one message must be: `words` are pairs of an assertion on text and its value; those with `not-` hold of all messages."""

    role: str | None = None
    at: int | None = None
    words: tuple[tuple[str, Any], ...] = ()
    roles: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A Python function under its name `module:function`."""

    name: str
    call: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Form:
    """A JSON Schema as a validator. Unless it is `closed`, objects may have more than it names, as JSON Schema says."""

    validator: Validator
    closed: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that must be true, and the values that it reads, as they are written in it: they are shown when it is not."""

    holds: Computed
    reads: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, slots=True)
class Assertion:
    """One thing that must hold. `value` is what stands behind the word: data, a pattern, an expression, a function, bounds."""

    word: str
    value: Any
    #: As it is written, in one line.
    shown: str
    place: Place
    #: The step whose output it looks at, None for the outputs.
    step: str | None = None
    path: PartPath = ()
    item: int | None = None
    threshold: float | None = None
    model: str | None = None
    #: The steps that gave the value, as far as the flow says it.
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """A number over cases: `expr` gives one for each, `aggregate` is a word or a function of the list."""

    name: str
    expr: Computed
    aggregate: str | Function
    bounds: Range
    place: Place


@dataclass(frozen=True, slots=True)
class ExpectedError:
    """How a run must fail; None: in any way."""

    kind: str | None = None
    step: str | None = None
    contains: str | None = None

    def __str__(self) -> str:
        said = [f"kind {self.kind}"] if self.kind else []
        said += [f"at step {self.step!r}"] if self.step else []
        said += [f"saying {self.contains!r}"] if self.contains else []
        return "an error" + (f" of {', '.join(said)}" if said else "")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the matrix: models by alias and variants by step. `label` is empty where there is no matrix."""

    label: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of data: what the file says, and the inputs that this means. `key` names it in ids."""

    key: str
    data: Mapping[str, Any]
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judge:
    """A flow that scores each case, and its inputs."""

    plan: Plan
    with_: Mapping[str, Computed]


@dataclass(frozen=True, slots=True)
class Test:
    """One entry of `tests`. Without data it has one row, which has no key."""

    __test__ = False  # pytest takes classes of this name for tests of its own

    name: str
    place: Place
    rows: tuple[Row, ...]
    mock: Mapping[str, Any] = field(default_factory=dict)
    replies: Replies | None = None
    assertions: tuple[Assertion, ...] = ()
    error: ExpectedError | None = None
    repeat: int = 1
    pass_rate: float = 1.0
    tags: tuple[str, ...] = ()
    judge: Judge | None = None
    metrics: tuple[Metric, ...] = ()
    columns: tuple[Column, ...] = (Column(),)

    @property
    def renders_only(self) -> bool:
        """Whether all that it asks is what steps would send, so that nothing needs to be called."""
        asked = bool(self.assertions) and all(each.word == "messages" for each in self.assertions)
        return asked and self.judge is None and self.error is None and not self.metrics


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """One test with one row in one column of the matrix: what runs, and what has an id."""

    suite: Suite
    test: Test
    row: Row
    column: Column

    def __repr__(self) -> str:
        # Each case holds all of its file: written out, ten thousand of them would take minutes wherever one shows up in an error.
        return f"<Case {self.id}>"

    @property
    def name(self) -> str:
        """Return the id within its file: `name`, `name[row]`, `name[row-column]`."""
        inside = "-".join(part for part in (self.row.key, self.column.label) if part)
        return f"{self.test.name}[{inside}]" if inside else self.test.name

    @property
    def id(self) -> str:
        """Return the stable id: path of the file and name."""
        return f"{self.suite.shown}::{self.name}"

    @property
    def plan(self) -> Plan:
        """Return the flow as its variants make it."""
        return self.suite.plans[frozenset(self.column.variants.items())]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Suite:
    """All tests of one file. `plans` holds the flow for each choice of variants; `files` is all that was read."""

    path: Path
    shown: str
    plan: Plan
    plans: Mapping[frozenset[tuple[str, str]], Plan]
    tests: tuple[Test, ...]
    metrics: tuple[Metric, ...] = ()
    files: tuple[Path, ...] = ()

    def cases(self) -> list[Case]:
        """Return every case, in the order of the file."""
        return [Case(self, test, row, column) for test in self.tests for row in test.rows for column in test.columns]
