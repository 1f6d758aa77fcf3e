"""All callers of an endpoint share its limits; how they behave is measured on the server's side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from calling import FAST, KEY, ask, endpoint, question
from fault_server import Exchange, FaultServer, Script, answering, by_turn, chunk, error, well

from flowkit.chat import ChatRequest, Message
from flowkit.client import Client
from flowkit.endpoints import Endpoint, Secret
from flowkit.errors import ModelRateLimited
from flowkit.retry import Policy


async def slow(exchange: Exchange) -> None:
    await asyncio.sleep(0.02)
    await well(exchange)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


def test_no_more_calls_are_under_way_than_allowed() -> None:
    """Exactly as many as allowed, aliases of one model together."""

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


# -- servers that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503])
def test_dead_server_is_left_alone(status: int) -> None:
    """1,000 rows against a server that always fails make at most 100 requests; the rest is known not to have been attempted."""

    async def main() -> None:
        async with FaultServer(answering(status)) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=64)
            done = await asyncio.gather(*(ask(client, place, question()) for _ in range(1000)))
            assert all(one.error for one in done)
            assert len(server.requests) <= 100
            assert sum(one.error is not None and one.error.code == "not_attempted" for one in done) >= 900
            assert any("not attempted" in str(one.error) for one in done)

    asyncio.run(main())


def test_server_that_is_gone_is_left_alone() -> None:
    """The same when nothing listens: at most 100 attempts for 1,000 rows."""

    async def main() -> None:
        async with FaultServer(well) as server:
            address = server.base_url
        async with Client() as client:
            place = endpoint(address, max_parallel=64)
            done = await asyncio.gather(*(ask(client, place, question()) for _ in range(1000)))
            assert all(one.error is not None and one.error.kind == "connection" for one in done)
            assert sum(len(one.attempts) for one in done) <= 100

    asyncio.run(main())


REFUSALS = {
    "auth": answering(401, error("Incorrect API key provided", code="invalid_api_key")),
    "quota": answering(429, error("You exceeded your current quota", code="insufficient_quota"), retry_after="1"),
    "not_found": answering(404, error("The model does not exist", code="model_not_found")),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_refusal_that_would_meet_every_call_stops_all_at_once(kind: str) -> None:
    """Those that wait for their turn, those that wait to try again and those that come later fail with the same kind, unasked."""

    async def script(exchange: Exchange) -> None:
        if exchange.number == 0:
            await answering(500)(exchange)
        elif exchange.number == 1:
            await refuse.wait()
            await REFUSALS[kind](exchange)
        else:
            await well(exchange)

    async def main() -> None:
        patient = Policy(attempts=3, initial=60, max=60)
        async with FaultServer(script) as server, Client(jitter=lambda: 1.0) as client:
            place = endpoint(server.base_url, max_parallel=1)
            retrying = asyncio.create_task(ask(client, place, question(), policy=patient, timeout=90))
            await until(lambda: len(server.requests) == 1)
            refused = asyncio.create_task(ask(client, place, question(), policy=patient))
            await until(lambda: len(server.requests) == 2)
            waiting = [asyncio.create_task(ask(client, place, question(), policy=patient)) for _ in range(20)]
            await asyncio.sleep(0)
            refuse.set()
            async with asyncio.timeout(5):
                done = [await task for task in (retrying, refused, *waiting)]
            done.append(await ask(client, place, question()))
            assert [one.error.kind for one in done if one.error] == [kind] * 23
            assert all("not attempted" in str(one.error) for one in done if one is not done[1])
            assert len(server.requests) == 2

    refuse = asyncio.Event()
    asyncio.run(main())


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_refusal_of_one_question_stops_no_other(status: int) -> None:
    """A 403 may be about one prompt, and a 404 of a server that answers about one parameter."""

    async def main() -> None:
        async with FaultServer(by_turn(well, answering(status), well)) as server, Client() as client:
            place = endpoint(server.base_url)
            kinds = [(await ask(client, place, question())).kinds[0] for _ in range(3)]
            assert kinds[0] == kinds[2] == "ok"
            assert kinds[1] != "ok"
            assert len(server.requests) == 3

    asyncio.run(main())


def test_refusal_of_one_key_stops_no_other_key() -> None:
    async def script(exchange: Exchange) -> None:
        await (well if KEY in exchange.headers["authorization"] else answering(401))(exchange)

    async def main() -> None:
        async with FaultServer(script) as server, Client() as client:
            assert (await ask(client, endpoint(server.base_url, api_key=Secret("sk-another")), question())).error
            assert (await ask(client, endpoint(server.base_url), question())).completion

    asyncio.run(main())


# -- servers that ask to slow down ---------------------------------------------------------------------------------


def test_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    async def main() -> None:
        async with FaultServer(answering(429, retry_after="30")) as server, Client() as client:
            asked = await ask(client, endpoint(server.base_url), question(), total=1.0)
            assert isinstance(asked.error, ModelRateLimited)
            assert asked.seconds < 0.5

    asyncio.run(main())


def test_retry_after_holds_back_all_callers_of_the_endpoint() -> None:
    """Not one of 20 callers asks before the time that one of them was told."""

    async def main() -> None:
        arrived: list[float] = []
        now = asyncio.get_running_loop().time

        async def script(exchange: Exchange) -> None:
            arrived.append(now())
            await by_turn(answering(429, retry_after="0.5"), well)(exchange)

        async with FaultServer(script) as server, Client() as client:
            place = endpoint(server.base_url)
            first = asyncio.create_task(ask(client, place, question()))
            await until(lambda: arrived and not server.in_flight)
            await asyncio.sleep(0.1)
            others = await asyncio.gather(*(ask(client, place, question()) for _ in range(20)))
            assert all(one.completion for one in (await first, *others))
            assert arrived[1] - arrived[0] >= 0.5
            assert len(arrived) == 22

    asyncio.run(main())


def test_server_that_says_that_nothing_is_left_is_not_asked_until_it_begins_anew() -> None:
    """No 429 is needed: the head of an answer is enough, even while its body is coming."""

    async def main() -> None:
        arrived: list[float] = []
        now = asyncio.get_running_loop().time

        async def script(exchange: Exchange) -> None:
            arrived.append(now())
            left = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "400ms", "x_ratelimit_limit_requests": "60"}
            if exchange.number == 0:
                await exchange.send(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-ratelimit-remaining-tokens: 0\r\n"
                    b"x-ratelimit-reset-tokens: 0.4\r\nconnection: close\r\n\r\n" + chunk("Hi")
                )
                await asyncio.sleep(0.1)
                await exchange.send(chunk(finish="stop"))
            else:
                await exchange.answer(body=b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}', **left)

        async with FaultServer(script) as server, Client() as client:
            place = endpoint(server.base_url)
            for _ in range(3):
                assert (await ask(client, place, question(stream=True))).completion
        assert arrived[1] - arrived[0] >= 0.4
        assert arrived[2] - arrived[1] >= 0.4

    asyncio.run(main())


def test_requests_per_minute_of_the_configuration_are_kept() -> None:
    """600 a minute are ten a second: 20 calls take about a second."""

    async def main() -> None:
        async with FaultServer(well) as server, Client() as client:
            now = asyncio.get_running_loop().time
            started = now()
            place = endpoint(server.base_url, requests_per_minute=600)
            done = await asyncio.gather(*(ask(client, place, question()) for _ in range(20)))
            assert all(one.completion for one in done)
            assert 0.85 <= now() - started <= 2

    asyncio.run(main())


def at_a_time(most: int) -> tuple[Script, list[tuple[float, bool]]]:
    """A server that takes so many calls at a time, and its log of when it took and refused."""
    log: list[tuple[float, bool]] = []
    busy = 0

    async def script(exchange: Exchange) -> None:
        nonlocal busy
        taken = busy < most
        log.append((asyncio.get_running_loop().time(), taken))
        if not taken:
            await exchange.answer(429, error("slow down"), keep=True)
            return
        busy += 1
        try:
            await slow(exchange)
        finally:
            busy -= 1

    return script, log


def token_bucket(size: int, rate: float) -> tuple[Script, list[tuple[float, bool]]]:
    """A server whose bucket holds `size` calls and gains `rate` a second."""
    log: list[tuple[float, bool]] = []
    left, at = float(size), 0.0

    async def script(exchange: Exchange) -> None:
        nonlocal left, at
        now = asyncio.get_running_loop().time()
        left, at = min(size, left + (now - at) * rate), now
        taken = left >= 1
        left -= taken
        log.append((now, taken))
        await (slow(exchange) if taken else exchange.answer(429, error("slow down"), keep=True))

    return script, log


@pytest.mark.long  # it measures throughput in real time, which a busy machine distorts; test_limits holds the same bars with a clock of its own
@pytest.mark.parametrize(
    ("server", "capacity"),
    [(lambda: at_a_time(8), None), (lambda: token_bucket(8, 100), 100.0), (lambda: token_bucket(8, 40), 40.0)],
    ids=["8 at a time", "bucket of 8, 100 a second", "bucket of 8, 40 a second"],
)
def test_limit_of_the_server_is_found(server: Callable[[], tuple[Script, list[tuple[float, bool]]]], capacity: float | None) -> None:
    """After a warm-up of 2 s at most 5 % of its answers are 429, and at least 90 % of what it can take is done."""

    async def main() -> None:
        script, log = server()

        async def work() -> None:
            while True:
                await ask(client, place, question(), policy=Policy(attempts=20, initial=0.02, max=0.1), timeout=20)

        async with FaultServer(script) as listening, Client() as client:
            place = endpoint(listening.base_url, max_parallel=32)
            workers: list[asyncio.Task[None]] = [asyncio.create_task(work()) for _ in range(40)]
            await asyncio.sleep(5)
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        begun = log[0][0] + 2
        later = [taken for at, taken in log if at >= begun]
        assert later.count(False) <= max(1, 0.05 * len(later))
        # What eight at a time can do depends on the machine: as much as it did while it was asked for ever.
        most = capacity or best(log)
        assert later.count(True) / (log[-1][0] - begun) >= 0.9 * most

    asyncio.run(main())


def best(log: list[tuple[float, bool]]) -> float:
    """Calls a second in the best half second."""
    times = [at for at, taken in log if taken]
    return max(sum(first <= at < first + 0.5 for at in times) for first in times[::10]) / 0.5


def test_budget_keeps_retries_from_multiplying_an_outage() -> None:
    """While a server fails for a moment, at most a fifth of the calls under way are retries, or 3."""

    async def main() -> None:
        retries = most = 0

        async def script(exchange: Exchange) -> None:
            nonlocal retries, most
            again = exchange.json["messages"][0]["content"] in seen
            seen.add(exchange.json["messages"][0]["content"])
            retries += again
            most = max(most, retries)
            await asyncio.sleep(0.05)
            retries -= again
            await (answering(500) if not again else well)(exchange)

        seen: set[str] = set()
        async with FaultServer(script) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=9)
            questions = [ChatRequest("m", (Message("user", str(i)),)) for i in range(9)]
            done = await asyncio.gather(*(ask(client, place, one, policy=FAST) for one in questions))
            assert all(one.completion for one in done)
            assert most <= 3

    asyncio.run(main())
