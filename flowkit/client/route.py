"""What a client keeps for an endpoint, and for one request while it is under way. Plain state, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowkit.chat import STRUCTURED, Completion, Structured
from flowkit.endpoints import redact

if TYPE_CHECKING:
    from flowkit.client.gate import Gate
    from flowkit.client.transport import Prepared
    from flowkit.endpoints import Endpoint
    from flowkit.retry import TooLong
    from flowkit.wire.reply import Reader


@dataclass(slots=True)
class Learned:
    """What a server taught about itself: the strongest form of typed answers that it takes."""

    structured: Structured = STRUCTURED[0]


class Route:
    """What the client keeps for an endpoint."""

    def __init__(self, endpoint: Endpoint, gate: Gate, learned: Learned) -> None:
        self.endpoint = endpoint
        self.gate = gate
        self.learned = learned
        self.prepared: Prepared | None = None
        self._secrets = endpoint.secrets

    def hide(self, text: str) -> str:
        """Take the secrets of this endpoint out of a text."""
        return redact(text, self._secrets)


class Try:
    """One request while it is under way, so that what came is known even when it breaks off. Times are the event loop's."""

    __slots__ = ("completion", "ended", "first", "override", "reader", "started", "wait")

    def __init__(self, started: float) -> None:
        self.started = self.ended = started
        #: When the first piece of text came.
        self.first: float | None = None
        self.reader: Reader | None = None
        self.completion: Completion | None = None
        #: What the server says about trying again, above its status.
        self.override: bool | None = None
        self.wait: float | TooLong | None = None
