"""Measure what the record costs. No test: run it by hand.

    python tests/bench_record.py [--rounds 5] [--calls 1000] [--profile] [--folder DIR]

A `foreach` of so many items, 64 in flight, is run with the record and without, in turn, in one process: against a simulated server,
and against a tiny one on loopback that answers at once (0 ms) or after 50 ms. Only the ratios of medians mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import multiprocessing
import os
import pstats
import statistics
import tempfile
import time
from pathlib import Path

from bench_engine import PROMPT, _serve

import flowkit

FLOW = """\
flowkit: 1
inputs: {n: list(integer), round: integer}
defaults: {model: m}
models: {m: {model: local/m, base_url: 'http://127.0.0.1:%d/%s/v1', max_parallel: 64}}
steps:
  each:
    foreach: inputs.n
    max_parallel: 64
    messages: [{system: "%s"}, {user: "{{ inputs.round }} {{ item }}"}]
outputs: {done: steps.each.output | length}
"""


async def measure(flow: flowkit.Flow, calls: int, number: int) -> tuple[float, float]:
    """CPU and wall time of one run, in seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    await flow.arun(n=list(range(calls)), round=number)
    return time.process_time() - cpu, time.perf_counter() - wall


async def main(port: int, rounds: int, calls: int, folder: Path, profile: bool) -> None:
    (folder / "flowkit.toml").touch()
    for case, wait in {"in process": None, "loopback": "0", "loopback, 50 ms": "50"}.items():
        path = folder / f"{(wait or 'p')}.flow.yaml"
        path.write_text(FLOW % (port, wait or "0", PROMPT))
        simulate = wait is None
        plain = flowkit.Runtime(simulate=simulate)
        kept = flowkit.Runtime(simulate=simulate, record=folder / f"record-{wait}", cache=True)
        async with plain, kept:
            runners = {"without": flowkit.load(path, runtime=plain), "with": flowkit.load(path, runtime=kept)}
            for flow in runners.values():
                await measure(flow, 50, -1)
            if profile:
                with cProfile.Profile() as watched:
                    await measure(runners["with"], calls, -2)
                pstats.Stats(watched).sort_stats("tottime").print_stats(30)
                continue
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
            for number in range(rounds):
                for name, flow in runners.items():
                    found[name].append(await measure(flow, calls, number))
            again = [await measure(runners["with"], calls, number) for number in range(rounds)]
        cpu = {name: statistics.median(c for c, _ in times) / calls * 1e6 for name, times in found.items()}
        wall = {name: statistics.median(w for _, w in times) * 1e3 for name, times in found.items()}
        hits = "" if simulate else f"; all from the record {statistics.median(w for _, w in again) * 1e3:.0f} ms"
        print(
            f"{case:16} CPU µs a call: without {cpu['without']:.0f}, with {cpu['with']:.0f} (×{cpu['with'] / cpu['without']:.2f});"
            f" wall ms: without {wall['without']:.0f}, with {wall['with']:.0f} (×{wall['with'] / wall['without']:.2f}){hits}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the record lies: its disk is measured too")
    chosen = parser.parse_args()
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as place:
        asyncio.run(main(here.recv(), chosen.rounds, chosen.calls, Path(place), chosen.profile))
    process.kill()
