"""Cassettes of a real server: recorded once, replayed when it is gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import call
from test_realserver import KEY, server

pytestmark = pytest.mark.realserver
__all__ = ["server"]

FLOW = """\
flowkit: 1
inputs: {topic: string}
defaults: {model: tiny, params: {temperature: 1.5, max_tokens: 24, extra_body: {ignore_eos: true}}}
steps:
  say: {prompt: "Write about {{ inputs.topic }}"}
  more: {prompt: "Go on: {{ steps.say.output }}", samples: 2}
"""
TESTS = "tests: [{name: t, inputs: {topic: rain}, repeat: 2, assert: [{called: 3}]}]\n"


def test_what_a_real_server_said_is_replayed_to_the_letter(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random words of a random model: the second time none of them can come from anywhere but the files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    table = '[providers.p]\nbase_url = "{}"\napi_key_env = "REAL_KEY"\nstructured = "json_schema"\n[models.tiny]\nmodel = "p/tiny"\n'
    Path("flowkit.toml").write_text(table.format(server if server.endswith("/v1") else f"{server}/v1"))
    Path("essay.flow.yaml").write_text(FLOW)
    Path("essay.test.yaml").write_text(TESTS)
    recorded = json.loads(call("test", "--record", "--json", env={"REAL_KEY": KEY}).stdout)
    assert [run["error"] for run in recorded["tests"][0]["runs"]] == [None, None]
    shutil.rmtree(".flowkit")
    Path("flowkit.toml").write_text(table.format("http://127.0.0.1:9/v1"))
    replayed = json.loads(call("test", "--replay", "--json", env={"REAL_KEY": None}).stdout)
    outputs = [[run["outputs"] for run in each["tests"][0]["runs"]] for each in (recorded, replayed)]
    assert outputs[0] == outputs[1]
    assert outputs[0][0] != outputs[0][1]
    assert KEY not in "".join(path.read_text() for path in Path("cassettes").rglob("*.yaml"))
