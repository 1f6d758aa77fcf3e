"""Nothing stays behind, however calls end."""

from __future__ import annotations

import asyncio
import gc
import warnings

from calling import ONCE, ask, endpoint, question
from fault_server import Exchange, FaultServer, answering, chunk, reset, silent, streaming, well

from flowkit.client import Client


def test_nothing_is_left_behind() -> None:
    """After many calls of all sorts no task, no connection and no warning remains."""

    async def script(exchange: Exchange) -> None:
        await [well, reset, answering(500), streaming(chunk("He")), answering(404), silent][exchange.number % 6](exchange)

    async def main() -> None:
        async with FaultServer(script) as server:
            async with Client() as client:
                place = endpoint(server.base_url, max_parallel=20)
                await asyncio.gather(*(ask(client, place, question(), policy=ONCE, timeout=0.2) for _ in range(60)))
            await asyncio.sleep(0.05)
            assert server.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


def test_connection_closed_between_requests_costs_nothing() -> None:
    """The race of keep-alive: a reused connection that dies before its answer is replaced for free."""

    async def script(exchange: Exchange) -> None:
        if exchange.reuse % 2 == 1:
            exchange.reset() if exchange.number % 4 else exchange.writer.close()
            return
        await well(exchange)

    async def main() -> None:
        async with FaultServer(script) as server, Client() as client:
            for _ in range(100):
                asked = await ask(client, endpoint(server.base_url), question(), policy=ONCE)
                assert asked.completion is not None
                assert asked.kinds == ["ok"]
            assert len(server.requests) > 100

    asyncio.run(main())
