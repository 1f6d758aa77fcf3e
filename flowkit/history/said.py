"""Read kept bodies: the messages of a request and what was asked beside them, the answer in a reply. Knows JSON, and no store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit import printable
from flowkit.chat import Completion
from flowkit.identity import restored

#: Characters of data inside a part (a picture, say) that are shown.
_DATA = 60


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: messages as the protocol spells them, and all other keys of the body. `lost`: the text is no longer there."""

    messages: tuple[Mapping[str, Any], ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    lost: bool = False

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that the model may call."""
        tools = self.params.get("tools")
        named = [each.get("function", {}).get("name") for each in tools if isinstance(each, Mapping)] if isinstance(tools, list) else []
        return tuple(str(name) for name in named if name)

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The schema that the answer was asked to fit, None where none was sent as such."""
        form = self.params.get("response_format")
        held = form.get("json_schema") if isinstance(form, Mapping) else None
        schema = held.get("schema") if isinstance(held, Mapping) else None
        return schema if isinstance(schema, Mapping) else None


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply. `broken`: it broke off, and this is what had come. `lost`: the text is no longer there."""

    completion: Completion
    broken: bool = False
    lost: bool = False

    @property
    def text(self) -> str:
        """What was answered, for reading: the text, a refusal, or the tools that were asked for."""
        parts = [self.completion.text]
        if self.completion.refusal:
            parts.append(f"refused: {self.completion.refusal}")
        parts += [f"→ {call.name}({call.arguments})" for call in self.completion.tool_calls]
        return "\n".join(part for part in parts if part)


def asked(body: str | None) -> Asked:
    """Return what a request said."""
    try:
        said = json.loads(body) if body is not None else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return Asked(lost=True)
    messages = said.pop("messages", None)
    kept = tuple(each for each in messages if isinstance(each, dict)) if isinstance(messages, list) else ()
    return Asked(kept, {name: value for name, value in said.items() if name != "model"})


def answered(body: str | None) -> Answered:
    """Return what a reply said."""
    if body is None:
        return Answered(Completion("", "unknown"), lost=True)
    try:
        return Answered(restored(body))
    except (ValueError, TypeError):
        pass  # it broke off, or is damaged
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if isinstance(said, dict) and said.get("broken") and isinstance(said.get("text"), str):
        return Answered(Completion(said["text"], "unknown"), broken=True)
    return Answered(Completion("", "unknown"), lost=True)


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message for reading: its text, its parts that are none in a word each, the tools that it calls."""
    content = message.get("content")
    parts = [content] if isinstance(content, str) else [_part(part) for part in content] if isinstance(content, list) else []
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            parts.append(f"→ {function.get('name', '')}({function.get('arguments', '')})")
    return "\n".join(part for part in parts if part)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    if isinstance(part.get("text"), str):
        return str(part["text"])
    kind = str(part.get("type", "part"))
    held = part.get(kind)
    shown = held.get("url") or held.get("data") if isinstance(held, dict) else held
    text = shown if isinstance(shown, str) else printable.json_text(held)
    more = f"… ({len(text)} characters)" if len(text) > _DATA else ""
    return f"[{kind}: {text[:_DATA]}{more}]"
