"""Keep what tests gave when a person accepted it: one file in git for each file of tests, short enough to review. Judges nothing.

baselines/<flow>.yaml
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from flowkit import source
from flowkit.cassettes import slug, text
from flowkit.chat import Usage
from flowkit.errors import ConfigError, Problems
from flowkit.results import Status
from flowkit.suites import shelves
from flowkit.suites.results import CaseResult, MetricResult, Outcome
from flowkit.suites.spec import Suite

FOLDER: Final = "baselines"
_HEAD: Final = """\
# What tests gave when it was accepted. Later runs are compared with it; `flowkit test --accept` writes it anew.
# Tolerances are yours to change, here or below a case, and are kept. `similar`: the least difflib ratio of a text of several words;
# `numbers`, `tokens`, `cost`, `latency`: how far off, or how much more, in parts of the number; `metrics`: how much worse, in parts of
# the number, or of 1 where it is less; `ignore`: outputs that are not compared.
"""
#: As they are written first; a share may be written as 20% or 0.2.
DEFAULTS: Final[Mapping[str, Any]] = {
    "similar": 0.8,
    "numbers": 0,
    "tokens": "20%",
    "cost": "20%",
    "latency": "100%",
    "metrics": 0.05,
    "ignore": [],
}


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How much a result may differ from what was accepted."""

    similar: float
    numbers: float
    tokens: float
    cost: float
    latency: float
    metrics: float
    ignore: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What one case gave. A number that was not known is None; `said` are tolerances of its own, as they are written."""

    outputs: Any
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was accepted of one file of tests: cases and metrics by their keys. `said` are its tolerances as they are written."""

    path: Path
    said: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    cases: Mapping[str, Accepted] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, suite: Suite) -> Self:
        """Return what was accepted; nothing where there is no file. Raises ConfigError when it is wrong."""
        path = suite.path.parent / FOLDER / f"{slug(shelves.beside(suite.path))}.yaml"
        if not path.is_file():
            return cls(path)
        problems = Problems()
        try:
            document = source.parse(path.read_bytes(), path=path, shown=str(path), problems=problems)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        if problems.fatal or document.root is None:
            raise _wrong(path, "; ".join(f"line {p.place.line}: {p.message}" for p in problems.ordered()) or "it is empty")
        data = source.plain(document.root)
        parts = _mapping(path, "the file", data, {"tolerances", "cases", "metrics"})
        cases = _mapping(path, "'cases'", parts.get("cases", {}))
        metrics = _mapping(path, "'metrics'", parts.get("metrics", {}))
        if wrong := [name for name, value in metrics.items() if _number(value) is None]:
            raise _wrong(path, f"metric {wrong[0]!r} is no number")
        said = {**DEFAULTS, **_mapping(path, "'tolerances'", parts.get("tolerances", {}), set(DEFAULTS))}
        found = cls(path, said, {name: _accepted(path, name, each) for name, each in cases.items()}, metrics)
        for name in (None, *found.cases):
            found.tolerances(name)
        return found

    def tolerances(self, case: str | None = None) -> Tolerances:
        """Return what holds for a case, or for the whole file. Raises ConfigError when it is wrong."""
        own = self.cases[case].said if case is not None and case in self.cases else {}
        said = {**self.said, **own}
        ignored = said["ignore"]
        if not isinstance(ignored, list) or not all(isinstance(each, str) for each in ignored):
            raise _wrong(self.path, "'ignore' is no list of names of outputs")
        numbers = {}
        for name in (each.name for each in fields(Tolerances) if each.name != "ignore"):
            found = _number(said[name])
            if found is None or found < 0:
                raise _wrong(self.path, f"the tolerance {name!r} is {said[name]!r}; write a number such as 0.2, or 20%")
            numbers[name] = found
        return Tolerances(**numbers, ignore=tuple(ignored))

    def accept(self, suite: Suite, results: Sequence[CaseResult], metrics: Iterable[MetricResult], *, whole: bool) -> Baseline:
        """Return it with what passed in the place of what was there. Where the `whole` file ran, what is gone leaves."""
        cases = dict(self.cases)
        for result in results:
            if (found := _of(result, self.cases.get(key_of(result.case.name)))) is not None:
                cases[key_of(result.case.name)] = found
        head = f"{suite.shown}::"
        measured = {m.id.removeprefix(head): m for m in metrics if m.id.startswith(head)}
        numbers = dict(self.metrics) | {name: _short(m.value) for name, m in measured.items() if m.outcome is Outcome.PASSED}
        names = [key_of(case.name) for case in suite.cases() if comparable(case.test.renders_only, case.test.error is not None)]
        if whole:
            cases = {name: each for name, each in cases.items() if name in names}
            numbers = {name: value for name, value in numbers.items() if name in measured}
        ordered = {name: cases[name] for name in (*names, *cases) if name in cases}
        return type(self)(self.path, self.said, ordered, numbers)

    def write(self) -> bool:
        """Write it, or remove it where nothing was accepted; return whether that changed anything. Raises ConfigError."""
        try:
            before = self.path.read_bytes() if self.path.is_file() else None
            if not self.cases and not self.metrics:
                self.path.unlink(missing_ok=True)
                return before is not None
            said = _HEAD + self._text()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text.put(self.path, said)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}") from None
        return before != said.encode()

    def _text(self) -> str:
        parts = [text.written({"tolerances": dict(self.said)})]
        if self.cases:
            parts.append("cases:\n")
            for name, each in self.cases.items():
                one = {name: _plain(each)}
                said = text.of(one) or text.written({name: _plain(each, as_json=True)})
                parts += [f"  {line}" if line.strip() else line for line in said.splitlines(keepends=True)]
        if self.metrics:
            parts.append(text.written({"metrics": dict(self.metrics)}))
        return "".join(parts)


