"""Answer questions from recorded calls, strictly: what was not recorded is an error that shows the nearest one. Asks nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import copy
from difflib import SequenceMatcher
from typing import Any

from flowkit import textdiff
from flowkit.cassettes.recording import Tape
from flowkit.cassettes.tapes import Call, canonical
from flowkit.chat import Attempt, ChatRequest, Completion
from flowkit.endpoints import Endpoint
from flowkit.errors import ModelError, RunError
from flowkit.identity import digest, question, restored

#: Lines of a difference that are shown.
_SHOWN = 30


class NotRecorded(RunError):
    """A question that no recorded call answers; the message shows the nearest one."""

    kind = "not_recorded"


class Player:
    """A ledger for one run that knows recorded calls and nothing else."""

    #: Nothing is ever asked, so that no key is needed.
    offline = True

    def __init__(self, calls: Iterable[Call], where: str) -> None:
        self._calls: dict[str, list[Call]] = {}
        for call in calls:
            self._calls.setdefault(call.question, []).append(call)
        self._taken: set[int] = set()
        self._where = where
        self._tape = Tape()
        self._head = ""
        #: Questions without an answer, whatever the flow made of it.
        self.missed: list[NotRecorded] = []

    @property
    def empty(self) -> bool:
        """Whether nothing at all is recorded."""
        return not self._calls

    def under(self, head: str) -> Player:
        """Return the same one for another flow whose questions belong to the run: a judge, `head` before the names of its steps."""
        other = copy(self)
        other._head = head
        return other

    async def open(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> Replayed:
        """Return the recorded answer. Raises NotRecorded, or the error that was recorded."""
        asked = question(endpoint, request)
        said: dict[str, Any] = json.loads(asked.body)
        body = digest(canonical(said))
        step = self._head + request.step
        call = self._next(body, (step, request.item, request.sample), self._tape.numbered(asked.body, step, request))
        if call is None:
            self.missed.append(NotRecorded(self._missing(step, said, body), step=step))
            raise self.missed[-1]
        if call.error is not None:
            message = str(call.error.get("message", "failed when it was recorded"))
            raise ModelError(message, kind=str(call.error.get("kind", "server")), status=call.error.get("status"))
        try:
            return Replayed(restored(json.dumps(call.reply)))
        except (ValueError, TypeError) as error:
            raise NotRecorded(f"{call.place}: the reply cannot be read: {error}; record it again with --record") from None

    def knows(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> bool:
        """Say no: what was recorded stands as it came, right or wrong."""
        return False

    def _next(self, body: str, place: tuple[str, int | None, int | None], number: int) -> Call | None:
        """Return the recorded call of this question, and take it: that of the same place, else one of another, as of a renamed step."""
        left = [call for call in self._calls.get(body, ()) if id(call) not in self._taken]
        same = [call for call in left if (call.step, call.item, call.sample) == place]
        found = next((call for call in same if call.number == number), None) or next((call for call in left if call not in same), None)
        if found is not None:
            self._taken.add(id(found))
        return found

    def _missing(self, step: str, said: Mapping[str, Any], body: str) -> str:
        recorded = [call for calls in self._calls.values() for call in calls]
        others = [call for call in recorded if call.step == step]
        if not others:
            return f"no call of this step is recorded in {self._where}; record it with --record"
        same = self._calls.get(body, ())
        if same:
            return f"this question is recorded {len(same)} times in {self._where}, and asked once more; record it again with --record"
        text = _lines(said)
        nearest = max(others, key=lambda call: SequenceMatcher(None, _lines(call.request), text, autojunk=False).quick_ratio())
        shown = textdiff.lines(_lines(nearest.request), text, ("recorded", "asked now"))
        more = [f"… {len(shown) - _SHOWN} more lines"] if len(shown) > _SHOWN else []
        difference = "\n".join([*shown[:_SHOWN], *more])
        return f"this question is not recorded; the nearest is {nearest.place}:\n{difference}\nrecord it again with --record"


class Replayed:
    """A recorded answer, which counts as if it had been asked for."""

    replayed = True

    def __init__(self, reused: Completion) -> None:
        self.reused = reused

    async def sending(self) -> None:
        """Never: nothing is sent."""

    def attempted(self, attempt: Attempt) -> None:
        """Nothing is noted."""

    async def answered(self, completion: Completion) -> None:
        """Never: nothing is sent."""

    def failed(self, error: RunError) -> None:
        """Nothing is noted."""

    def cut(self, *, sent: bool) -> None:
        """Nothing is noted."""

    def anew(self) -> None:
        """Never: nobody can be asked."""

    def rejected(self) -> None:
        """Nothing is noted."""


def _lines(request: Mapping[str, Any]) -> str:
    """Return a request as lines, texts of messages as they read."""
    found = []
    for name, value in request.items():
        if name == "messages" and isinstance(value, list):
            for message in value:
                content = message.get("content") if isinstance(message, Mapping) else message
                role = message.get("role", "") if isinstance(message, Mapping) else ""
                found.append(f"{role}: {content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)}")
        else:
            found.append(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(found)
