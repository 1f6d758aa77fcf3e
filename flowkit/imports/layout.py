"""Write a draft as YAML that people like to read: texts of several lines as blocks, short mappings on one line. Reads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flowkit.imports.draft import Draft

#: Longest mapping that stands on one line.
_INLINE = 100
#: Keys whose mappings stand on one line where they fit.
_SHORT = frozenset({"params", "on_error", "retry"})
#: A text that needs no quotes in a block: it begins with a letter or an opening sign that YAML does not know.
_PLAIN = re.compile(r"[A-Za-z_./(<$+][^\n\t]*")
#: What YAML 1.2 takes for something else than a text, and what older readers do.
_SPECIAL = re.compile(r"(?i)true|false|null|yes|no|on|off|y|n|[-+]?[.\d][\d_]*(\.\d*)?(e[-+]?\d+)?|[-+]?\.(inf|nan)|<<")
#: Signs that no YAML file may hold as they are.
_UNPRINTABLE = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff\\ufeff\\ufffe\\uffff]")


def flow(draft: Draft) -> str:
    """Return the text of the flow file."""
    held = draft.whole()
    lines = [f"# imported from {draft.origin} by `flowkit import`"]
    for key, value in held.items():
        if key != "steps":
            lines += _entry(key, value, 0)
            continue
        lines.append("steps:")
        for step, work in value.items():
            lines += [f"  # {line}".rstrip() for line in draft.remarks.get(step, "").splitlines()]
            lines += _entry(step, work, 2)
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, indent: int) -> Iterator[str]:
    space = " " * indent
    name = _word(key)
    if isinstance(value, Mapping) and value:
        short = _flow(value) if key in _SHORT or _long_form(value) else None
        if short is not None and len(short) <= _INLINE:
            yield f"{space}{name}: {short}"
            return
        yield f"{space}{name}:"
        for inner, held in value.items():
            yield from _entry(str(inner), held, indent + 2)
    elif isinstance(value, list) and value:
        short = _flow(value) if all(not isinstance(v, (Mapping, list)) for v in value) else None
        if short is not None and len(short) <= _INLINE:
            yield f"{space}{name}: {short}"
            return
        yield f"{space}{name}:"
        yield from _items(value, indent + 2)
    elif isinstance(value, str):
        yield from _text(f"{space}{name}:", value, indent + 2)
    else:
        yield f"{space}{name}: {_flow(value)}"


def _items(values: list[Any], indent: int) -> Iterator[str]:
    space = " " * indent
    for value in values:
        if isinstance(value, (Mapping, list)) and value:
            lines = (
                [line for key, held in value.items() for line in _entry(str(key), held, indent + 2)]
                if isinstance(value, Mapping)
                else list(_items(value, indent + 2))
            )
            yield f"{space}- {lines[0][indent + 2 :]}"
            yield from lines[1:]
        elif isinstance(value, str):
            yield from _text(f"{space}-", value, indent + 2)
        else:
            yield f"{space}- {_flow(value)}"


def _text(head: str, text: str, indent: int) -> Iterator[str]:
    """Write a text behind a key; one of several lines as a block."""
    body = text.removesuffix("\n")
    if "\n" not in text or not body.strip() or body.endswith("\n") or _UNPRINTABLE.search(text):
        yield f"{head} {_word(text)}"
        return
    lines = body.split("\n")
    first = next(line for line in lines if line.strip())
    # A first line that begins with a space hides where the text begins, unless the mark says how far it is indented.
    mark = "2" if first.startswith((" ", "\t")) or not lines[0].strip() else ""
    end = "" if text.endswith("\n") else "-"
    yield f"{head} |{mark}{end}"
    for line in lines:
        yield f"{' ' * indent}{line}" if line else ""


def _long_form(value: Mapping[str, Any]) -> bool:
    return set(value) <= {"type", "description", "default"} and "type" in value


def _word(text: str) -> str:
    """Write a text on one line, in quotes where it needs them."""
    safe = (
        _PLAIN.fullmatch(text)
        and not _SPECIAL.fullmatch(text)
        and not _UNPRINTABLE.search(text)
        and ": " not in text
        and " #" not in text
        and not text.endswith((":", " "))
        and "{{" not in text
        and "{%" not in text
        and "${" not in text
    )
    return text if safe else _quoted(text)


def _quoted(text: str) -> str:
    if '"' in text and "'" not in text and "\\" not in text and not re.search(r"[\n\t]", text) and not _UNPRINTABLE.search(text):
        return f"'{text}'"
    escaped = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped)


def _flow(value: Any) -> str:
    """Write a value on one line, as YAML's flow style."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_inner(str(key))}: {_flow(held)}" for key, held in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return _inner(value)
    return json.dumps(value)


def _inner(text: str) -> str:
    word = _word(text)
    return _quoted(text) if word is text and re.search(r"[,\[\]{}?|>&*!%@`]", text) else word
