"""`flowkit models ls` and `flowkit models ping`."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from command_line import ONE, call, write

KEY = "canary-key-12345678"


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(("GET", self.path, self.headers.get("Authorization")))
        refused = self.headers.get("Authorization") == "Bearer wrong-key-12345678"
        self._say(401 if refused else 200, {"error": {"message": "no"}} if refused else {"data": [{"id": "m"}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(("POST", self.path, asked["model"]))
        if asked.get("response_format", {}).get("type") == "json_schema" and asked["model"] == "strict":
            self._say(400, {"error": {"message": "response_format json_schema is not supported"}})
            return
        prose = asked["model"] == "vague" and "response_format" in asked
        message = {"role": "assistant", "content": "It is the apple." if prose else '{"fruit": "apple"}'}
        self._say(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def _say(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    found.seen = []
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def office(folder, server, models, more=""):
    port = server if isinstance(server, int) else server.server_port
    (folder / "flowkit.toml").write_text(
        f'[providers.office]\nbase_url = "http://127.0.0.1:{port}/v1"\napi_key_env = "OFFICE_KEY"\n{more}\n[models]\n{models}\n'
    )


@pytest.fixture
def free():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


# -- ls ----------------------------------------------------------------------------------------------------


def test_names_are_listed_with_where_they_lead(folder, server):
    office(folder, server, 'fast = "office/m"\nslow = "mistral/x"\n')
    done = call("models", "ls", env={"OFFICE_KEY": KEY})
    base = f"http://127.0.0.1:{server.server_port}/v1"
    rows = [line.split("  ") for line in done.stdout.splitlines()]
    rows = [[cell.strip() for cell in row if cell] for row in rows]
    assert rows[0] == ["fast", "office/m", base, "key: set", "auto", "(flowkit.toml)"]
    assert rows[1] == ["slow", "mistral/x", "https://api.mistral.ai/v1", "key: missing", "auto", "(flowkit.toml)"]
    assert ["office", "office/…", base, "key: set", "auto", "(flowkit.toml)"] in rows
    assert done.exit_code == 0
    assert KEY not in done.stdout
    assert server.seen == []


def test_a_flow_adds_its_own_names(folder, server):
    office(folder, server, 'fast = "office/m"')
    path = write(
        folder,
        one=ONE.replace(
            "defaults: {model: openai/m}", "defaults: {model: [own, ollama/x]}\nmodels: {own: {model: fast, structured: prompt}}"
        ),
    )
    found = {each["name"]: each for each in json.loads(call("models", "ls", str(path), "--json").stdout)["models"]}
    assert found["own"] | {"address": None} == {
        "name": "own",
        "kind": "alias",
        "origin": "one.flow.yaml",
        "model": "office/m",
        "address": None,
        "key": "missing",
        "structured": "prompt",
        "missing": "no key for 'office/m': set the variable OFFICE_KEY",
        "error": None,
    }
    assert (found["ollama/x"]["kind"], found["ollama/x"]["key"]) == ("model", "none")
    assert found["fast"]["origin"] == "flowkit.toml"


def test_a_name_that_leads_nowhere_is_told(folder):
    (folder / "flowkit.toml").write_text('[models]\nfast = "offfice/m"\nazure = "azure/d"\n')
    done = call("models", "ls")
    assert done.exit_code == 2
    assert "✗ fast  (flowkit.toml)  model 'offfice/m': there is no provider 'offfice'" in done.stdout
    assert "azure  azure/d  not set  key: missing  auto  (flowkit.toml)\n" in done.stdout
    found = json.loads(call("models", "ls", "--json").stdout)["models"]
    assert found[0]["error"].startswith("model 'offfice/m'")
    assert found[1]["address"] is None


def test_without_names_the_way_to_some_is_told(folder):
    for verb in ("ls", "ping"):
        done = call("models", verb)
        assert "OPENAI_API_KEY" in done.stdout


def test_a_wrong_flow_has_no_names(folder):
    path = write(folder, one=ONE.replace("inputs.word", "inputs.wort"))
    assert call("models", "ls", str(path)).exit_code == 2


# -- ping --------------------------------------------------------------------------------------------------


def test_a_server_is_asked_once_for_all_its_names(folder, server):
    office(folder, server, 'fast = "office/m"\nother = "office/n"')
    done = call("models", "ping", env={"OFFICE_KEY": KEY})
    assert done.exit_code == 0
    assert server.seen == [("GET", "/v1/models", f"Bearer {KEY}")]
    first, second, third = done.stdout.splitlines()
    assert first.startswith("✓ fast    127.0.0.1:")
    assert first.endswith(" ms")
    assert second.endswith(" ms  does not list 'n'")
    assert third.startswith("✓ office ")


def test_a_refused_key_and_an_absent_server_are_exit_3(folder, server, free):
    office(folder, server, 'fast = "office/m"')
    done = call("models", "ping", "--json", env={"OFFICE_KEY": "wrong-key-12345678"})
    assert done.exit_code == 3
    (fast, _) = json.loads(done.stdout)["models"]
    assert (fast["reachable"], fast["status"]) == (True, 401)
    assert fast["said"].startswith("refuses the key")
    office(folder, free, 'fast = "office/m"')
    done = call("models", "ping", env={"OFFICE_KEY": KEY})
    assert done.exit_code == 3
    assert done.stdout.startswith("✗ fast ")


def test_a_missing_key_is_exit_2_and_nobody_is_asked(folder, server):
    office(folder, server, 'fast = "office/m"')
    done = call("models", "ping")
    assert done.exit_code == 2
    assert "not asked: no key for 'office/m': set the variable OFFICE_KEY" in done.stdout
    assert server.seen == []


def test_one_name_can_be_asked_alone(folder, server):
    office(folder, server, 'fast = "office/m"\nslow = "mistral/x"')
    done = call("models", "ping", "-m", "fast", "-m", "office/n", env={"OFFICE_KEY": KEY})
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["fast", "office/n"]
    assert done.exit_code == 0


def test_a_probe_tells_which_form_holds(folder, server):
    """`auto` steps down by itself where a form is refused; where one is ignored, the setting that helps is told."""
    office(folder, server, 'good = "office/m"\nstrict = "office/strict"\nvague = "office/vague"\nagain = "office/m"')
    done = call("models", "ping", "--probe", "--json", env={"OFFICE_KEY": KEY})
    found = {each["name"]: each for each in json.loads(done.stdout)["models"]}
    forms = {name: [form["outcome"] for form in each["forms"].values()] if each["forms"] else None for name, each in found.items()}
    assert forms == {
        "good": ["works", "works", "works"],
        "strict": ["refused", "works", "works"],
        "vague": ["ignored", "ignored", "works"],
        "again": ["works", "works", "works"],
        "office": None,
    }
    assert {name: each["advice"] for name, each in found.items()} == {
        "good": None,
        "strict": None,
        "vague": "prompt",
        "again": None,
        "office": None,
    }
    assert len([asked for asked in server.seen if asked[0] == "POST"]) == 9
    text = call("models", "ping", "-m", "vague", "--probe", env={"OFFICE_KEY": KEY}).stdout
    assert "    json_schema  ignored  (the answer has another form)\n" in text
    assert text.endswith('    write structured = "prompt" for it: what it is asked for now does not hold\n')


def test_a_server_that_is_not_there_is_not_probed(folder, free):
    office(folder, free, 'fast = "office/m"')
    done = call("models", "ping", "-m", "fast", "--probe", "--json", env={"OFFICE_KEY": KEY})
    assert json.loads(done.stdout)["models"][0]["forms"] is None


@pytest.mark.parametrize("verb", ["ls", "ping"])
def test_help_begins_with_examples(verb):
    text = call("models", verb, "--help").output
    assert text.index("Examples:") < text.index("Usage:") < text.index("Options:")
    assert f"flowkit models {verb}" in text.partition("Usage:")[0]
