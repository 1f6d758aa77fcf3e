"""Turn a file of replies, or plain data, into what a simulated server says at each step. Knows no wire, no flow and no types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowkit import source
from flowkit.spelling import did_you_mean, nearest

if TYPE_CHECKING:
    from flowkit.errors import Place, Problems
    from flowkit.source import Document, Node

#: Keys of an entry that says more than a reply.
_ENTRY = ("match", "reply", "error", "tool_calls")
#: What an error says when nothing is written.
SAID = "simulated error"

#: Keys and positions from the root of the data to a value.
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: text, or data for a typed step, and how it comes."""

    value: Any
    #: The text of a number, boolean or null as the file has it: "1.10" for 1.1.
    written: str | None = None
    finish: Literal["stop", "length", "content_filter", "tool_calls"] = "stop"
    #: Tools that are asked for beside the text: their names, and arguments as data or as the text that a model would write.
    calls: tuple[tuple[str, Any], ...] = ()
    #: Refuse with this text instead of answering.
    refusal: str | None = None
    #: Break off after so many pieces of a stream; a whole answer breaks off in its middle.
    cut: int | None = None
    #: Whether breaking off is an error of the connection, not merely its end.
    reset: bool = True
    #: Seconds before the answer.
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """An HTTP error. `retry_after`: seconds; by default a simulated server may be asked again at once, so that nobody waits."""

    status: int
    message: str = SAID
    code: str | None = None
    retry_after: float = 0.001


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer within the time that is waited; the wait itself is left out."""


Answer: TypeAlias = Reply | Failure | Silence


@dataclass(frozen=True, slots=True)
class Case:
    """Answers to a question in which `pattern` is found, in order; None: to the rest."""

    pattern: re.Pattern[str] | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """What is said at one step: `answers` in order, or the first of the `cases` that fits the question."""

    answers: tuple[Answer, ...] = ()
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True)
class Replies:
    """Scripts by step (`step`, or `step/inner` inside a sub-flow). `steps` has the place of each name, None where there is no file."""

    scripts: Mapping[str, Script] = field(default_factory=dict)
    steps: Mapping[str, Place | None] = field(default_factory=dict)


def parse_replies(document: Document, problems: Problems) -> Replies:
    """Read a file of replies; every mistake in its form is added to `problems`. Whether its steps exist is the caller's to check."""
    root = document.root
    if root is None or (isinstance(root, source.Scalar) and root.value is None):
        return Replies()
    if not isinstance(root, source.Mapping):
        problems.error("reply-form", root.place(), "replies are a mapping from step names", "write `step: its reply`")
        return Replies()

    def complain(path: Path, code: str, message: str, hint: str | None) -> None:
        problems.error(code, _place(root, path, key=code == "unknown-key"), message, hint)

    def written(path: Path) -> str | None:
        node = _node(root, path)
        return node.text if isinstance(node, source.Scalar) and not isinstance(node.value, str) else None

    names = [entry.key for entry in root.entries if not entry.key.text.startswith("x-")]
    reader = _Reader(complain, written)
    scripts = {key.text: reader.script((key.text,), source.plain(root.named[key.text].value)) for key in names}
    return Replies(scripts, {key.text: key.place() for key in names})


