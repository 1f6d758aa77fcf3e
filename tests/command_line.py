"""Run the command line: inside this process where that is enough, else as a real child. Flows of the tests' own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from flowkit.main import cli

HELLO = """\
flowkit: 1
name: hello
inputs:
  name: string, who is greeted
  times: {type: integer(1..9), default: 1}
  loud: {type: boolean, default: false}
  tone: {type: enum(formal | friendly), default: friendly}
  tags: {type: list(string), default: []}
defaults: {model: openai/m}
steps:
  greet:
    messages:
      - system: Be {{ inputs.tone }}{% if inputs.loud %} and loud{% endif %}.
      - user: "{{ inputs.name }} {{ inputs.times }} {{ inputs.tags }}"
  rate:
    prompt: "Rate {{ steps.greet.output }}"
    output: {score: integer(0..10)}
outputs:
  greeting: steps.greet.output
  score: steps.rate.output.score
"""

ONE = """\
flowkit: 1
name: one
inputs: {word: string}
defaults: {model: openai/m}
steps:
  say: {prompt: "Say {{ inputs.word }}"}
"""


def call(*args: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(cli, list(args), input=stdin, env=env, catch_exceptions=False)


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: that of the tests without what would configure flowkit."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "FLOWKIT"))}
    return kept | more


def child(*args: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
    """Start a command line as a process of its own, which hears SIGINT whoever started the tests."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from flowkit.main import main; main()",
            *args,
        ],
        stdout=more.pop("stdout", subprocess.PIPE),
        stderr=more.pop("stderr", subprocess.PIPE),
        text=True,
        env=environment(**(env or {})),
        **more,
    )


def write(folder: Path, **files: str) -> Path:
    """Write `name=text` as `name.flow.yaml`, and return the first."""
    paths = []
    for name, text in files.items():
        path = folder / f"{name}.flow.yaml"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths[0]
