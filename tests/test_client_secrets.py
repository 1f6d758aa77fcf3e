"""Keys go to their server and nowhere else."""

from __future__ import annotations

import asyncio

import pytest
from calling import KEY, ONCE, ask, endpoint, question, run
from fault_server import FaultServer, answering, completion, error, well

from flowkit.client import Client


def test_key_that_the_server_echoes_is_taken_out() -> None:
    padding = "x" * 190
    for body in (error(f"Incorrect API key provided: {KEY}."), f"{padding}{KEY}".encode(), error(code=KEY), f"<p>{KEY}".encode()):
        for status in (401, 200, 500):
            asked, _ = run(answering(status, body), policy=ONCE)
            assert asked.error is not None
            assert KEY[:14] not in str(asked.error)
    asked, _ = run(answering(200, completion(f"your key is {KEY}")))
    assert asked.completion is not None
    assert KEY not in asked.completion.text


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with FaultServer(well) as proxy, FaultServer(well) as server, Client() as client:
            for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            assert (await ask(client, endpoint(server.base_url), question())).completion
            assert proxy.connections == 0

    asyncio.run(main())


def test_given_proxy_is_used() -> None:
    async def main() -> None:
        async with FaultServer(well) as proxy, Client(proxy=f"http://127.0.0.1:{proxy.port}") as client:
            assert (await ask(client, endpoint("http://models.invalid/v1"), question())).completion
            assert proxy.requests[0].path.startswith("http://models.invalid/v1")

    asyncio.run(main())
