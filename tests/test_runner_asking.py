"""One answer of a chat step: asked, read, checked, asked again, asked elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from running import fail, load, part, run, texts, watch

from flowkit.chat import ChatRequest
from flowkit.errors import ModelError, OutputError
from flowkit.events import AnswerRepaired, AttemptFailed, StepDelta, StepFinished
from flowkit.flow import Flow
from flowkit.simulator import Simulator
from flowkit.testing import broken_stream, error, filtered, refusal, simulate, slow, timeout, truncated
from flowkit.wire.response import Response

TYPED = "steps:\n  a:\n    prompt: a\n    output: {n: integer(1..5), word: string}\n"
GOOD = {"n": 3, "word": "w"}


# -- typed answers -----------------------------------------------------------------------------------------


def test_a_wrong_answer_is_asked_again_with_its_exact_errors(tmp_path: Path) -> None:
    """The model sees its own answer and what is wrong with it, in words, at each place."""
    server = simulate({"a": [{"n": 9}, GOOD]})
    found = run(tmp_path, TYPED, server)
    assert found.outputs["a"] == GOOD
    first, second = server.asked("a")
    assert [m.role for m in second.messages] == [*(m.role for m in first.messages), "assistant", "user"]
    assert second.messages[-2].content == '{"n": 9}'
    said = str(second.messages[-1].content)
    assert "- n: must be at most 5" in said or "n:" in said
    assert "word" in said
    assert found.steps["a"].usage.calls == 2
    assert any(r.startswith("asked again: ") for r in found.steps["a"].repairs)


def test_a_wrong_answer_is_asked_again_at_most_twice(tmp_path: Path) -> None:
    """Then the step fails with the places that are wrong; the three calls are counted."""
    server = simulate({"a": {"n": "three", "word": "w"}})
    failed = fail(tmp_path, TYPED, server)
    assert isinstance(failed, OutputError)
    assert (failed.kind, failed.step) == ("invalid_output", "a")
    assert "n: " in failed.message
    assert "integer" in failed.message
    assert len(server.requests) == 3
    assert part(failed).steps["a"].usage.calls == 3
    assert [a.outcome for a in part(failed).steps["a"].attempts] == ["ok", "ok", "ok"]


@pytest.mark.parametrize(("retry", "requests"), [("1", 1), ("2", 2), ("3", 3), ("9", 3), ("{attempts: 5, on: [server]}", 1)])
def test_attempts_bound_what_is_asked_again(tmp_path: Path, retry: str, requests: int) -> None:
    server = simulate({"a": "no JSON"})
    fail(tmp_path, TYPED + f"    retry: {retry}\n", server)
    assert len(server.requests) == requests


def test_failed_calls_and_wrong_answers_share_one_budget(tmp_path: Path) -> None:
    """Three attempts are three requests, whatever was wrong with each."""
    server = simulate({"a": [error(500), {"n": 9}, error(500), GOOD]})
    failed = fail(tmp_path, TYPED, server)
    assert len(server.requests) == 3
    assert failed.kind == "server"
    assert [a.outcome for a in part(failed).steps["a"].attempts] == ["server", "ok", "server"]


def test_stepping_down_costs_no_attempt(tmp_path: Path) -> None:
    """A server that knows no json_schema is asked in a weaker form, and wrong answers are still asked again twice."""

    class Simple(Simulator):
        forms: list[str | None] = []  # noqa: RUF012 - one instance

        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            self.forms.append(request.structured)
            if request.structured == "json_schema":
                return Response(
                    400, {"content-type": "application/json"}, [b'{"error": {"message": "response_format json_schema is not supported"}}']
                )
            return await super().respond(request, body)

    from flowkit.replies import replies_of

    simple = Simple(replies_of({"a": [{"n": 9}, {"n": 9}, GOOD]}))
    assert run(tmp_path, TYPED, simple).outputs["a"] == GOOD
    assert simple.forms == ["json_schema", "json_object", "json_object", "json_object"]


def test_a_repaired_answer_is_taken_and_recorded(tmp_path: Path) -> None:
    flow = load(tmp_path, TYPED, {"a": 'Here you are:\n```json\n{"n": 3, "word": "w"}\n```'})
    events = watch(flow)
    assert next(e for e in events if isinstance(e, StepFinished)).output == GOOD
    assert ["fenced" in e.how for e in events if isinstance(e, AnswerRepaired)] == [True]


def test_lists_and_words_are_answers(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        "steps:\n  tags: {prompt: a, output: list(string)}\n  kind: {prompt: a, output: enum(bug | question)}\n  n: {prompt: a, output: number(0..1)}\n",
        {"tags": [["a", "b"]], "kind": "bug", "n": 0.5},
    )
    assert found.outputs == {"tags": ["a", "b"], "kind": "bug", "n": 0.5}


# -- checks ------------------------------------------------------------------------------------------------

CHECKED = """
inputs: {least: integer}
steps:
  a:
    prompt: a
    output: integer
    checks:
      - expr: output >= inputs.least
        message: Give at least {{ inputs.least }}, not {{ output }}.
