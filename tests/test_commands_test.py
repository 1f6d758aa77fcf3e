"""`flowkit test`: finds tests, checks all, runs them, and leaves with a code that says what happened."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from suites_files import SAY

from flowkit.commands.test import command
from flowkit.errors import ConfigError

TEST = "tests:\n  - {name: good, inputs: {word: a}, replies: {say: hello}, assert: [{equals: %s}], tags: [smoke]}\n"


def call(*args: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(
        command, list(args), standalone_mode=False, env={"OPENAI_API_KEY": None, "OPENAI_BASE_URL": None, **(env or {})}
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowkit.toml").write_text("")
    (tmp_path / "say.flow.yaml").write_text(SAY)
    return tmp_path


def test_tests_that_pass_are_exit_0(project: Path) -> None:
    (project / "say.test.yaml").write_text(TEST % "hello")
    done = call()
    assert (done.return_value, done.stderr) == (0, "")
    assert done.stdout.startswith("say.test.yaml ✓\n\n1 passed in 0.")


def test_a_failure_is_exit_1(project: Path) -> None:
    (project / "say.test.yaml").write_text(TEST % "goodbye")
    done = call(env={"COLUMNS": "80"})
    assert done.return_value == 1
    assert '     expected  "goodbye"\n          got  "hello"\n' in done.stdout


def test_no_tests_are_exit_5(project: Path) -> None:
    done = call()
    assert (done.return_value, done.stdout) == (5, "")
    assert "there are no tests below this folder" in done.stderr
    (project / "say.test.yaml").write_text(TEST % "hello")
    assert call("-k", "nothing").return_value == 5


def test_nothing_runs_when_one_file_is_wrong(project: Path) -> None:
    from flowkit.errors import FlowError

    (project / "say.test.yaml").write_text(TEST % "hello")
    (project / "bad.test.yaml").write_text("flow: say.flow.yaml\ntests: [{inputs: {wrd: a}}]\n")
    done = call()
    assert isinstance(done.exception, FlowError)
    assert done.exception.exit_code == 2
    assert [problem.place.path for problem in done.exception.problems] == ["bad.test.yaml"]
    assert done.stdout == ""


def test_a_model_that_cannot_be_asked_is_said_before_anything_is(project: Path) -> None:
    from flowkit.errors import ConfigError

    (project / "say.test.yaml").write_text((TEST % "hello") + "  - {inputs: {word: a}}\n")
    done = call()
    assert isinstance(done.exception, ConfigError)
    assert "OPENAI_API_KEY" in str(done.exception)
    assert call("-k", "good").return_value == 0
    assert call("--simulate").return_value == 0


def test_replies_of_a_file_stand_below_those_of_a_test(project: Path) -> None:
    (project / "said.yaml").write_text("say: from the file\n")
    (project / "say.test.yaml").write_text((TEST % "hello") + "  - {inputs: {word: a}, assert: [{equals: from the file}]}\n")
    assert call("--simulate", "said.yaml").return_value == 0


def test_tests_are_chosen_by_words_and_tags(project: Path) -> None:
    (project / "say.test.yaml").write_text((TEST % "hello") + "  - {name: other, inputs: {word: a}, replies: {say: b}}\n")
    assert "1 passed, 1 deselected" in call("--tag", "smoke").stdout
    assert "1 passed, 1 deselected" in call("-k", "other").stdout


def test_tests_are_chosen_by_their_ids(project: Path) -> None:
    (project / "say.test.yaml").write_text((TEST % "hello") + "  - {name: rows, data: [{word: a}, {word: b}], replies: {say: b}}\n")
    assert "1 passed, 2 deselected" in call("say.test.yaml::good").stdout
    assert "1 passed, 2 deselected" in call("./say.test.yaml::rows[2]").stdout
    assert "2 passed, 1 deselected" in call("say.test.yaml::rows").stdout
    assert call("say.test.yaml::nothing").return_value == 5
    assert "3 passed" in call("say.test.yaml", "say.test.yaml::good").stdout


def test_a_name_that_is_wrong_is_met_with_those_that_are_there(project: Path) -> None:
    (project / "say.test.yaml").write_text(TEST % "hello")
    done = call("say.test.yaml::goods")
    assert done.return_value == 5
    assert "hint: did you mean 'good'?" in done.stderr
    assert "hint: there are 'good'" in call("say.test.yaml::something").stderr


def test_only_a_file_takes_a_revision(project: Path) -> None:
    (project / "flows").mkdir(exist_ok=True)
    done = call("flows@HEAD~8")
    assert isinstance(done.exception, ConfigError)
    assert "only a file takes @REV" in str(done.exception)
    assert "flowkit test flows --against HEAD~8" in str(done.exception)


def test_repeat_is_that_of_the_command_line(project: Path) -> None:
    (project / "say.test.yaml").write_text(TEST % "hello")
    document = json.loads(call("--repeat", "3", "--json").stdout)
    assert (len(document["tests"][0]["runs"]), document["tests"][0]["passed"]) == (3, 3)


def test_json_is_one_object_and_junit_a_file(project: Path) -> None:
    (project / "say.test.yaml").write_text(TEST % "hello")
    done = call("--json", "--junit", "out.xml")
    assert json.loads(done.stdout)["summary"]["passed"] == 1
    assert '<testcase classname="say.test.yaml" name="good"' in (project / "out.xml").read_text()


def test_tests_are_found_below_folders_but_not_in_foreign_ones(project: Path) -> None:
    for folder in ("deep/er", ".hidden", "node_modules/x"):
        (project / folder).mkdir(parents=True)
        (project / folder / "say.flow.yaml").write_text(SAY + (TEST % "hello"))
    ids = [test["id"] for test in json.loads(call("--json").stdout)["tests"]]
    assert ids == ["deep/er/say.flow.yaml::good"]


def test_the_path_behind_simulate_is_no_file_of_replies(project: Path) -> None:
    (project / "say.test.yaml").write_text(TEST % "hello")
    assert call("--simulate", "say.test.yaml").return_value == 0


def test_watch_runs_again_when_a_file_changes(project: Path) -> None:
    """In a process of its own, which is then interrupted."""
    import subprocess

    path = project / "say.test.yaml"
    path.write_text(TEST % "goodbye")
    line = "from flowkit.commands.test import command; command(['--watch'])"
    root = Path(__file__).resolve().parents[1]
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    with (project / "out").open("w") as out:
        child = subprocess.Popen([sys.executable, "-c", line], stdout=out, stderr=subprocess.STDOUT, env=env)
        try:
            wait_for(project / "out", "waiting for a change")
            path.write_text("tests: [{inputs: {wort: b}}]\n")
            wait_for(project / "out", "1 error")
            path.write_text(TEST % "hello")
            wait_for(project / "out", "1 passed")
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(10)
    assert "1 failed" in (project / "out").read_text()


def wait_for(path: Path, text: str) -> None:
    end = time.monotonic() + 30
    while text not in path.read_text():
        assert time.monotonic() < end, path.read_text()
        time.sleep(0.05)
