"""Turn a chat template of another tool into the messages of a step. Knows neither the tool nor where its files are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowkit.imports import pictures, roles, tags, texts
from flowkit.imports.draft import Report
from flowkit.imports.roles import Message, Talk


def _no_picture(_: str) -> str:
    return ""


def _as_it_is(_: Talk, expression: str) -> str:
    return expression


@dataclass(frozen=True, slots=True)
class Template:
    """A template with the file it stands in; `line` is the one before its first line."""

    text: str
    file: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How a template is read: what its names stand for, the role of what comes before any role, and what to do with talks and images."""

    names: Mapping[str, str]
    first: str = "user"
    talk: Callable[[Talk, str], str] = _as_it_is
    picture: Callable[[str], str] = _no_picture
    #: Without roles the whole text is one message, as for models that complete.
    chat: bool = True


def messages(template: Template, reading: Reading, report: Report) -> list[dict[str, Any]]:
    """Return the messages; an empty template gives one empty-looking message, since a step must say something."""
    found = roles.split(template.text, first=reading.first) if reading.chat else roles.Split((Message("user", template.text.strip(), 1),))
    for line, role in found.inside:
        report.left(
            template.file,
            template.line + line,
            f"the role line {role!r} lies inside a block, so it stayed text",
            "roles come from the flow alone: write a step for each case, or `history:` for a talk",
        )
    for line, attributes in found.attributes:
        report.changed(template.file, template.line + line, f"{attributes} of a role is left out", "messages of a flow have a role only")
    shared = _shared(found.parts)
    made: list[dict[str, Any]] = []
    for part in found.parts:
        if isinstance(part, Talk):
            of, troubles = texts.expression(part.of, reading.names)
            _tell(troubles, template, part.line - 1, report)
            made.append({"history": reading.talk(part, of)})
            continue
        text, troubles = texts.rewrite(_with(shared, part), reading.names)
        _tell(troubles, template, part.line - 1, report)
        made.append({part.role: block(pictures.parts(text, reading.picture) if part.role == "user" else text)})
    return made or [{"user": "{{ '' }}"}]


def block(text: Any) -> Any:
    """End a text of several lines with a newline, which is dropped when it is read: so it stands as a plain block."""
    if isinstance(text, list):
        return [{key: block(value) for key, value in part.items()} for part in text]
    return f"{text}\n" if isinstance(text, str) and "\n" in text and not text.endswith("\n") else text


def body(made: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the keys of a step for messages: `prompt` where there is only what the user says."""
    if len(made) == 1 and isinstance(made[0].get("user"), str):
        return {"prompt": made[0]["user"]}
    return {"messages": made}


def outputs(step: str, output: Any) -> dict[str, str] | str:
    """Return the outputs of a flow of one step: each field of a record is one of them."""
    whole = f"steps.{step}.output"
    return whole if isinstance(output, dict) else {step: whole}


def _tell(troubles: list[texts.Trouble], template: Template, before: int, report: Report) -> None:
    for trouble in troubles:
        report.left(template.file, template.line + before + trouble.line, trouble.what, trouble.way)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What a template says before all: it holds for the messages below too, which are templates of their own now."""

    name: str
    text: str
    part: Message


def _shared(parts: tuple[Message | Talk, ...]) -> list[_Shared]:
    found: list[_Shared] = []
    for part in parts:
        if isinstance(part, Talk):
            continue
        for tag in tags.tags(part.text):
            if tag.depth == 0 and tag.name == "set" and (name := re.match(r"(\w+)\s*=", tag.rest)):
                found.append(_Shared(name[1], part.text[tag.start : tag.end], part))
            elif tag.name == "from" and "import" in tag.rest:
                imported = re.findall(r"(\w+)(?:\s+as\s+(\w+))?", tag.rest.rpartition("import")[2])
                found += [_Shared(alias or name, part.text[tag.start : tag.end], part) for name, alias in imported]
        for block_ in tags.blocks(part.text):
            if block_.opening.name == "macro" and (name := re.match(r"\w+", block_.opening.rest)):
                found.append(_Shared(name[0], part.text[block_.start : block_.end], part))
    return found


def _with(shared: list[_Shared], part: Message) -> str:
    """Return the text of a message, with what earlier ones set before it as far as it reads that."""
    wanted = set(texts.reads(part.text))
    before: list[str] = []
    for said in reversed(shared):
        if said.part is not part and said.part.line < part.line and said.name in wanted and said.text not in before:
            before.insert(0, said.text)
            wanted |= set(texts.reads(said.text))
    return "".join(f"{text}\n" for text in before) + part.text
