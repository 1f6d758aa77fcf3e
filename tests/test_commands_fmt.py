"""`flowkit fmt`: what it writes, lists and shows, and what it leaves alone; and the hooks for pre-commit."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from command_line import HELLO, ONE, call

from flowkit.commands.fmt import SUFFIXES
from flowkit.main import cli

LOOSE = "name: loose\nflowkit: 1\nsteps:\n    say: { prompt: hi }\n"
NEAT = "flowkit: 1\nname: loose\n\nsteps:\n  say: {prompt: hi}\n"
BROKEN = "flowkit: 1\nsteps:\n\tsay: 1\n"
HOOKS = Path(__file__).parent.parent / ".pre-commit-hooks.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loose.flow.yaml").write_text(LOOSE)
    (tmp_path / "neat.flow.yaml").write_text(NEAT)
    return tmp_path


def test_files_are_laid_out_and_named_on_stderr(folder: Path) -> None:
    done = call("fmt")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "laid out loose.flow.yaml\n1 file laid out, 1 file as it should be\n"
    assert (folder / "loose.flow.yaml").read_text() == NEAT
    assert call("fmt").stderr == "2 files as they should be\n"


def test_flows_types_and_tests_are_found_and_other_yaml_is_not(folder: Path) -> None:
    for name in ("a.types.yaml", "a.test.yaml", "a.yaml", "flowkit.yaml", "node_modules/b.flow.yaml", ".git/b.flow.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("a:   1\n")
    assert call("fmt", "--check").stdout.split() == ["a.test.yaml", "a.types.yaml", "loose.flow.yaml"]
    assert call("fmt", "a.yaml").exit_code == 0
    assert (folder / "a.yaml").read_text() == "a: 1\n"


def test_check_lists_what_would_change_and_writes_nothing(folder: Path) -> None:
    done = call("fmt", "--check")
    assert (done.exit_code, done.stdout) == (1, "loose.flow.yaml\n")
    assert done.stderr == "1 file would change, 1 file as it should be\n"
    assert (folder / "loose.flow.yaml").read_text() == LOOSE
    assert call("fmt", "--check", "neat.flow.yaml").exit_code == 0


def test_diff_is_taken_by_patch_and_writes_nothing(folder: Path) -> None:
    (folder / "loose.flow.yaml").write_text(LOOSE.rstrip("\n"))
    done = call("fmt", "--diff")
    assert done.exit_code == 0
    assert call("fmt", "--diff", "--check").exit_code == 1
    assert (folder / "loose.flow.yaml").read_text() == LOOSE.rstrip("\n")
    subprocess.run(["git", "apply", "-"], input=done.stdout, text=True, check=True, cwd=folder)
    assert (folder / "loose.flow.yaml").read_text() == NEAT


def test_a_file_that_cannot_be_read_is_left_with_the_words_of_the_check_and_the_others_are_laid_out(folder: Path) -> None:
    (folder / "broken.flow.yaml").write_text(BROKEN)
    done = call("fmt")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "broken.flow.yaml:3:1: error: a tab is used to indent" in done.stderr
    assert done.stderr.endswith("1 file laid out, 1 file as it should be, 1 file left alone\n")
    assert (folder / "broken.flow.yaml").read_text() == BROKEN
    assert (folder / "loose.flow.yaml").read_text() == NEAT
    assert call("fmt", "--check").exit_code == 2


def test_a_flow_that_the_check_refuses_for_another_reason_is_laid_out(folder: Path) -> None:
    (folder / "loose.flow.yaml").write_text(LOOSE.replace("prompt: hi", "prompt: '{{ nowhere }}'"))
    assert call("fmt").exit_code == 0


def test_nothing_to_lay_out_is_an_error_that_says_what_was_looked_for(folder: Path) -> None:
    (folder / "empty").mkdir()
    done = call("fmt", "empty")
    assert done.exit_code == 2
    assert all(suffix in done.stderr for suffix in (*SUFFIXES, "empty"))
    assert "there is no file 'nowhere.flow.yaml'" in call("fmt", "nowhere.flow.yaml").stderr


def test_stdin_goes_to_stdout(folder: Path) -> None:
    done = call("fmt", "-", stdin=LOOSE)
    assert (done.exit_code, done.stdout, done.stderr) == (0, NEAT, "")
    assert call("fmt", "-", stdin=NEAT).stdout == NEAT
    assert (call("fmt", "-", "--check", stdin=LOOSE).exit_code, call("fmt", "-", "--check", stdin=NEAT).exit_code) == (1, 0)
    assert "+flowkit: 1\n" in call("fmt", "-", "--diff", stdin=LOOSE).stdout
    broken = call("fmt", "-", stdin=BROKEN)
    assert (broken.exit_code, broken.stdout) == (2, "")
    assert broken.stderr.startswith("<stdin>:3:1: error:")
    assert call("fmt", "-", "loose.flow.yaml", stdin=LOOSE).exit_code == 2


def test_mode_and_links_stay_and_no_other_file_is_left_behind(folder: Path) -> None:
    file, link = folder / "loose.flow.yaml", folder / "link.flow.yaml"
    file.chmod(0o640)
    link.symlink_to(file.name)
    assert call("fmt", "link.flow.yaml").exit_code == 0
    assert (link.is_symlink(), file.read_text()) == (True, NEAT)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["link.flow.yaml", "loose.flow.yaml", "neat.flow.yaml"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_may_not_be_written_stays_and_is_named(folder: Path) -> None:
    (folder / "loose.flow.yaml").chmod(0o444)
    done = call("fmt")
    assert done.exit_code == 1
    assert "loose.flow.yaml: Permission denied; it is as it was" in done.stderr
    assert (folder / "loose.flow.yaml").read_text() == LOOSE


@pytest.mark.parametrize("text", [HELLO, ONE])
def test_the_check_says_the_same_of_a_flow_before_and_after(folder: Path, text: str) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "flow.flow.yaml").write_text(text)
    before = call("check")
    assert call("fmt").exit_code == 0
    assert (call("check").exit_code, call("check").stdout) == (before.exit_code, before.stdout)


# -- pre-commit --------------------------------------------------------------------------------------------


def test_the_hooks_name_commands_and_options_that_exist() -> None:
    """pre-commit runs `entry` with `args` and, unless told not to, the names of the files that match."""
    hooks = yaml.safe_load(HOOKS.read_text())
    assert [hook["id"] for hook in hooks] == ["flowkit-check", "flowkit-fmt"]
    for hook in hooks:
        assert {"id", "name", "entry", "language", "files"} <= set(hook)
        assert hook["language"] == "python"
        program, verb, *options = [*hook["entry"].split(), *hook.get("args", ())]
        command = cli.get_command(click.Context(cli), verb)
        assert program == "flowkit"
        assert command is not None
        assert {option for option in options if option.startswith("-")} <= {name for each in command.params for name in each.opts}


def test_the_hooks_match_what_flows_are_made_of() -> None:
    check, fmt = (re.compile(hook["files"]) for hook in yaml.safe_load(HOOKS.read_text()))
    for suffix in SUFFIXES:
        assert fmt.search(f"flows/a{suffix}")
        assert check.search(f"flows/a{suffix}")
    assert not fmt.search("docs/a.yaml")
    assert check.search("flows/prompts/a.md")


# -- docs/ci.md --------------------------------------------------------------------------------------------


def lines_of_ci() -> list[list[str]]:
    """Every call of flowkit in the workflows of the page."""
    page = (HOOKS.parent / "docs" / "ci.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```yml\n(.*?)```", page, re.DOTALL))
    return [line.split() for line in re.findall(r"^(?:.*run:)? +flowkit (.+)$", blocks, re.MULTILINE)]


def test_the_workflows_of_the_docs_are_yaml_and_call_what_exists() -> None:
    page = (HOOKS.parent / "docs" / "ci.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yml\n(.*?)```", page, re.DOTALL)]
    assert [hook["id"] for hook in blocks[0]["repos"][0]["hooks"]] == [hook["id"] for hook in yaml.safe_load(HOOKS.read_text())]
    assert len(lines_of_ci()) == 4
    for verb, *words in lines_of_ci():
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None, verb
        assert {word for word in words if word.startswith("--")} <= {name for each in command.params for name in each.opts}, verb
