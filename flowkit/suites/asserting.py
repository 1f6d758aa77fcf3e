"""Turn the assertions and metrics of a test file into values, or into every problem in them. Knows the format, judges nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flowkit import functions, printable
from flowkit.functions import LoadFailed
from flowkit.keys.tests import TABLES
from flowkit.parser.data import data
from flowkit.parser.reading import Found, Reading, entries, is_mapping, own
from flowkit.parser.values import BAD, key_value, value_of
from flowkit.plan import ChatWork
from flowkit.source import Mapping as MappingNode
from flowkit.source import Node, Scalar, Sequence, plain
from flowkit.spelling import did_you_mean
from flowkit.suites.names import Names, only, sources
from flowkit.suites.spec import Assertion, Condition, Form, Function, MessageTest, Metric, PartPath, Range
from flowkit.types.algebra import ANY, Const, String, Type, members, nullable, present
from flowkit.types.imported import SchemaUnsupported, from_json_schema
from flowkit.types.validators import Validator

_ASSERTION, _MESSAGE, _METRIC, _RANGE = (TABLES[name] for name in ("assertion", "message_test", "metric", "range"))
#: Keys that say where to look and how, beside the one word of an assertion.
_BESIDE: Final = frozenset({"step", "path", "item", "threshold", "model"})
_SCORED: Final = frozenset({"similar", "llm-rubric", "python"})
#: Words that look at a value; the others look at the run.
_OF_VALUES: Final = frozenset(_ASSERTION.names()) - _BESIDE - {"expr", "skipped", "not-skipped", "called", "messages", "cost", "latency"}
AGGREGATES: Final = ("mean", "rate", "min", "max", "p90")


@dataclass(frozen=True, slots=True)
class Asserting:
    """Reads the assertions of one test."""

    r: Reading
    names: Names
    #: Whether a model of that name can be asked, None where that is not to be known.
    knows_model: Callable[[str], bool] | None = None

    def assertions(self, node: Node, where: str) -> tuple[Assertion, ...]:
        """Return the assertions of a list; what is wrong is reported and left out."""
        if not isinstance(node, Sequence):
            value_of(self.r, _list_of_tables(), node, f"'assert' of {where}")
            return ()
        found = [self._assertion(each, f"assertion {at} of {where}") for at, each in enumerate(node.items, 1)]
        return tuple(each for each in found if each is not None)

    def _assertion(self, node: Node, where: str) -> Assertion | None:
        mapping = is_mapping(self.r, node, where, "write a word such as `contains: …`")
        if mapping is None:
            return None
        if self._foreign(mapping, where):
            return None
        before = errors_in(self.r)
        found = entries(self.r, mapping, _ASSERTION, where)
        words = [name for name in found if name not in _BESIDE]
        if len(words) != 1:
            if words:
                listed = " and ".join(map(repr, words))
                self.r.error(
                    "too-many-keys", found[words[1]].place, f"{where} has {listed}", "one assertion says one thing; make two of it"
                )
            elif errors_in(self.r) == before:
                self.r.error("missing-key", mapping.place(), f"{where} says nothing that must hold", _ASSERTION.lacking)
            return None
        word = words[0]
        self._beside(found, word)
        step = self._step(found, where, word)
        type_, path = self._value(found, step, word, where)
        value = self._read(word, found[word], where, type_, step)
        if value is BAD or errors_in(self.r) > before:
            return None
        at = sources(self.names.plan, path) if step is None else (step,)
        return Assertion(
            word,
            value,
            _line(word, found[word].value),
            found[word].place,
            step,
            path,
            key_value(self.r, found, _ASSERTION, "item", where),
            key_value(self.r, found, _ASSERTION, "threshold", where),
            self._model(found, word, where),
            at if word in _OF_VALUES else (step,) if step is not None else (),
        )

    def _foreign(self, mapping: MappingNode, where: str) -> bool:
        """Report an assertion as promptfoo writes it: `type` and `value`."""
        word = mapping.get("type")
        if not isinstance(word, Scalar) or "value" not in mapping.named:
            return False
        hint = f"write `{word.text}: …`" if word.text in _ASSERTION.names() else _ASSERTION.hints["type"]
        place = mapping.named["type"].key.place()
        self.r.error("unknown-key", place, f"unknown key 'type' in {where}: its word is the key itself", hint)
        return True

    def _beside(self, found: Mapping[str, Found], word: str) -> None:
        """Report keys that mean nothing beside the word."""
        seen = _OF_VALUES | {"messages"} if "step" in found else {"messages"}
        for name, words, way in (
            ("threshold", _SCORED, ", ".join(sorted(_SCORED))),
            ("model", {"llm-rubric"}, "llm-rubric"),
            ("path", _OF_VALUES, "words on a value"),
            ("item", seen, "messages, and with the output of a `step` that runs once for each item"),
        ):
            if name in found and word not in words:
                self.r.error("unknown-key", found[name].place, f"{name!r} means nothing beside {word!r}", f"it goes with {way}")
        if "step" in found and word not in _OF_VALUES | {"called", "messages"}:
            hint = "the expression reads steps itself: `steps.NAME.output`" if word == "expr" else None
            self.r.error("unknown-key", found["step"].place, f"'step' means nothing beside {word!r}", hint)

    def _step(self, found: Mapping[str, Found], where: str, word: str) -> str | None:
        node = found["step"].value if "step" in found else None
        if word == "messages" and node is None:
            asking = [path for path, _, step in self.names.plan.walk() if isinstance(step.work, ChatWork)]
            if len(asking) == 1:
                return asking[0]
            self.r.error("missing-key", found[word].place, f"{where} lacks 'step'", f"say whose messages: step: {' | '.join(asking)}")
        if not isinstance(node, Scalar) or value_of(self.r, _ASSERTION["step"].shape, node, f"'step' of {where}") is BAD:
            return None
        step = self.names.step(node, where)
        if step is None:
            return None
        if word == "messages" and not isinstance(step.work, ChatWork):
            self.r.error("reply-step", node.place(), f"step {node.text!r} asks no model, so it sends no messages")
        return node.text

    def _value(self, found: Mapping[str, Found], step: str | None, word: str, where: str) -> tuple[Type, PartPath]:
        """Return the type of what the assertion looks at, and the path to it from the outputs or the output of the step."""
        if step is None and "step" in found:
            return ANY, ()
        plan = self.names.plan
        if step is not None:
            type_, base = next(s.output for p, _, s in plan.walk() if p == step), f"steps.{step}.output"
        else:
            type_, base = plan.output_type, "outputs"
        if "path" in found:
            node = found["path"].value
            if not isinstance(node, Scalar) or value_of(self.r, _ASSERTION["path"].shape, node, f"'path' of {where}") is BAD:
                return ANY, ()
            read = self.names.path(node, base, type_)
            return (read[1], read[0]) if read else (ANY, ())
        name = only(type_) if step is None else None
        if name is not None and word in _OF_VALUES and not isinstance(found[word].value, MappingNode):
            inner = plan.output_type.get(name)  # type: ignore[union-attr]  # `only` says that it is a record with this field
            assert inner is not None
            return inner.type, (name,)
        return type_, ()

    def _model(self, found: dict[str, Found], word: str, where: str) -> str | None:
        if word != "llm-rubric":
            return None
        name: str | None = key_value(self.r, found, _ASSERTION, "model", where)
        if self.knows_model is not None and not self.knows_model(name or "judge"):
            place = found["model"].value.place() if name else found[word].place
            message = f"there is no model {name!r}" if name else f"{where} has no model that judges"
            self.r.error("unknown-model", place, message, "write `model: provider/model`, or define the alias `judge` in flowkit.toml")
        return name

    # -- values of words

    def _read(self, word: str, found: Found, where: str, type_: Type, step: str | None) -> Any:
        node, what = found.value, f"{word!r} of {where}"
        match word:
            case "equals" | "not-equals":
                # A value that the flow never gives is a slip of the test.
                return data(self.r, type_ if step is None else nullable(type_), node, what, "assertion-type")
            case "regex" | "not-regex":
                return self._pattern(node, _ASSERTION[word].shape, what)
            case "is-json":
                return self._schema(node, what)
            case "python":
                return self._function(node, what)
            case "expr":
                read = self.names.computed(node, what)
                if read is None:
                    return BAD
                self._condition(node, read[1], what)
                return Condition(read[0], self.names.reads(read[0]))
            case "skipped" | "not-skipped":
                return self._steps(node, what)
            case "called":
                return self._range(node, what)
            case "messages":
                return self._messages(node, what)
        value = value_of(self.r, _ASSERTION[word].shape, node, what)
        if word in {"contains-all", "contains-any"} and value is not BAD:
            return tuple(str(each) for each in value)
        return value

    def _condition(self, node: Node, type_: Type, what: str) -> None:
        kinds = list(members(type_))
        if kinds and all(isinstance(kind, Const) and not isinstance(kind.value, bool) for kind in kinds):
            self.r.error("assertion-type", node.place(), f"{what} is always the same", "compare it with something")

    def _pattern(self, node: Node, shape: Any, what: str) -> Any:
        text = value_of(self.r, shape, node, what)
        if text is BAD:
            return BAD
        try:
            return re.compile(text)
        except re.error as error:
            at = error.pos or 0
            place = node.place(at, at + 1) if isinstance(node, Scalar) else node.place()
            self.r.error("wrong-pattern", place, f"{text!r} is no regular expression: {error.msg}", "escape it, or write `contains`")
            return BAD

    def _schema(self, node: Node, what: str) -> Any:
        value = value_of(self.r, _ASSERTION["is-json"].shape, node, what)
        if value is BAD or isinstance(value, bool):
            return value
        try:
            # Where one object says that it is closed, all that are not said to be open are.
            closed = '"additionalProperties": false' in printable.json_text(value)
            return Form(Validator(from_json_schema(value, name="answer", table={})), closed)
        except SchemaUnsupported as error:
            self.r.error("unsupported-schema", node.place(), f"{what} says at {error.pointer or '/'}: {error.message}")
            return BAD

    def _function(self, node: Node, what: str) -> Any:
        name = value_of(self.r, _ASSERTION["python"].shape, node, what)
        return BAD if name is BAD else self.function(node, name)

    def function(self, node: Node, name: str) -> Any:
        """Return the function behind `module:function`, BAD after a problem."""
        try:
            found = functions.load(name, beside=self.r.file.path, root=self.r.project.root)
        except LoadFailed as failed:
            self.r.error(failed.code, node.place(), failed.message, did_you_mean(name.rpartition(":")[2], failed.names))
            return BAD
        if not callable(found):
            self.r.error("unknown-function", node.place(), f"{name!r} is no function")
            return BAD
        return Function(name, found)

    def _steps(self, node: Node, what: str) -> Any:
        if value_of(self.r, _ASSERTION["skipped"].shape, node, what) is BAD:
            return BAD
        nodes = node.items if isinstance(node, Sequence) else (node,)
        steps = [self.names.step(each, what) for each in nodes if isinstance(each, Scalar)]
        return BAD if None in steps else tuple(each.text for each in nodes if isinstance(each, Scalar))

    def _range(self, node: Node, what: str) -> Any:
        value = value_of(self.r, _ASSERTION["called"].shape, node, what)
        if value is BAD or not isinstance(node, MappingNode):
            return value if value is BAD else Range(value, value)
        return self.bounds(entries(self.r, node, _RANGE, what), what)

    def bounds(self, found: dict[str, Found], what: str) -> Range:
        """Return the bounds among the keys of a mapping."""
        return Range(*(key_value(self.r, found, _RANGE, name, what) for name in ("at_least", "at_most")))

    # -- messages

    def _messages(self, node: Node, what: str) -> Any:
        nodes = node.items if isinstance(node, Sequence) else (node,)
        found = [self._message(each, what) for each in nodes]
        return BAD if None in found or not found else tuple(each for each in found if each is not None)

    def _message(self, node: Node, what: str) -> MessageTest | None:
        if not isinstance(node, MappingNode):
            text = value_of(self.r, _ASSERTION["messages"].shape, node, what)
            return None if text is BAD else MessageTest(words=(("contains", text),))
        found = entries(self.r, node, _MESSAGE, what)
        words = []
        for name, each in found.items():
            if name in {"role", "at", "roles"}:
                continue
            shape = _MESSAGE[name].shape
            value = (
                self._pattern(each.value, shape, name)
                if name.endswith("regex")
                else value_of(self.r, shape, each.value, f"{name!r} of {what}")
            )
            if value is not BAD:
                words.append((name, value))
        roles = key_value(self.r, found, _MESSAGE, "roles", what)
        if not words and roles is None and not any(name.endswith("regex") for name in found):
            self.r.error("missing-key", node.place(), f"{what} says nothing that must hold", _MESSAGE.lacking)
            return None
        role, at = (key_value(self.r, found, _MESSAGE, name, what) for name in ("role", "at"))
        return MessageTest(role, at, tuple(words), None if roles is None else tuple(roles))

    # -- metrics

    def metrics(self, node: Node, where: str) -> tuple[Metric, ...]:
        """Return the metrics of a mapping; what is wrong is reported and left out."""
        mapping = is_mapping(self.r, node, f"'metrics' of {where}", "write a name and what it measures")
        found = [self._metric(key, value) for key, value in own(mapping)] if mapping else []
        return tuple(each for each in found if each is not None)

    def _metric(self, key: Scalar, node: Node) -> Metric | None:
        what = f"metric {key.text!r}"
        mapping = is_mapping(self.r, node, what, "write {expr: …, at_least: …}")
        found = entries(self.r, mapping, _METRIC, what) if mapping else {}
        if mapping is None or "expr" not in found:
            if mapping is not None and len(found) == len(mapping.named):
                self.r.error("missing-key", mapping.place(), f"{what} lacks 'expr'", "write expr: outputs.score")
            return None
        read = self.names.computed(found["expr"].value, f"'expr' of {what}")
        if read is not None:
            self._number(found["expr"].value, read[1], what)
        aggregate: Any = key_value(self.r, found, _METRIC, "aggregate", what, "mean")
        if "aggregate" in found and aggregate not in AGGREGATES:
            place = found["aggregate"].value
            if ":" in aggregate:
                aggregate = self.function(place, aggregate)
            else:
                hint = did_you_mean(aggregate, AGGREGATES) or f"write {', '.join(AGGREGATES)}, or module:function"
                self.r.error("unknown-word", place.place(), f"{aggregate!r} is no way to aggregate", hint)
                aggregate = BAD
        return None if read is None or aggregate is BAD else Metric(key.text, read[0], aggregate, self.bounds(found, what), key.place())

    def _number(self, node: Node, type_: Type, what: str) -> None:
        if all(isinstance(kind, String) for kind in members(present(type_))):
            self.r.error("assertion-type", node.place(), f"'expr' of {what} is text, not a number", "compare it: `… == '…'`")


def errors_in(r: Reading) -> int:
    """Return how many errors were reported so far."""
    return sum(problem.severity == "error" for problem in r.problems.found)


def _list_of_tables() -> Any:
    return TABLES["test"]["assert"].shape


def _line(word: str, node: Node) -> str:
    """Return an assertion as one line."""
    return f"{word}: {' '.join(_short(plain(node)).split())}"


def _short(value: Any) -> str:
    match value:
        case str():
            return value
        case dict():
            return "{" + ", ".join(f"{key}: {_short(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_short, value)) + "]"
    return printable.json_text(value)
