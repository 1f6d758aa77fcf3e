"""`flowkit graph`, `schema`, `init`, `completion` and `doctor`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from command_line import HELLO, ONE, call, child, write

from flowkit.schema import schema

# -- graph -------------------------------------------------------------------------------------------------

OUTER = """\
flowkit: 1
name: outer
description: All that a graph shows.
inputs: {words: list(string)}
defaults: {model: openai/m}
steps:
  last:
    needs: [count]
    prompt: "{% if steps.maybe.output %}{{ steps.maybe.output }}{% endif %} {{ steps.each.output | length }}"
  maybe: {when: steps.count.output > 2, prompt: "{{ inputs.words }}", on_error: skip}
  count: {call: "counting:floor", with: {x: inputs.words | length}, output: integer}
  each: {foreach: inputs.words, as: word, uses: one.flow.yaml, with: {word: word}}
outputs: {last: steps.last.output}
"""

TREE = """\
outer
All that a graph shows.
inputs: words
├─ count  call
│         counting:floor
├─ maybe  chat · openai/m  ← count
│         when steps.count.output > 2
│         on_error skip
├─ each   flow
│  │      foreach word in inputs.words
│  │      one.flow.yaml
│  └─ say  chat · openai/m
└─ last   chat · openai/m  ← maybe?, each  after count
outputs: last  ← last
"""


@pytest.fixture
def outer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "counting.py").write_text("def floor(x: float) -> int:\n    return int(x)\n")
    write(tmp_path, outer=OUTER, one=ONE)
    return "outer.flow.yaml"


def test_a_tree_shows_order_and_modifiers(outer):
    done = call("graph", outer)
    assert sorted(done.stdout.splitlines()) == sorted(TREE.splitlines())
    assert done.exit_code == 0


def test_pictures_are_chosen_by_format_or_by_the_ending(outer, tmp_path):
    assert call("graph", outer, "--format", "mermaid").stdout.startswith("flowchart TD\n")
    assert call("graph", outer, "--format", "dot").stdout.startswith("digraph")
    done = call("graph", outer, "-o", "picture.svg")
    assert (done.exit_code, done.stdout) == (0, "")
    assert ET.parse(tmp_path / "picture.svg").getroot().tag.endswith("svg")


def test_a_wrong_flow_has_no_graph(tmp_path):
    path = write(tmp_path, one=ONE.replace("inputs.word", "inputs.wort"))
    assert call("graph", str(path)).exit_code == 2
    assert call("graph", str(write(tmp_path, two=ONE)), "-o", str(tmp_path / "no" / "x.svg")).exit_code == 2


# -- schema, completion ------------------------------------------------------------------------------------


def test_the_schema_is_printed_or_written(tmp_path):
    assert json.loads(call("schema").stdout) == schema()
    call("schema", "-o", str(tmp_path / "s.json"))
    assert json.loads((tmp_path / "s.json").read_text()) == schema()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_asks_flowkit(shell):
    done = call("completion", shell)
    assert "_FLOWKIT_COMPLETE" in done.stdout
    assert f"{shell}_complete" in done.stdout
    assert done.exit_code == 0


def test_the_script_for_bash_is_bash():
    script = call("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


# -- init --------------------------------------------------------------------------------------------------


def test_a_new_project_checks_and_runs_at_once(tmp_path, monkeypatch):
    """The lines that are printed are run as they stand."""
    monkeypatch.chdir(tmp_path)
    done = call("init", "my project")
    assert done.exit_code == 0
    assert "wrote my project/flowkit.toml" in done.stderr
    simulated = done.stdout.splitlines()[0]
    assert call("check", "my project", "--strict").exit_code == 0
    ran = subprocess.run(
        ["sh", "-c", f'flowkit() {{ "$PYTHON" -m flowkit "$@"; }}; {simulated} -q'], env=_env(), capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout)["greeting"] == "Hello Ada, how good to see you!"
    assert json.loads((tmp_path / "my project" / "flow.schema.json").read_text()) == schema()


def _env():
    return {**os.environ, "PYTHON": sys.executable}


def test_nothing_is_ever_overwritten(tmp_path):
    (tmp_path / "flowkit.toml").write_text("mine")
    (tmp_path / ".gitignore").write_text("mine too")
    done = call("init", str(tmp_path))
    assert done.exit_code == 2
    assert "already has flowkit.toml; nothing was written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "flowkit.toml"]
    (tmp_path / "flowkit.toml").unlink()
    assert call("init", str(tmp_path)).exit_code == 0
    assert (tmp_path / ".gitignore").read_text() == "mine too"


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    done = call("init", str(tmp_path / "file" / "x"))
    assert done.exit_code == 2
    assert "Not a directory" in done.stderr


# -- doctor ------------------------------------------------------------------------------------------------


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(dict(self.headers))
        self.send_response(404)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    found = HTTPServer(("127.0.0.1", 0), Answers)
    found.seen = []
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def doctor(folder, *args, **env):
    process = child("doctor", str(folder), *args, env=env)
    out, said = process.communicate(timeout=60)
    return process.returncode, out, said


def test_doctor_shows_each_setting_with_its_origin_and_asks_servers_without_a_key(tmp_path, server):
    (tmp_path / "flowkit.toml").write_text(
        f'[providers.office]\nbase_url = "http://127.0.0.1:{server.server_port}/v1"\napi_key_env = "OFFICE_KEY"\n[models]\nfast = "office/m"\nslow = "mistral/x"\n'
    )
    code, out, said = doctor(tmp_path, "--json", OFFICE_KEY="canary-key-12345678")
    document = json.loads(out)
    assert (code, said) == (0, "")
    assert document["project"] == {"root": str(tmp_path.resolve()), "config": str(tmp_path.resolve() / "flowkit.toml")}
    origins = {each["key"]: (each["value"], each["origin"]) for each in document["configuration"]}
    assert origins["models.fast"] == ("office/m", "flowkit.toml")
    assert origins["providers.office.api_key"] == ("set", "environment: OFFICE_KEY")
    address = f"http://127.0.0.1:{server.server_port}"
    assert document["servers"] == [{"address": address, "names": ["fast", "office"], "reachable": True, "said": "answers (HTTP 404)"}]
    assert "canary" not in out
    assert len(server.seen) == 1
    assert "canary" not in str(server.seen)
    assert "Authorization" not in server.seen[0]


def test_doctor_says_which_server_is_not_there(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "flowkit.toml").write_text(f'[models]\nfast = {{model = "m", base_url = "http://127.0.0.1:{port}/v1"}}\n')
    code, out, _ = doctor(tmp_path)
    assert code == 3
    assert f"✗ http://127.0.0.1:{port}  nothing listens there  fast\n" in out
    code, out, _ = doctor(tmp_path, "--offline")
    assert code == 0
    assert "not asked (--offline)" in out


def test_doctor_shows_what_is_wrong_with_the_configuration(tmp_path):
    (tmp_path / "flowkit.toml").write_text("[modles]\n")
    code, out, _ = doctor(tmp_path)
    assert code == 2
    assert "flowkit.toml: modles: unknown key" in out


def test_doctor_without_any_configuration_says_how_to_begin(tmp_path):
    code, out, _ = doctor(tmp_path)
    assert code == 0
    assert "flowkit init" in out


def test_hello_is_a_good_flow(tmp_path):
    assert call("check", str(write(tmp_path, hello=HELLO)), "--strict").exit_code == 0
