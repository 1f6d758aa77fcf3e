"""A model server on loopback that keeps its own ledger of what it was asked: what it counted was billed."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from described import wrong_in_shape

#: Gives the text of an answer, or (status, message) of an error.
Reply = Callable[[dict[str, Any]], "str | tuple[int, str]"]


def echo(body: dict[str, Any]) -> str:
    """An answer that is the same for the same question."""
    return "answer " + hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()[:8]


def last(body: dict[str, Any]) -> str:
    """The text of the last message."""
    return str(body["messages"][-1]["content"])


@dataclass
class CountingServer:
    """Use as `with CountingServer() as server`; `server.bodies` are the requests in the order in which they arrived."""

    reply: Reply = echo
    #: Held until set: nothing is answered before. Set from the start.
    go: threading.Event = field(default_factory=threading.Event)
    delay: float = 0.0
    usage: dict[str, int] = field(default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    bodies: list[dict[str, Any]] = field(default_factory=list)
    #: Set whenever a request arrives.
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Self:
        self.go.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                wrong = wrong_in_shape(raw)
                body = json.loads(raw)
                with server.arrived:
                    server.bodies.append(body)
                    server.arrived.notify_all()
                server.go.wait(30)
                if server.delay:
                    threading.Event().wait(server.delay)
                said = server.reply(body) if not wrong else (400, f"not as described: {wrong}")
                status, data = (200, server.completion(body, said)) if isinstance(said, str) else (said[0], {"error": {"message": said[1]}})
                text = json.dumps(data).encode()
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                except OSError:  # the client was killed
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_: object) -> None:
                """Say nothing of clients that were killed."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()

    def completion(self, body: dict[str, Any], text: str) -> dict[str, Any]:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"] + "-2026",
            "choices": [choice],
            "usage": self.usage,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def count(self) -> int:
        return len(self.bodies)

    def wait_for(self, number: int, timeout: float = 30) -> None:
        """Return when so many requests arrived."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.bodies) >= number, timeout)
