"""`flowkit check`: all problems of all files, each once."""

from __future__ import annotations

import json

import pytest
from command_line import HELLO, ONE, call, write

BAD = ONE.replace("inputs.word", "inputs.wort")
USER = """\
flowkit: 1
name: user
inputs: {word: string}
steps:
  go: {uses: bad.flow.yaml, with: {word: inputs.word}}
"""
WARNS = ONE.replace("inputs: {word: string}", "inputs: {word: string, spare?: string}")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowkit.toml").write_text("")
    return tmp_path


def test_good_flows_are_exit_0(project):
    write(project, one=ONE, hello=HELLO)
    done = call("check")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "no problems in 2 files\n", "")


def test_a_mistake_of_a_sub_flow_is_reported_once(project):
    write(project, bad=BAD, user=USER)
    done = call("check", "user.flow.yaml", "bad.flow.yaml", "bad.flow.yaml", ".")
    assert done.exit_code == 2
    assert done.stdout.count("bad.flow.yaml:6:32: error:") == 1
    assert done.stdout.endswith("1 error in 1 of 2 files\n")


def test_all_flows_below_a_folder_are_found_but_not_in_foreign_ones(project):
    for folder in ("a", "b/c", ".hidden", "node_modules/x"):
        (project / folder).mkdir(parents=True)
        write(project / folder, bad=BAD)
    done = call("check", "--format", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 2
    assert document["files"] == 2
    assert [problem["path"] for problem in document["problems"]] == ["a/bad.flow.yaml", "b/c/bad.flow.yaml"]
    first = document["problems"][0]
    assert (first["line"], first["column"], first["end_column"], first["severity"], first["hint"]) == (
        6,
        32,
        36,
        "error",
        "did you mean 'word'?",
    )


def test_warnings_fail_only_when_strict(project):
    write(project, warns=WARNS)
    done = call("check")
    assert done.exit_code == 0
    assert "warning: input 'spare' is never read" in done.stdout
    assert call("check", "--strict").exit_code == 2


def test_github_gets_annotations(project):
    write(project, bad=BAD)
    done = call("check", "--format", "github")
    assert done.stdout.startswith("::error file=bad.flow.yaml,line=6,col=32,endColumn=36,title=")
    assert done.exit_code == 2


def test_nothing_to_check_is_exit_2(project):
    done = call("check")
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", "error: there is no *.flow.yaml below this folder\n")


def test_a_file_that_is_not_there_is_a_problem(project):
    write(project, hello=HELLO)
    done = call("check", "helo.flow.yaml")
    assert done.exit_code == 2
    assert "error: there is no file 'helo.flow.yaml'" in done.stdout
    assert "did you mean 'hello.flow.yaml'?" in done.stdout


def test_a_wrong_configuration_is_exit_2(project):
    write(project, hello=HELLO)
    (project / "flowkit.toml").write_text("[modles]\n")
    done = call("check")
    assert done.exit_code == 2
    assert "flowkit.toml: modles: unknown key" in done.stderr


def test_colours_are_for_terminals_only(project):
    write(project, bad=BAD)
    assert "\x1b" not in call("check").stdout
