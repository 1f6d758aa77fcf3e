"""`flowkit render`: what a step would send, without a call."""

from __future__ import annotations

import json

import pytest
from command_line import HELLO, call, write

INNER = """\
flowkit: 1
name: inner
inputs: {word: string}
defaults: {model: openai/m}
steps:
  shout: {prompt: "Shout {{ inputs.word }}"}
  again: {prompt: "Again {{ steps.shout.output }}"}
outputs: {text: steps.again.output}
"""
OUTER = """\
flowkit: 1
name: outer
inputs: {words: list(string)}
defaults: {model: openai/m}
steps:
  count: {call: "counting:count", with: {words: inputs.words}}
  each: {foreach: inputs.words, as: word, uses: inner.flow.yaml, with: {word: word}}
  list: {foreach: inputs.words, as: word, prompt: "{{ word }} of {{ steps.count.output }}"}
  maybe: {when: "steps.count.output > 1000000", prompt: "Many, after {{ steps.list.output | join(', ') }}"}
outputs: {maybe: steps.maybe.output, each: steps.each.output}
"""


@pytest.fixture
def hello(tmp_path):
    return str(write(tmp_path, hello=HELLO))


@pytest.fixture
def outer(tmp_path):
    (tmp_path / "counting.py").write_text("def count(words: list[str]) -> int:\n    print('ran')\n    return len(words) * 100\n")
    return str(write(tmp_path, outer=OUTER, inner=INNER))


WORDS = ["-i", 'words:=["a", "b"]']


def test_messages_schema_and_parameters_are_shown_as_they_would_be_sent(hello):
    done = call("render", hello, "rate", "-i", "name=Ada", "--given", "greet=Hi there", "--set", "steps.rate.params.temperature=0.5")
    assert done.exit_code == 0
    head, _, rest = done.stdout.partition("── request")
    assert head.splitlines()[1:] == ["Rate Hi there"]
    assert "model: m\ntemperature: 0.5\nresponse_format: {" in rest
    assert '"score"' in rest
    assert done.stderr == ""


def test_json_is_the_very_body(hello):
    body = json.loads(call("render", hello, "greet", "-i", "name=Ada", "--json").stdout)
    assert body == {"model": "m", "messages": [{"role": "system", "content": "Be friendly."}, {"role": "user", "content": "Ada 1 []"}]}


def test_steps_before_it_are_simulated_and_that_is_said(hello, tmp_path):
    done = call("render", hello, "rate", "-i", "name=Ada", "--json")
    assert json.loads(done.stdout)["messages"][0]["content"] == "Rate Simulated answer of 'greet'"
    assert done.stderr == "note: simulated: greet\n"
    (tmp_path / "replies.yaml").write_text("greet: Moin\n")
    done = call("render", hello, "rate", "-i", "name=Ada", "--json", "--simulate", str(tmp_path / "replies.yaml"))
    assert json.loads(done.stdout)["messages"][0]["content"] == "Rate Moin"


def test_outputs_can_be_given_in_a_file_of_several(hello, tmp_path):
    (tmp_path / "given.yaml").write_text("greet: Servus\n")
    done = call("render", hello, "rate", "-i", "name=Ada", "--json", "--given", str(tmp_path / "given.yaml"))
    assert json.loads(done.stdout)["messages"][0]["content"] == "Rate Servus"


def test_an_item_is_chosen_from_1(outer):
    def content(*more):
        return json.loads(call("render", outer, "list", *WORDS, "--given", "count=7", "--json", *more).stdout)["messages"][0]["content"]

    assert content() == "a of 7"
    assert content("--item", "2") == "b of 7"
    done = call("render", outer, "list", *WORDS, "--given", "count=7", "--item", "3")
    assert (done.exit_code, done.stderr) == (2, "error: step 'list' has 2 items, so none is number 3\n")


def test_a_step_inside_a_sub_flow_has_a_path(outer):
    done = call("render", outer, "each/again", *WORDS, "--given", "each/shout=A!", "--json")
    assert json.loads(done.stdout)["messages"][0]["content"] == "Again A!"
    done = call("render", outer, "each/shout", *WORDS, "--item", "2", "--json")
    assert json.loads(done.stdout)["messages"][0]["content"] == "Shout b"


def test_functions_do_not_run_unless_they_are_told_to(outer):
    done = call("render", outer, "list", *WORDS, "--json")
    assert "note: not run, sample values stand for what they return: count (--run-functions runs them)\n" in done.stderr
    assert "ran" not in done.stdout
    done = call("render", outer, "list", *WORDS, "--json", "--run-functions")
    assert '"a of 200"' in done.stdout


def test_a_step_is_shown_whatever_its_when_says(outer):
    done = call("render", outer, "maybe", *WORDS, "--given", "count=1", "--given", 'list:=["x", "y"]')
    assert "Many, after x, y\n" in done.stdout
    assert "note: shown whatever its `when` says\n" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["lst", *WORDS], "error: flow 'outer' has no step 'lst'; did you mean 'list'?\n"),
        (["each", *WORDS], "error: step 'each' asks no model itself; these do: each/shout, each/again\n"),
        (["list", "-i", "words:=[]"], "error: step 'list' would send nothing with these values"),
        (["list", *WORDS, "--given", "count=many"], "error: step 'count' is integer, not 'many'\n"),
        (["list", *WORDS, "--given", "cuont=1"], "error: --given: flow 'outer' has no step 'cuont'; did you mean 'count'?\n"),
        (["maybe", *WORDS, "--given", "list:=[1]"], "error: --given list: "),
    ],
)
def test_what_cannot_be_shown_is_exit_2(outer, args, said):
    done = call("render", outer, *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_missing_inputs_are_named_with_the_command_that_gives_them(hello):
    done = call("render", hello, "greet")
    assert done.exit_code == 2
    assert done.stderr.endswith(f"   hint: flowkit render {hello} greet -i name='…'\n")
