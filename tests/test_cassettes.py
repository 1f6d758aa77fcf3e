"""Recorded calls: what is written reads back to the letter, a replay asks nothing, and a miss shows the nearest question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_server import CountingServer
from hypothesis import given
from hypothesis import strategies as st

import flowkit
from flowkit.cassettes import Call, Player, Recording, Shelf, slug
from flowkit.errors import ConfigError, ModelError, RunError
from flowkit.flow import Flow
from flowkit.results import Run

FLOW = """\
flowkit: 1
inputs: {topic: string}
defaults: {model: m}
steps:
  split:
    prompt: |
      Split this:
      {{ inputs.topic }}
    output: {parts: list(string)}
  draft:
    foreach: steps.split.output.parts
    prompt: "Write about {{ item }}"
  vote: {prompt: "Judge {{ steps.draft.output }}", samples: 2}
"""


def reply(body: dict[str, Any]) -> str:
    return '{"parts": ["a", "b"]}' if "response_format" in body else f"line one\nline two of {len(body['messages'][-1]['content'])}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_KEY", "sk-canary-0123456789abcdef")
    with CountingServer(reply) as server:
        table = f'[providers.p]\nbase_url = "{server.url}"\napi_key_env = "TEST_KEY"\n[models.m]\nmodel = "p/gpt"\nprice = {{input = 1, output = 2}}\n'
        Path("flowkit.toml").write_text(table)
        Path("a.flow.yaml").write_text(FLOW)
        yield server


def load() -> Flow:
    return flowkit.load("a.flow.yaml")


def record(flow: Flow, case: str = "case", **inputs: Any) -> list[Path]:
    tapes: list[Recording] = []

    def tape(inner: Any) -> Recording:
        tapes.append(Recording(inner))
        return tapes[0]

    asyncio.run(flow.start(inputs, tape=tape).finish())
    return Shelf.of(Path("cassettes"), "a", case).write(tapes[0].calls)


def replay(flow: Flow, case: str = "case", **inputs: Any) -> Run:
    shelf = Shelf.of(Path("cassettes"), "a", case)
    return asyncio.run(flow.start(inputs, ledger=Player(shelf.calls, str(shelf.folder))).finish())


def test_what_was_recorded_is_replayed_without_key_or_server(server: CountingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outputs, tokens and cost, and not one request."""
    files = record(load(), topic="x")
    assert [path.name for path in files] == ["draft.yaml", "split.yaml", "vote.yaml"]
    made = server.count
    monkeypatch.delenv("TEST_KEY")
    run = replay(load(), topic="x")
    assert all(text.startswith("line one\nline two") for text in run.outputs["vote"])
    assert (run.usage.calls, run.usage.input_tokens, run.cost.unknown) == (made, 10 * made, 0)
    assert server.count == made


def test_no_key_and_no_header_stands_in_a_file(server: CountingServer) -> None:
    """The key of the environment is nowhere in what goes to git."""
    text = "".join(path.read_text() for path in record(load(), topic="sk-canary-0123456789abcdef"))
    assert "sk-canary" not in text
    assert "uthorization" not in text


def test_a_file_reads_like_the_talk_that_it_keeps(server: CountingServer) -> None:
    """Texts of several lines are blocks, so that a diff shows the line that changed."""
    record(load(), topic="one\ntwo")
    text = Path("cassettes/a/case/split.yaml").read_text()
    assert "      content: |-\n        Split this:\n        one\n        two\n" in text
    assert text.startswith("# A recorded answer of a model")


def test_recording_again_touches_only_what_changed(server: CountingServer) -> None:
    """Calls that are gone leave, files that say the same stay as they are."""
    record(load(), topic="x")
    before = {path: path.stat().st_mtime_ns for path in Path("cassettes").rglob("*.yaml")}
    Path("a.flow.yaml").write_text(FLOW.replace("Judge", "Weigh"))
    record(load(), topic="x")
    after = {path: path.stat().st_mtime_ns for path in Path("cassettes").rglob("*.yaml")}
    assert [path.name for path in after if after[path] != before[path]] == ["vote.yaml"]
    Path("a.flow.yaml").write_text(FLOW.rpartition("  vote")[0])
    record(load(), topic="x")
    assert sorted(path.name for path in Path("cassettes").rglob("*.yaml")) == ["draft.yaml", "split.yaml"]


def test_a_miss_names_the_nearest_and_shows_the_difference(server: CountingServer) -> None:
    """One word of a prompt changed: the message shows it, and nothing is asked."""
    record(load(), topic="x")
    made = server.count
    Path("a.flow.yaml").write_text(FLOW.replace("Write about", "Tell of"))
    with pytest.raises(RunError) as caught:
        replay(load(), topic="x")
    said = str(caught.value)
    assert "cassettes/a/case/draft.yaml, call 1" in said
    assert "-user: Write about a" in said
    assert "+user: Tell of a" in said
    assert "--record" in said
    assert server.count == made
    assert caught.value.kind == "not_recorded"


