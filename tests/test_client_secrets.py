"""Keys go to their server and nowhere else: not into an error, a piece of an answer, a log, a record, or another server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from calling import KEY, ONCE, ask, endpoint, question, run
from fault_server import DONE, Exchange, FaultServer, answering, chunk, completion, error, streaming, well
from hypothesis import given
from hypothesis import strategies as st

from flowkit.client import Client
from flowkit.endpoints import Secret, Veil

HERE = Path(__file__).parent


def test_key_that_the_server_echoes_is_taken_out_of_errors() -> None:
    """Whole, and before anything is cut, so that no half of it stays."""
    for width in (100, 150, 185, 190, 195, 490):
        padding = "x" * width
        bodies = [
            error(f"Incorrect API key provided: {KEY}."),
            error(padding + KEY),
            error(code=KEY),
            error(param=padding + KEY),
            f"{padding}{KEY}".encode(),
            f"<p>{KEY}".encode(),
            json.dumps({"detail": [{"loc": ["header", padding[:70] + KEY], "msg": padding + KEY}]}).encode(),
            completion(None, finish_reason=padding + KEY),
            completion("x", message={"content": None, "refusal": padding + KEY}),
        ]
        for body in bodies:
            for status in (401, 200, 500):
                asked, _ = run(answering(status, body), policy=ONCE)
                assert asked.kinds != ["ok"] or b"message" in body
                for text in [str(asked.error), *(attempt.message for attempt, _ in asked.attempts)]:
                    assert KEY[:14] not in text
                if asked.error is not None:
                    assert KEY not in repr(vars(asked.error))


def test_key_that_the_server_echoes_is_taken_out_of_answers() -> None:
    """Out of every field of them."""
    call = {"id": KEY, "type": "function", "function": {"name": KEY, "arguments": json.dumps({"key": KEY})}}
    call |= {"extra_content": {KEY: [KEY, {"n": 1}]}}
    message = {"content": f"your key is {KEY}", "reasoning": KEY, "tool_calls": [call]}
    asked, _ = run(answering(200, completion(message=message, finish_reason=KEY)))
    assert asked.completion is not None
    assert KEY not in repr(asked.completion)
    assert asked.completion.text == "your key is ***"
    assert asked.completion.tool_calls[0].extra == {"extra_content": {"***": ["***", {"n": 1}]}}
    assert "a secret was taken out of the answer" in asked.completion.warnings


@pytest.mark.parametrize("cuts", [(1,), (7, 12), (3, 20), (5, 15, 25), (26,)])
def test_key_that_the_server_echoes_is_taken_out_of_a_stream_while_it_comes(cuts: tuple[int, ...]) -> None:
    """Also when it comes in pieces: none of them is shown."""
    at = [0, *cuts, len(KEY)]
    pieces = [chunk(KEY[a:b]) for a, b in pairwise(at) if a < b]
    asked, _ = run(streaming(chunk("a sk-"), *pieces, chunk(" b sk-ca"), chunk(finish="stop"), DONE), question(stream=True))
    assert asked.completion is not None
    assert "".join(asked.shown) == asked.completion.text == "a sk-*** b sk-ca"


#: Each overlaps with itself or a sibling, in units of four letters, so that none is a placeholder.
UNIT = {"a": "aaaa", "b": "bbbb", "c": "cccc"}
SECRETS = ("aaaaaaaabbbb", "aaaabbbbaaaabbbb", "aaaaaaaaaaaaaaaa")


@given(
    st.text("abc", max_size=30).map(lambda t: "".join(UNIT[c] for c in t)),
    st.lists(st.integers(0, 120), max_size=6),
    st.sets(st.sampled_from(SECRETS), max_size=1),
)
def test_veil_shows_what_redaction_of_the_whole_would(text: str, offsets: list[int], chosen: set[str]) -> None:
    """However the text is cut, and holds back no more than may be the beginning of a secret."""
    veil = Veil([Secret(one) for one in chosen])
    cuts = [0, *sorted(min(o, len(text)) for o in offsets), len(text)]
    shown = [veil.feed(text[a:b]) for a, b in pairwise(cuts)]
    whole = text
    for one in chosen:
        whole = whole.replace(one, "***")
    assert "".join(shown) + veil.finish() == whole


def test_headers_of_the_environment_are_hidden_under_any_name() -> None:
    """And those that are called like a key, and the words of the query of the address."""
    place = {
        "api_key": None,
        "headers": {"x-workspace": "ws-0123456789", "x-api-token": "tk-0123456789", "x-title": "an open title"},
        "secret_headers": frozenset({"x-workspace"}),
    }
    asked, server = run(answering(400, error("ws-0123456789 tk-0123456789 an open title")), fields=place)
    assert server.requests[0].headers["x-workspace"] == "ws-0123456789"
    assert "*** *** an open title" in str(asked.error)

    async def main() -> None:
        async with FaultServer(answering(400, error("qu-0123456789"))) as server, Client() as client:
            asked = await ask(client, endpoint(server.base_url + "?key=qu-0123456789"), question())
            assert server.requests[0].path.endswith("?key=qu-0123456789")
            assert "qu-0123" not in str(asked.error)

    asyncio.run(main())


def test_key_goes_to_its_own_server_only() -> None:
    """Of two servers each gets its own key and never the other's, whoever redirects or answers."""

    async def main() -> None:
        async with FaultServer(well) as first, FaultServer(well) as second, Client() as client:
            for _ in range(3):
                await ask(client, endpoint(first.base_url), question())
                await ask(client, endpoint(second.base_url, api_key=Secret("sk-second")), question())
            assert all(KEY in exchange.headers["authorization"] for exchange in first.requests)
            assert all(exchange.headers["authorization"] == "Bearer sk-second" for exchange in second.requests)

    asyncio.run(main())


