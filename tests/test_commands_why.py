"""`flowkit why`: real runs against a real server, and what is said of their calls."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from counting_server import CountingServer, echo

import flowkit

FLOW = """\
flowkit: 1
name: chain
inputs: {n: list(string), who: string}
defaults: {model: m}
steps:
  first: {prompt: "Greet {{ inputs.who }}"}
  each: {foreach: inputs.n, prompt: "About {{ item }}, after {{ steps.first.output }}"}
  typed: {prompt: "Rate it", output: {score: integer}}
  last: {set: steps.each.output}
"""
RUN = ("run", "chain.flow.yaml", "-q", "--inputs", "in.json")


class Project:
    """A flow with its inputs, run as often as a test wants."""

    def __init__(self, folder: Path, server: CountingServer) -> None:
        self.folder = folder
        self.server = server
        self.flow = folder / "chain.flow.yaml"
        self.flow.write_text(FLOW)
        self.items("x", "y")
        (folder / "flowkit.toml").write_text(f'[providers.p]\nbase_url = "{server.url}"\n[models.m]\nmodel = "p/gpt"\n')
        server.reply = lambda body: '{"score": 7}' if "response_format" in body else echo(body)

    def items(self, *words: str) -> None:
        (self.folder / "in.json").write_text(json.dumps({"n": words, "who": "Ada"}))

    def edit(self, old: str, new: str) -> None:
        text = self.flow.read_text()
        assert old in text
        self.flow.write_text(text.replace(old, new))

    def run(self, *more: str) -> int:
        """Run, and return how many calls were made."""
        before = self.server.count
        done = call(*RUN, *more)
        assert done.exit_code == 0, done.stderr
        return self.server.count - before


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    with CountingServer() as server:
        yield Project(tmp_path, server)


def why(*args: str) -> str:
    done = call("why", *args)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def lines(*args: str) -> dict[str, str]:
    """What is said of each step."""
    found = why(*args).splitlines()[1:]
    return {line.split()[0]: line.split(None, 1)[1] for line in found if line.startswith("  ")}


def test_a_first_run_was_never_asked_and_a_second_costs_nothing(project: Project) -> None:
    assert project.run() == 4
    assert lines() == {
        "first": "made: never asked before: no earlier call of this step is in the record",
        "each": "made (2 calls): never asked before: no earlier call of this step is in the record",
        "typed": "made: never asked before: no earlier call of this step is in the record",
        "last": "no model is asked",
    }
    assert project.run() == 0
    assert all(said.startswith("reused: run ") for step, said in lines().items() if step != "last")


def test_an_edited_prompt_is_followed_down(project: Project) -> None:
    """The step whose lines changed names them; those below name the step above whose answer is another."""
    project.run()
    project.edit("Greet {{", "Welcome {{")
    assert project.run() == 3
    found = lines()
    assert found["first"] == "made: message 1 (user) is another ← chain.flow.yaml changed"
    assert found["each"] == "made (2 calls): message 1 (user) is another ← step 'first' gave another output"
    assert found["typed"].startswith("reused: ")
    said = why("first")
    assert "      [-Greet-]{+Welcome+} Ada\n" in said
    assert '            6 -   first: {prompt: "Greet {{ inputs.who }}"}\n' in said
    assert '            6 +   first: {prompt: "Welcome {{ inputs.who }}"}\n' in said


def test_a_new_item_is_the_only_one_that_is_made(project: Project) -> None:
    project.run()
    project.items("x", "new", "y")
    assert project.run() == 1
    assert lines()["each"].startswith("2 of 3 reused: run ")
    said = why("each", "--item", "2")
    assert said.startswith("each, item 2: made\n")
    assert "{+new+}" in said
    assert "input 'n' is another" in said
    assert why("each", "--item", "3").startswith("each: 1 call reused: run ")


#: Options of a second run, the step that is asked about, and what is said.
OPTIONS = [
    (("-m", "m=p/gpt5"), "first", ["the model is another: gpt → gpt5", "option -m", "+ -m m=p/gpt5"]),
    (("--set", "steps.typed.params.temperature=0.5"), "typed", ["parameter temperature: none → 0.5", "option --set"]),
    (("--set", "steps.typed.output.why=string"), "typed", ["the schema of the answer: why: added", "option --set"]),
    (("-i", "who=Bob"), "first", ["      Greet [-Ada-]{+Bob+}", "input 'who' is another"]),
    (("--fresh",), "first", ["--fresh asks again; run "]),
    (("--set", "steps.first.cache=false"), "first", ["nothing was to be reused: `cache: false`; run "]),
    (("--set", "steps.first.samples=2"), "first", ["the same question, asked for the second time in one run"]),
]


@pytest.mark.parametrize(("options", "step", "wanted"), OPTIONS, ids=[" ".join(options) for options, *_ in OPTIONS])
def test_what_the_command_line_changed_is_named(project: Project, options: tuple[str, ...], step: str, wanted: list[str]) -> None:
    project.run()
    project.server.reply = lambda body: '{"score": 7, "why": "so"}' if "response_format" in body else echo(body)
    assert project.run(*options)
    said = why(step)
    for text in wanted:
        assert text in said


def test_another_server_is_the_configurations(project: Project) -> None:
    project.run()
    with CountingServer(project.server.reply) as other:
        file = project.folder / "flowkit.toml"
        file.write_text(file.read_text().replace(project.server.url, other.url))
        call(*RUN)
    said = why("first")
    assert f"the server is another: {project.server.url}/chat/completions → {other.url}/chat/completions" in said
    assert "the configuration of models (flowkit.toml) or the environment changed" in said


@pytest.mark.parametrize(
    ("step", "reply", "said"),
    [
        ("first", lambda body: (400, "no") if "Greet" in str(body) else '{"score": 7}', " and failed: bad_request: "),
        ("typed", lambda body: "no number" if "Rate" in str(body) else echo(body), ", and the answer was not accepted"),
    ],
)
def test_a_call_that_failed_or_was_not_accepted_is_asked_again(project: Project, step: str, reply: Any, said: str) -> None:
    good, project.server.reply = project.server.reply, reply
    assert call(*RUN, "--set", "defaults.retry=1").exit_code != 0
    project.server.reply = good
    project.run()
    assert said in why(step)


def test_an_answer_may_be_too_old(project: Project) -> None:
    """The record says when it was asked; here it says so of last week."""
    project.edit('Greet {{ inputs.who }}"', 'Greet {{ inputs.who }}", cache: 1d')
    runtime = flowkit.Runtime(record=True, cache=True, clock=lambda: 1_000_000.0)
    flowkit.load(project.flow, runtime=runtime).run(n=["x", "y"], who="Ada")
    assert project.run() == 1
    assert "more than `cache: 1d` allows" in why("first")


def test_a_run_that_went_on_used_its_own_answers(project: Project) -> None:
    project.server.reply = lambda body: (400, "no") if "About y" in str(body) else '{"score": 7}'
    assert call(*RUN, "--set", "defaults.retry=1").exit_code == 3
    project.server.reply = lambda body: '{"score": 7}'
    assert call("resume", "-q").exit_code == 0
    found = lines()
    assert found["first"] == "reused: this run, before it went on"
    assert "it was asked in this run, before it went on, and failed: bad_request" in found["each"]


def test_a_simulated_run_says_so(project: Project) -> None:
    assert call(*RUN, "--simulate").exit_code == 0
    assert lines()["first"] == "made: simulated: no model is asked, and nothing is reused"
    assert why().splitlines()[0].endswith(", succeeded (simulated)")
    assert why("first").startswith("first: made (simulated)\n")


def test_the_first_call_says_why_it_was_made_and_the_others_why_they_followed(project: Project) -> None:
    """A repair does not hide what was changed."""
    project.run()
    project.edit("Rate it", "Rate this")
    answers = iter(["no number", "none again", '{"score": 1}'])
    project.server.reply = lambda body: next(answers) if "response_format" in body else echo(body)
    assert project.run("--set", "steps.typed.retry=3") == 3
    assert lines()["typed"] == (
        "made (3 calls): call 1: message 1 (user) is another ← chain.flow.yaml changed; calls 2, 3: the answer did not fit"
    )
    assert [line for line in why("typed").splitlines() if line.startswith("typed")] == [f"typed, call {n}: made" for n in (1, 2, 3)]


def test_what_is_behind_several_items_is_said_once(project: Project) -> None:
    project.run()
    project.edit("Greet {{", "Welcome {{")
    project.run()
    said = why("each")
    assert said.count("step 'first' gave another output") == 1
    assert said.count("   because of the same as above\n") == 1


def test_a_model_that_the_configuration_changed_is_said_to_be_so(project: Project) -> None:
    """The step lost a line too, which changes no model."""
    project.edit('Greet {{ inputs.who }}"', 'Greet {{ inputs.who }}", cache: 1h')
    project.run()
    project.edit(", cache: 1h", "")
    file = project.folder / "flowkit.toml"
    file.write_text(file.read_text().replace("p/gpt", "p/gpt5"))
    project.run()
    assert lines()["first"] == (
        "made: the model is another: gpt → gpt5 ← the configuration of models (flowkit.toml) or the environment changed"
    )


def test_data_for_programs(project: Project) -> None:
    project.run()
    project.edit("Greet {{", "Welcome {{")
    project.run()
    found = json.loads(why("--json"))
    assert (found["schema"], found["flow"], list(found["steps"])) == (1, "chain", ["first", "typed", "each", "last"])
    (first,) = found["steps"]["first"]["calls"]
    assert (first["made"], first["from"], first["item"]) == (True, None, None)
    (reason,) = first["reasons"]
    assert (reason["kind"], reason["before"]["content"], reason["after"]["content"]) == ("message", "Greet Ada", "Welcome Ada")
    assert [(each["kind"], each["name"]) for each in first["origins"]] == [("file", "chain.flow.yaml")]
    (typed,) = found["steps"]["typed"]["calls"]
    assert (typed["made"], typed["reasons"]) == (False, [])
    assert typed["from"]["run"] == _runs(project)[0]
    assert json.loads(why("each", "--item", "1", "--json"))["steps"]["each"]["calls"][0]["item"] == 0


def _runs(project: Project) -> list[str]:
    connection = sqlite3.connect(project.folder / ".flowkit" / "record.sqlite")
    found = [str(row[0]) for row in connection.execute("SELECT id FROM runs ORDER BY started")]
    connection.close()
    return found


def test_a_run_is_named_by_the_beginning_of_its_id(project: Project) -> None:
    project.run()
    project.run()
    first, second = _runs(project)
    assert lines(first)["first"].startswith("made: ")
    assert why(first, "first").startswith("first: made\n")
    assert why(second, "first").startswith("first: 1 call reused: ")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("fisrt",), "error: no run begins with 'fisrt', and the newest run has no such step; did you mean 'first'?"),
        (("RUN", "fisrt"), "of chain had no step 'fisrt'; did you mean 'first'?"),
        (("RUN", "each", "--item", "9"), "error: step 'each' asked nothing for item 9 in run "),
    ],
)
def test_what_is_not_there_is_refused(project: Project, args: Any, said: str) -> None:
    project.run()
    done = call("why", *(_runs(project)[0] if each == "RUN" else each for each in args))
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_without_a_record_there_is_nothing_to_explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("why")
    assert done.exit_code == 2
    assert "there is no record of runs in " in done.stderr
