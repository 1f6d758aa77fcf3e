"""All callers of an endpoint share its limits."""

from __future__ import annotations

import asyncio

from calling import KEY, ask, endpoint, question, run
from fault_server import Exchange, FaultServer, answering, by_turn, error, well

from flowkit.client import Client
from flowkit.endpoints import Endpoint, Secret
from flowkit.errors import ModelRateLimited
from flowkit.retry import Policy


def test_no_more_calls_are_under_way_than_allowed() -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.02)
        await well(exchange)

    async def main() -> None:
        async with FaultServer(slow) as server, Client() as client:
            places = [endpoint(server.base_url, max_parallel=4), Endpoint("alias", server.base_url, "m", Secret(KEY), max_parallel=4)]
            done = await asyncio.gather(*(ask(client, places[i % 2], question()) for i in range(40)))
            assert all(one.completion for one in done)
            assert server.most_in_flight == 4

    asyncio.run(main())


def test_more_than_a_hundred_calls_may_be_under_way() -> None:
    async def main() -> None:
        full = asyncio.Event()

        async def script(exchange: Exchange) -> None:
            if exchange.server.in_flight == 150:
                full.set()
            await full.wait()
            await well(exchange)

        async with FaultServer(script) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=150)
            done = await asyncio.gather(*(ask(client, place, question(), timeout=20) for _ in range(150)))
            assert all(one.completion for one in done)

    asyncio.run(main())


def test_dead_server_is_left_alone() -> None:
    """1,000 rows against a server that always fails make at most 100 requests; the rest is known not to have been attempted."""

    async def main() -> None:
        async with FaultServer(answering(500)) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=64)
            done = await asyncio.gather(*(ask(client, place, question()) for _ in range(1000)))
            assert all(one.error for one in done)
            assert len(server.requests) <= 100
            assert sum(one.error is not None and one.error.code == "not_attempted" for one in done) >= 900

    asyncio.run(main())


def test_limit_of_the_server_is_found() -> None:
    """Against a server that takes 8 at a time, few answers are 429 once its limit is known, and it is kept busy."""

    async def main() -> None:
        busy = 0
        refused: list[bool] = []

        async def script(exchange: Exchange) -> None:
            nonlocal busy
            refused.append(busy >= 8)
            if busy >= 8:
                await exchange.answer(429, error("slow down"), keep=True)
                return
            busy += 1
            try:
                await asyncio.sleep(0.02)
                await well(exchange)
            finally:
                busy -= 1

        async with FaultServer(script) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=32)
            policy = Policy(attempts=20, initial=0.02, max=0.1)
            done = await asyncio.gather(*(ask(client, place, question(), policy=policy, timeout=20) for _ in range(500)))
            assert all(one.completion for one in done)
            later = refused[150:]
            assert sum(later) <= 0.05 * len(later)

    asyncio.run(main())


def test_retry_after_holds_back_all_callers_of_the_endpoint() -> None:
    async def main() -> None:
        script = by_turn(answering(429, retry_after="0.5"), well)
        async with FaultServer(script) as server, Client() as client:
            first = asyncio.create_task(ask(client, endpoint(server.base_url), question()))
            while not server.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            other = await ask(client, endpoint(server.base_url), question())
            assert other.seconds > 0.3
            assert (await first).completion

    asyncio.run(main())


def test_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    asked, _ = run(answering(429, retry_after="30"), total=1.0)
    assert isinstance(asked.error, ModelRateLimited)
    assert asked.seconds < 0.5
