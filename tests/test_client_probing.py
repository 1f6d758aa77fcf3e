"""A server asked about itself: is it there, does it take the key, which form of typed answers does it hold to?"""

from __future__ import annotations

import asyncio
import json

import pytest
from calling import KEY, endpoint
from fault_server import FaultServer, answering, completion, error, raw, silent

from flowkit.client import Client
from flowkit.client.probing import models_url, ping, probe, strongest
from flowkit.endpoints import Endpoint

LIST = json.dumps({"object": "list", "data": [{"id": "m"}, {"id": "models/other"}]}).encode()


def pinged(script, *, patience=5.0, **fields):
    async def main():
        async with FaultServer(script) as server:
            return await ping(endpoint(server.base_url, **fields), patience=patience), server

    return asyncio.run(main())


def probed(script, **fields):
    async def main():
        async with FaultServer(script) as server, Client() as client:
            return await probe(client, endpoint(server.base_url, **fields), {"temperature": 0}, patience=5), server

    return asyncio.run(main())


def test_a_server_is_asked_for_its_models_with_the_key():
    pong, server = pinged(answering(200, LIST))
    (asked,) = server.requests
    assert (asked.path, asked.headers["authorization"], asked.body) == ("/v1/models", f"Bearer {KEY}", b"")
    assert (pong.reachable, pong.refused, pong.status, pong.models) == (True, False, 200, {"m", "other"})
    assert 0 < pong.seconds < 5


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_no_absent_server(status):
    pong, _ = pinged(answering(status, error(f"bad key {KEY}")))
    assert (pong.reachable, pong.refused) == (True, True)
    assert pong.said.startswith("refuses the key: ")
    assert KEY not in pong.said
    pong, _ = pinged(answering(status, error("no")), api_key=None)
    assert pong.said.startswith("wants a key: ")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data": 1}', b'{"data": [1, {"id": 2}]}', b"\xff" * 100])
def test_a_list_that_cannot_be_read_is_no_list(body):
    pong, _ = pinged(answering(200, body or b" "))
    assert (pong.reachable, pong.models) == (True, None)


@pytest.mark.parametrize("status", [302, 404, 405, 500])
def test_a_server_without_a_list_is_there(status):
    pong, server = pinged(answering(status, b"no", location="http://127.0.0.1:9/"))
    assert (pong.reachable, pong.refused, pong.said) == (True, False, f"has no list of models (HTTP {status})")
    assert len(server.requests) == 1


def test_a_server_that_says_nothing_is_not_waited_for():
    pong, _ = pinged(silent, patience=0.2)
    assert (pong.reachable, pong.said) == (False, "no answer within 0.2 s")
    assert pong.seconds < 3


def test_what_is_no_http_is_not_reachable():
    pong, _ = pinged(raw(b"SSH-2.0-OpenSSH_9"))
    assert not pong.reachable


def test_nobody_there_is_not_reachable():
    async def main():
        async with FaultServer(silent) as server:
            where = endpoint(server.base_url)
        return await ping(where, patience=5)

    assert not asyncio.run(main()).reachable


@pytest.mark.parametrize(
    ("base", "wanted"),
    [
        ("https://h/v1", "https://h/v1/models"),
        ("https://h/v1/?a=1", "https://h/v1/models?a=1"),
        ("https://h/v1/chat/completions", "https://h/v1/models"),
        (
            "https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
            "https://r.openai.azure.com/openai/models?api-version=2024-10-21",
        ),
    ],
)
def test_the_list_stands_beside_the_completions(base, wanted):
    assert models_url(Endpoint("n", base, "m")) == wanted


def by_form(**bodies):
    """A server that answers by the form that is asked for: bytes, or a status."""

    async def script(exchange):
        form = exchange.json.get("response_format", {"type": "prompt"})["type"]
        said = bodies[form]
        if isinstance(said, int):
            await exchange.answer(said, error(f"response_format {form} is not supported"))
        else:
            await exchange.answer(200, completion(said))

    return script


GOOD = '{"fruit": "apple"}'


@pytest.mark.parametrize(
    ("said", "outcomes", "best"),
    [
        ({"json_schema": GOOD, "json_object": GOOD, "prompt": GOOD}, ["works", "works", "works"], "json_schema"),
        ({"json_schema": 400, "json_object": GOOD, "prompt": f"```json\n{GOOD}\n```"}, ["refused", "works", "works"], "json_object"),
        ({"json_schema": "An apple.", "json_object": f"Sure: {GOOD}", "prompt": GOOD}, ["ignored", "ignored", "works"], "prompt"),
        ({"json_schema": 400, "json_object": 422, "prompt": "An apple."}, ["refused", "refused", "ignored"], None),
        ({"json_schema": "", "json_object": GOOD, "prompt": GOOD}, ["ignored", "works", "works"], "json_object"),
    ],
)
def test_a_form_works_when_the_answer_has_it(said, outcomes, best):
    """A server that takes a form and answers as it likes is told from one that refuses it, and from one that holds it."""
    trials, server = probed(by_form(**said), structured="json_object")
    assert [trial.form for trial in trials] == ["json_schema", "json_object", "prompt"]
    assert [trial.outcome for trial in trials] == outcomes
    assert strongest(trials) == best
    assert len(server.requests) == 3
    assert all(request.json["temperature"] == 0 and request.json["max_tokens"] for request in server.requests)


def test_a_server_that_fails_is_not_asked_on():
    trials, server = probed(answering(401))
    assert [trial.outcome for trial in trials] == ["failed"]
    assert strongest(trials) is None
    assert len(server.requests) == 1
