"""Turn `messages`, `prompt` and `examples` into messages and few-shot pairs. Roles come from keys alone, never from text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowkit.chat import ROLES
from flowkit.keys import TABLES, Table
from flowkit.parser import files
from flowkit.parser.data import data, fits
from flowkit.parser.reading import Found, Reading, entries, own
from flowkit.parser.shapes import is_empty, shown
from flowkit.parser.texts import expression, text
from flowkit.parser.values import BAD
from flowkit.source import Mapping, Node, Scalar, Sequence
from flowkit.spec import ExampleSpec, MessageSpec, PartSpec, Text
from flowkit.spelling import nearest
from flowkit.types.algebra import ANY, STRING, Field, Record, String, Type

if TYPE_CHECKING:
    from flowkit.errors import Place

_MESSAGE, _PART, _EXAMPLE = TABLES["message"], TABLES["part"], TABLES["example"]
#: Which roles may hold more than text.
_RICH = ("user",)


def messages(r: Reading, node: Node, where: str) -> tuple[MessageSpec, ...]:
    """Read `messages`; an entry that is wrong is reported and left out."""
    if is_empty(node):
        r.error("empty-value", node.place(), f"'messages' of {where} is empty", "write a list: - user: …")
        return ()
    if isinstance(node, Scalar):
        r.error(
            "wrong-type", node.place(), f"'messages' of {where} must be a list, not {shown(node)}", "for one user message write prompt: …"
        )
        return ()
    if isinstance(node, Mapping):
        keys = [key.text for key, _ in own(node)]
        hint = f"begin the entry with a dash: - {keys[0]}: …" if keys else "write - user: …"
        r.error("wrong-type", node.place(), f"'messages' of {where} must be a list, not a mapping", hint)
        return ()
    if not node.items and r.complete:
        r.error("empty-value", node.place(), f"'messages' of {where} is empty", "write - user: …")
    return tuple(message for item in node.items for message in _message(r, item, where))


def _message(r: Reading, node: Node, where: str) -> list[MessageSpec]:
    what = f"a message of {where}"
    if not isinstance(node, Mapping):
        text_ = node.text if isinstance(node, Scalar) and node.text else "…"
        r.error("wrong-type", node.place(), f"{what} must begin with its role, not be {shown(node)}", f"write - user: {text_[:60]}")
        return []
    if "role" in node.named:
        return _role_and_content(r, node, what)
    found = entries(r, node, _MESSAGE, what)
    if not found and not [key for key, _ in own(node)] and r.complete:
        r.error("missing-key", node.place(), f"{what} has no role", "write - user: …")
    _single(r, found, what, "a message", "begin a new entry: - {}: …")
    return [message for name, each in found.items() if (message := _content(r, name, each, where)) is not None]


def _single(r: Reading, found: dict[str, Found], what: str, noun: str, way: str) -> None:
    for name, each in list(found.items())[1:]:
        r.error("too-many-keys", each.place, f"{what} has two keys, {next(iter(found))!r} and {name!r}; {noun} has one", way.format(name))


def _role_and_content(r: Reading, node: Mapping, what: str) -> list[MessageSpec]:
    """Report the spelling of the protocol, with ours, and read on as if it were ours."""
    key, role = node.key("role"), node.get("role")
    assert key is not None
    written = role.text if isinstance(role, Scalar) else ""
    meant = written if written in ROLES else _MESSAGE.meant.get(written.lower()) or nearest(written, ROLES)
    ours = f"- {meant or 'user'}: …"
    if meant is not None and meant != written and isinstance(role, Scalar):
        message = f"{what} has the unknown role {written!r} (did you mean {meant!r}?); and its key is the role itself"
        r.error("role-as-value", role.place(), message, f"write {ours}")
    else:
        r.error(
            "role-as-value", key.place(), f"{what} writes its role as a value; here the role is the key", f"write {ours}, without 'content'"
        )
    content = node.get("content")
    if content is None or meant is None:
        return []
    message_ = _content(r, meant, Found(key, content), what)
    return [message_] if message_ else []


def _content(r: Reading, role: str, found: Found, where: str) -> MessageSpec | None:
    key, node = found.written, found.value
    if role == "history":
        return MessageSpec("history", key, history=expression(r, node, f"'history' of {where}"))
    if isinstance(node, Sequence):
        if not node.items and r.complete:
            r.error("empty-value", node.place(), f"{role!r} of {where} is empty")
        parts = [part for item in node.items for part in _part(r, item, f"a part of {role!r} of {where}")]
        for part in parts:
            if part.kind != "text" and role not in _RICH:
                r.error(
                    "misplaced-key",
                    part.node.place(),
                    f"{role!r} of {where} may hold only text, not {part.kind!r}",
                    "give it in a user message",
                )
        return MessageSpec(role, key, parts=tuple(parts)) if parts else None
    content = text(r, node, f"{role!r} of {where}")
    return MessageSpec(role, key, text=content) if content else None


def _part(r: Reading, node: Node, what: str) -> list[PartSpec]:
    if not isinstance(node, Mapping):
        hint = f"write - text: {node.text[:60]}" if isinstance(node, Scalar) and node.text else "write - text: …"
        r.error("wrong-type", node.place(), f"{what} must be named by its key, not be {shown(node)}", hint)
        return []
    found = entries(r, node, _PART, what)
    _single(r, found, what, "a part", "begin a new entry: - {}: …")
    parts = []
    for name, each in found.items():
        values = _part_values(r, name, each, what)
        if values:
            parts.append(PartSpec(name, values, node))  # type: ignore[arg-type]  # the names of the table are the kinds
    return parts


def _part_values(r: Reading, name: str, found: Found, what: str) -> dict[str, Text]:
    node = found.value
    if isinstance(node, Mapping) and name != "text":
        table: Table = TABLES[name]
        keys = entries(r, node, table, f"{name!r} of {what}")
        if name == "file" and keys and not ("file_id" in keys or {"filename", "file_data"} <= set(keys)):
            r.error("missing-key", node.place(), f"'file' of {what} needs 'file_id', or 'filename' and 'file_data'")
        values = {key: text(r, each.value, f"{key!r} of {what}") for key, each in keys.items()}
        return {key: value for key, value in values.items() if value is not None}
    if name in ("text", "image_url"):
        value = text(r, node, f"{name!r} of {what}")
        return {"text" if name == "text" else "url": value} if value else {}
    wanted = " and ".join(repr(key.name) for key in TABLES[name].keys)
    r.error("wrong-type", node.place(), f"{name!r} of {what} must be a mapping with {wanted}, not {shown(node)}")
    return {}


# -- examples ----------------------------------------------------------------------------------------------


def examples(r: Reading, node: Node, output: Type, where: str) -> tuple[ExampleSpec, ...]:
    """Read `examples`, each answer of the type `output`; a pair that is wrong is reported and left out."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.text.strip():
        return _from_file(r, node, output)
    if not isinstance(node, Sequence) or (not node.items and r.complete):
        what = "nothing" if isinstance(node, Sequence) or is_empty(node) else shown(node)
        r.error(
            "wrong-type",
            node.place(),
            f"'examples' of {where} must be a list of pairs or a jsonl file, not {what}",
            "write - {user: …, assistant: …}",
        )
        return ()
    found = (_example(r, item, output, f"an example of {where}") for item in node.items)
    return tuple(example for example in found if example is not None)


