"""Bytes of an answer, in any pieces, to a Completion or a ModelError. Knows no network: it is pushed.

The state of a reader is how the answer is written, which its first byte tells better than the content type does:
servers answer a stream request with one JSON body, and the reverse.

    unknown ──`{` or `[`──► whole body ──finish──► Completion
       └────anything else that can be a stream──► events ──[DONE] or finish_reason──► Completion
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from flowkit.chat import Completion
from flowkit.errors import ModelError, ModelRejected
from flowkit.wire import gather, sse
from flowkit.wire.decode import loads, quote
from flowkit.wire.faults import fault_in_answer
from flowkit.wire.response import EVENT_STREAM

#: Bytes that a body in one piece may have.
LARGEST = 16 * 1024 * 1024

_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


def _unhidden(text: str) -> str:
    return text


class Reader:
    """Reads one answer. `stream` is whether a stream was asked for; what comes decides.

    `hide` takes secrets out of what is quoted in an error.
    """

    def __init__(self, *, stream: bool, content_type: str = "", hide: Callable[[str], str] = _unhidden) -> None:
        self._stream = stream
        self._media = content_type.partition(";")[0].strip().lower()
        self._hide = hide
        self._form: Literal["unknown", "body", "events"] = "unknown"
        self._body: list[bytes] = []
        self._size = 0
        self._head = b""
        self._events = sse.Splitter()
        self._gathering = gather.Gathering()
        self._seen = False
        #: Whether `[DONE]` came: nothing after it counts.
        self.done = False

    @property
    def text(self) -> str:
        """The text so far, for the record of an answer that broke off."""
        return self._gathering.text

    @property
    def complete(self) -> bool:
        """Whether a stream has said that it is at its end."""
        return self._form == "events" and (self.done or self._gathering.finish_raw is not None)

    def feed(self, data: bytes) -> list[str]:
        """Take bytes and return the pieces of text that they complete; none while a body in one piece is coming.

        Raises:
            ModelError: the answer is an error, cannot be read or is too large. Its `text` is what came before.
        """
        if self._form == "events":
            return self._take(data)
        self._body.append(data)
        self._size += len(data)
        if self._size > LARGEST:
            raise self._too_large(f"the answer has more than {LARGEST // 1024 // 1024} MiB")
        if self._form == "unknown":
            self._form = self._recognise(data)
            if self._form == "events":
                self._head = data = b"".join(self._body)
                self._body.clear()
                return self._take(data)
        return []

    def finish(self) -> Completion:
        """Return the answer, now that no more bytes come.

        Raises:
            ModelError: as `feed`, or the stream broke off.
        """
        return self.conclude()[0]

    def conclude(self) -> tuple[Completion, list[str]]:
        """As `finish`, with the pieces of text that were still held back."""
        if self._form == "events":
            return self._conclude_events()
        body = b"".join(self._body)
        if not body.strip() and (self._stream or self._media == EVENT_STREAM):
            raise self._truncated("the stream ended before it began")
        self._read_body(body)
        completion, _ = self._gathered()
        return completion, [completion.text] if completion.text else []

    # -- a body in one piece -----------------------------------------------------------------------------------

    def _recognise(self, data: bytes) -> Literal["unknown", "body", "events"]:
        start = data.lstrip(_BLANK) if len(self._body) == 1 else b"".join(self._body).lstrip(_BLANK)
        if not start or _BOM.startswith(start):
            # Blank lines before the body keep a connection alive (DeepSeek): they need not be kept.
            self._body = [start] if start else []
            return "unknown"
        first = start.removeprefix(_BOM)[:1]
        if first in (b"{", b"["):
            return "body"
        # `:` begins a comment; the letters begin data, event, error, id, retry, and no JSON that could be an answer.
        return "events" if self._media == EVENT_STREAM or first in (b":", b"d", b"e", b"i", b"r") else "body"

    def _read_body(self, body: bytes) -> None:
        try:
            data = loads(body)
        except ValueError as error:
            where = quote(self._hide(body[: gather.LARGEST].decode("utf-8", "replace"))) if body.strip() else "an empty body"
            raise self._bad(f"the answer is no JSON ({str(error)[:100]}): {where}") from None
        self._raise_fault(data)
        if not isinstance(data, dict):
            raise self._bad(f"the answer is no JSON object: {self._quoted(body)}")
        self._gathering.head(data)
        if "choices" not in data:
            raise self._bad(f"the answer has no choices: {self._quoted(body)}")
        choice = self._own(data["choices"])
        if choice is None:
            raise self._empty()
        if choice.get("error"):
            self._raise_fault(choice)
        self._gathering.end(choice.get("finish_reason"))
        message = choice.get("message")
        if message is None and "message" not in choice and choice.get("finish_reason") is not None and "text" not in choice:
            # Gemini leaves the message out when thinking ate the budget; the finish_reason tells.
            message = {}
        if not isinstance(message, dict):
            raise self._bad(f"the answer has no message: {self._quoted(body)}")
        finish = self._gathering.finish_raw
        self._gathering.finish_raw = None
        self._add(message)
        self._gathering.finish_raw = finish

    # -- a stream of events ------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> list[str]:
        if self.done:
            return []
        try:
            events = self._events.feed(data)
        except sse.TooLarge as error:
            raise self._too_large(str(error)) from None
        shown: list[str] = []
        for name, raw in events:
            if raw == b"[DONE]":
                self.done = True
                break
            self._chunk(name, raw, shown)
        return shown

    def _conclude_events(self) -> tuple[Completion, list[str]]:
        shown: list[str] = []
        if not self.done and (last := self._finish_events()) is not None:
            if last.data == b"[DONE]":
                self.done = True
            elif _whole(last.data):
                self._chunk(last.name, last.data, shown)
        if not self.done and self._gathering.finish_raw is None:
            if not self._seen and not self._stream and self._media != EVENT_STREAM:
                raise self._bad(f"the answer is neither JSON nor a stream of events: {self._quoted(self._head)}")
            raise self._truncated("the stream ended without finish_reason and without [DONE]")
        completion, held = self._gathered()
        return completion, [*shown, held] if held else shown

    def _finish_events(self) -> sse.Event | None:
        try:
            return self._events.finish()
        except sse.TooLarge as error:
            raise self._too_large(str(error)) from None

    def _chunk(self, name: str, raw: bytes, shown: list[str]) -> None:
        try:
            data = loads(raw, lenient=True)
        except ValueError:
            if name == "error":
                data = raw.decode("utf-8", "replace")
            else:
                raise self._bad(f"an event of the stream is no JSON: {self._quoted(raw)}") from None
        if not isinstance(data, dict) or name == "error" or "choices" not in data or data.get("error"):
            # All that may be an error; the rest, one chunk among hundreds, is spared the look.
            self._raise_fault(data, named=name == "error")
            if not isinstance(data, dict):
                raise self._bad(f"an event of the stream is no JSON object: {self._quoted(raw)}")
        self._seen = True
        self._gathering.head(data)
        choice = self._own(data.get("choices"))
        if choice is None:
            return
        if choice.get("error"):
            self._raise_fault(choice)
        delta = choice.get("delta")
        if delta is None:
            delta = choice.get("message")
        if isinstance(delta, dict):
            if piece := self._add(delta):
                shown.append(piece)
        elif delta is not None:
            raise self._bad(f"a delta of the stream is no object: {self._quoted(raw)}")
        if reason := choice.get("finish_reason"):
            self._gathering.end(reason)

    # -- both --------------------------------------------------------------------------------------------------

    def _own(self, choices: Any) -> dict[str, Any] | None:
        """The first choice among those of an answer or a chunk; flowkit asks for one, but `extra_body` may ask for more."""
        if choices is None:
            return None
        if not isinstance(choices, list):
            raise self._bad("choices is no list")
        for choice in choices:
            if not isinstance(choice, dict):
                raise self._bad("a choice is no object")
            if not choice.get("index"):
                return choice
        return None

    def _add(self, message: dict[str, Any]) -> str:
        try:
            return self._gathering.add(message)
        except gather.BadShape as error:
            raise self._bad(str(error)) from None
        except gather.TooLarge as error:
            raise self._too_large(str(error)) from None

    def _gathered(self) -> tuple[Completion, str]:
        try:
            return self._gathering.completion()
        except gather.TooLarge as error:
            raise self._too_large(str(error)) from None

    def _raise_fault(self, data: Any, *, named: bool = False) -> None:
        if error := fault_in_answer(data, named=named, hide=self._hide):
            error.text = self.text
            raise error

    def _quoted(self, raw: bytes) -> str:
        return quote(self._hide(raw.decode("utf-8", "replace")))

    def _bad(self, message: str) -> ModelError:
        return ModelError(message, kind="bad_response", retryable=True, text=self.text)

    def _empty(self) -> ModelError:
        return ModelError("the answer has no choice", kind="empty_response", retryable=True)

    def _truncated(self, message: str) -> ModelError:
        return ModelError(message, kind="stream_truncated", retryable=True, text=self.text)

    def _too_large(self, message: str) -> ModelError:
        return ModelRejected(message, kind="response_too_large", retryable=False)


def usable(completion: Completion, *, typed: bool) -> Completion:
    """Return the completion if a step can use its text or tool calls.

    Raises:
        ModelRejected: `refusal`, `content_filter`.
        ModelError: `provider_error`, `output_truncated` (typed, or nothing but thoughts came), `empty_response`.
    """
    if completion.refusal:
        raise ModelRejected(f"the model refused: {quote(completion.refusal)}", kind="refusal", text=completion.text)
    if completion.finish == "content_filter":
        raise ModelRejected("the server's content filter stopped the answer", kind="content_filter", text=completion.text)
    if completion.finish == "error":
        raise ModelError(
            f"the server ended the answer with finish_reason {quote(completion.finish_raw or '')}",
            kind="provider_error",
            retryable=True,
            text=completion.text,
        )
    blank = not completion.text.strip() and not completion.tool_calls
    if completion.finish == "length" and (typed or blank):
        raise ModelError(
            "the answer was cut at the token limit: raise max_tokens, or ask for less",
            kind="output_truncated",
            text=completion.text,
        )
    if blank:
        raise ModelError("the answer is empty", kind="empty_response", retryable=True, text=completion.text)
    return completion


def _whole(data: bytes) -> bool:
    """Whether what stood at the end of a stream without its blank line is an event after all."""
    try:
        loads(data, lenient=True)
    except ValueError:
        return False
    return True
