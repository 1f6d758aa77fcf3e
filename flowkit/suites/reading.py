"""Turn the tests of a file into values, or into every problem in them. Knows the format and the flow, runs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowkit import compiler, replies
from flowkit.config import UnknownModel
from flowkit.errors import ConfigError
from flowkit.keys.tests import TABLES
from flowkit.parser import files
from flowkit.parser.data import data
from flowkit.parser.reading import Found, Reading, entries, is_mapping, own
from flowkit.parser.values import BAD, key_value, value_of
from flowkit.plan import ChatWork, Computed, ModelNames, Plan
from flowkit.replies import Replies
from flowkit.source import Document, Node, Scalar, Sequence
from flowkit.source import Mapping as MappingNode
from flowkit.spelling import did_you_mean
from flowkit.suites.asserting import Asserting, errors_in
from flowkit.suites.data import Inputs
from flowkit.suites.matrix import columns
from flowkit.suites.names import Names
from flowkit.suites.spec import Assertion, Column, ExpectedError, Judge, Metric, Test
from flowkit.types.algebra import ANY, MISSING, Type, nullable
from flowkit.types.fit import fits

_SUITE, _TEST, _ERROR = (TABLES[name] for name in ("suite", "test", "error"))
#: Replies of the judges of a test, beside those of its steps.
RUBRIC, JUDGE = "llm-rubric", "judge/"


@dataclass(frozen=True, slots=True)
class Read:
    """What the tests of one file say."""

    tests: tuple[Test, ...]
    metrics: tuple[Metric, ...] = ()


@dataclass(slots=True)
class Suites:
    """Reads the tests of one flow. `models` finds the servers behind names, None: they are not looked up."""

    r: Reading
    plan: Plan
    cwd: Path
    models: ModelNames | None
    #: Files that were read.
    files: dict[Path, None] = field(default_factory=dict)

    def suite(self, node: Node) -> Read:
        """Return what stands under `tests` of a flow, or a whole file of tests."""
        if isinstance(node, Sequence):
            return Read(self._tests(node, None, (Column(),)))
        mapping = is_mapping(self.r, node, "'tests'", "write a list of tests")
        if mapping is None:
            return Read(())
        found = entries(self.r, mapping, _SUITE, "the tests")
        said = self._replies(found.get("replies"), "the tests", judged=True)
        matrix = self._columns(found["matrix"].value, "the tests") if "matrix" in found else (Column(),)
        tests = self._tests(found["tests"].value, said, matrix) if "tests" in found else ()
        metrics: tuple[Metric, ...] = ()
        if "metrics" in found:
            rows = ANY if any(test.rows and test.rows[0].key for test in tests) else None
            judge = ANY if any(test.judge for test in tests) else None
            metrics = Asserting(self.r, Names(self.r, self.plan, rows, judge)).metrics(found["metrics"].value, "the tests")
        return Read(tests, metrics)

    def _tests(self, node: Node, said: Replies | None, matrix: tuple[Column, ...]) -> tuple[Test, ...]:
        if not isinstance(node, Sequence) or not node.items:
            value_of(self.r, _SUITE["tests"].shape, node, "'tests'")
            return ()
        tests = []
        names: set[str] = set()
        for number, each in enumerate(node.items, 1):
            mapping = is_mapping(self.r, each, f"test {number}", "write keys such as `inputs:` and `assert:`")
            if mapping is None:
                continue
            test = self._test(mapping, number, said, matrix)
            if test is None:
                continue
            if test.name in names:
                place = key.value.place() if (key := mapping.named.get("name")) else mapping.place()
                self.r.error("test-name", place, f"two tests are called {test.name!r}", "give each a name of its own")
            names.add(test.name)
            tests.append(test)
        return tuple(tests)

    def _test(self, node: MappingNode, number: int, said: Replies | None, matrix: tuple[Column, ...]) -> Test | None:
        before = errors_in(self.r)
        name = self._name(node, number)
        where = f"test {name!r}" if "name" in node.named else f"test {name}"
        found = entries(self.r, node, _TEST, where)
        inputs = Inputs(self.r, self.plan.inputs, self.files)
        given = found["inputs"].value if "inputs" in found else None
        row: Type | None = None
        if "data" in found:
            rows, row = inputs.many(found["data"].value, given, where)
        else:
            rows = inputs.one(given, node, where)
        judge = self._judge(found, Names(self.r, self.plan, row), where)
        names = Names(self.r, self.plan, row, judge.plan.output_type if judge else ANY if "uses" in found else None)
        asserting = Asserting(self.r, names, self._knows if self.models else None)
        asserted = asserting.assertions(found["assert"].value, where) if "assert" in found else ()
        metrics = asserting.metrics(found["metrics"].value, where) if "metrics" in found else ()
        mock = self._mock(found["mock"].value, names, where) if "mock" in found else {}
        error = self._error(found["error"].value, names, where) if "error" in found else None
        if error is not None:
            self._refuse_values(asserted, where)
        own_said = self._replies(found.get("replies"), where, judged="uses" in found)
        tags = key_value(self.r, found, _TEST, "tags", where, [])
        test = Test(
            name,
            node.place(),
            rows,
            mock,
            said if own_said is None else Replies({**(said.scripts if said else {}), **own_said.scripts}),
            asserted,
            error,
            key_value(self.r, found, _TEST, "repeat", where, 1),
            key_value(self.r, found, _TEST, "pass_rate", where, 1.0),
            (tags,) if isinstance(tags, str) else tuple(tags),
            judge,
            metrics,
            self._columns(found["matrix"].value, where) if "matrix" in found else matrix,
        )
        return test if errors_in(self.r) == before else None

    def _name(self, node: MappingNode, number: int) -> str:
        written = node.get("name")
        if not isinstance(written, Scalar) or not isinstance(written.value, str) or not written.text.strip():
            return str(number)
        if "::" in written.text or "\n" in written.text:
            self.r.error("test-name", written.place(), "a name has neither '::' nor a line end: it stands in the id of the test")
        return written.text

    def _refuse_values(self, asserted: tuple[Assertion, ...], where: str) -> None:
        """Report what could never hold of a run that must fail: it has no outputs."""
        for each in asserted:
            if each.step is None and each.word not in {"called", "skipped", "not-skipped", "messages", "cost", "latency", "expr"}:
                hint = "a run that fails has no outputs; name a step, or write `error: {contains: …}`"
                self.r.error("assertion-type", each.place, f"{where} expects an error, so there is nothing for {each.word!r}", hint)

    # -- what runs

    def _knows(self, name: str) -> bool:
        assert self.models is not None
        try:
            self.models.resolve(name, self.plan.models, {})
        except (UnknownModel, ConfigError):
            return False
        return True

    def _mock(self, node: Node, names: Names, where: str) -> dict[str, Any]:
        if isinstance(node, Scalar):
            if value_of(self.r, _TEST["mock"].shape, node, f"'mock' of {where}") is BAD:
                return {}
            path = files.find(self.r, node)
            document = files.tree(self.r, node, path) if path else None
            if path is None or document is None or document.root is None:
                return {}
            self.files[path] = None
            node = document.root
        mapping = is_mapping(self.r, node, f"'mock' of {where}", "write outputs by step")
        found = {}
        for key, value in own(mapping) if mapping else ():
            step = names.step(key, f"'mock' of {where}")
            if step is not None:
                found[key.text] = data(self.r, nullable(step.output), value, f"the output of {key.text!r}", "mock-type")
        return found

    def _replies(self, found: Found | None, where: str, *, judged: bool) -> Replies | None:
        if found is None:
            return None
        node = found.value
        if isinstance(node, Scalar):
            if value_of(self.r, _TEST["replies"].shape, node, f"'replies' of {where}") is BAD:
                return None
            path = files.find(self.r, node)
            document = files.tree(self.r, node, path) if path else None
            if path is None or document is None:
                return None
            self.files[path] = None
        else:
            document = Document(node, self.r.file)
        said = replies.parse_replies(document, self.r.problems)
        self._reply_steps(said, judged=judged)
        return said

    def _reply_steps(self, said: Replies, *, judged: bool) -> None:
        steps = {path: step for path, _, step in self.plan.walk()}
        asking = [path for path, step in steps.items() if isinstance(step.work, ChatWork)]
        for name, place in said.steps.items():
            if place is None or name in asking or name == RUBRIC or (judged and name.startswith(JUDGE)):
                continue
            if name in steps:
                hint = f"these do: {', '.join(asking) or 'none'}"
                self.r.error("reply-step", place, f"step {name!r} asks no model, so nothing replies to it", hint)
            else:
                hint = did_you_mean(name, [*asking, RUBRIC]) or f"the steps that ask a model are {', '.join(asking) or 'none'}"
                self.r.error("unknown-step", place, f"flow {self.plan.name!r} has no step {name!r}", hint)

    def _error(self, node: Node, names: Names, where: str) -> ExpectedError:
        if not isinstance(node, MappingNode):
            kind = value_of(self.r, _TEST["error"].shape.of[0], node, f"'error' of {where}")
            return ExpectedError() if kind is BAD else ExpectedError(kind)
        found = entries(self.r, node, _ERROR, f"'error' of {where}")
        if "step" in found and isinstance(found["step"].value, Scalar):
            names.step(found["step"].value, f"'error' of {where}")
        return ExpectedError(*(key_value(self.r, found, _ERROR, name, f"'error' of {where}") for name in ("kind", "step", "contains")))

    # -- judges

    def _judge(self, found: dict[str, Found], names: Names, where: str) -> Judge | None:
        if "uses" not in found:
            if "with" in found:
                self.r.error(
                    "missing-key", found["with"].place, f"{where} has 'with' but no 'uses'", "name the judge: uses: judge.flow.yaml"
                )
            return None
        node = found["uses"].value
        if value_of(self.r, _TEST["uses"].shape, node, f"'uses' of {where}") is BAD or not isinstance(node, Scalar):
            return None
        path = files.find(self.r, node)
        if path is None:
            return None
        checked = compiler.check(path, cwd=self.cwd, models=self.models)
        self.files.update(dict.fromkeys(checked.files))
        if checked.plan is None:
            self.r.problems.found.extend(checked.errors)
            return None
        written = found["with"].value if "with" in found else None
        given = is_mapping(self.r, written, f"'with' of {where}") if written is not None else None
        return Judge(checked.plan, self._arguments(checked.plan, node, given, names))

    def _arguments(self, judge: Plan, uses: Scalar, node: MappingNode | None, names: Names) -> dict[str, Computed]:
        what = f"the judge {judge.name!r}"
        found: dict[str, Computed] = {}
        for key, value in own(node) if node else ():
            wanted = judge.inputs.get(key.text)
            if wanted is None:
                hint = did_you_mean(key.text, judge.inputs.names()) or f"it takes {', '.join(judge.inputs.names()) or 'nothing'}"
                self.r.error("unknown-argument", key.place(), f"{what} takes no {key.text!r}", hint)
                continue
            read = names.computed(value, f"{key.text!r} in 'with'")
            if read is None:
                continue
            reason = fits(read[1], wanted.type)
            if reason is not None:
                self.r.error("type-mismatch", value.place(), f"{key.text!r} of {what}: {reason}")
            found[key.text] = read[0]
        written = {key.text for key, _ in own(node)} if node else set()
        missing = [f.name for f in judge.inputs.fields if f.name not in written and not f.optional and f.default is MISSING]
        if missing:
            place = node.place() if node else uses.place()
            self.r.error(
                "missing-argument", place, f"{what} needs {', '.join(map(repr, missing))}", f"write with: {{{missing[0]}: outputs…}}"
            )
        return found

    def _columns(self, node: Node, where: str) -> tuple[Column, ...]:
        return columns(self.r, self.plan, self._knows if self.models else None, node, where)
