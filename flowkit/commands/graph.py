"""`flowkit graph`: draw the steps of a flow."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from flowkit import compiler
from flowkit.commands import screen
from flowkit.commands.verb import Verb
from flowkit.drawing.dot import dot
from flowkit.drawing.mermaid import mermaid
from flowkit.drawing.planned import sketch
from flowkit.drawing.svg import svg
from flowkit.drawing.tree import tree
from flowkit.errors import ConfigError

_EXAMPLES = (
    ("flowkit graph flows/triage.flow.yaml", "a tree for the terminal"),
    ("flowkit graph flows/triage.flow.yaml --format mermaid", "for Markdown on GitHub"),
    ("flowkit graph flows/triage.flow.yaml -o triage.svg", "a picture; the ending names the format"),
)
_ENDINGS = {".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg"}
#: Columns of a tree that nobody reads on a screen.
_WIDE = 160


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow")
@click.option("--format", "form", type=click.Choice(["tree", "mermaid", "dot", "svg"]), help="By default a tree, or what FILE ends with.")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def command(flow: str, form: str | None, output: str | None) -> int:
    """Draw the steps of a flow.

    Nothing is called. In a tree, `← a` reads the output of a, `a?` may be absent when it is read, and `after a` is order without data.
    """
    plan = compiler.check(Path(flow), cwd=Path.cwd()).valid()
    drawn = sketch(plan)
    chosen = form or (_ENDINGS.get(Path(output).suffix.lower()) if output else None) or "tree"
    if chosen == "tree":
        text = tree(drawn, columns=shutil.get_terminal_size().columns if output is None and screen.terminal(sys.stdout) else _WIDE)
    else:
        text = {"mermaid": mermaid, "dot": dot, "svg": svg}[chosen](drawn)
    write(text, output)
    return 0


def write(text: str, output: str | None) -> None:
    """Write a document to a file or to stdout. Raises ConfigError when the file cannot be written."""
    if output is None:
        screen.out(text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigError(f"-o {output}: {error.strerror or os.strerror(error.errno or 0)}") from None
