"""`flowkit lock` writes what models lead to, and a model that changes without a word is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from counting_server import CountingServer

from flowkit import locking
from flowkit.commands import locked
from flowkit.errors import ConfigError
from flowkit.locking import Lock, Locked
from flowkit.store import Served, open_existing


class Renaming(CountingServer):
    """A server whose model has another name from one day to the next."""

    returned = "gpt-2026-03"

    def completion(self, body: dict[str, Any], text: str) -> dict[str, Any]:
        return super().completion(body, text) | {"model": self.returned}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Renaming]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWKIT_HOME", raising=False)
    with Renaming() as found:
        alias = '[models.m]\nmodel = "p/gpt"\nparams = {temperature = 0, stop = ["a\\"b"]}\n'
        Path("flowkit.toml").write_text(f'[providers.p]\nbase_url = "{found.url}"\n{alias}[models.unused]\nmodel = "openai/gpt-4.1"\n')
        Path("a.flow.yaml").write_text("flowkit: 1\ninputs: {x: string}\nsteps: {say: {prompt: 'Say {{ inputs.x }}', model: m}}\n")
        own = "models: {own: {model: p/other}}\nsteps: {a: {prompt: hi, model: own}, b: {prompt: ho, model: p/direct}}\n"
        Path("b.flow.yaml").write_text(f"flowkit: 1\n{own}")
        yield found


def lock(*words: str, code: int = 0) -> str:
    found = call("lock", *words)
    assert found.exit_code == code, found.output
    return Path("flowkit.lock").read_text() if Path("flowkit.lock").exists() else ""


def test_the_file_holds_every_name_and_reads_as_it_was_written(server: Renaming) -> None:
    """Aliases of the project, used or not, models that are named directly, and what a flow defines itself, under its path."""
    text = lock()
    found = locking.parse(text)
    host = server.url.split("/")[2]
    assert found.models == {
        "m": Locked("p/gpt", host, {"temperature": 0, "stop": ['a"b']}),
        "p/direct": Locked("p/direct", host),
        "unused": Locked("openai/gpt-4.1", "api.openai.com"),
    }
    assert found.flows == {"b.flow.yaml": {"own": Locked("p/other", host)}}
    assert locking.text(found) == text
    assert server.count == 0


def test_check_says_what_differs_and_writes_nothing(server: Renaming) -> None:
    assert "missing" in call("lock", "--check").stderr
    assert not Path("flowkit.lock").exists()
    before = lock()
    assert lock("--check") == before
    Path("flowkit.toml").write_text(Path("flowkit.toml").read_text().replace("p/gpt", "p/gpt-2"))
    found = call("lock", "--check")
    assert found.exit_code == 1
    assert '- model = "p/gpt"\n+ model = "p/gpt-2"' in found.stdout
    assert Path("flowkit.lock").read_text() == before


def test_the_model_that_answered_is_known_from_the_record_and_kept_without_one(server: Renaming, monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI there is no record: what the file says stays."""
    assert call("run", "a.flow.yaml", "-i", "x=1", "-q").exit_code == 0
    lock()
    assert locking.parse(lock()).models["m"].returned == "gpt-2026-03"
    monkeypatch.setenv("FLOWKIT_HOME", "elsewhere")
    lock("--check")
    Path("flowkit.toml").write_text(Path("flowkit.toml").read_text().replace("p/gpt", "p/gpt-2"))
    assert locking.parse(lock()).models["m"].returned is None


def test_some_flows_leave_the_rest_of_the_file(server: Renaming) -> None:
    lock("a.flow.yaml")
    assert locking.parse(lock("b.flow.yaml")).models.keys() == {"m", "p/direct", "unused"}
    assert locking.parse(lock("a.flow.yaml")).flows.keys() == {"b.flow.yaml"}


def run(word: str) -> str:
    found = call("run", "a.flow.yaml", "-i", f"x={word}", "-q")
    assert found.exit_code == 0, found.output
    record = open_existing(Path(".flowkit"), version="", warn=print)
    assert record is not None
    with record:
        return record.runs(limit=1)[0].id


def warned(capsys: pytest.CaptureFixture[str], run: str) -> str:
    capsys.readouterr()
    locked.warn(Path("a.flow.yaml").resolve(), run=run)
    return capsys.readouterr().err


def test_another_model_than_in_the_last_run_is_told(server: Renaming, capsys: pytest.CaptureFixture[str]) -> None:
    """The same model is no news, nor is an answer from the record."""
    assert warned(capsys, run("1")) == ""
    assert warned(capsys, run("2")) == ""
    server.returned = "gpt-2026-09"
    assert warned(capsys, run("3")) == "warning: p/gpt answered as gpt-2026-09, the last run was answered by gpt-2026-03\n"
    assert warned(capsys, run("1")) == ""
    assert warned(capsys, run("4")) == ""


def test_another_model_than_the_lock_says_is_told_until_it_is_accepted(server: Renaming, capsys: pytest.CaptureFixture[str]) -> None:
    run("1")
    lock()
    server.returned = "gpt-2026-09"
    said = "warning: p/gpt answered as gpt-2026-09, the lock says gpt-2026-03; `flowkit lock` accepts it\n"
    assert warned(capsys, run("2")) == said
    assert warned(capsys, run("3")) == said
    assert said in call("run", "a.flow.yaml", "-i", "x=quiet", "-q").stderr  # it is no progress
    assert call("lock", "--check").exit_code == 1
    lock()
    assert warned(capsys, run("4")) == ""


def test_a_warning_never_stops_anything(server: Renaming, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a record, with a damaged one, with a lock that is none."""
    assert warned(capsys, "nothing") == ""
    number = run("1")
    Path("flowkit.lock").write_text("version = ")
    assert warned(capsys, number) == ""
    Path(".flowkit/record.sqlite").write_bytes(b"nothing of the kind" * 100)
    assert warned(capsys, number) == ""


@pytest.mark.parametrize("text", ["version = 2\n", "version = \n", 'version = 1\nmodels = "x"\n', "version = 1\n[models.m]\nhost = 'x'\n"])
def test_a_lock_that_is_none_says_so(text: str) -> None:
    with pytest.raises(ConfigError, match="flowkit lock"):
        locking.parse(text)


@pytest.mark.parametrize("name", ["plain", "a.b", 'say "x"', "ü\x7f\n", "openai/gpt-4.1"])
def test_any_name_and_any_parameter_survives_the_file(name: str) -> None:
    params = {name: [1, 2.5, True, "x", {"y": name}], "z": -1}
    found = Lock({name: Locked(name, "host:1", params, name)}, {"f/a.flow.yaml": {name: Locked("m", "h")}})
    assert locking.parse(locking.text(found)) == found


def test_the_same_name_at_another_host_is_another_model() -> None:
    answered = [Served("http://b/v1", "p/m", "new", 2.0)]
    assert locking.silent_changes(answered, Lock({"m": Locked("p/m", "a", {}, "old")}), [Served("http://a/v1", "p/m", "old", 1.0)]) == []
