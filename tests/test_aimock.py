"""The client against aimock, a server of the same protocol that others wrote, on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from calling import FAST, KEY, SHAPE, Asked, ask, endpoint

import flowkit
from flowkit.chat import ChatRequest, Message
from flowkit.client import Client
from flowkit.retry import Policy

pytestmark = pytest.mark.realserver

HERE = Path(__file__).parent
PACKAGE = "@copilotkit/aimock@1.43.0"
STRICT = os.environ.get("CI") == "true"


def lacking(what: str) -> None:
    if STRICT:
        pytest.fail(what)
    pytest.skip(what)


def installed() -> Path:
    """The program, installed once into the cache of the user, outside of the project."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        lacking("there is no node or npm here to run aimock with")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowkit-tests" / PACKAGE.replace("/", "-")
    program = folder / "node_modules/@copilotkit/aimock/dist/cli.js"
    if not program.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, then moved there whole: several workers may do this at once.
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", f"{beside}/new", PACKAGE]
            Path(beside, "new").mkdir()
            done = subprocess.run(npm, capture_output=True, text=True, timeout=100, check=False)
            if done.returncode:
                lacking(f"npm could not install {PACKAGE}: {done.stderr[-300:]}")
            with suppress(OSError):
                Path(beside, "new").rename(folder)
    return program


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = installed()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("aimock") / "log"
    with log.open("wb") as out:
        command = ["node", str(program), "-p", str(port), "-h", "127.0.0.1", "-f", str(HERE / "aimock")]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


def said(server: str, words: str, *, policy: Policy = FAST, **fields: Any) -> Asked:
    async def main() -> Asked:
        async with Client() as client:
            request = ChatRequest("gpt-4o", (Message("user", words),), **fields)
            return await ask(client, endpoint(f"{server}/v1"), request, policy=policy, timeout=10)

    return asyncio.run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_text_and_usage(server: str, stream: bool) -> None:
    asked = said(server, "hello", stream=stream)
    assert asked.completion is not None
    assert asked.completion.text == "Hello to you, too."
    assert asked.completion.finish == "stop"
    assert asked.completion.usage is not None
    assert stream == (len(asked.shown) > 1) or asked.shown


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls(server: str, stream: bool) -> None:
    """Two calls of one function stay two."""
    asked = said(server, "time in Lima", stream=stream)
    assert asked.completion is not None
    assert asked.completion.finish == "tool_calls"
    assert [(call.name, json.loads(call.arguments)) for call in asked.completion.tool_calls] == [
        ("clock", {"city": "Lima"}),
        ("clock", {"city": "Oslo"}),
    ]
    assert len({call.id for call in asked.completion.tool_calls}) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning(server: str, stream: bool) -> None:
    """It is kept apart, and no piece of it is shown as text."""
    asked = said(server, "think first", stream=stream)
    assert asked.completion is not None
    assert (asked.completion.text, asked.completion.reasoning) == ("Seven.", "Three and four make seven.")
    assert "".join(asked.shown) == "Seven."


def test_503_then_429_then_an_answer(server: str) -> None:
    """Three attempts, and the second that the server asks for is waited."""
    asked = said(server, "flaky")
    assert asked.completion is not None
    assert asked.completion.text == "here at last"
    assert asked.kinds == ["server", "rate_limit", "ok"]
    assert asked.seconds >= 1


@pytest.mark.parametrize("words", ["hang up", "stop short"])
def test_stream_that_breaks_off(server: str, words: str) -> None:
    """It is an error each time, and the part is kept for the record."""
    asked = said(server, words, stream=True, policy=Policy(attempts=2, initial=0.01))
    assert asked.error is not None
    assert set(asked.kinds) <= {"connection", "stream_truncated"}
    assert len(asked.kinds) == 2
    assert asked.error.text.startswith("a b") or words != "hang up"
    assert not asked.error.text.endswith("p")


@pytest.mark.parametrize(("words", "kind"), [("too long", "output_truncated"), ("forbidden", "content_filter"), ("no credit", "quota")])
def test_what_is_not_asked_again(server: str, words: str, kind: str) -> None:
    asked = said(server, words, shape=SHAPE)
    assert asked.kinds == [kind]


def test_journal_of_the_server_holds_what_the_flow_asked_for_and_no_more(server: str) -> None:
    said(server, "hello", params={"temperature": 0})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{server}/__aimock/journal", timeout=10) as answer:
        journal = json.load(answer)
    entries = journal if isinstance(journal, list) else journal["entries"]
    body = entries[-1]["body"]
    assert {name: body[name] for name in ("model", "messages", "temperature")} == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0,
    }
    assert set(body) - {"model", "messages", "temperature"} <= {"_endpointType", "_context"}
    assert KEY not in json.dumps(body)


@pytest.mark.parametrize("stream", [False, True])
def test_a_flow_calls_its_tools(server: str, tmp_path: Path, stream: bool) -> None:
    """Over real connections: both calls run, their results go back, and the answer comes."""
    flow_file = tmp_path / "clock.flow.yaml"
    words = "noon streamed" if stream else "noon whole"
    flow_file.write_text(
        f"flowkit: 1\nmodels: {{m: {{model: gpt-4o, base_url: '{server}/v1'}}}}\nsteps: {{a: {{prompt: {words}, model: m, tools: ['times:clock']}}}}\n"
    )
    (tmp_path / "times.py").write_text("def clock(city: str) -> str:\n    return f'noon in {city}'\n")
    flow = flowkit.load(flow_file)

    async def main() -> Any:
        return await flow.start({}, stream=stream).finish()

    run = asyncio.run(main())
    assert run.outputs == {"a": "Noon in both."}
    assert sorted(use.result for use in run.steps["a"].tools) == ["noon in Lima", "noon in Oslo"]
