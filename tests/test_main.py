"""The entry: help, mistakes in the command line itself, errors to exit codes, and what start-up imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_line import ONE, call, child, environment, write
from unwatched import unwatched

from flowkit import __version__, main
from flowkit.main import VERBS, cli

SLOW = {
    "pydantic",
    "pydantic_core",
    "jinja2",
    "httpx",
    "httpx_aiohttp",
    "aiohttp",
    "networkx",
    "yaml",
    "orjson",
    "rich",
    "asyncio",
    "dotenv",
    "tomllib",
}


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--version"]])
def test_help_imports_nothing_slow(args):
    code = f"import sys\nfrom flowkit.main import cli\ntry: cli.main({args!r})\nexcept SystemExit: pass\nprint(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=unwatched())
    loaded = set(done.stderr.split())
    assert not loaded & SLOW
    assert {name for name in loaded if name.startswith("flowkit")} == {"flowkit", "flowkit.main", "flowkit.version"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_of_verbs_says_what_their_own_help_says(verb):
    command = cli.get_command(click.Context(cli), verb)
    assert command.help.strip().partition("\n\n")[0] == VERBS[verb]


@pytest.mark.parametrize("verb", VERBS)
def test_help_begins_with_examples(verb):
    text = call(verb, "--help").output
    assert text.index("Examples:") < text.index("Usage:") < text.index("Options:")
    assert f"flowkit {verb}" in text.partition("Usage:")[0]


def test_help_of_all_begins_with_examples():
    text = call("--help").output
    assert text.index("Examples:") < text.index("Usage:") < text.index("Commands:")
    assert all(verb in text for verb in VERBS)


def test_the_version_is_shown():
    assert call("--version").output == f"flowkit {__version__}\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["rum"], "error: there is no command 'rum'; did you mean 'run'?\n   hint: flowkit --help\n"),
        (["dance"], f"error: there is no command 'dance'; there are: {', '.join(VERBS)}\n   hint: flowkit --help\n"),
        (["check", "--strikt"], "error: no such option '--strikt'; did you mean '--strict'?\n   hint: flowkit check --help\n"),
        (["run"], "error: which flow? name a file such as flows/hello.flow.yaml\n   hint: flowkit run --help\n"),
        (["graph"], "error: missing argument 'FLOW'\n   hint: flowkit graph --help\n"),
        (["run", "x", "--timeout", "0"], "error: --timeout takes seconds, more than 0\n   hint: flowkit run --help\n"),
        (["run", "x", "--json", "--events"], "error: --json and --events exclude each other\n   hint: flowkit run --help\n"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_says_the_way_out(args, said):
    done = call(*args)
    assert (done.exit_code, done.stderr, done.stdout) == (2, said, "")


def test_a_mistake_in_a_flow_is_shown_with_its_place(tmp_path):
    path = write(tmp_path, one=ONE.replace("inputs.word", "inputs.wort"))
    done = call("run", str(path), "-i", "word=x")
    assert done.exit_code == 2
    assert "one.flow.yaml:6:32: error:" in done.stderr
    assert "^^^^" in done.stderr
    assert "hint: did you mean 'word'?" in done.stderr
    assert done.stdout == ""


def test_a_bug_is_called_one_without_a_traceback(monkeypatch):
    """The one `except Exception` says that flowkit is wrong, not the user."""

    @click.command()
    def broken():
        raise ZeroDivisionError("oh \x1b[31m")

    monkeypatch.setattr(main, "import_module", lambda name: type("module", (), {"command": broken}))
    done = call("run")
    assert done.exit_code == 70
    assert done.stderr.startswith(f"error: this is a bug in flowkit {__version__}: ZeroDivisionError: oh ␛[31m\n")
    assert "Traceback" not in done.stderr
    assert "Traceback" in call("run", env={"FLOWKIT_TRACEBACK": "1"}).stderr


def test_an_interrupt_before_a_run_is_130(monkeypatch):
    @click.command()
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "import_module", lambda name: type("module", (), {"command": interrupted}))
    assert call("run").exit_code == 130


def test_the_package_can_be_run_as_a_module():
    done = subprocess.run([sys.executable, "-m", "flowkit", "--version"], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout == f"flowkit {__version__}\n"


@pytest.mark.parametrize("args", [["--help"], ["schema"]])
def test_a_reader_that_went_away_is_no_error(args):
    process = child(*args)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(30) in {0, 141}
    process.stderr.close()


@pytest.mark.parametrize("args", [["--help"], ["schema"]])
def test_a_full_disk_is_an_error_in_one_line(args):
    with Path("/dev/full").open("w") as full:
        process = child(*args, stdout=full)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (1, "error: stdout: No space left on device\n")


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_like_dev_null(closing, tmp_path):
    path = write(tmp_path, one=ONE)
    line = f"{sys.executable} -m flowkit run {path} -i word=x --simulate -o {tmp_path}/out {closing}"
    assert subprocess.run(["sh", "-c", line], env=environment(), check=False).returncode == 0
    assert (tmp_path / "out").read_text() == "Simulated answer of 'say'\n"


def test_verbs_complete_without_being_imported():
    code = "from flowkit.main import main; main()"
    env = environment(_FLOWKIT_COMPLETE="bash_complete", COMP_WORDS="flowkit gr", COMP_CWORD="1")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "plain,graph\n"
    env |= {"COMP_WORDS": "flowkit run --sim", "COMP_CWORD": "2"}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True).stdout == "plain,--simulate\n"
