"""`flowkit import`: turn prompts of other tools into flows, check what came out, and say what could not be turned."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from flowkit import compiler, printable
from flowkit.commands import screen
from flowkit.commands.opening import FLOW_SUFFIX
from flowkit.commands.verb import Verb, Verbs
from flowkit.console import problems as shown_problems
from flowkit.errors import ConfigError, Problem
from flowkit.imports import layout, prompt_yml, promptflow, prompty
from flowkit.imports.draft import Draft, Finding
from flowkit.project import PathRefused
from flowkit.runtime import Runtime

_EXAMPLES = (
    ("flowkit import promptflow chat-math -o flows/chat_math", "a folder with flow.dag.yaml"),
    ("flowkit import prompty basic.prompty", "a prompt of Prompty"),
    ("flowkit import prompt-yml summarize.prompt.yml --json", "a prompt of GitHub Models; the report as JSON"),
)
_HEADINGS = (
    ("left", "not converted:"),
    ("typed", "what typed outputs do:"),
    ("changed", "converted, and works in another way:"),
)


@click.group(cls=Verbs, examples=_EXAMPLES)
def command() -> None:
    """Turn prompts of other tools into flows.

    What can be converted is written, what cannot is listed with the file and line it stands in. The flow is checked, as `flowkit check`
    does. Nothing is called, and no file is overwritten without --force.

    Exit codes: 0 all was converted; 1 something was left out, or the check found a mistake; 2 nothing could be read or written.
    """


def _options(function: Callable[..., int]) -> Callable[..., int]:
    for declare in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object on stdout."),
        click.option("--force", is_flag=True, help="Write over files that are there."),
        click.option("-o", "--output", metavar="DIR", help="Where to write; default: a new folder of the flow's name, here."),
    ):
        function = declare(function)
    return function


@command.command("promptflow", cls=Verb, examples=_EXAMPLES[:1])
@click.argument("path", metavar="DIR")
@_options
def from_promptflow(*, path: str, output: str | None, force: bool, as_json: bool) -> int:
    """Turn a folder of Prompt flow with flow.dag.yaml into a flow."""
    return _imported(promptflow.read, path, output, force=force, as_json=as_json)


@command.command("prompty", cls=Verb, examples=_EXAMPLES[1:2])
@click.argument("path", metavar="FILE")
@_options
def from_prompty(*, path: str, output: str | None, force: bool, as_json: bool) -> int:
    """Turn a .prompty file into a flow."""
    return _imported(prompty.read, path, output, force=force, as_json=as_json)


@command.command("prompt-yml", cls=Verb, examples=_EXAMPLES[2:])
@click.argument("path", metavar="FILE")
@_options
def from_prompt_yml(*, path: str, output: str | None, force: bool, as_json: bool) -> int:
    """Turn a .prompt.yml file of GitHub Models into a flow."""
    return _imported(prompt_yml.read, path, output, force=force, as_json=as_json)


def _imported(read: Callable[..., Draft], path: str, output: str | None, *, force: bool, as_json: bool) -> int:
    if not Path(path).exists():
        raise ConfigError(f"there is no {path}")
    try:
        draft = read(Path(path), cwd=Path.cwd())
    except PathRefused as refused:
        raise ConfigError(refused.message + (f" ({refused.hint})" if refused.hint else "")) from None
    stem = draft.name.replace("-", "_")
    folder = Path(output) if output is not None else Path(stem)
    files = {f"{stem}{FLOW_SUFFIX}": layout.flow(draft), **draft.files}
    _write(files, folder, force=force)
    flow = folder / next(iter(files))
    checked = compiler.check(flow, cwd=Path.cwd(), models=Runtime().config(flow)).problems
    if as_json:
        screen.out(_json(draft, [str(folder / name) for name in files], checked))
    else:
        screen.say(_text(draft, flow, checked))
    return 1 if draft.report.of("left") or any(problem.severity == "error" for problem in checked) else 0


def _write(files: dict[str, str | bytes], folder: Path, *, force: bool) -> None:
    """Write all files or none. Raises ConfigError."""
    there = [str(folder / name) for name in files if (folder / name).exists()]
    if there and not force:
        raise ConfigError(
            f"{', '.join(there[:5])} {'is' if len(there) == 1 else 'are'} there already; take another folder with -o, or --force"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".import-") as aside:
            for name, held in files.items():
                path = Path(aside, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(held.encode() if isinstance(held, str) else held)
            for name in files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(Path(aside, name), folder / name)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from None


def _text(draft: Draft, flow: Path, checked: tuple[Problem, ...]) -> str:
    report = draft.report
    lines = [f"{flow} is written, of {draft.origin}"]
    lines += [f"  {path}" for path in sorted(draft.files)]
    if report.converted:
        lines += ["converted:", *(f"  {step}: {what}" for step, what in report.converted.items())]
    if report.renamed:
        lines += ["renamed:", *(f"  {old} → {new}" for old, new in report.renamed.items())]
    for kind, heading in _HEADINGS:
        if found := report.of(kind):  # type: ignore[arg-type]  # the keys of the table are Kinds
            lines += [heading, *(f"  {finding}" for finding in found)]
    text = printable.block("\n".join(lines))
    if checked:
        told = shown_problems.text(checked, files=1, color=screen.color(sys.stderr), columns=screen.columns())
        return f"{text}\nwhat the check of it says:\n{told.rstrip()}"
    return f"{text}\n`flowkit check {flow}` finds nothing"


def _json(draft: Draft, files: list[str], checked: tuple[Problem, ...]) -> str:
    report = draft.report

    def told(found: list[Finding]) -> list[dict[str, str | int]]:
        return [{"path": f.file, "line": f.line, "what": f.what, "way": f.way} for f in found]

    held = {
        "schema": 1,
        "flow": files[0],
        "files": files,
        "converted": report.converted,
        "renamed": report.renamed,
        "left": told(report.of("left")),
        "typed": told(report.of("typed")),
        "changed": told(report.of("changed")),
        "problems": json.loads(shown_problems.json(checked, files=1))["problems"],
    }
    return printable.json_text(held, indent=2) + "\n"
