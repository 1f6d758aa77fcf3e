"""Turn the modifiers of a step into values: again and again, how long, what if not. Knows no model and no template's grammar."""

from __future__ import annotations

from typing import Any

from flowkit.keys import TABLES, Table
from flowkit.parser.data import data
from flowkit.parser.reading import Found, Reading, entries, is_mapping
from flowkit.parser.shapes import shown
from flowkit.parser.texts import expression, text, unknown
from flowkit.parser.values import BAD, key_value, value_of
from flowkit.source import Mapping, Node, Scalar, Sequence
from flowkit.spec import CheckSpec, OnError, RepeatSpec, RetrySpec, TimeoutSpec
from flowkit.types.algebra import ANY, Type

_STEP = TABLES["step"]


def _read(r: Reading, table: Table, node: Mapping, what: str) -> dict[str, Any]:
    """Return what stands in a mapping of plain values, without what is wrong."""
    found = entries(r, node, table, what)
    values = {name: value_of(r, table[name].shape, each.value, f"{name!r} of {what}") for name, each in found.items()}
    return {name: value for name, value in values.items() if value is not BAD}


def retry(r: Reading, found: Found | None, where: str) -> RetrySpec | None:
    """Read `retry: 3` or its mapping."""
    if found is None:
        return None
    what = f"'retry' of {where}"
    if isinstance(found.value, Mapping):
        values = _read(r, TABLES["retry"], found.value, what)
        if "on" in values:
            values["on"] = tuple(values["on"])
        return RetrySpec(**values)
    attempts = value_of(r, _STEP["retry"].shape, found.value, what)
    return None if attempts is BAD else RetrySpec(attempts=attempts)


def timeout(r: Reading, found: Found | None, where: str) -> TimeoutSpec | None:
    """Read `timeout: 30s` or its mapping."""
    if found is None:
        return None
    what = f"'timeout' of {where}"
    if isinstance(found.value, Mapping):
        return TimeoutSpec(**_read(r, TABLES["timeout"], found.value, what))
    seconds = value_of(r, _STEP["timeout"].shape, found.value, what)
    return None if seconds is BAD else TimeoutSpec(attempt=seconds)


def repeat(r: Reading, found: Found | None, where: str) -> RepeatSpec | None:
    """Read `repeat`; one that is wrong is reported, and one round of it is left."""
    if found is None:
        return None
    what = f"'repeat' of {where}"
    mapping = is_mapping(r, found.value, what, "write {until: …, max: 3}")
    if mapping is None:
        return RepeatSpec(unknown(found.written), 1)
    keys = entries(r, mapping, TABLES["repeat"], what)
    until = expression(r, keys["until"].value, f"'until' of {what}") if "until" in keys else unknown(found.written)
    most = key_value(r, keys, TABLES["repeat"], "max", what, 1)
    return RepeatSpec(until, most, key_value(r, keys, TABLES["repeat"], "on_max", what, "keep"))


def checks(r: Reading, found: Found | None, where: str) -> tuple[CheckSpec, ...]:
    """Read `checks`; one that is wrong is reported and left out."""
    if found is None:
        return ()
    if not isinstance(found.value, Sequence) or not found.value.items:
        value_of(r, _STEP["checks"].shape, found.value, f"'checks' of {where}")
        return ()
    read = (_check(r, item, f"a check of {where}") for item in found.value.items)
    return tuple(check for check in read if check is not None)


def _check(r: Reading, node: Node, what: str) -> CheckSpec | None:
    if not isinstance(node, Mapping):
        hint = f"write - expr: {node.text}" if isinstance(node, Scalar) and node.text else "write - expr: …"
        r.error("wrong-type", node.place(), f"{what} must be a mapping with 'expr', not {shown(node)}", hint)
        return None
    keys = entries(r, node, TABLES["check"], what)
    if "expr" not in keys:
        return None
    message = text(r, keys["message"].value, f"'message' of {what}") if "message" in keys else None
    on_fail = key_value(r, keys, TABLES["check"], "on_fail", what, "fail")
    return CheckSpec(expression(r, keys["expr"].value, f"'expr' of {what}"), message, on_fail)


def on_error(r: Reading, found: Found | None, output: Type | None, where: str) -> OnError:
    """Read `on_error`; a default must have the type `output`, where that is known."""
    if found is None:
        return OnError()
    what = f"'on_error' of {where}"
    if not isinstance(found.value, Mapping):
        action = value_of(r, _STEP["on_error"].shape, found.value, what)
        return OnError() if action is BAD else OnError(action)
    keys = entries(r, found.value, TABLES["on_error"], what)
    if "default" not in keys:
        return OnError()
    node = keys["default"].value
    value = data(r, ANY if output is None else output, node, f"the default of {what}", "invalid-default")
    return OnError("default", None if value is BAD else value, node)
