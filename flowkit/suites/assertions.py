"""Judge assertions on what a run gave and sent. Pure: what must be asked or called first comes as a score."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any, Final

from flowkit import printable
from flowkit.chat import ChatRequest, Message
from flowkit.errors import RenderError
from flowkit.events import StepFinished
from flowkit.money import Cost, money
from flowkit.results import Run, Status
from flowkit.suites.results import Outcome, Verdict
from flowkit.suites.spec import THRESHOLD, Assertion, Case, Condition, Form, MessageTest, Range
from flowkit.templates import RenderFailed
from flowkit.templates.data import LimitExceeded, NotText, text_of
from flowkit.types.validators import Invalid

#: Texts whose lengths multiplied are larger are compared with difflib's shortcut: the exact way takes that many steps.
_EXACT: Final = 4_000_000
#: Characters of a value that an expression read.
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Score:
    """What a judge said of a value: a function, or a model. `failure` is said instead where it could not judge."""

    score: float
    reason: str = ""
    passed: bool | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one run. `finished` holds the ends of steps in their order, `asked` the requests of a step by its path.

    `cost` is that of the run, whenever it was paid; `timed` says whether its seconds are those of servers.
    """

    case: Case
    run: Run
    names: Mapping[str, Any]
    finished: Sequence[StepFinished] = ()
    asked: Mapping[str, Sequence[ChatRequest]] = field(default_factory=dict)
    cost: Cost = Cost()
    timed: bool = False

    def ends(self, step: str) -> list[StepFinished]:
        """Return how a step ended: once, or once for each run of the sub-flow that it stands in."""
        return [event for event in self.finished if event.step == step]

    def first(self, step: str) -> list[ChatRequest]:
        """Return the first request of a step for each item and sample, so that what is asked again does not count."""
        found: dict[tuple[int | None, int | None], ChatRequest] = {}
        for request in self.asked.get(step, ()):
            found.setdefault((request.item, request.sample), request)
        return [found[key] for key in sorted(found, key=lambda key: (key[0] or 0, key[1] or 0))]


class Unclear(Exception):
    """An assertion cannot be judged; the message says why."""


def judge(assertion: Assertion, evidence: Evidence, score: Score | None = None) -> Verdict:
    """Return what became of one assertion. `score` is what the function or the model of the assertion said."""
    try:
        found = _JUDGES[assertion.word](assertion, evidence) if score is None else _scored(assertion, evidence, score)
    except Unclear as unclear:
        found = Verdict(Outcome.ERROR, assertion.shown, str(unclear))
    if found.outcome is Outcome.PASSED:
        return found
    step = assertion.sources[0] if len(assertion.sources) == 1 else None
    # Messages that are what failed are shown as such.
    sent = _sent(step, evidence) if assertion.word != "messages" else ()
    return replace(found, step=step, messages=sent, place=assertion.place)


def _sent(step: str | None, evidence: Evidence) -> tuple[Message, ...]:
    if step is None:
        return ()
    asked = evidence.first(step)
    if asked:
        return asked[0].messages
    result = evidence.run.steps.get(step)
    return tuple(result.messages) if result is not None else ()


# -- the value ---------------------------------------------------------------------------------------------


def value_of(assertion: Assertion, evidence: Evidence) -> Any:
    """Return what an assertion looks at, None where it is absent. Raises Unclear where several values are meant."""
    value = evidence.run.outputs if assertion.step is None else _output(assertion.step, assertion.item, evidence)
    for part in assertion.path:
        if isinstance(value, Mapping):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part] if -len(value) <= part < len(value) else None
        else:
            return None
    return value


def _output(step: str, item: int | None, evidence: Evidence) -> Any:
    ends = evidence.ends(step)
    if len(ends) > 1 and item is None:
        raise Unclear(f"step {step!r} ran {len(ends)} times; say which run is meant: item: 1")
    if item is not None and item > len(ends):
        return None
    return ends[(item or 1) - 1].output if ends else None


def _text(assertion: Assertion, evidence: Evidence) -> str | None:
    value = value_of(assertion, evidence)
    try:
        return None if value is None else text_of(value)
    except (NotText, LimitExceeded) as e:
        raise Unclear(f"the value has no text: {e}") from e


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal as JSON data: 1 is 1.0, and true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


# -- words on values ---------------------------------------------------------------------------------------


def _verdict(assertion: Assertion, holds: bool, reason: str, expected: Any = None, got: Any = None, *, compared: bool = False) -> Verdict:
    if holds:
        return Verdict(Outcome.PASSED, assertion.shown)
    return Verdict(Outcome.FAILED, assertion.shown, reason, expected, got, compared)