def test_proxies_and_logins_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """0 bytes at the proxy, and no login from a netrc file."""

    async def main() -> None:
        async with FaultServer(well) as proxy, FaultServer(well) as server, Client() as client:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            netrc = tmp_path / "netrc"
            netrc.write_text("machine 127.0.0.1 login me password from-netrc\n")
            monkeypatch.setenv("NETRC", str(netrc))
            assert (await ask(client, endpoint(server.base_url, api_key=None), question())).completion
            assert proxy.connections == 0
            assert "authorization" not in server.requests[0].headers

    asyncio.run(main())


def test_given_proxy_is_used() -> None:
    async def main() -> None:
        async with FaultServer(well) as proxy, Client(proxy=f"http://127.0.0.1:{proxy.port}") as client:
            assert (await ask(client, endpoint("http://models.invalid/v1"), question())).completion
            assert proxy.requests[0].path.startswith("http://models.invalid/v1")

    asyncio.run(main())


# -- the canary: a whole process, everything it writes -------------------------------------------------------------

FLOW = """
flowkit: 1
name: canary
inputs: {n: integer}
defaults: {model: local/m, retry: {attempts: 2, initial: 0.001, max: 0.001}}
steps:
  answer:
    messages:
      - user: "{{ inputs.n }}"
outputs: {answer: steps.answer.output}
"""

PROGRAM = """
import asyncio, dataclasses, json, logging, sys, traceback
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
import flowkit
from flowkit.errors import FlowkitError
async def main(count):
    for n in range(count):
        # A runtime of its own, or the breaker would open.
        async with flowkit.Runtime() as runtime:
            await once(flowkit.load("canary.flow.yaml", runtime=runtime), n)
            print(repr(runtime))
async def once(flow, n):
    try:
        async for event in flow.stream({"n": n}):
            print(repr(event))
    except FlowkitError as error:
        traceback.print_exc()
        print(repr(error), error, repr(vars(error)))
    try:
        found = await flow.arun({"n": n})
    except FlowkitError as error:
        found = getattr(error, "run", None)
    print(n, repr(flow), repr(found), found)
    if found is not None:
        print(json.dumps(dataclasses.asdict(found), default=repr))
asyncio.run(main(int(sys.argv[1])))
"""


def bodies() -> list[tuple[int, str, bytes]]:
    """Every body of the corpora with the key in each of its texts, and with the key at its end."""
    found = []
    for kind in ("sse", "responses"):
        for entry in json.loads((HERE / f"corpus/{kind}/index.json").read_text())["files"]:
            data = (HERE / "corpus" / kind / entry["file"]).read_bytes()
            if len(data) > 50_000:
                continue
            usual = "text/event-stream" if kind == "sse" else "application/json"
            key = KEY.encode()
            echoed = data.replace(b"{{THE_KEY_SENT}}", key).replace(b'":"', b'":"' + key).replace(b'": "', b'": "' + key)
            found += [(entry.get("status", 200), entry.get("content_type", usual), body) for body in (echoed, data + key)]
    return found


def test_canary_is_nowhere_but_in_its_header(tmp_path: Path) -> None:
    """0 hits in output, logs at DEBUG, tracebacks, events, errors, reprs and records, for every body of the corpora that echoes it."""
    (tmp_path / "canary.flow.yaml").write_text(FLOW)
    told = bodies()

    async def script(exchange: Exchange) -> None:
        status, media, body = told[int(exchange.json["messages"][0]["content"])]
        assert exchange.headers["authorization"] == f"Bearer {KEY}"
        # A refusal of the key would stop the rest.
        await exchange.answer(400 if status in (401, 402, 404) else status, body, content_type=media)

    async def main() -> tuple[bytes, bytes, int]:
        async with FaultServer(script) as server:
            config = f'[providers.local]\nbase_url = "{server.base_url}"\napi_key_env = "CANARY"\n'
            (tmp_path / "flowkit.toml").write_text(config)
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                PROGRAM,
                str(len(told)),
                cwd=tmp_path,
                env={"CANARY": KEY, "PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            out, err = await child.communicate()
            assert child.returncode == 0, err[-3000:]
            return out, err, len(server.requests)

    out, err, requests = asyncio.run(main())
    assert requests > len(told)
    assert out.count(b"\n") > 2 * len(told)
    for text in (out, err):
        assert KEY.encode() not in text
        assert KEY[:14].encode() not in text


def test_a_placeholder_is_no_secret() -> None:
    """Local servers are given `EMPTY` or `x` for a key; answers that hold such a word stay as they are."""
    asked, _ = run(answering(200, completion("this is an EMPTY test")), fields={"api_key": Secret("EMPTY")})
    assert asked.completion is not None
    assert asked.completion.text == "this is an EMPTY test"
