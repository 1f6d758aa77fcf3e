"""Again until a condition holds."""

from __future__ import annotations

from pathlib import Path

from running import fail, run, texts

from flowkit.testing import simulate

TALK = """
steps:
  a:
    prompt: "round {{ round }}{% if previous %}, before: {{ previous.text }}{% endif %}"
    output: {text: string, good: boolean}
    repeat: {until: output.good, max: 3MORE}
"""
BAD, GOOD = {"text": "bad", "good": False}, {"text": "good", "good": True}


def test_rounds_see_their_number_and_the_last_answer(tmp_path: Path) -> None:
    """`previous` is absent in the first round."""
    server = simulate({"a": [BAD, GOOD]})
    found = run(tmp_path, TALK.replace("MORE", ""), server)
    assert texts(server, "a") == ["round 1", "round 2, before: bad"]
    assert found.outputs["a"] == GOOD
    assert found.steps["a"].rounds == 2
    assert found.steps["a"].usage.calls == 2


def test_at_the_last_round_the_answer_is_kept_and_that_is_recorded(tmp_path: Path) -> None:
    server = simulate({"a": [BAD]})
    found = run(tmp_path, TALK.replace("MORE", ""), server)
    assert len(server.requests) == 3
    assert found.outputs["a"] == BAD
    assert found.steps["a"].repairs == ["`until` does not hold after 3 rounds; kept the last answer"]


def test_on_max_fail_fails(tmp_path: Path) -> None:
    failed = fail(tmp_path, TALK.replace("MORE", ", on_max: fail"), {"a": [BAD]})
    assert (failed.kind, failed.step) == ("check", "a")
    assert "3 rounds" in failed.message


def test_one_round_is_enough_where_the_condition_holds_at_once(tmp_path: Path) -> None:
    server = simulate({"a": [GOOD]})
    assert run(tmp_path, TALK.replace("MORE", ""), server).steps["a"].rounds == 1
    assert len(server.requests) == 1


def test_messages_are_those_of_the_last_round(tmp_path: Path) -> None:
    found = run(tmp_path, TALK.replace("MORE", "") + "  b: {set: steps.a.messages, output: list(Message)}\n", {"a": [BAD, GOOD]})
    assert [m["role"] for m in found.outputs["b"]] == ["user", "assistant"]
    assert found.outputs["b"][0]["content"] == "round 2, before: bad"


def test_each_item_has_its_own_rounds(tmp_path: Path) -> None:
    text = """
    steps:
      a:
        foreach: "['x', 'y']"
        prompt: "{{ item }} {{ round }}"
        repeat: {until: "item == 'x' or round == 3", max: 5}
    """
    server = simulate()
    found = run(tmp_path, text, server)
    assert sorted(texts(server, "a")) == ["x 1", "y 1", "y 2", "y 3"]
    assert found.steps["a"].rounds == 3


def test_sub_flows_functions_and_values_repeat_too(tmp_path: Path) -> None:
    sub = "flowkit: 1\ninputs: {n: integer}\nsteps:\n  a: {set: inputs.n + 1, output: integer}\noutputs: {n: steps.a.output}\n"
    text = """
    steps:
      flow:
        uses: sub.flow.yaml
        with: {n: previous.n if previous else 0}
        repeat: {until: output.n >= 4, max: 9}
      value:
        set: round * 10
        output: integer
        repeat: {until: output > 25, max: 9}
      function:
        call: fun:double
        with: {n: "previous if previous else 1"}
        repeat: {until: output > 10, max: 9}
    """
    found = run(tmp_path, text, None, files={"sub__flow__yaml": sub, "fun__py": "def double(n: int) -> int:\n    return 2 * n\n"})
    assert found.outputs == {"flow": {"n": 4}, "value": 30, "function": 16}
