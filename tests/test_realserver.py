"""Flows against the real llama.cpp HTTP server, with a model of random weights that is made here: any server, no answer of sense."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import pytest
from command_line import call

import flowkit
from flowkit.errors import ModelError, RunError
from flowkit.events import Event, StepDelta, StepFinished
from flowkit.results import Status

pytestmark = pytest.mark.realserver

HERE = Path(__file__).parent / "realserver"
KEY = "sk-local-realserver"
MISSING = [name for name in ("xllamacpp", "gguf", "numpy") if util.find_spec(name) is None]

HEAD = "flowkit: 1\ndefaults: {model: tiny, params: {temperature: 0.8, seed: 7, max_tokens: 400}}\n"
TYPED = """
inputs: {topic: string}
types:
  Point:
    word: string(1..12)
    weight: integer(1..5)
steps:
  outline:
    messages:
      - system: You make outlines.
      - user: "{{ inputs.topic }}"
    output:
      kind: enum(essay | list | question)
      sure: boolean
      points: {type: list(Point), min_items: 1, max_items: 3}
      note?: string(..10)
  expand:
    foreach: steps.outline.output.points
    as: point
    prompt: "Write about {{ point.word }} ({{ point.weight }})"
    output: {text: string(..20), score: integer(0..10)}
outputs: {outline: steps.outline.output, expanded: steps.expand.output}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that is ready."""
    if MISSING:
        words = f"the real server needs {', '.join(MISSING)}: install the extra `realserver`"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    model = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([sys.executable, HERE / "make_tiny_gguf.py", model], check=True, timeout=60)
    log = model.with_suffix(".log").open("wb")
    with subprocess.Popen([sys.executable, HERE / "llamacpp_server.py", model, KEY], stdout=subprocess.PIPE, stderr=log) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().decode().strip()
            assert address.startswith("http://127.0.0.1:"), model.with_suffix(".log").read_text(errors="replace")[-2000:]
            _until_ready(address)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            log.close()


def _until_ready(address: str, seconds: float = 60) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    ends = time.monotonic() + seconds
    while True:
        try:
            with opener.open(f"{address}/health", timeout=5) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        assert time.monotonic() < ends, f"{address} was not ready within {seconds:g} s"
        time.sleep(0.05)


def load(folder: Path, address: str, text: str, *, key: str = KEY, more: str = "") -> flowkit.Flow:
    (folder / "flowkit.toml").write_text(
        f'[models.tiny]\nmodel = "llamacpp/tiny-random"\nbase_url = "{address}/v1"\napi_key_env = "TINY_KEY"\n{more}'
    )
    path = folder / "main.flow.yaml"
    path.write_text(HEAD + text)
    return flowkit.load(path, runtime=flowkit.Runtime(env={"TINY_KEY": key}))


def streamed(flow: flowkit.Flow, **inputs: object) -> list[Event]:
    async def main() -> list[Event]:
        return [event async for event in flow.stream(**inputs)]

    return asyncio.run(main())


def check_typed(outputs: dict[str, object], topic: str) -> None:
    outline, expanded = outputs["outline"], outputs["expanded"]
    assert isinstance(outline, dict), topic
    assert isinstance(expanded, list)
    assert outline["kind"] in {"essay", "list", "question"}
    assert isinstance(outline["sure"], bool)
    assert 1 <= len(outline["points"]) == len(expanded) <= 3
    for point in outline["points"]:
        assert 1 <= len(point["word"]) <= 12
        assert 1 <= point["weight"] <= 5
    for each in expanded:
        assert set(each) == {"text", "score"}
        assert 0 <= each["score"] <= 10


@pytest.mark.parametrize("topic", ["tea", "a lighthouse\nin fog", "{{ no }} «ünïcode» 🫖"])
def test_typed_answers_have_their_types(server: str, tmp_path: Path, topic: str) -> None:
    """The schema goes out in a form that the server takes, bounds included, and what comes back is validated."""
    run = load(tmp_path, server, TYPED).run(topic=topic)
    check_typed(run.outputs, topic)
    outline = run.steps["outline"]
    assert [a.structured for a in outline.attempts] == ["json_schema"] * len(outline.attempts)
    assert outline.usage.input_tokens
    assert outline.usage.output_tokens
    assert outline.model == "llamacpp/tiny-random"


def test_a_streamed_answer_is_the_same_kind_of_answer(server: str, tmp_path: Path) -> None:
    """Its pieces make up the text that was read; usage comes with the last of them."""
    events = streamed(load(tmp_path, server, TYPED), topic="tea")
    finished = {e.step: e for e in events if isinstance(e, StepFinished)}
    check_typed({"outline": finished["outline"].output, "expanded": finished["expand"].output}, "tea")
    assert sum(isinstance(e, StepDelta) and e.step == "outline" for e in events) > 1
    assert finished["outline"].usage.output_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_free_text_comes_as_it_is(server: str, tmp_path: Path, stream: bool) -> None:
    flow = load(tmp_path, server, "steps:\n  a: {prompt: Say something., params: {max_tokens: 24, extra_body: {ignore_eos: true}}}\n")
    if stream:
        events = streamed(flow)
        text = next(e for e in events if isinstance(e, StepFinished)).output
        assert "".join(e.text for e in events if isinstance(e, StepDelta)) == text
    else:
        run = flow.run()
        text = run.outputs["a"]
        assert run.usage.output_tokens == 24
    assert text


@pytest.mark.parametrize("form", ["json_schema", "json_object", "prompt"])
def test_every_form_of_typed_answers_is_taken(server: str, tmp_path: Path, form: str) -> None:
    """Only json_schema makes a model of noise fit; the others are asked, read, asked again, and fail as answers, not as requests."""
    flow = load(tmp_path, server, "steps:\n  a: {prompt: a, output: {n: integer(1..9)}}\n", more=f'structured = "{form}"\n')
    kind = None
    try:
        run = flow.run()
    except RunError as error:
        kind = error.kind
    else:
        assert 1 <= run.outputs["a"]["n"] <= 9
    assert kind in ({None} if form == "json_schema" else {None, "invalid_output", "output_truncated", "empty_response"})


@pytest.mark.parametrize(
    ("type_", "of"),
    [
        ("integer(3..4)", int),
        ("enum(yes | no)", str),
        ("list(boolean)", list),
        ("string(2..5)", str),
        ("integer | null", (int, type(None))),
    ],
)
def test_answers_that_are_no_records_are_wrapped_and_unwrapped(
    server: str, tmp_path: Path, type_: str, of: type | tuple[type, ...]
) -> None:
    text = f"steps:\n  a:\n    prompt: a\n    output: {type_}\n"
    assert isinstance(load(tmp_path, server, text).run().outputs["a"], of)


def test_items_are_answered_in_parallel(server: str, tmp_path: Path) -> None:
    flow = load(tmp_path, server, "steps:\n  a: {foreach: range(12), prompt: 'n {{ item }}', output: {n: integer(1..9)}}\n")
    run = flow.run()
    assert len(run.outputs["a"]) == 12
    assert all(1 <= each["n"] <= 9 for each in run.outputs["a"])
    assert run.usage.calls >= 12


def test_a_prompt_beyond_the_context_says_so(server: str, tmp_path: Path) -> None:
    """It is not sent again."""
    flow = load(tmp_path, server, "inputs: {q: string}\nsteps:\n  a: {prompt: '{{ inputs.q }}'}\n")
    with pytest.raises(ModelError) as caught:
        flow.run(q="words " * 5000)
    assert caught.value.kind == "context_length"
    assert caught.value.run is not None
    assert len(caught.value.run.steps["a"].attempts) == 1


def test_a_wrong_key_is_told_as_such_and_never_shown(server: str, tmp_path: Path) -> None:
    """Not even `on_error: skip` hides it."""
    wrong = "sk-wrong-0123456789"
    flow = load(tmp_path, server, "steps:\n  a: {prompt: a, on_error: skip}\n", key=wrong)
    with pytest.raises(ModelError) as caught:
        flow.run()
    assert caught.value.kind == "auth"
    assert caught.value.exit_code == 3
    assert wrong not in str(caught.value)


def test_many_runs_share_one_runtime(server: str, tmp_path: Path) -> None:
    load(tmp_path, server, "inputs: {q: string}\nsteps:\n  a: {prompt: '{{ inputs.q }}', output: {n: integer(1..9)}}\n")

    async def main() -> list[Status]:
        async with flowkit.Runtime(env={"TINY_KEY": KEY}) as runtime:
            flow = flowkit.load(tmp_path / "main.flow.yaml", runtime=runtime)
            return [run.status for run in await asyncio.gather(*(flow.arun(q=str(n)) for n in range(16)))]

    assert asyncio.run(main()) == [Status.SUCCEEDED] * 16


def test_a_typed_stream_shows_what_is_known(server: str, tmp_path: Path) -> None:
    """Of a record that a real server writes token by token, and its last value is the answer."""
    events = streamed(load(tmp_path, server, TYPED), topic="tea")
    values = [event.value for event in events if isinstance(event, StepDelta) and event.step == "outline"]
    output = next(event.output for event in events if isinstance(event, StepFinished) and event.step == "outline")
    assert values[-1] == {name: value for name, value in output.items() if name in values[-1]}
    assert len({str(value) for value in values}) > 3


def test_models_asks_it_and_finds_that_its_grammar_holds(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is refused by the server itself; a model of random weights holds the form only because the server does."""
    load(tmp_path, server, TYPED)
    monkeypatch.chdir(tmp_path)
    done = call("models", "ping", "-m", "tiny", "--probe", "--json", env={"TINY_KEY": KEY})
    (found,) = json.loads(done.stdout)["models"]
    assert (done.exit_code, found["reachable"], found["status"]) == (0, True, 200)
    assert found["forms"]["json_schema"]["outcome"] == "works"
    assert found["forms"]["prompt"]["outcome"] == "ignored"
    assert found["advice"] is None
    done = call("models", "ping", "-m", "tiny", "--probe", env={"TINY_KEY": "sk-another-key"})
    assert done.exit_code == 3
    assert "refuses the key: HTTP 401" in done.stdout
