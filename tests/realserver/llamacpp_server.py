"""Serve a GGUF model by the real llama.cpp HTTP server of the wheel xllamacpp, on a port of loopback that the system chooses.

    python llamacpp_server.py model.gguf [api_key]

The first line of its output is the address. It ends on SIGTERM.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp


def serve(model: str, key: str | None) -> None:
    """Load the model, print the address, and serve until told to end."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    # Both of these were one value in older versions of the wheel.
    params.hostnames = ["127.0.0.1"] if isinstance(params.hostnames, list) else "127.0.0.1"
    params.model_alias = {"tiny-random"} if isinstance(params.model_alias, set) else "tiny-random"
    params.port = 0
    if key is not None:
        params.api_keys = [key]
    params.n_ctx = 8192
    params.n_parallel = 4
    params.n_predict = 64
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.offline = True
    params.use_jinja = True
    params.sse_ping_interval = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
