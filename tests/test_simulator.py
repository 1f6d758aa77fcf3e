"""A simulated server answers in real bytes, as written or by type, in the same way each time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowkit import source
from flowkit.answers import read
from flowkit.chat import ChatRequest, Message
from flowkit.errors import Problems
from flowkit.replies import Replies, parse_replies, replies_of
from flowkit.simulator import Simulator
from flowkit.types.algebra import BOOLEAN, INTEGER, NULL, NUMBER, STRING, Date, Enum, Field, List, Record, String, Type, union
from flowkit.types.schemas import shape
from flowkit.types.validators import Invalid, Validator
from flowkit.wire.reply import Reader
from flowkit.wire.request import encode

if TYPE_CHECKING:
    from flowkit.wire.response import Response

ISSUE = Record((Field("title", STRING), Field("severity", INTEGER), Field("note", STRING, optional=True)), name="Issue")


def request(
    step: str = "a",
    user: str = "hi",
    type_: Type | None = None,
    *,
    item: int | None = None,
    stream: bool = False,
    before: tuple[Message, ...] = (),
) -> ChatRequest:
    form = shape(type_, step, lengths=False) if type_ is not None else None
    return ChatRequest("m", (*before, Message("user", user)), shape=form, structured="json_schema", stream=stream, step=step, item=item)


def respond(simulator: Simulator, question: ChatRequest) -> Response:
    return asyncio.run(simulator.respond(question, encode(question)))


def body(response: Response) -> bytes:
    assert not hasattr(response.chunks, "__aiter__")
    return b"".join(chunk for chunk in response.chunks if isinstance(chunk, bytes))


def text(simulator: Simulator, question: ChatRequest) -> str:
    response = respond(simulator, question)
    assert response.status == 200
    return str(json.loads(body(response))["choices"][0]["message"]["content"])


def texts(simulator: Simulator, *questions: ChatRequest) -> list[str]:
    return [text(simulator, each) for each in questions]


def value(simulator: Simulator, type_: Type, **more: Any) -> Any:
    question = request(type_=type_, **more)
    assert question.shape is not None
    return read(text(simulator, question), Validator(type_), wrapped=question.shape.wrapped).value


def parsed(written: str) -> tuple[Replies, list[tuple[str, int, int, str]]]:
    problems = Problems()
    document = source.parse(written, path=Path("replies.yaml"), shown="replies.yaml", problems=problems)
    replies = parse_replies(document, problems)
    return replies, [(p.code, p.place.line, p.place.column, p.message) for p in problems.ordered()]


def simulator(written: str, **more: Any) -> Simulator:
    replies, found = parsed(written)
    assert found == []
    return Simulator(replies, **more)


# -- which reply -------------------------------------------------------------------------------------------


def test_one_reply_is_for_every_call() -> None:
    """A single reply repeats."""
    assert texts(simulator("a: Hello.\n"), request(), request(), request("a", "other")) == ["Hello."] * 3


def test_list_is_used_in_order_and_its_last_repeats() -> None:
    """Calls of a step take the replies one after the other."""
    assert texts(simulator("a: [one, two]\n"), request(), request(), request()) == ["one", "two", "two"]


def test_items_of_a_foreach_take_replies_by_position_in_any_order() -> None:
    """Item 2 gets the third reply even when it comes first; asked again, it gets the same; beyond the end the last one."""
    server = simulator("a: [zero, one, two]\n")
    order = (2, 0, 1, 1, 0, 7)
    assert texts(server, *(request(item=i) for i in order)) == ["two", "zero", "one", "one", "zero", "two"]


def test_steps_count_for_themselves() -> None:
    """Each step, and a step inside a sub-flow, has its own replies."""
    server = simulator("a: [one, two]\nouter/a: [three]\n")
    assert texts(server, request("outer/a"), request("a"), request("outer/a"), request("a")) == ["three", "one", "three", "two"]


def test_match_looks_into_the_last_user_message() -> None:
    """Text and /regex/ are looked for there alone; the entry without match is the rest, wherever it stands."""
    server = simulator("a:\n  - {reply: rest}\n  - {match: 'C++ (new)', reply: text}\n  - {match: /cred\\w+\\s+score/, reply: regex}\n")
    assert text(server, request(user="about C++ (new)?")) == "text"
    assert text(server, request(user="a credit\n score")) == "regex"
    assert text(server, request(user="else", before=(Message("user", "C++ (new)"), Message("assistant", "x")))) == "rest"


def test_match_sees_the_text_of_parts() -> None:
    """A message of parts is looked at by its texts."""
    server = simulator("a: [{match: cat, reply: a cat}, {reply: rest}]\n")
    parts = ({"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "Is it a cat?"})
    question = ChatRequest("m", (Message("user", parts),), step="a")
    assert text(server, question) == "a cat"


def test_question_that_is_asked_again_still_matches() -> None:
    """A re-ask is about the same question, so it gets the same entry, at every depth."""
    server = simulator("a: [{match: /^first/, reply: matched}, {reply: rest}]\n")
    messages: tuple[Message, ...] = (Message("user", "first question"),)
    for _ in range(3):
        assert text(server, ChatRequest("m", messages, step="a")) == "matched"
        messages = (*messages, Message("assistant", "matched"), Message("user", "The answer was wrong: say it again."))


def test_talk_that_only_goes_on_is_a_question_of_its_own() -> None:
    """Earlier messages do not count, not even when another step asked them."""
    server = simulator("a: [{match: /^first/, reply: matched}, {reply: rest}]\nb: [{match: /^first/, reply: matched}]\n")
    assert text(server, request("b", user="first question")) == "matched"
    before = (Message("user", "first question"), Message("assistant", "matched"))
    assert text(server, request(user="second", before=before)) == "rest"


def test_entries_with_the_same_match_are_used_in_order_for_each_item() -> None:
    """So a first attempt may fail and the second one succeed."""
    server = simulator("a:\n  - {match: x, error: {status: 503, message: busy}}\n  - {match: x, reply: fine}\n")
    assert [respond(server, request(user="x", item=i)).status for i in (0, 1, 0, 1)] == [503, 503, 200, 200]


def test_no_entry_that_fits_gives_a_sample() -> None:
    """Without a rest, what nothing matches is simulated by type."""
    assert "imulated" in text(simulator("a: [{match: x, reply: y}]\n"), request())


# -- what it says ------------------------------------------------------------------------------------------


def test_number_under_a_text_step_is_the_text_as_written() -> None:
    """`1.10` is not 1.1 to a step that answers in text."""
    server = simulator("a: [1.10, yes, 007, true, [1, 2], {b: é}]\n")
    assert texts(server, *[request()] * 6) == ["1.10", "yes", "007", "true", "[1, 2]", '{"b": "é"}']


@pytest.mark.parametrize(
    ("written", "type_", "expected"),
    [
        ("a: 5\n", INTEGER, 5),
        ("a: bug\n", Enum(("bug", "question")), "bug"),
        ("a: 2024-05-01\n", Date(), "2024-05-01"),
        ("a: [[x, y]]\n", List(STRING), ["x", "y"]),
        ("a: [[]]\n", List(STRING), []),
        ("a: {title: t, severity: 3}\n", ISSUE, {"title": "t", "severity": 3}),
        ("a: plain words\n", union(STRING, NULL), "plain words"),
        ("a: null\n", union(STRING, NULL), None),
        ('a: \'{"title": "t", "severity": 3}\'\n', ISSUE, {"title": "t", "severity": 3}),
        ('a: |\n  ```json\n  {"value": "bug"}\n  ```\n', Enum(("bug", "question")), "bug"),
        ("a: short\n", String(max=10), "short"),
    ],
)
def test_reply_for_a_typed_step_is_read_by_the_reader_of_real_answers(written: str, type_: Type, expected: Any) -> None:
    """Values come in the form that the server was asked for; a text for a record is what the model wrote."""
    assert value(simulator(written), type_) == expected


@pytest.mark.parametrize(("written", "type_"), [("a: {title: 1}\n", ISSUE), ("a: other\n", Enum(("bug",))), ("a: high\n", INTEGER)])
def test_reply_of_the_wrong_type_is_no_answer(written: str, type_: Type) -> None:
    """What does not fit is refused by the same validation as a real answer."""
    with pytest.raises(Invalid):
        value(simulator(written), type_)


@pytest.mark.parametrize(
    "type_", [STRING, INTEGER, NUMBER, BOOLEAN, Date(), Enum(("a", "b")), List(ISSUE), ISSUE, union(INTEGER, NULL), String(min=3, max=8)]
)
def test_step_without_a_reply_fits_its_type_with_or_without_its_types(type_: Type) -> None:
    """A sample comes from the declared type, or where that is not known from the schema that the server is given."""
    servers = [Simulator(types={"a": type_})]
    if type_ != String(min=3, max=8):  # the schema that servers get leaves lengths out
        servers.append(Simulator())
    for server in servers:
        found = value(server, type_)
        assert Validator(type_).value(found) == found


def test_samples_are_the_same_for_the_same_seed() -> None:
    """Step, item and number of the call decide, not the order in which others came."""
    one, two = (Simulator(types={"a": List(ISSUE), "b": ISSUE}, seed="s") for _ in range(2))
    first = [value(one, ISSUE, step="b", item=0), value(one, ISSUE, step="b", item=1), value(one, List(ISSUE))]
    second = [value(two, List(ISSUE)), value(two, ISSUE, step="b", item=1), value(two, ISSUE, step="b", item=0)]
    assert first == second[::-1]


def test_text_without_a_reply_says_that_it_is_simulated() -> None:
    """Nobody may take it for an answer of a model."""
    server = Simulator()
    assert texts(server, request("draft"), request("draft"), request("draft", item=2)) == [
        "Simulated answer of 'draft'",
        "Simulated answer of 'draft', call 2",
        "Simulated answer of 'draft', item 3",
    ]


# -- bytes -------------------------------------------------------------------------------------------------


def test_whole_answer_has_the_form_of_the_protocol() -> None:
    """The body holds all that OpenAI's holds, with usage."""
    found = json.loads(body(respond(simulator("a: Hello there.\n"), request(user="x" * 40))))
    assert found["object"] == "chat.completion"
    assert found["model"] == "m"
    assert found["choices"][0]["finish_reason"] == "stop"
    assert found["usage"] == {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}


