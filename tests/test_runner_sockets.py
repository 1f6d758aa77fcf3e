"""Runs over real sockets: what is cancelled hangs up, what fails ends, and nothing is left open."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from fault_server import Exchange, FaultServer, completion
from running import HEAD, until

import flowkit
from flowkit.errors import RunError

TEXT = "steps:\n  each: {foreach: range(%d), prompt: 'n={{ item }}'}\n"


def flow_at(folder: Path, server: FaultServer, text: str, more: str = "") -> flowkit.Flow:
    (folder / "flowkit.toml").write_text(f'[models.m]\nmodel = "local/test"\nbase_url = "{server.base_url}"\n{more}')
    (folder / "main.flow.yaml").write_text(HEAD + text)
    return flowkit.load(folder / "main.flow.yaml")


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_cancellation_leaves_no_task_and_no_socket(tmp_path: Path) -> None:
    """The server sees every caller hang up within a second."""
    gone: list[int] = []

    async def script(exchange: Exchange) -> None:
        await exchange.until_closed()
        gone.append(exchange.number)

    async def main() -> None:
        async with FaultServer(script) as server:
            flow = flow_at(tmp_path, server, TEXT % 8)
            task = asyncio.create_task(flow.arun())
            await until(lambda: len(server.requests) == 8)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: len(gone) == 8, 1)

    asyncio.run(main())


def test_a_failure_hangs_up_on_what_takes_too_long(tmp_path: Path) -> None:
    gone: list[int] = []

    async def script(exchange: Exchange) -> None:
        if "n=3" in str(exchange.json["messages"]):
            await exchange.answer(400, b"{}")
            return
        await exchange.until_closed()
        gone.append(exchange.number)

    async def main() -> None:
        async with FaultServer(script) as server:
            flow = flow_at(tmp_path, server, TEXT % 5)
            with pytest.raises(RunError, match="item 4"):
                await flow.start({}, grace=0.05).finish()
            await until(lambda: len(gone) == 4, 1)

    asyncio.run(main())


def test_runs_share_the_limits_and_connections_of_a_runtime(tmp_path: Path) -> None:
    """However many runs go on, the server never sees more calls at once than the limit, and reaches it."""

    async def script(exchange: Exchange) -> None:
        await asyncio.sleep(0.005)
        await exchange.answer(body=completion(), keep=True)

    async def main() -> FaultServer:
        async with FaultServer(script) as server:
            flow_at(tmp_path, server, TEXT % 4, "max_parallel = 5\n")
            async with flowkit.Runtime() as runtime:
                flow = flowkit.load(tmp_path / "main.flow.yaml", runtime=runtime)
                runs = await asyncio.gather(*(flow.arun() for _ in range(20)))
            assert all(len(run.outputs["each"]) == 4 for run in runs)
            return server

    server = asyncio.run(main())
    assert server.most_in_flight == 5
    assert server.connections <= 5
    assert len(server.requests) == 80


def test_a_flow_without_runtime_shares_limits_among_its_runs_as_well(tmp_path: Path) -> None:
    """One that ends does not close the connections of those that go on."""

    async def script(exchange: Exchange) -> None:
        await asyncio.sleep(0.005)
        await exchange.answer(body=completion(), keep=True)

    async def main() -> FaultServer:
        async with FaultServer(script) as server:
            flow = flow_at(
                tmp_path, server, "inputs: {n: integer}\n" + (TEXT % 1).replace("range(1)", "range(inputs.n)"), "max_parallel = 3\n"
            )
            await asyncio.gather(*(flow.arun(n=n) for n in range(1, 9)))
            return server

    server = asyncio.run(main())
    assert server.most_in_flight == 3
    assert len(server.requests) == 36


def test_many_mixed_runs_leave_nothing_open(tmp_path: Path) -> None:
    """Runs that succeed, fail, or are cancelled: no descriptor, no task."""

    async def script(exchange: Exchange) -> None:
        said = str(exchange.json["messages"])
        if "n=13" in said:
            await exchange.answer(400, b"{}")
        elif "n=7" in said:
            exchange.reset()
        else:
            await exchange.answer(body=completion(), keep=True)

    async def main() -> int:
        async with FaultServer(script) as server:
            flow = flow_at(
                tmp_path,
                server,
                "inputs: {n: integer}\nsteps:\n  a: {prompt: 'n={{ inputs.n }}', retry: 1}\n  b: {prompt: '{{ steps.a.output }}'}\n",
            )
            await flow.arun(n=0)
            before = descriptors()
            for start in range(0, 200, 20):
                tasks = [asyncio.create_task(flow.arun(n=n)) for n in range(start, start + 20)]
                await asyncio.sleep(0.002)
                tasks[5].cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for _ in range(50):
                gc.collect()
                await asyncio.sleep(0.01)
                if descriptors() <= before and len(asyncio.all_tasks()) == 1:
                    break
            assert len(asyncio.all_tasks()) == 1
            return descriptors() - before

    assert asyncio.run(main()) <= 0