def replies_of(data: Mapping[str, Any]) -> Replies:
    """Read replies from plain data, in which a `Reply`, `Failure` or `Silence` may stand for a reply.

    Raises:
        ValueError: something has the wrong form; it says where.
    """

    def complain(path: Path, code: str, message: str, hint: str | None) -> None:
        where = "".join(f"[{step!r}]" for step in path)
        raise ValueError(f"replies{where}: {message}" + (f" ({hint})" if hint else ""))

    reader = _Reader(complain, lambda _path: None)
    return Replies({step: reader.script((step,), each) for step, each in data.items()}, dict.fromkeys(data))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the data of one step. `complain` may raise or go on; `written` gives the text that stood at a path."""

    complain: Callable[[Path, str, str, str | None], None]
    written: Callable[[Path], str | None]

    def script(self, path: Path, data: Any) -> Script:
        if not isinstance(data, list | tuple):
            if _looks_like_case(data) or _looks_like_error(data) or _looks_like_calls(data):
                what = "tool_calls" if _looks_like_calls(data) else "match or error"
                self._form(path, f"a single entry with {what} would be taken for an answer", "put it into a list: `- {…}`")
            return Script((self._reply(path, data),))
        if not data:
            self._form(path, "the list of replies is empty", "an answer that is a list stands inside one: `[[]]`")
            return Script()
        if any(_looks_like_case(each) for each in data) or all(_is_entry(each) for each in data):
            return Script(cases=self._cases(path, data))
        for i, each in enumerate(data):
            if _looks_like_error(each) or _looks_like_calls(each):
                what = "an error stands" if "error" in each else "tool_calls stand"
                self._form((*path, i), f"{what} among plain replies", "write the others as `{reply: …}` too")
        return Script(tuple(self._reply((*path, i), each) for i, each in enumerate(data)))

    def _reply(self, path: Path, data: Any) -> Answer:
        return data if isinstance(data, Reply | Failure | Silence) else Reply(data, self.written(path))

    def _cases(self, path: Path, data: Sequence[Any]) -> tuple[Case, ...]:
        found: dict[str | None, Case] = {}
        for i, each in enumerate(data):
            here = (*path, i)
            if not isinstance(each, Mapping):
                self._form(here, "entries with match stand beside plain replies", "write this one as `{reply: …}`")
                continue
            for key in each:
                if key not in _ENTRY and not str(key).startswith("x-"):
                    hint = did_you_mean(str(key), _ENTRY) or f"known here: {', '.join(_ENTRY)}"
                    self.complain((*here, key), "unknown-key", f"unknown key {key!r} in an entry of replies", hint)
            said = [key for key in _ENTRY[1:] if key in each]
            if len(said) != 1:
                if said or each.keys() <= set(_ENTRY):
                    hint = "write `{match: …, reply: …}` or `{match: …, error: …}`"
                    also = " or tool_calls" if "tool_calls" in each else ""
                    self._form(here, f"an entry has either reply or error{also}", hint)
                continue
            match = each.get("match")
            if match is not None and not isinstance(match, str):
                match = self.written((*here, "match"))
            if "match" in each and not match:
                self._form((*here, "match"), "match must be text or /regex/", "leave it out for all that nothing else matches")
                continue
            pattern = self._pattern((*here, "match"), match) if match else None
            read = {"reply": self._reply, "error": self._error, "tool_calls": self._calls}[said[0]]
            answer = read((*here, said[0]), each[said[0]])
            before = found.get(match)
            found[match] = Case(pattern, (*(before.answers if before else ()), answer))
        # What matches nothing else comes last, wherever it stands.
        return tuple(sorted(found.values(), key=lambda case: case.pattern is None))

    def _pattern(self, path: Path, match: str) -> re.Pattern[str]:
        if len(match) > 2 and match.startswith("/") and match.endswith("/"):
            try:
                return re.compile(match[1:-1])
            except re.error as error:
                self.complain(path, "wrong-pattern", f"{match!r} is no regular expression: {error.msg}", "escape it, or write plain text")
        return re.compile(re.escape(match))

    def _error(self, path: Path, data: Any) -> Answer:
        if isinstance(data, Failure | Silence):
            return data
        if data == "timeout":
            return Silence()
        hint = "write `{status: 429, message: slow down}` or `timeout`"
        if not isinstance(data, Mapping):
            self._form(path, "an error is a mapping with status, or the word timeout", hint)
            return Silence()
        for key in data:
            if key not in ("status", "message"):
                known = did_you_mean(str(key), ("status", "message")) or "known here: status, message"
                self.complain((*path, key), "unknown-key", f"unknown key {key!r} in an error", known)
        status, message = data.get("status"), data.get("message", SAID)
        if isinstance(status, bool) or not isinstance(status, int) or not 300 <= status <= 599:
            at = (*path, "status") if "status" in data else path
            self._form(at, "the status of an error is a number from 300 to 599", hint)
            return Silence()
        if not isinstance(message, str):
            message = self.written((*path, "message")) or str(message)
        return Failure(status, message)

    def _calls(self, path: Path, data: Any) -> Answer:
        calls: list[tuple[str, Any]] = []
        for each in data if isinstance(data, list | tuple) and data else [data]:
            if not _is_call(each):
                hint = "write `tool_calls: [{search: {query: cats}}]`"
                self._form(path, "tool_calls is a list of mappings from the name of a tool to its arguments", hint)
                break
            calls += each.items()
        return Reply("", finish="tool_calls", calls=tuple(calls))

    def _form(self, path: Path, message: str, hint: str) -> None:
        self.complain(path, "reply-form", message, hint)


def _is_entry(data: Any) -> bool:
    return isinstance(data, Mapping) and bool(data) and data.keys() <= set(_ENTRY) and ("tool_calls" not in data or _holds_calls(data))


def _looks_like_case(data: Any) -> bool:
    """Whether it has `match` and, perhaps misspelt, `reply` or `error`: then it is no answer."""
    if not isinstance(data, Mapping) or "match" not in data:
        return False
    return any(key in _ENTRY or nearest(str(key), _ENTRY[1:]) for key in data if key != "match")


def _looks_like_error(data: Any) -> bool:
    if not isinstance(data, Mapping) or data.keys() != {"error"}:
        return False
    error = data["error"]
    return error == "timeout" or (isinstance(error, Mapping) and "status" in error and error.keys() <= {"status", "message"})


def _looks_like_calls(data: Any) -> bool:
    return isinstance(data, Mapping) and data.keys() == {"tool_calls"} and _holds_calls(data)


def _holds_calls(data: Mapping[str, Any]) -> bool:
    calls = data["tool_calls"]
    return isinstance(calls, list | tuple) and bool(calls) and all(map(_is_call, calls))


def _is_call(data: Any) -> bool:
    """Whether it is a tool with its arguments: data by name, or what a model would write in their place."""
    return isinstance(data, Mapping) and bool(data) and all(isinstance(given, Mapping | str) for given in data.values())


def _node(root: Node, path: Path) -> Node | None:
    node: Node | None = root
    for step in path:
        if isinstance(node, source.Mapping) and isinstance(step, str):
            node = node.get(step)
        elif isinstance(node, source.Sequence) and isinstance(step, int):
            node = node.items[step]
        else:
            return None
    return node


def _place(root: Node, path: Path, *, key: bool) -> Place:
    """The place of a value, or of the key before it."""
    above, last = _node(root, path[:-1]), path[-1]
    if key and isinstance(above, source.Mapping) and isinstance(last, str) and (name := above.key(last)):
        return name.place()
    return (_node(root, path) or root).place()