def test_stream_has_the_form_of_the_protocol() -> None:
    """Role first, pieces of text, finish, usage, [DONE]; each event whole."""
    said = "A sentence — long enough for several pieces, with é and 😀."
    response = respond(Simulator(replies_of({"a": said})), request(stream=True))
    assert response.content_type == "text/event-stream"
    events = body(response).decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == said
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]) == ([], 15)
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_usage_in_a_stream_comes_only_when_asked_for() -> None:
    """Like OpenAI, a simulated stream says nothing of usage unasked."""
    question = request(stream=True)
    response = asyncio.run(Simulator().respond(question, encode(question, stream_usage=False)))
    assert b"usage" not in body(response)


def test_surrogate_in_a_reply_leaves_as_an_escape() -> None:
    """A reply that is no Unicode text travels as it would from a real server."""
    assert b"\\ud800" in body(respond(Simulator(replies_of({"a": "bad \ud800"})), request()))


def test_latency_comes_before_the_answer() -> None:
    """Seconds to wait are data, for the client to wait."""
    assert next(iter(respond(Simulator(latency=0.25), request()).chunks)) == 0.25  # type: ignore[arg-type]  # a list, by construction


def test_error_and_timeout() -> None:
    """An error is an answer with a status; a timeout needs no time."""
    server = simulator("a: [{match: e, error: {status: 429, message: slow down}}, {match: t, error: timeout}]\n")
    refused = respond(server, request(user="e"))
    assert (refused.status, json.loads(body(refused))["error"]["message"]) == (429, "slow down")
    silent = respond(server, request(user="t"))
    assert [type(chunk) for chunk in silent.chunks] == [TimeoutError]  # type: ignore[union-attr]  # a list, by construction


