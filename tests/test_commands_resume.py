"""`flowkit resume`: what was answered is never paid for again, what changed is said before anything is called."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import call, child, environment
from counting_server import CountingServer, echo

import flowkit
from flowkit.errors import RunError

FLOW = """\
flowkit: 1
name: chain
inputs: {n: list(integer), tone: {type: string, default: kind}}
defaults: {model: m, retry: 1}
steps:
  first: {prompt: "Begin, {{ inputs.tone }}", cache: false}
  each: {foreach: inputs.n, prompt: "Item {{ item }} of {{ steps.first.output }}"}
  last: {prompt: "End {{ steps.each.output }}"}
"""
#: Calls of a whole run with two items.
ALL = 4
RUN = ("run", "chain.flow.yaml", "-i", "n:=[1,2]")


class Project:
    """A flow, and the server that it asks; `broken` is the beginning of the messages that are refused."""

    def __init__(self, folder: Path, server: CountingServer) -> None:
        self.folder = folder
        self.server = server
        self.broken: str | None = "End"
        self.flow = folder / "chain.flow.yaml"
        server.reply = self._reply
        self.configure("gpt")
        self.flow.write_text(FLOW)

    def _reply(self, body: dict[str, Any]) -> str | tuple[int, str]:
        refused = self.broken is not None and body["messages"][-1]["content"].startswith(self.broken)
        return (400, "not today") if refused else echo(body)

    def configure(self, model: str) -> None:
        text = f'[providers.p]\nbase_url = "{self.server.url}"\n[models.m]\nmodel = "p/{model}"\nprice = {{input = 1, output = 1}}\n'
        (self.folder / "flowkit.toml").write_text(text)

    def edit(self, old: str, new: str) -> None:
        self.flow.write_text(self.flow.read_text().replace(old, new))

    def asked(self) -> list[str]:
        """The beginnings of all messages that reached the server since this was last asked."""
        found = [str(body["messages"][-1]["content"]).split(" ")[0].strip(",") for body in self.server.bodies]
        self.server.bodies.clear()
        return sorted(found)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    with CountingServer() as server:
        yield Project(tmp_path, server)


def failed(project: Project, *more: str) -> str:
    """Run to the failure of the last step, and return the id."""
    done = call(*RUN, "--json", *more)
    assert done.exit_code == 3, done.stderr
    found: str = json.loads(done.stdout)["run"]
    project.asked()
    return found


# -- going on ----------------------------------------------------------------------------------------------


def test_a_failed_run_says_how_it_goes_on_and_pays_only_for_what_is_missing(project: Project) -> None:
    """Also the step that never reuses answers of other runs has its own: it is one run."""
    done = call(*RUN, "--json")
    run = json.loads(done.stdout)["run"]
    assert done.stderr.endswith(f"   hint: `flowkit resume {run[:8]}` goes on; what is finished costs nothing again\n")
    assert project.asked() == ["Begin", "End", "Item", "Item"]
    project.broken = None
    document = json.loads(call("resume", run[:8], "--json").stdout)
    assert project.asked() == ["End"]
    assert (document["run"], document["status"], document["reused"]) == (run, "succeeded", 3)
    assert [step["cached"] for step in document["steps"].values()] == [True, True, False]
    assert document["usage"]["calls"] == 1
    assert document["cost"] == pytest.approx(15e-6)


def test_without_an_id_the_newest_run_that_did_not_end_goes_on(project: Project) -> None:
    project.broken = None
    call("run", "chain.flow.yaml", "-i", "n:=[9]")
    project.broken = "End"
    failed(project)
    project.broken = None
    done = call("resume")
    assert (done.exit_code, project.asked()) == (0, ["End"])
    assert "going on with run " in done.stderr
    assert "3 from the record" in done.stderr.splitlines()[-1]
    assert call("resume").stderr.startswith("no run waits to go on")


def test_an_old_failure_is_not_taken_up_silently_when_a_newer_run_succeeded(project: Project) -> None:
    """Who does not name it is told which command does; a simulated success proves nothing."""
    old = failed(project)
    project.broken = None
    call("run", "chain.flow.yaml", "-i", "n:=[9]", "--simulate")
    call("run", "chain.flow.yaml", "-i", "n:=[9]", "-m", "m=p/gpt")
    newer = json.loads(call("runs", "ls", "--json").stdout)["runs"][0]["run"]
    project.asked()
    done = call("resume")
    assert (done.exit_code, done.stdout, project.asked()) == (2, "", [])
    assert f"error: run {old[:8]} of chain, begun 0s ago and failed" in done.stderr
    assert f"is older than run {newer[:8]}, which succeeded" in done.stderr
    assert done.stderr.endswith(f"   hint: `flowkit resume {old[:8]}` goes on with it all the same\n")
    assert call("resume", old[:8]).exit_code == 0
    assert project.asked() == ["End"]


def test_a_run_that_reached_its_end_gives_what_it_gave(project: Project) -> None:
    project.broken = None
    first = json.loads(call(*RUN, "--json").stdout)
    project.asked()
    done = call("resume", first["run"][:6])
    assert (done.exit_code, done.stdout) == (0, first["outputs"]["last"] + "\n")
    assert "reached its end" in done.stderr
    document = json.loads(call("resume", first["run"], "--json").stdout)
    assert {**document, "steps": None, "cost": None} == {**first, "steps": None, "cost": None}
    assert document["cost"] == pytest.approx(ALL * 15e-6)
    assert [(step["status"], step["output"], step["attempts"]) for step in document["steps"].values()] == [
        (step["status"], step["output"], step["attempts"]) for step in first["steps"].values()
    ]
    assert json.loads(call("resume", first["run"], "--events").stdout)["event"] == "run_finished"
    assert project.asked() == []


def test_inputs_and_options_are_those_of_the_run(project: Project) -> None:
    """Also from another folder, where its flow is named."""
    (project.folder / "keys.env").write_text("X=1\n")
    run = failed(project, "-i", "tone=stern", "--set", "steps.last.prompt=End! {{ steps.each.output }}", "--env-file", "keys.env")
    project.broken = None
    os.chdir(project.folder.parent)
    done = call("resume", run, "--flow", str(project.flow))
    assert (done.exit_code, project.asked()) == (0, ["End!"])


def test_where_the_record_is_another_one_the_command_names_the_flow(project: Project) -> None:
    os.chdir(project.folder.parent)
    done = call("run", str(project.flow), "-i", "n:=[1]")
    line = done.stderr.split("hint: `")[1].split("`")[0]
    project.broken = None
    project.asked()
    assert call(*line.split()[1:]).exit_code == 0
    assert project.asked() == ["End"]


def test_a_limit_stops_a_run_that_then_goes_on(project: Project) -> None:
    project.broken = None
    done = call(*RUN, "--max-calls", "2")
    assert done.exit_code == 4
    assert "` goes on" in done.stderr
    assert len(project.asked()) == 2
    assert call("resume", "-q").exit_code == 0
    assert len(project.asked()) == ALL - 2


def test_a_simulated_run_goes_on_simulated(project: Project) -> None:
    replies = project.folder / "replies.yaml"
    project.edit('{prompt: "End {{ steps.each.output }}"}', '{prompt: "End {{ steps.each.output }}", output: {x: integer}}')
    replies.write_text("last: {x: many}\n")
    assert call(*RUN, "--simulate", "replies.yaml").exit_code == 1
    replies.write_text("last: {x: 7}\n")
    done = call("resume", "--json")
    document = json.loads(done.stdout)
    assert (document["simulated"], document["outputs"], document["reused"]) == (True, {"last": {"x": 7}}, 3)
    assert project.asked() == []


# -- interrupted and killed --------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "asked"), [(signal.SIGINT, ["End"]), (signal.SIGKILL, ["End", "Item", "Item"])])
def test_a_run_that_was_interrupted_or_killed_goes_on(project: Project, number: signal.Signals, asked: list[str]) -> None:
    """What was answered is not asked again; of a process that died, what was in flight is."""
    go = threading.Event()

    def reply(body: dict[str, Any]) -> str:
        if str(body["messages"][-1]["content"]).startswith("Item"):
            go.wait(20)
        return echo(body)

    project.server.reply = reply
    process = child(*RUN, cwd=project.folder)
    project.server.wait_for(3)
    process.send_signal(number)
    assert process.stderr is not None
    said = ""
    while number is signal.SIGINT and "stopping" not in said:
        said += process.stderr.readline()
    if number is signal.SIGINT:
        go.set()
    said += process.communicate(timeout=20)[1]
    go.set()
    assert process.returncode == (130 if number is signal.SIGINT else -number)
    assert ("` goes on; what is finished costs nothing again" in said) == (number is signal.SIGINT)
    project.asked()
    done = call("resume", "--json")
    assert (done.exit_code, project.asked()) == (0, asked)
    assert json.loads(done.stdout)["status"] == "succeeded"
    assert "and interrupted" in done.stderr


def test_two_processes_do_not_go_on_with_one_run(project: Project) -> None:
    run = failed(project)
    project.broken = None
    project.server.go.clear()
    first = child("resume", run, "--json", cwd=project.folder)
    project.server.wait_for(1)
    second = call("resume", run, "--json")
    assert second.exit_code == 1
    assert second.stderr.startswith(f"error: run {run[:8]} of chain goes on in another process")
    assert call("resume").stderr.startswith("no run waits to go on")
    project.server.go.set()
    out, _ = first.communicate(timeout=20)
    assert json.loads(out)["status"] == "succeeded"
    assert project.asked() == ["End"]


# -- what changed ------------------------------------------------------------------------------------------


def test_what_changed_is_said_and_nothing_is_called_unless_somebody_agrees(project: Project) -> None:
    run = failed(project)
    project.broken = None
    project.edit("End {{", "Finish {{")
    done = call("resume", run)
    assert (done.exit_code, done.stdout, project.asked()) == (2, "", [])
    assert "steps.last.messages[0].text: [-End-]{+Finish+} {{ steps.each.output }}" in done.stderr
    assert "hint: --yes goes on" in done.stderr
    assert json.loads(call("resume", run, "--json").stdout)["error"]["kind"] == "config"
    done = call("resume", run, "--yes")
    assert (done.exit_code, project.asked()) == (0, ["Finish"])
    assert "{+Finish+}" in done.stderr


def test_what_changes_no_question_needs_no_answer(project: Project) -> None:
    """Layout, comments and limits are no change of the flow."""
    run = failed(project)
    project.broken = None
    project.flow.write_text("# a comment\n" + FLOW.replace("retry: 1", "retry: 2"))
    assert call("resume", run).exit_code == 0
    assert project.asked() == ["End"]


@pytest.mark.parametrize(("word", "code", "asked"), [("y", 0, ["Finish"]), ("n", 2, [])])
def test_on_a_terminal_somebody_is_asked(project: Project, word: str, code: int, asked: list[str]) -> None:
    run = failed(project)
    project.broken = None
    project.edit("End {{", "Finish {{")
    master, slave = pty.openpty()
    line = [sys.executable, "-m", "flowkit", "resume", run]
    process = subprocess.Popen(
        line, stdin=slave, stdout=subprocess.PIPE, stderr=slave, cwd=project.folder, env=environment(TERM="xterm"), text=True
    )
    os.close(slave)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(master, 4096)
    os.write(master, f"{word}\n".encode())
    assert process.stdout is not None
    process.stdout.read()
    process.stdout.close()
    assert process.wait(20) == code
    os.close(master)
    assert b"{+Finish+}" in said
    assert project.asked() == asked


def test_another_model_is_a_change_too(project: Project) -> None:
    run = failed(project)
    project.broken = None
    done = call("resume", run, "-m", "m=p/gpt5")
    assert (done.exit_code, project.asked()) == (2, [])
    assert "steps.last.model: m ([-gpt-]{+gpt5+} at 127.0.0.1:" in done.stderr
    project.configure("gpt6")
    done = call("resume", run)
    assert (done.exit_code, project.asked()) == (2, [])
    assert "the model of first, each, last: it was gpt at http://127.0.0.1:" in done.stderr
    assert ", and is gpt6 at http://127.0.0.1:" in done.stderr
    assert call("resume", run, "-m", "m=p/gpt", "-y").exit_code == 0
    assert project.asked() == ["End"]


def test_a_flow_that_was_wrong_for_this_flowkit_is_compared_as_text(project: Project) -> None:
    """What its files were is in the record, whether it can still be read or not."""
    (project.folder / "style.md").write_text("Be kind.")
    project.edit("Begin,", "{% include 'style.md' %} Begin,")
    run = failed(project)
    (project.folder / "style.md").write_text("Be brief.")
    done = call("resume", run)
    assert done.exit_code == 2
    assert "[-kind-]{+brief+}" in done.stderr


# -- refusals ----------------------------------------------------------------------------------------------


def test_a_flow_that_is_gone_or_was_moved(project: Project) -> None:
    run = failed(project)
    project.broken = None
    moved = project.flow.rename(project.folder / "moved.flow.yaml")
    done = call("resume", run)
    assert done.exit_code == 2
    assert done.stderr == (
        f"error: run {run[:8]} of chain: its flow file {project.flow} is not there\n"
        f"   hint: flowkit resume {run[:8]} --flow FLOW, with the file as it is called now\n"
    )
    assert call("resume", run, "--flow", moved.name).exit_code == 0
    assert project.asked() == ["End"]


def test_a_row_of_a_batch_goes_on_with_its_batch(project: Project) -> None:
    flow = flowkit.load(project.flow, runtime=flowkit.Runtime(record=True))
    with pytest.raises(RunError) as failure:
        asyncio.run(flow.start({"n": [1]}, batch=("b1", 3)).finish())
    assert failure.value.run is not None
    done = call("resume", failure.value.run.id)
    assert done.exit_code == 2
    assert "is row 3 of a batch, which goes on as a whole\n   hint: flowkit batch" in done.stderr
    assert call("resume").stderr.startswith("no run waits to go on")


@pytest.mark.parametrize(("args", "said"), [((), "there is no record of runs in "), (("abc",), "there is no record of runs in ")])
def test_without_a_record_there_is_nothing_to_go_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: Any, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("resume", *args)
    assert done.exit_code == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_there_is_named(project: Project) -> None:
    failed(project)
    done = call("resume", "zzz")
    assert (done.exit_code, project.asked()) == (2, [])
    assert "no run begins with 'zzz'" in done.stderr


def test_a_run_without_a_record_says_nothing_of_going_on(project: Project) -> None:
    assert "resume" not in call(*RUN, "--no-record").stderr


def test_a_run_of_a_revision_goes_on_with_that_revision(project: Project) -> None:
    """What the working tree holds by now is no matter."""
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "chain.flow.yaml", "flowkit.toml"], ["commit", "-qm", "One"]):
        subprocess.run([*git, *words], cwd=project.folder, check=True)
    project.edit("End {{", "Finish {{")
    done = call("run", "chain.flow.yaml@HEAD", "-i", "n:=[1,2]")
    assert project.asked() == ["Begin", "End", "Item", "Item"]
    line = done.stderr.split("hint: `")[1].split("`")[0].split()
    assert line[:2] == ["flowkit", "resume"]
    assert len(line) == 3
    project.flow.unlink()
    project.broken = None
    done = call(*line[1:])
    assert done.exit_code == 0, done.stderr
    assert project.asked() == ["End"]
