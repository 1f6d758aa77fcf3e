"""Judge the names that authors choose, and propose right ones. Knows what a name may be, not what it names."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from flowkit.keys import RESERVED_NAMES
from flowkit.source import Node, Scalar

if TYPE_CHECKING:
    from flowkit.parser.reading import Reading

_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: Words that Jinja reads as something else than a name.
_JINJA = frozenset(("and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"))


def step_id(r: Reading, key: Scalar) -> None:
    """Report an id that no expression could name."""
    name = key.text
    if _ID.fullmatch(name):
        return
    if len(name) > 64 and _ID.fullmatch(name[:64]):
        r.error("invalid-id", key.place(), f"the step id {name[:20] + '…'!r} has {len(name)} characters", "an id has at most 64")
        return
    message = f"{name!r} cannot be the id of a step{_strange(name)}"
    r.error("invalid-id", key.place(), message, _id_hint(name))


def _id_hint(name: str) -> str:
    rule = "an id begins with a small letter and goes on with small letters, digits and _"
    fixed = fixed_name(name).lower().lstrip("_")
    if fixed and not fixed[0].isalpha():
        fixed = f"step_{fixed}"
    return f"write {fixed[:64]!r}; {rule}" if fixed else rule


def field_name(r: Reading, key: Scalar, what: str) -> str | None:
    """Return the name of a field, value, input or output; None when nothing could read it. `what`: "a field"."""
    name = key.text
    if name.isidentifier() and not name.startswith("__") and len(name) <= 64:
        return name
    if len(name) > 64:
        r.error("invalid-name", key.place(), f"the name {name[:20] + '…'!r} has {len(name)} characters", "a name has at most 64")
        return None
    fixed = fixed_name(name)
    if fixed and fixed[0].isdigit():
        fixed = f"_{fixed}"
    hint = "a name has letters, digits and _, and does not begin with a digit"
    fixed = fixed.lstrip("_") if fixed.startswith("__") else fixed
    r.error(
        "invalid-name", key.place(), f"{name!r} cannot be the name of {what}{_strange(name)}", f"write {fixed!r}; {hint}" if fixed else hint
    )
    return None


def free_name(r: Reading, node: Node, what: str) -> str | None:
    """Return a name that expressions use bare, as under `as`, or None when that has been reported."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.text:
        text = node.text if isinstance(node, Scalar) else ""
        r.error("invalid-name", node.place(), f"{what} must be a name", f'quote it: "{text}"' if text else None)
        return None
    return node.text if not _reserved(r, node, what) and field_name(r, node, what) else None


def set_name(r: Reading, key: Scalar) -> None:
    """Report a name under `set` that means something else, or that nothing could read."""
    if not _reserved(r, key, "a name under 'set'"):
        field_name(r, key, "a value")


def _reserved(r: Reading, name: Scalar, what: str) -> bool:
    if name.text in RESERVED_NAMES:
        message = f"{name.text!r} already means something in every expression and cannot be {what}"
        r.error("reserved-name", name.place(), message, f"write another name, such as {'my_' + name.text!r}")
        return True
    if name.text in _JINJA:
        r.error("reserved-name", name.place(), f"{name.text!r} is a word of Jinja and cannot be {what}", "write another name")
        return True
    return False


def fixed_name(name: str) -> str:
    """Return the name with everything else than letters, digits and _ replaced; empty when a letter has no plain form."""
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(char for char in plain if not unicodedata.combining(char) and char.isprintable())
    return "" if any(char.isalnum() and not char.isascii() for char in plain) else re.sub(r"[^A-Za-z0-9_]+", "_", plain).strip("_")


def _strange(name: str) -> str:
    """Say which character of another script stands in a name that looks right."""
    other = next((char for char in name if not char.isascii()), None)
    if other is None:
        return ""
    return f": it holds {other if other.isprintable() else ''!r} U+{ord(other):04X} {unicodedata.name(other, '')}".rstrip()