# -- the file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["", "# nothing\n", "{}\n"])
def test_empty_file_has_no_replies(written: str) -> None:
    """Everything is then simulated by type."""
    replies, _ = parsed(written)
    assert replies.scripts == {}


def test_names_of_steps_keep_their_places() -> None:
    """The caller checks the names and can point at them; keys with x- are free."""
    replies, found = parsed("a: hi\nx-note: anything\nouter/inner: ho\n")
    assert found == []
    assert {step: place and (place.line, place.column) for step, place in replies.steps.items()} == {"a": (1, 1), "outer/inner": (3, 1)}


def test_answer_may_have_fields_named_like_an_entry() -> None:
    """A single mapping is an answer, and so is a list's mapping with other fields."""
    server = simulator(
        "a: {match: yes, score: 3}\nb: [{reply: {reply: hi, error: null}}]\nc: [{match: m, score: 1}, {match: n, score: 2}]\n"
    )
    assert json.loads(text(server, request("a"))) == {"match": "yes", "score": 3}
    assert json.loads(text(server, request("b"))) == {"reply": "hi", "error": None}
    assert json.loads(text(server, request("c"))) == {"match": "m", "score": 1}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("- a\n", [("reply-form", 1, 1, "replies are a mapping from step names")]),
        ("a: []\n", [("reply-form", 1, 4, "the list of replies is empty")]),
        (
            "a:\n  - {match: x, reply: y}\n  - rest\n",
            [("reply-form", 3, 5, "entries with match stand beside plain replies")],
        ),
        ("a:\n  - {match: x, repyl: y}\n", [("unknown-key", 2, 16, "unknown key 'repyl' in an entry of replies")]),
        ("a:\n  - {match: x, reply: y, error: timeout}\n", [("reply-form", 2, 5, "an entry has either reply or error")]),
        ("a:\n  - {match: [x], reply: y}\n", [("reply-form", 2, 13, "match must be text or /regex/")]),
        (
            "a:\n  - {match: '/(/', reply: y}\n",
            [
                ("wrong-pattern", 2, 13, "'/(/' is no regular expression: missing ), unterminated subpattern"),
            ],
        ),
        ("a:\n  - {error: tiemout}\n", [("reply-form", 2, 13, "an error is a mapping with status, or the word timeout")]),
        ("a:\n  - {error: {status: 200}}\n", [("reply-form", 2, 22, "the status of an error is a number from 300 to 599")]),
        ("a:\n  - {error: {message: m}}\n", [("reply-form", 2, 13, "the status of an error is a number from 300 to 599")]),
        ("a:\n  - {error: {status: 429, mesage: m}}\n", [("unknown-key", 2, 27, "unknown key 'mesage' in an error")]),
        ("a: {match: x, reply: y}\n", [("reply-form", 1, 4, "a single entry with match or error would be taken for an answer")]),
        ("a: {error: timeout}\n", [("reply-form", 1, 4, "a single entry with match or error would be taken for an answer")]),
        ("a: [{error: {status: 429}}, fine]\n", [("reply-form", 1, 5, "an error stands among plain replies")]),
        ("a: []\nb: []\n", [("reply-form", 1, 4, "the list of replies is empty"), ("reply-form", 2, 4, "the list of replies is empty")]),
    ],
)
def test_mistake_in_the_form_has_its_place(written: str, expected: list[tuple[str, int, int, str]]) -> None:
    """Each mistake is told at the value or key that is wrong, all at once."""
    assert parsed(written)[1] == expected


