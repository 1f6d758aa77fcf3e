"""`flowkit check`: find every mistake of every flow file, each once; nothing is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from flowkit import compiler, suites
from flowkit.commands import screen
from flowkit.commands.opening import FLOW_SUFFIX
from flowkit.commands.verb import Verb
from flowkit.console import problems
from flowkit.errors import ConfigError, Problem
from flowkit.runtime import Runtime
from flowkit.suites.loading import TEST_SUFFIX

_EXAMPLES = (
    ("flowkit check", "all flows below this folder"),
    ("flowkit check flows/triage.flow.yaml --strict", "one flow; warnings fail too"),
    ("flowkit check flows --format github", "annotations in a pull request"),
)
#: Folders that hold no flows of the project's own.
_FOREIGN = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("paths", nargs=-1, metavar="[FILE | FOLDER]...")
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", help="How problems are printed.")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
def command(*, paths: tuple[str, ...], form: str, strict: bool) -> int:
    """Find the mistakes in flow files; nothing is called.

    Without paths, all *.flow.yaml below this folder are checked. Every reference in every template is resolved against the declared
    type of what it names, and all problems of all files are reported at once.

    Exit codes: 0 no errors (with --strict no warnings either); 2 problems, or nothing to check.
    """
    files = list(dict.fromkeys(file for path in paths or (".",) for file in found(Path(path))))
    if not files:
        where = " or ".join(paths) or "this folder"
        raise ConfigError(f"there is no *{FLOW_SUFFIX} below {where}")
    all_problems, read = check(files)
    if form == "json":
        screen.out(problems.json(all_problems, files=read))
    elif form == "github":
        screen.out(problems.github(all_problems))
    else:
        screen.out(problems.text(all_problems, files=read, color=screen.color(sys.stdout), columns=screen.columns()))
    fatal = any(strict or problem.severity == "error" for problem in all_problems)
    return 2 if fatal else 0


def found(path: Path) -> Iterator[Path]:
    """Yield a file, or the flow files below a folder in order of their names; hidden folders are left out."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _FOREIGN)
        yield from (Path(folder, name) for name in sorted(names) if name.endswith((FLOW_SUFFIX, TEST_SUFFIX)))


def check(files: Sequence[Path]) -> tuple[tuple[Problem, ...], int]:
    """Return every problem of the files and all that they name, each once, and the number of files that were read.

    Raises:
        ConfigError: the configuration of a project is wrong.
    """
    runtime = Runtime()
    seen: dict[Problem, None] = {}
    read: set[Path] = set()
    for file in files:
        models = runtime.config(file)
        checked = None if file.name.endswith(TEST_SUFFIX) else compiler.check(file, cwd=Path.cwd(), models=models)
        if checked is not None:
            seen.update(dict.fromkeys(checked.problems))
            read.update((file.resolve(), *checked.files))
        tests = suites.load(file, cwd=Path.cwd(), models=models, checked=checked)
        seen.update(dict.fromkeys(tests.problems))
        read.update(tests.files)
    return tuple(sorted(seen)), len(read)