def _example(r: Reading, node: Node, output: Type, what: str) -> ExampleSpec | None:
    if not isinstance(node, Mapping):
        r.error("wrong-type", node.place(), f"{what} must be a pair, not {shown(node)}", "write - {user: …, assistant: …}")
        return None
    found = entries(r, node, _EXAMPLE, what)
    user = text(r, found["user"].value, f"'user' of {what}") if "user" in found else None
    if "assistant" not in found:
        return None
    answer = found["assistant"].value
    value = _answer(r, answer, output, what)
    return ExampleSpec(user, value, answer.place(), answer) if user and value is not BAD else None


def _answer(r: Reading, node: Node, output: Type, what: str) -> Any:
    if not isinstance(output, String):
        return data(r, output, node, f"the answer in {what}", "invalid-example")
    template = text(r, node, f"'assistant' of {what}")
    if template is None:
        return BAD
    if any(mark in template.value for mark in ("{{", "{%", "{#")):
        return template
    return data(r, output, node, f"the answer in {what}", "invalid-example")


_PAIR = Record((Field("user", STRING), Field("assistant", ANY)))


def _from_file(r: Reading, node: Scalar, output: Type) -> tuple[ExampleSpec, ...]:
    path = files.find(r, node)
    rows = files.rows(r, node, path) if path else None
    found = []
    for place, row in rows or ():
        if _fits(r, _PAIR, row, "this example", place) and _fits(r, output, row["assistant"], "the answer in this example", place):
            found.append(ExampleSpec(row["user"], row["assistant"], place))
    return tuple(found)


def _fits(r: Reading, type_: Type, value: Any, what: str, place: Place) -> bool:
    return fits(r, type_, value, what, "invalid-example", lambda _: place)