# -- tools ---------------------------------------------------------------------------------------------------

CALLS = """
a:
  - tool_calls: [{search: {query: cats}}, {search: {query: dogs}, count: "{"}]
  - match: sad
    reply: Poor you.
  - reply: Two.
"""


def test_tools_are_called_and_then_there_is_an_answer() -> None:
    server = simulator(CALLS)
    message = json.loads(body(respond(server, request())))["choices"][0]
    assert message["finish_reason"] == "tool_calls"
    assert message["message"]["content"] is None
    called = [(c["type"], c["function"]["name"], c["function"]["arguments"]) for c in message["message"]["tool_calls"]]
    assert called == [("function", "search", '{"query": "cats"}'), ("function", "search", '{"query": "dogs"}'), ("function", "count", "{")]
    assert len({c["id"] for c in message["message"]["tool_calls"]}) == 3
    assert texts(server, request(), request(user="I am sad")) == ["Two.", "Poor you."]


def test_each_item_calls_tools_by_itself() -> None:
    server = simulator(CALLS)
    for item in (1, 0):
        assert json.loads(body(respond(server, request(item=item))))["choices"][0]["finish_reason"] == "tool_calls"
    assert texts(server, request(item=0), request(item=1)) == ["Two.", "Two."]


def test_calls_come_in_pieces_in_a_stream() -> None:
    reader = Reader(stream=True)
    reader.feed(body(respond(simulator(CALLS), request(stream=True))))
    done, _ = reader.conclude()
    assert [(c.name, c.arguments) for c in done.tool_calls] == [
        ("search", '{"query": "cats"}'),
        ("search", '{"query": "dogs"}'),
        ("count", "{"),
    ]
    assert done.finish == "tool_calls"


@pytest.mark.parametrize(
    "written",
    [
        "a: {tool_calls: [{search: {query: x}}]}",
        "a: [{tool_calls: [{search: {query: x}}]}, plain]",
        "a: [{tool_calls: search, match: x}]",
        "a: [{tool_calls: [{search: {}}], reply: x}]",
        "a: [{match: x, tool_calls: []}]",
    ],
)
def test_calls_in_a_wrong_form_are_a_problem(written: str) -> None:
    assert [code for code, *_ in parsed(written)[1]] == ["reply-form"]


def test_a_record_with_a_field_of_that_name_is_an_answer() -> None:
    """What has not the form of calls is a value; one that has stands under `reply`."""
    type_ = Record((Field("tool_calls", INTEGER),))
    assert value(simulator("a: [{tool_calls: 3}]"), type_) == {"tool_calls": 3}
    assert value(simulator("a: {tool_calls: 3}"), type_) == {"tool_calls": 3}
