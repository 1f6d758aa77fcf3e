"""A flow with tests in a git repository whose model server counts what it is asked: for tests that compare versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from committing import Tree, make_tree
from counting_server import CountingServer

FLOW = """\
flowkit: 1
name: say
inputs: {word: string}
models: {m: {base_url: "URL", model: tiny}}
defaults: {model: m}
steps:
  name: {prompt: "Name {{ inputs.word }}"}
  say: {prompt: "VERB {{ inputs.word }} after {{ steps.name.output }}"}
outputs: {text: steps.say.output}
"""
TESTS = """\
tests:
  - {name: loud, inputs: {word: a}, assert: [{starts-with: Say}]}
  - {name: any, inputs: {word: b}, assert: [{contains: b}]}
"""


class Versions:
    """Versions of one flow; `write` lays one into the working tree."""

    def __init__(self, folder: Path, server: CountingServer) -> None:
        self.tree: Tree = make_tree(folder)
        self.server = server
        self.tree.put("flowkit.toml", "")
        self.tree.put(".gitignore", ".flowkit/\n")
        self.tree.put("say.test.yaml", TESTS)

    def write(self, verb: str, before: str = "", flow: str = FLOW) -> None:
        self.tree.put("say.flow.yaml", before + flow.replace("URL", self.server.url).replace("VERB", verb))

    def commit(self, verb: str, subject: str | None = None, **more: str) -> str:
        self.write(verb, **more)
        return self.tree.commit(subject or verb)

    def call(self, command: Any, *args: str) -> tuple[Result, int]:
        """The result of a command, and how many calls it made."""
        before = self.server.count
        done = CliRunner().invoke(command, list(args), standalone_mode=False, env={"FLOWKIT_HOME": None, "COLUMNS": "120", "CI": None})
        return done, self.server.count - before


def lines(done: Result) -> Sequence[str]:
    return done.stdout.splitlines()