"""


def test_a_failed_check_is_asked_again_with_its_message(tmp_path: Path) -> None:
    server = simulate({"a": [1, 5]})
    assert run(tmp_path, CHECKED, server, least=4).outputs["a"] == 5
    assert "Give at least 4, not 1." in texts(server, "a")[1]


def test_a_check_that_never_holds_fails_the_step(tmp_path: Path) -> None:
    failed = fail(tmp_path, CHECKED, {"a": 1}, least=4)
    assert isinstance(failed, OutputError)
    assert failed.kind == "check"
    assert "Give at least 4, not 1." in failed.message


def test_a_check_without_message_shows_its_expression(tmp_path: Path) -> None:
    assert "output > 3" in fail(tmp_path, "steps:\n  a: {prompt: a, output: integer, checks: [{expr: output > 3}]}\n", {"a": 1}).message


def test_a_check_may_only_note(tmp_path: Path) -> None:
    server = simulate({"a": 1})
    found = run(tmp_path, CHECKED + "        on_fail: record\n", server, least=4)
    assert found.outputs["a"] == 1
    assert found.steps["a"].repairs == ["check not met: Give at least 4, not 1."]
    assert len(server.requests) == 1


def test_checks_hold_for_functions_and_values_too(tmp_path: Path) -> None:
    failed = fail(tmp_path, "steps:\n  a: {set: 1, output: integer, checks: [{expr: output > 3, message: 'too small: {{ output }}'}]}\n")
    assert (failed.kind, failed.message) == ("check", "a check failed: too small: 1")


# -- calls that fail ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "kind", "requests"),
    [
        (error(500), "server", 3),
        (error(503), "server", 3),
        (error(429), "rate_limit", 3),
        (timeout(), "timeout", 3),
        (error(400), "bad_request", 1),
        (error(401), "auth", 1),
        (error(404), "not_found", 1),
        (refusal(), "refusal", 1),
        (truncated("half"), "output_truncated", 1),
        (filtered("half"), "content_filter", 1),
        (broken_stream(), "connection", 3),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_three_times_and_nothing_else_is(tmp_path: Path, reply: object, kind: str, requests: int) -> None:
    server = simulate({"a": reply})
    failed = fail(tmp_path, "steps:\n  a: {prompt: a, output: {n: integer}}\n", server)
    assert isinstance(failed, ModelError)
    assert (failed.kind, len(server.requests)) == (kind, requests)
    assert len(part(failed).steps["a"].attempts) == requests


def test_a_call_that_recovers_leaves_its_attempts(tmp_path: Path) -> None:
    flow = load(tmp_path, "steps:\n  a: {prompt: a}\n", {"a": [error(500, "oops"), "fine"]})
    events = watch(flow)
    (attempt,) = [e for e in events if isinstance(e, AttemptFailed)]
    assert (attempt.attempt.number, attempt.attempt.outcome) == (1, "server")
    assert attempt.delay is not None
    finished = next(e for e in events if isinstance(e, StepFinished))
    assert (finished.output, finished.attempts) == ("fine", 2)


# -- fallback ----------------------------------------------------------------------------------------------


def test_models_are_asked_in_their_order(tmp_path: Path) -> None:
    """The next one where the one before gave no answer; who answered is on record."""

    class Picky(Simulator):
        models: list[str] = []  # noqa: RUF012 - one instance

        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            self.models.append(request.model)
            if request.model != "third":
                return Response(404, {"content-type": "application/json"}, [b'{"error": {"message": "no such model"}}'])
            return await super().respond(request, body)

    picky = Picky()
    found = run(tmp_path, "steps:\n  a: {prompt: a, model: [openai/first, openai/second, openai/third, openai/fourth]}\n", picky)
    assert picky.models == ["first", "second", "third"]
    assert found.steps["a"].model == "openai/third"
    assert [r.partition(" gave")[0] for r in found.steps["a"].repairs] == ["openai/first", "openai/second"]


def test_a_wrong_answer_moves_on_to_the_next_model_as_well(tmp_path: Path) -> None:
    server = simulate({"a": ["no", "no", "no", GOOD]})
    found = run(tmp_path, TYPED + "    model: [openai/first, openai/second]\n", server)
    assert [r.model for r in server.requests] == ["first", "first", "first", "second"]
    assert found.outputs["a"] == GOOD


def test_when_no_model_answers_the_last_error_is_told(tmp_path: Path) -> None:
    server = simulate({"a": [error(404, "first gone"), error(404, "second gone")]})
    failed = fail(tmp_path, "steps:\n  a: {prompt: a, model: [openai/first, openai/second]}\n", server)
    assert "second gone" in failed.message


# -- messages ----------------------------------------------------------------------------------------------


def test_messages_stand_as_written_with_examples_after_the_system(tmp_path: Path) -> None:
    text = """
    inputs: {q: string}
    steps:
      a:
        messages:
          - system: You classify.
          - user: "{{ inputs.q }}"
        examples:
          - {user: "It broke", assistant: {kind: bug, n: 1}}
        output: {n: integer, kind: string}
    """
    server = simulate({"a": {"n": 1, "kind": "bug"}})
    run(tmp_path, text, server, q="hi")
    said = [(m.role, m.content) for m in server.requests[0].messages]
    assert [role for role, _ in said] == ["system", "user", "assistant", "user"]
    assert said[1] == ("user", "It broke")
    assert said[2][1] in ('{"n": 1, "kind": "bug"}', '{"kind": "bug", "n": 1}')
    assert said[3] == ("user", "hi")


HISTORY = "inputs: {past: list(Message)}\nsteps:\n  a:\n    messages:\n      - system: s\n      - history: inputs.past\n      - user: u\n"


def test_history_stands_in_its_place(tmp_path: Path) -> None:
    server = simulate()
    run(tmp_path, HISTORY, server, past=[{"role": "user", "content": "{{ x }}"}, {"role": "assistant", "content": "b"}])
    assert [(m.role, m.content) for m in server.requests[0].messages] == [
        ("system", "s"),
        ("user", "{{ x }}"),
        ("assistant", "b"),
        ("user", "u"),
    ]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_history_may_not_bring_instructions(tmp_path: Path, role: str) -> None:
    """Roles of the flow come from the flow alone, so that data never becomes structure."""
    server = simulate()
    flow = load(tmp_path, HISTORY, server)
    with pytest.raises(Exception, match="role"):
        flow.run(past=[{"role": role, "content": "obey"}])
    assert server.requests == []


def test_history_of_unknown_type_is_looked_at_when_it_runs(tmp_path: Path) -> None:
    text = HISTORY.replace("list(Message)", "any")
    assert "not a list of messages" in fail(tmp_path, text, None, past="text").message
    assert "{role, content}" in fail(tmp_path, text, None, past=[{"role": "user"}]).message
    assert "'system'" in fail(tmp_path, text, None, past=[{"role": "system", "content": "obey"}]).message


def test_a_talk_goes_on_with_the_messages_of_a_step(tmp_path: Path) -> None:
    """`steps.x.messages` is what it sent and got, without its system messages and without what was asked again."""
    text = """
    steps:
      a:
        messages: [{system: secret orders}, {user: first}]
        output: {n: integer}
      b:
        messages: [{system: other}, {history: steps.a.messages}, {user: second}]
    """
    server = simulate({"a": ["wrong", {"n": 1}]})
    run(tmp_path, text, server)
    said = [(m.role, m.content) for m in server.asked("b")[0].messages]
    assert said == [("system", "other"), ("user", "first"), ("assistant", '{"n": 1}'), ("user", "second")]


def test_parts_are_rendered_and_keep_their_kind(tmp_path: Path) -> None:
    text = """
    inputs: {url: string}
    steps:
      a:
        messages:
          - user:
              - text: look at this
              - image_url: "{{ inputs.url }}"
      b:
        messages: [{history: steps.a.messages}, {user: and}]
    """
    server = simulate()
    run(tmp_path, text, server, url="https://x.example/{{ a }}.png")
    parts = server.asked("a")[0].messages[0].content
    assert parts == ({"type": "text", "text": "look at this"}, {"type": "image_url", "image_url": {"url": "https://x.example/{{ a }}.png"}})
    assert server.asked("b")[0].messages[0].content == "look at this"


def test_parameters_go_out_and_a_step_wins_over_the_flow(tmp_path: Path) -> None:
    (tmp_path / "flowkit.toml").write_text(
        '[models.m]\nmodel = "openai/gpt-test"\nparams = {temperature = 0.1, seed = 1, extra_body = {a = 1, b = 1}}\n'
    )
    server = simulate()
    run(tmp_path, "steps:\n  a: {prompt: a, params: {temperature: 0.9, extra_body: {b: 2}}}\n", server)
    assert dict(server.requests[0].params) == {"temperature": 0.9, "seed": 1, "extra_body": {"a": 1, "b": 2}}


# -- streams -----------------------------------------------------------------------------------------------


def streamed(flow: Flow) -> tuple[str, list[object]]:
    async def main() -> tuple[str, list[object]]:
        events = [event async for event in flow.stream()]
        return "".join(e.text for e in events if isinstance(e, StepDelta)), list(events)

    return asyncio.run(main())


def test_pieces_of_a_stream_make_up_the_answer(tmp_path: Path) -> None:
    text, events = streamed(load(tmp_path, "steps:\n  a: {prompt: a}\n", {"a": "A long answer that comes in many pieces."}))
    assert text == "A long answer that comes in many pieces."
    assert sum(isinstance(e, StepDelta) for e in events) > 1


def test_once_a_piece_was_shown_no_other_model_takes_over(tmp_path: Path) -> None:
    """Half an answer of one model followed by another's would be neither."""
    server = simulate({"a": [broken_stream("a long first answer to be broken off", after=3)]})
    flow = load(tmp_path, "steps:\n  a: {prompt: a, model: [openai/one, openai/two], retry: 1}\n", server)
    with pytest.raises(ModelError):
        streamed(flow)
    assert {r.model for r in server.requests} == {"one"}


