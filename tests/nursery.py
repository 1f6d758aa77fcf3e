"""Runs flows in processes that are born in a moment, and may be killed at any: `run_id folder inputs` a line on stdin starts one.

A process of its own that has no thread imports flowkit once, and forks. It prints `born PID`, and `died STATUS` when it has waited.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from pathlib import Path

import httpx_aiohttp  # noqa: F401 - what flowkit imports when it is first needed, each child has already
import networkx  # noqa: F401 - the same

import flowkit
import flowkit.store.sqlite


def live(run_id: str, path: Path, inputs: dict[str, object]) -> None:
    warnings.simplefilter("error")
    flow = flowkit.load(path, runtime=flowkit.Runtime(record=True))
    asyncio.run(flow.start(inputs, id=run_id).finish())


def main() -> None:
    for line in sys.stdin:
        run_id, path, inputs = json.loads(line)
        pid = os.fork()
        if not pid:
            code = 1
            try:
                live(run_id, Path(path), inputs)
                code = 0
            finally:
                os._exit(code)
        print("born", pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print("died", status, flush=True)


main()
