"""`flowkit init`: write a project that runs at once."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from flowkit.commands import schema, screen
from flowkit.commands.verb import Verb
from flowkit.errors import ConfigError

_EXAMPLES = (
    ("flowkit init hello", "a new folder"),
    ("flowkit init", "this folder"),
)

_CONFIG = """\
# The models of this project. Flows speak of `fast` only, so that another server is a change of one line here,
# or for one run: flowkit run FLOW -m fast=ollama/qwen3:8b
# This file also marks the project root: paths in flows stay below this folder.

[models]
fast = "openai/gpt-4.1-mini"  # reads OPENAI_API_KEY, and OPENAI_BASE_URL if it is set; keys are never written down
# fast = "ollama/qwen3:8b"    # http://localhost:11434/v1, no key

# A server of your own:
# [providers.office]
# base_url = "https://llm.example.org/v1"
# api_key_env = "OFFICE_LLM_KEY"
"""

_FLOW = """\
# yaml-language-server: $schema=../flow.schema.json
flowkit: 1
name: hello
description: Greet somebody in a few words, then translate the greeting.
inputs:
  name: string, who is greeted
  languages:
    type: list(string)
    default: [German, French]
defaults:
  model: fast # see flowkit.toml
steps:
  greet:
    messages:
      - system: You greet people warmly, in one sentence.
      - user: "Greet {{ inputs.name }}."
  translate:
    foreach: inputs.languages
    as: language
    messages:
      - system: You translate into {{ language }}.
      - user: "{{ steps.greet.output }}"
    output:
      language: string, ISO 639-1 code
      text: string
outputs:
  greeting: steps.greet.output
  translations: steps.translate.output
"""

_REPLIES = """\
# What the simulated model answers: flowkit run flows/hello.flow.yaml -i name=Ada --simulate flows/hello.replies.yaml
greet: Hello Ada, how good to see you!
translate:
  - {language: de, text: "Hallo Ada, wie schön, dich zu sehen!"}
  - {language: fr, text: "Bonjour Ada, quel plaisir de te voir !"}
"""

_IGNORED = """\
.env
__pycache__/
.flowkit/
"""

FILES = {
    "flowkit.toml": _CONFIG,
    "flows/hello.flow.yaml": _FLOW,
    "flows/hello.replies.yaml": _REPLIES,
    "flow.schema.json": "",
    ".gitignore": _IGNORED,
}


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("folder", default=".")
def command(folder: str) -> int:
    """Start a project with a flow that runs at once.

    No file is ever overwritten. It writes flowkit.toml, a flow with replies for a simulated run, the schema for editors, and .gitignore.
    """
    root = Path(folder)
    # Many folders have a .gitignore already, and it is theirs.
    wanted = {name: text or schema.text() for name, text in FILES.items() if name != ".gitignore" or not (root / name).exists()}
    there = [name for name in wanted if (root / name).exists() or (root / name).is_symlink()]
    if there:
        raise ConfigError(f"{folder} already has {', '.join(there)}; nothing was written (name another folder: flowkit init hello)")
    try:
        for name, text in wanted.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            with (root / name).open("x", encoding="utf-8", newline="") as file:
                file.write(text)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from None
    for name in wanted:
        screen.say(f"wrote {root / name}")
    flow, replies = (shlex.quote(str(root / "flows" / name)) for name in ("hello.flow.yaml", "hello.replies.yaml"))
    screen.say(f"\nRun it simulated, then with a model (set OPENAI_API_KEY, or edit {root / 'flowkit.toml'}):\n")
    screen.out(f"flowkit run {flow} -i name=Ada --simulate {replies}\nflowkit run {flow} -i name=Ada\n")
    return 0