def _equals(assertion: Assertion, evidence: Evidence) -> Verdict:
    got = value_of(assertion, evidence)
    if assertion.word == "not-equals":
        return _verdict(assertion, not same(got, assertion.value), "it is this very value", got=got)
    return _verdict(assertion, same(got, assertion.value), "", assertion.value, got, compared=True)


def text_holds(word: str, wanted: Any, text: str) -> bool:
    """Whether one of the words on text holds, its `not-` aside."""
    match word.removeprefix("not-"):
        case "equals":
            return bool(text == wanted)
        case "contains":
            return wanted in text
        case "icontains":
            return str(wanted).casefold() in text.casefold()
        case "starts-with":
            return text.startswith(wanted)
        case "regex":
            return re.search(wanted, text) is not None
        case "contains-all":
            return all(each in text for each in wanted)
        case "contains-any":
            return any(each in text for each in wanted)
    raise AssertionError(word)


def _on_text(assertion: Assertion, evidence: Evidence) -> Verdict:
    text = _text(assertion, evidence)
    if text is None:
        return _verdict(assertion, assertion.word.startswith("not-"), "the value is absent")
    if assertion.word.startswith("not-"):
        return _verdict(assertion, not text_holds(assertion.word, assertion.value, text), "the text holds it", got=text)
    reason = "the text does not"
    if assertion.word == "contains-all":
        missing = [each for each in assertion.value if each not in text]
        reason = f"the text lacks {', '.join(map(repr, missing))}"
    return _verdict(assertion, text_holds(assertion.word, assertion.value, text), reason, got=text)


def _is_json(assertion: Assertion, evidence: Evidence) -> Verdict:
    value = value_of(assertion, evidence)
    wanted = assertion.value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as e:
            return _verdict(assertion, wanted is False, f"the text is no JSON: {e}", got=value)
    if wanted is False:
        return _verdict(assertion, False, "the text is JSON", got=value)
    if isinstance(wanted, Form):
        try:
            wanted.validator.value(value)
        except Invalid as e:
            wrong = [str(error) for error in e.errors if wanted.closed or error.kind != "extra"]
            return _verdict(assertion, not wrong, "; ".join(wrong), got=value)
    return _verdict(assertion, value is not None, "the value is absent")


def _similar(assertion: Assertion, evidence: Evidence) -> Verdict:
    text, wanted = _text(assertion, evidence) or "", assertion.value
    ratio = SequenceMatcher(None, wanted, text, autojunk=len(wanted) * len(text) > _EXACT).ratio()
    least = THRESHOLD if assertion.threshold is None else assertion.threshold
    return _verdict(assertion, ratio >= least, f"the ratio is {ratio:.2f}, not {least:g}", wanted, text, compared=True)


def _scored(assertion: Assertion, evidence: Evidence, score: Score) -> Verdict:
    if score.failure:
        return Verdict(Outcome.ERROR, assertion.shown, score.failure)
    least = assertion.threshold
    holds = score.passed if least is None and score.passed is not None else score.score >= (THRESHOLD if least is None else least)
    said = f"score {score.score:.2g}" + (f", not {least:g}" if least is not None else "")
    got = None if assertion.word == "expr" else value_of(assertion, evidence)
    return _verdict(assertion, holds, f"{said}: {score.reason}" if score.reason else said, got=got)


# -- words on the run --------------------------------------------------------------------------------------


def _expr(assertion: Assertion, evidence: Evidence) -> Verdict:
    condition: Condition = assertion.value
    try:
        holds = condition.holds.of(evidence.names)
    except RenderError as e:
        return _verdict(assertion, False, e.message)
    if holds:
        return _verdict(assertion, True, "")
    said = [f"it is {printable.json_text(holds)}"]
    for text, value in condition.reads:
        try:
            said.append(f"{text} is {printable.clip(printable.json_text(value.of(evidence.names)), _SHOWN)}")
        except RenderFailed as e:
            said.append(f"{text}: {e.message}")
    return _verdict(assertion, False, ", ".join(said))


def _skipped(assertion: Assertion, evidence: Evidence) -> Verdict:
    wanted = assertion.word == "skipped"
    for step in assertion.value:
        ends = evidence.ends(step)
        if not ends and "/" not in step:
            raise Unclear(f"step {step!r} never came to its turn")
        was = all(end.status is Status.SKIPPED for end in ends)
        if was is not wanted:
            said = "was skipped" if was else f"ran and {'failed' if any(e.status is Status.FAILED for e in ends) else 'succeeded'}"
            return _verdict(assertion, False, f"step {step!r} {said}")
    return _verdict(assertion, True, "")