def test_a_question_asked_more_often_than_recorded_is_a_miss(server: CountingServer) -> None:
    """Samples are calls of their own in a cassette too."""
    record(load(), topic="x")
    Path("a.flow.yaml").write_text(FLOW.replace("samples: 2", "samples: 3"))
    with pytest.raises(RunError, match=r"recorded 2 times .* and asked once more"):
        replay(load(), topic="x")


def test_nothing_recorded_says_so(server: CountingServer) -> None:
    """The way out is named."""
    with pytest.raises(RunError, match=r"no call of this step is recorded in .*cassettes/a/case; record it with --record"):
        replay(load(), topic="x")


def test_another_server_or_key_replays_the_same(server: CountingServer) -> None:
    """A cassette answers the question, wherever it is asked."""
    record(load(), topic="x")
    Path("flowkit.toml").write_text(
        '[providers.p]\nbase_url = "https://elsewhere.example/v1"\napi_key_env = "NO"\n[models.m]\nmodel = "p/gpt"\n'
    )
    assert replay(load(), topic="x").status == "succeeded"


def test_streamed_and_whole_share_a_cassette(server: CountingServer) -> None:
    """Pieces come from the recorded text."""
    record(load(), topic="x")
    shelf = Shelf.of(Path("cassettes"), "a", "case")
    events: list[Any] = []
    started = load().start({"topic": "x"}, ledger=Player(shelf.calls, "here"), emit=events.append, stream=True)
    asyncio.run(started.finish())
    assert any(type(event).__name__ == "StepDelta" for event in events)


def test_a_refusal_is_replayed_as_one(server: CountingServer) -> None:
    """Errors that belong to the question are kept; a bad day of the server is not."""
    server.reply = lambda _: (400, "too long")
    tapes: list[Recording] = []

    def tape(inner: Any) -> Recording:
        tapes.append(Recording(inner))
        return tapes[0]

    with pytest.raises(ModelError):
        asyncio.run(load().start({"topic": "x"}, tape=tape).finish())
    Shelf.of(Path("cassettes"), "a", "case").write(tapes[0].calls)
    made = server.count
    with pytest.raises(ModelError, match="too long") as caught:
        replay(load(), topic="x")
    assert (caught.value.kind, server.count) == ("bad_request", made)


def test_the_record_is_kept_beside_the_tape(server: CountingServer) -> None:
    """Recording pays nothing for answers that are in the record already."""
    runtime = flowkit.Runtime(record=True, cache=True)
    flow = flowkit.load("a.flow.yaml", runtime=runtime)
    flow.run(topic="x")
    made = server.count
    record(flow, topic="x")
    assert server.count == made
    assert replay(load(), topic="x").usage.calls == made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1\n", "is no mapping"),
        ("- {request: {}}\n", "names no `step`"),
        ("- {step: a}\n", "has no `request`"),
        ("- {step: a, request: {}}\n", "neither `reply` nor `error`"),
        ("- {step: a,\n", "no recorded call"),
        ("", "the file is empty"),
    ],
)
def test_a_broken_file_is_named_with_its_way_out(tmp_path: Path, text: str, said: str) -> None:
    """A merge conflict, say."""
    path = tmp_path / "a" / "case" / "s.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        Shelf.of(tmp_path, "a", "case")


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
)


@given(st.lists(st.tuples(_TEXT, _DATA), min_size=1, max_size=3))
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, Any]]) -> None:
    """Whatever a user or a model writes, with any blank, line end or control character."""
    folder = tmp_path_factory.mktemp("tapes")
    calls = [
        Call("s", {"messages": [{"role": "user", "content": text}], "more": data}, number, reply={"text": text, "finish": "stop"})
        for number, (text, data) in enumerate(said)
    ]
    Shelf.of(folder, "f", "c").write(calls)
    found = Shelf.of(folder, "f", "c").calls
    assert [(json.dumps(call.request), call.reply) for call in found] == [(json.dumps(call.request), call.reply) for call in calls]
    assert {call.question for call in found} == {call.question for call in calls}


@given(st.lists(_TEXT, min_size=2, max_size=5, unique=True))
def test_names_of_cases_never_share_a_folder(names: list[str]) -> None:
    """Also where the file system does not tell upper from lower case, or knows no slash."""
    found = [slug(name) for name in names]
    assert len({name.lower() for name in found}) == len(names) or len({n.lower() for n in names}) < len(names)
    assert all(name and set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") for name in found)