def key_of(name: str) -> str:
    """Return the key of a case: its name, unless YAML would not give that back."""
    return name if text.of({name: 0}) is not None else slug(name)


def comparable(renders_only: bool, fails: bool) -> bool:
    """Whether a test gives anything that could be accepted."""
    return not renders_only and not fails


def total(usage: Usage) -> int | None:
    """Return all tokens, None where nobody counted them."""
    return None if usage.input_tokens is None or usage.output_tokens is None else usage.input_tokens + usage.output_tokens


def _of(result: CaseResult, before: Accepted | None) -> Accepted | None:
    """Return what a case gave, None where that cannot be accepted. Numbers are means over its repeats."""
    if result.outcome is not Outcome.PASSED or not comparable(result.case.test.renders_only, result.case.test.error is not None):
        return None
    passed = [t for t in result.trials if t.outcome is Outcome.PASSED and t.run is not None and t.run.status is Status.SUCCEEDED]
    if not passed:
        return None
    asked = [trial for trial in passed if not trial.simulated]
    tokens = _mean([total(trial.usage) for trial in asked])
    cost = _mean([None if trial.cost.total is None else float(trial.cost.total) for trial in asked])
    seconds = _mean([trial.seconds for trial in asked if trial.timed])
    if seconds is None and before is not None and asked:
        seconds = before.seconds
    outputs = json.loads(json.dumps(passed[0].outputs))
    own = {} if before is None else before.said
    return Accepted(outputs, None if tokens is None else round(tokens), _short(cost), _short(seconds), own)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _short(value: float | None) -> Any:
    """Return a number with four digits, so that a file says no more than is meant."""
    return None if value is None else float(f"{value:.4g}")


def _plain(each: Accepted, *, as_json: bool = False) -> dict[str, Any]:
    outputs = {"outputs_json": json.dumps(each.outputs)} if as_json else {"outputs": each.outputs}
    numbers = {"tokens": each.tokens, "cost": each.cost, "seconds": each.seconds}
    own = {"tolerances": dict(each.said)} if each.said else {}
    return outputs | {name: value for name, value in numbers.items() if value is not None} | own


# -- reading -----------------------------------------------------------------------------------------------


def _accepted(path: Path, name: str, said: Any) -> Accepted:
    parts = _mapping(path, f"case {name!r}", said, {"outputs", "outputs_json", "tokens", "cost", "seconds", "tolerances"})
    for number in ("tokens", "cost", "seconds"):
        if number in parts and _number(parts[number]) is None:
            raise _wrong(path, f"{number!r} of case {name!r} is no number")
    own = _mapping(path, f"'tolerances' of case {name!r}", parts.get("tolerances", {}), set(DEFAULTS))
    outputs = parts.get("outputs")
    if "outputs_json" in parts:
        try:
            outputs = json.loads(parts["outputs_json"])
        except (TypeError, ValueError):
            raise _wrong(path, f"'outputs_json' of case {name!r} is no JSON") from None
    return Accepted(outputs, parts.get("tokens"), parts.get("cost"), parts.get("seconds"), own)


def _mapping(path: Path, what: str, data: Any, known: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _wrong(path, f"{what} is no mapping")
    strange = [name for name in data if known is not None and name not in known]
    if strange:
        raise _wrong(path, f"{what} has {strange[0]!r}; known are {', '.join(sorted(known or ()))}")
    return data


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) else None


def _wrong(path: Path, said: str) -> ConfigError:
    return ConfigError(f"{path}: this is no baseline: {said}; put it right, or remove it and accept again with --accept")
