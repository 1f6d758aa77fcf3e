"""What may be used again: an answer of the same question, once in a run, first where it was given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from counting_server import CountingServer

from flowkit.main import cli


def numbered(server: list[CountingServer]) -> Any:
    return lambda body: f"answer {len(server[0].bodies)}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    monkeypatch.chdir(tmp_path)
    held: list[CountingServer] = []
    with CountingServer(numbered(held)) as server:
        held.append(server)
        Path("flowkit.toml").write_text(f'[providers.p]\nbase_url = "{server.url}"\napi_key_env = "MY_KEY"\n[models.m]\nmodel = "p/gpt"\n')
        monkeypatch.setenv("MY_KEY", "none-of-your-business-1")
        yield server


def flow(text: str, name: str = "a.flow.yaml") -> None:
    Path(name).write_text("flowkit: 1\ndefaults: {model: m}\n" + text)


def run(*words: str, name: str = "a.flow.yaml") -> Result:
    return CliRunner().invoke(cli, ["run", name, "--json", *words])


def outputs(found: Result) -> Any:
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)["outputs"]


SAME = """\
steps:
  a: {prompt: Say something}
  b: {prompt: Say something}
  list:
    foreach: "[1, 2, 3]"
    prompt: Say something
  votes: {prompt: Say something, samples: 3}
  two: {prompt: Say something, samples: 2}
"""


def test_the_same_question_at_several_places_is_several_calls_and_each_keeps_its_answer(server: CountingServer) -> None:
    """Steps, items and samples with one and the same prompt: ten calls, and a second run gives each place what it had."""
    flow(SAME)
    first = outputs(run())
    assert server.count == 10
    assert len({*first["list"], *first["votes"], *first["two"], first["a"], first["b"]}) == 10
    assert outputs(run()) == first
    assert server.count == 10


def test_whichever_comes_first_takes_its_own(server: CountingServer) -> None:
    """Two steps that wait for others of other speed: the order in which they ask does not swap their answers."""
    slow = {"d1": 0.3, "d2": 0.0}
    answer = server.reply

    def reply(body: dict[str, Any]) -> Any:
        word = body["messages"][-1]["content"]
        if word in slow:
            import threading

            threading.Event().wait(slow[word])
        return answer(body)

    server.reply = reply
    flow(
        "steps:\n  d1: {prompt: d1}\n  d2: {prompt: d2}\n"
        "  a: {needs: [d1], prompt: Same}\n  b: {needs: [d2], prompt: Same}\n"
        '  under_a: {prompt: "A {{ steps.a.output }}"}\n  under_b: {prompt: "B {{ steps.b.output }}"}\n'
    )
    first = outputs(run())
    assert server.count == 6
    assert outputs(run()) == first
    assert server.count == 6


def test_items_of_a_sub_flow_keep_their_answers(server: CountingServer) -> None:
    """A step with the same prompt for all items, in a sub-flow: nothing is asked twice, whatever the order."""
    flow(
        'inputs: {n: integer}\nsteps:\n  own: {prompt: "{{ inputs.n }}"}\n  tip: {needs: [own], prompt: A tip}\n  use: {prompt: "{{ steps.tip.output }}!"}\n',
        "sub.flow.yaml",
    )
    flow("steps:\n  each: {foreach: 'range(6)', uses: sub.flow.yaml, with: {n: item}}\n")
    first = outputs(run())
    assert server.count == 18
    assert outputs(run()) == first
    assert server.count == 18


def test_a_renamed_step_takes_what_it_had(server: CountingServer) -> None:
    """A typed one too: its name is no part of the question."""
    server.reply = lambda _body: '{"w": "x"}'
    flow("steps:\n  old: {prompt: Say, output: {w: string}}\n")
    outputs(run())
    flow("steps:\n  new: {prompt: Say, output: {w: string}}\n")
    outputs(run())
    assert server.count == 1


def test_a_stricter_check_takes_nothing_from_other_runs(server: CountingServer) -> None:
    """It fails for itself: what was accepted elsewhere stays so, and is free there."""
    flow("steps:\n  a: {prompt: Say}\n")
    flow("steps:\n  a:\n    prompt: Say\n    retry: 1\n    checks: [{expr: \"'never' in output\", message: no}]\n", "b.flow.yaml")
    outputs(run())
    assert server.count == 1
    assert run(name="b.flow.yaml").exit_code == 1
    assert server.count == 2  # it asked for itself before it failed
    outputs(run())
    assert server.count == 2


def test_an_answer_that_does_not_fit_any_more_is_asked_for_anew(server: CountingServer) -> None:
    """A type that became narrower: the kept answer is a miss, not a failure."""
    answers = ['{"w": "much too long"}', '{"w": "ok"}']
    server.reply = lambda _body: answers[min(server.count, 2) - 1]
    flow("steps:\n  a: {prompt: Say, retry: 1, output: {w: string}}\n")
    outputs(run())
    flow(
        "steps:\n  a:\n    prompt: Say\n    retry: 1\n    output: {w: string}\n    checks: [{expr: output.w | length < 4, message: short}]\n"
    )
    assert outputs(run()) == {"a": {"w": "ok"}}
    assert server.count == 2
    assert outputs(run()) == {"a": {"w": "ok"}}
    assert server.count == 2


def test_a_wrong_answer_that_was_mended_is_used_with_its_correction(server: CountingServer) -> None:
    """A rerun replays both, and asks nothing."""
    answers = ["no JSON", '{"w": "ok"}']
    server.reply = lambda _body: answers[min(server.count, 2) - 1]
    flow("steps:\n  a: {prompt: Say, output: {w: string}}\n")
    outputs(run())
    assert server.count == 2
    outputs(run())
    assert server.count == 2


def test_questions_that_differ_only_in_a_secret_are_two(server: CountingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken out of the record is not taken out of the question."""
    flow('inputs: {q: string}\nsteps:\n  a: {prompt: "Leaked? {{ inputs.q }}"}\n')
    monkeypatch.setenv("MY_KEY", "AAAAAAAAAAAAAAAAAAAAAAAA")
    outputs(run("-i", "q=AAAAAAAAAAAAAAAAAAAAAAAA"))
    monkeypatch.setenv("MY_KEY", "BBBBBBBBBBBBBBBBBBBBBBBB")
    outputs(run("-i", "q=BBBBBBBBBBBBBBBBBBBBBBBB"))
    outputs(run("-i", "q=***"))
    assert server.count == 3


def test_a_damaged_body_is_mended_by_the_next_answer(server: CountingServer) -> None:
    """The call is paid once more, and then it is there again."""
    server.reply = lambda _body: "the very same answer each time"
    flow("steps:\n  a: {prompt: Say}\n")
    outputs(run())
    path = Path(".flowkit/record.sqlite")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'{"text":"the very same', b'{"text":"the very samf'))
    outputs(run())
    assert server.count == 2
    outputs(run())
    assert server.count == 2