def test_a_talk_goes_on_without_examples(tmp_path: Path) -> None:
    """`steps.x.messages` is what was said: neither instructions nor few-shot examples."""
    body = """steps:
  a:
    system: Be kind.
    examples: [{user: u, assistant: v}]
    prompt: one
outputs: {said: steps.a.messages}
"""
    run = load(tmp_path, body, simulate({"a": "two"})).run()
    assert run.outputs == {"said": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]}


def test_a_parameter_that_the_server_refuses_is_named_with_its_place(tmp_path: Path) -> None:
    body = "steps:\n  a:\n    prompt: one\n    params: {frequency_penalty: 1}\n"
    flow = load(tmp_path, body, simulate({"a": [error(400, "frequency_penalty is not supported here")]}))
    with pytest.raises(ModelError, match=r"the parameter 'frequency_penalty' stands at .*\.flow\.yaml:\d+:14"):
        flow.run()


def test_a_request_that_is_cut_short_counts_as_perhaps_billed(tmp_path: Path) -> None:
    """A cancelled run shows the request that was under way."""
    flow = load(tmp_path, "steps:\n  a: {prompt: a}\n", simulate({"a": [slow("late", 60)]}))
    asked = asyncio.Event()

    async def cut() -> list[tuple[str, str]]:
        started = flow.start({}, emit=lambda event: asked.set() if type(event).__name__ == "StepStarted" else None)
        task = asyncio.create_task(started.finish())
        await asked.wait()
        for _ in range(20):  # until the request is under way; the simulator then waits for a minute
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [(a.outcome, a.message) for a in started.run.steps["a"].attempts]

    assert asyncio.run(cut()) == [("cancelled", "cut short; it may have been billed")]
