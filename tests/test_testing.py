"""The simulated server for tests of one's own flows stands behind the real client, so that all of it is exercised."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from flowkit.chat import Attempt, ChatRequest, Completion, Message
from flowkit.client import Client
from flowkit.endpoints import Endpoint
from flowkit.errors import ModelError
from flowkit.retry import Policy
from flowkit.testing import Simulator, broken_stream, error, filtered, refusal, simulate, slow, timeout, truncated
from flowkit.types.algebra import INTEGER, Field, Record, String
from flowkit.types.schemas import shape

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDPOINT = Endpoint("ollama/m", "http://127.0.0.1:9/v1", "m")
ONCE, THRICE = Policy(attempts=1), Policy(attempts=3, initial=0.0)


def question(step: str = "a", user: str = "hi", **more: Any) -> ChatRequest:
    return ChatRequest("m", (Message("user", user),), step=step, **more)


def ask(
    server: Simulator, *questions: ChatRequest, policy: Policy = ONCE, timeout: float = 5.0, attempts: list[Attempt] | None = None
) -> list[Completion]:
    async def run() -> list[Completion]:
        seen = [] if attempts is None else attempts
        async with Client(server) as client:
            return [
                await client.complete(ENDPOINT, each, policy=policy, attempt_timeout=timeout, on_attempt=lambda a, d: seen.append(a))
                for each in questions
            ]

    return asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_answer_comes_through_the_real_client(stream: bool) -> None:
    """Text, finish and usage are read from bytes, whole or in pieces."""
    (answer,) = ask(simulate({"a": "Hello there, dear reader."}), question(stream=stream))
    assert (answer.text, answer.finish) == ("Hello there, dear reader.", "stop")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.calls) == (1, 7, 1)


def test_pieces_of_a_stream_arrive_one_by_one() -> None:
    """The text that came in pieces is the whole text."""
    pieces: list[str] = []

    async def run() -> Completion:
        async with Client(simulate({"a": "A sentence of several pieces, surely."})) as client:
            return await client.complete(ENDPOINT, question(stream=True), policy=ONCE, attempt_timeout=5, on_delta=pieces.append)

    assert asyncio.run(run()).text == "".join(pieces)
    assert len(pieces) > 1


def test_ledger_holds_every_request_in_order() -> None:
    """What was asked can be asserted on, attempts included."""
    server = simulate({"a": [error(503), "fine"]})
    ask(server, question("b", "first"), question("a", "second"), policy=THRICE)
    assert [each.step for each in server.requests] == ["b", "a", "a"]
    assert [each.messages[0].content for each in server.asked("a")] == ["second", "second"]
    assert server.asked("c") == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(429), "rate_limit"),
        (error(429, code="insufficient_quota"), "quota"),
        (error(500), "server"),
        (error(401), "auth"),
        (error(400, code="context_length_exceeded"), "context_length"),
        (timeout(), "timeout"),
        (broken_stream(), "connection"),
        (broken_stream(after=0), "connection"),
        (broken_stream("short", after=99), "connection"),
        (broken_stream(reset=False), "stream_truncated"),
    ],
)
def test_failure_is_the_kind_that_a_real_server_would_cause(reply: object, kind: str) -> None:
    """Each fault has the word that the record and `retry.on` use."""
    with pytest.raises(ModelError) as caught:
        ask(simulate({"a": reply}), question(stream=True))
    assert caught.value.kind == kind


def test_whole_answer_that_breaks_off_is_a_failure_too() -> None:
    """Without a stream the body breaks off in its middle."""
    kinds = []
    for reset in (True, False):
        with pytest.raises(ModelError) as caught:
            ask(simulate({"a": broken_stream(reset=reset)}), question())
        kinds.append(caught.value.kind)
    assert kinds == ["connection", "bad_response"]


@pytest.mark.parametrize("failure", [error(429, "slow down"), error(503), timeout(), broken_stream()])
def test_failure_that_passes_is_tried_again(failure: object) -> None:
    """The next reply of the list answers the next attempt."""
    attempts: list[Attempt] = []
    (answer,) = ask(simulate({"a": [failure, "fine"]}), question(stream=True), policy=THRICE, attempts=attempts)
    assert answer.text == "fine"
    assert len(attempts) == 2
    assert [attempt.outcome == "ok" for attempt in attempts] == [False, True]


@pytest.mark.parametrize("stream", [False, True])
def test_finish_and_refusal(stream: bool) -> None:
    """An answer may be cut, filtered or refused."""
    server = simulate({"cut": truncated("Once upon"), "filter": filtered(), "no": refusal("Not that.")})
    cut, filtered_, no = ask(server, *(question(step, stream=stream) for step in ("cut", "filter", "no")))
    assert (cut.text, cut.finish) == ("Once upon", "length")
    assert filtered_.finish == "content_filter"
    assert (no.refusal, no.text) == ("Not that.", "")


def test_slow_answer_meets_the_deadline_of_its_attempt() -> None:
    """Latency is waited for by the client, so a deadline can pass."""
    with pytest.raises(ModelError) as caught:
        ask(simulate({"a": slow("late", 60)}), question(), timeout=0.05)
    assert caught.value.kind == "timeout"


def test_data_answers_a_typed_step_in_the_form_that_it_asks_for() -> None:
    """A record stands as it is, anything else under `value`."""
    record = Record((Field("n", INTEGER),))
    server = simulate({"record": {"n": 3}, "number": 3})
    answers = ask(
        server,
        question("record", shape=shape(record, "record", lengths=False)),
        question("number", shape=shape(INTEGER, "number", lengths=False)),
    )
    assert [answer.text for answer in answers] == ['{"n": 3}', '{"value": 3}']


def test_cases_choose_by_the_question() -> None:
    """The form of a file of replies works in Python as well."""
    said = [{"match": "cat", "reply": "Meow."}, {"match": "/d.g/", "error": {"status": 400, "message": "no dogs"}}, {"reply": "?"}]
    server = simulate({"a": said})
    assert [answer.text for answer in ask(server, question(user="A cat."), question(user="A cow."))] == ["Meow.", "?"]
    with pytest.raises(ModelError, match="no dogs"):
        ask(server, question(user="A dog."))


def test_types_may_be_taught_later() -> None:
    """A flow teaches its types to a server that was made before it was loaded."""
    server = simulate()
    server.learn({"a": String(max=8)})
    (answer,) = ask(server, question())
    assert 0 < len(answer.text) <= 8


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"a": []}, r"replies\['a'\]: the list of replies is empty"),
        ({"a": [{"match": "x", "reply": "y"}, "rest"]}, r"replies\['a'\]\[1\]: entries with match stand beside plain replies"),
        ({"a": {1, 2}}, "the reply of 'a' is no plain data"),
        ({"a": ["fine", object()]}, "the reply of 'a' is no plain data"),
    ],
)
def test_wrong_replies_are_refused_at_once(said: dict[str, object], message: str) -> None:
    """A mistake in a test is told where it is made, not when the flow runs."""
    with pytest.raises(ValueError, match=message):
        simulate(said)


def test_items_answer_alike_in_any_order() -> None:
    """The order in which items of a `foreach` come does not change what they get."""

    def run(order: Sequence[int]) -> dict[int, str]:
        answers = ask(simulate({"a": ["zero", "one"]}), *(question(item=i) for i in order))
        return {i: answer.text for i, answer in zip(order, answers, strict=True)}

    assert run((0, 1, 2)) == run((2, 0, 1)) == {0: "zero", 1: "one", 2: "one"}