def _called(assertion: Assertion, evidence: Evidence) -> Verdict:
    bounds: Range = assertion.value
    if assertion.step is None:
        made = sum(len(result.attempts) + result.reused for result in evidence.run.steps.values())
    else:
        made = sum(end.attempts + end.reused for end in evidence.ends(assertion.step))
    return _verdict(assertion, bounds.holds(made), f"{printable.plural(made, 'request')}, not {bounds}")


def _messages(assertion: Assertion, evidence: Evidence) -> Verdict:
    assert assertion.step is not None
    requests = evidence.first(assertion.step)
    if assertion.item is not None:
        requests = [request for request in requests if request.item == assertion.item - 1]
    if not requests:
        skipped = any(end.status is Status.SKIPPED for end in evidence.ends(assertion.step))
        why = "it was skipped" if skipped else f"it has no item {assertion.item}" if assertion.item else "it was not asked"
        return _verdict(assertion, False, f"step {assertion.step!r} sent nothing: {why}")
    for request in requests:
        for test in assertion.value:
            reason = _wrong(test, request.messages)
            if reason is not None:
                of = f" of item {request.item + 1}" if request.item is not None else ""
                return Verdict(Outcome.FAILED, assertion.shown, f"{reason}{of}", None, _shown(request.messages))
    return _verdict(assertion, True, "")


def _wrong(test: MessageTest, messages: Sequence[Message]) -> str | None:
    """Return why no message is as wanted, None when one is."""
    if test.roles is not None and tuple(message.role for message in messages) != test.roles:
        return f"the roles are {', '.join(message.role for message in messages)}, not {', '.join(test.roles)}"
    chosen = list(messages)
    if test.at is not None:
        chosen = [messages[test.at]] if -len(messages) <= test.at < len(messages) else []
    chosen = [message for message in chosen if test.role in {None, message.role}]
    of = f" of role {test.role}" if test.role else ""
    wanted = [(word, value) for word, value in test.words if not word.startswith("not-")]
    refused = [(word, value) for word, value in test.words if word.startswith("not-")]
    texts = list(map(text_of_message, chosen))
    for word, value in refused:
        if any(text_holds(word, value, text) for text in texts):
            return f"a message{of} is as it may not be ({word}: {_said(value)})"
    if wanted and not any(all(text_holds(word, value, text) for word, value in wanted) for text in texts):
        return f"no message{of} has {' and '.join(f'{word}: {_said(value)}' for word, value in wanted)}"
    return None


def _said(value: Any) -> str:
    return repr(value.pattern if isinstance(value, re.Pattern) else value)


def text_of_message(message: Message) -> str:
    """Return a message as text: its text parts as they are, other parts as JSON."""
    if isinstance(message.content, str):
        return message.content
    parts = message.content or ()
    return "\n".join(str(part["text"]) if part.get("type") == "text" else json.dumps(part, ensure_ascii=False) for part in parts)


def _shown(messages: Iterable[Message]) -> str:
    return "\n".join(f"── {message.role}\n{text_of_message(message)}" for message in messages)


def _cost(assertion: Assertion, evidence: Evidence) -> Verdict:
    if evidence.run.simulated:
        return Verdict(Outcome.UNJUDGED, assertion.shown, "a simulated run costs nothing")
    total = evidence.cost.total
    if total is None:
        raise Unclear("the cost is unknown: no price is known of a model, or the server did not count tokens; set `price:`")
    return _verdict(assertion, total <= assertion.value, f"it cost {money(total)}")


def _latency(assertion: Assertion, evidence: Evidence) -> Verdict:
    if not evidence.timed:
        why = "a simulated run takes no time" if evidence.run.simulated else "answers that were there before take no time"
        return Verdict(Outcome.UNJUDGED, assertion.shown, why)
    return _verdict(assertion, evidence.run.seconds <= assertion.value, f"it took {printable.seconds(evidence.run.seconds)}")


_JUDGES: Final[Mapping[str, Callable[[Assertion, Evidence], Verdict]]] = {
    "equals": _equals,
    "not-equals": _equals,
    **dict.fromkeys(("contains", "icontains", "starts-with", "regex", "contains-all", "contains-any"), _on_text),
    **dict.fromkeys(("not-contains", "not-icontains", "not-starts-with", "not-regex"), _on_text),
    "is-json": _is_json,
    "similar": _similar,
    "expr": _expr,
    "skipped": _skipped,
    "not-skipped": _skipped,
    "called": _called,
    "messages": _messages,
    "cost": _cost,
    "latency": _latency,
}
