"""What a client keeps for an endpoint. Plain state, no behaviour but hiding secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flowkit.chat import STRUCTURED, Completion, Structured, ToolCall
from flowkit.endpoints import redact

if TYPE_CHECKING:
    from flowkit.client.gate import Gate
    from flowkit.client.transport import Prepared
    from flowkit.endpoints import Endpoint


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
        self.secrets = tuple(secret for secret in endpoint.secrets if not secret.placeholder)

    def hide(self, text: str) -> str:
        """Take the secrets of this endpoint out of a text."""
        return redact(text, self.secrets)

    def conceal(self, done: Completion) -> Completion:
        """Take the secrets out of an answer; servers echo what they were sent, and models what servers tell them."""
        if not self.secrets:
            return done
        hidden = replace(
            done,
            text=self.hide(done.text),
            finish_raw=self._maybe(done.finish_raw),
            model=self._maybe(done.model),
            reasoning=self.hide(done.reasoning),
            refusal=self._maybe(done.refusal),
            tool_calls=tuple(
                ToolCall(self.hide(call.id), self.hide(call.name), self.hide(call.arguments), self._hidden(call.extra))
                for call in done.tool_calls
            ),
            id=self._maybe(done.id),
            warnings=tuple(map(self.hide, done.warnings)),
        )
        if hidden == done:
            return done
        return replace(hidden, warnings=(*hidden.warnings, "a secret was taken out of the answer"))

    def _hidden(self, data: Any) -> Any:
        if isinstance(data, str):
            return self.hide(data)
        if isinstance(data, Mapping):
            return {self.hide(key): self._hidden(value) for key, value in data.items()}
        return [self._hidden(value) for value in data] if isinstance(data, list) else data

    def _maybe(self, text: str | None) -> str | None:
        return None if text is None else self.hide(text)
