"""`flowkit schema`: print the JSON Schema of flow files."""

from __future__ import annotations

import json

import click

from flowkit import schema
from flowkit.commands.graph import write
from flowkit.commands.verb import Verb

_EXAMPLES = (
    ("flowkit schema -o flow.schema.json", "then begin a flow with `# yaml-language-server: $schema=flow.schema.json`"),
    ("flowkit schema | jq '.properties | keys'", "the keys of a flow"),
)


@click.command(cls=Verb, examples=_EXAMPLES)
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def command(output: str | None) -> int:
    """Print the JSON Schema of flow files, for editors.

    With it an editor completes keys and marks mistakes while you type.
    """
    write(text(), output)
    return 0


def text() -> str:
    """Return the schema as it is written to files."""
    return json.dumps(schema.schema(), ensure_ascii=False, indent=2) + "\n"
