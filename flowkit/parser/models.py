"""Turn `models`, `params`, `defaults` and `limits` into values. Knows ranges and that no secret may stand in a file, not servers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from flowkit.config.settings import address
from flowkit.keys import RESERVED_PARAMS, TABLES, Table
from flowkit.keys.params import SERVER_PARAMS
from flowkit.parser.modifiers import retry, timeout
from flowkit.parser.reading import Found, Reading, entries, is_mapping, is_secret, looks_secret, own, refuse_secret
from flowkit.parser.values import BAD, finite, key_value, value_of
from flowkit.source import Mapping, Node, Scalar, Sequence
from flowkit.spec import DefaultsSpec, LimitsSpec, ModelSpec
from flowkit.spelling import nearest

_PARAMS, _MODEL, _LIMITS, _DEFAULTS = TABLES["params"], TABLES["model"], TABLES["limits"], TABLES["defaults"]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)


# -- parameters --------------------------------------------------------------------------------------------


def params(r: Reading, node: Node, where: str) -> tuple[dict[str, Any], dict[str, Scalar]]:
    """Return parameters with the key of each, and of each below `extra_body`. None takes away what a default says."""
    values: dict[str, Any] = {}
    keys: dict[str, Scalar] = {}
    mapping = is_mapping(r, node, f"'params' of {where}")
    if mapping is None:
        return values, keys
    for key, value in own(mapping):
        name = key.text
        known = _PARAMS.get(name)
        if known is None:
            _unknown_param(r, key, value, where)
        elif name == "extra_body":
            _extra_body(r, mapping, value, values, keys, where)
        elif isinstance(value, Scalar) and value.value is None and value.text:
            values[name], keys[name] = None, key
        else:
            read = value_of(r, known.shape, value, f"{name!r}")
            if read is not BAD:
                values[name], keys[name] = read, key
    return values, keys


def _unknown_param(r: Reading, key: Scalar, value: Node, where: str) -> None:
    name = key.text
    if is_secret(r, key, value, where):
        return
    if name in RESERVED_PARAMS:
        r.error("reserved-param", key.place(), f"{name!r} has no place under 'params' of {where}", RESERVED_PARAMS[name])
        return
    meant = None if name in SERVER_PARAMS else _PARAMS.meant.get(name) or nearest(name, _PARAMS.names())
    hint = f"did you mean {meant!r}?" if meant else f"if the server knows it: extra_body: {{{name}: …}}"
    r.error(
        "unknown-param", key.place(), f"unknown parameter {name!r} in {where}; what only some servers know stands under extra_body", hint
    )


def _extra_body(r: Reading, params_: Mapping, node: Node, values: dict[str, Any], keys: dict[str, Scalar], where: str) -> None:
    mapping = is_mapping(r, node, f"'extra_body' of {where}")
    if mapping is None:
        return
    extra: dict[str, Any] = {}
    for entry in mapping.entries:
        name = entry.key.text
        if is_secret(r, entry.key, entry.value, f"'extra_body' of {where}"):
            continue
        if name in RESERVED_PARAMS:
            message = f"{name!r} has no place under 'extra_body' of {where}"
            r.error("reserved-param", entry.key.place(), message, RESERVED_PARAMS[name])
        elif params_.key(name) is not None:
            r.error(
                "duplicate-param",
                entry.key.place(),
                f"{name!r} stands under 'params' and under 'extra_body' of {where}",
                "delete one of them",
            )
        elif (value := finite(r, entry.value, f"{name!r}")) is not BAD:
            extra[name], keys[name] = value, entry.key
    values["extra_body"] = extra
    found = params_.key("extra_body")
    if found is not None:
        keys["extra_body"] = found


def model_names(r: Reading, node: Node, where: str) -> tuple[Scalar, ...]:
    """Return the names under `model`, in order of fallback."""
    if value_of(r, _DEFAULTS["model"].shape, node, f"'model' of {where}") is BAD:
        return ()
    names = [item for item in node.items if isinstance(item, Scalar)] if isinstance(node, Sequence) else [node]
    return tuple(name for name in names if isinstance(name, Scalar) and _is_model(r, name))


def _is_model(r: Reading, name: Scalar) -> bool:
    if "{" in name.text or any(char.isspace() for char in name.text):
        hint = (
            "the model is the same in every run; another one is chosen by an alias"
            if "{{" in name.text
            else "write provider/model, or an alias"
        )
        r.error("invalid-model", name.place(), f"{name.text!r} is no name of a model", hint)
        return False
    return True


# -- models ------------------------------------------------------------------------------------------------


def models(r: Reading, node: Node) -> dict[str, ModelSpec]:
    """Read `models`: the aliases of the file."""
    mapping = is_mapping(r, node, "'models'")
    found = {}
    for key, value in own(mapping) if mapping else ():
        if "/" in key.text or not key.text.strip() or any(char.isspace() for char in key.text):
            message = f"{key.text!r} cannot be an alias: a name with '/' is always provider/model"
            r.error("invalid-name", key.place(), message, f"write {key.text.replace('/', '-').replace(' ', '-')!r}")
        spec = _alias(r, key, value)
        if spec is not None:
            found[key.text] = spec
    return found


def _alias(r: Reading, key: Scalar, node: Node) -> ModelSpec | None:
    what = f"the model {key.text!r}"
    if not isinstance(node, Mapping):
        name = value_of(r, _MODEL["model"].shape, node, what)
        return ModelSpec(key.text, key, name, {}, node) if name is not BAD and isinstance(node, Scalar) and _is_model(r, node) else None
    found = entries(r, node, _MODEL, what)
    settings: dict[str, Any] = {}
    for name, each in found.items():
        value = _setting(r, name, each, f"{name!r} of {what}")
        if value is not BAD and name != "model":
            settings[name] = value
    named = found["model"].value if "model" in found else None
    if not isinstance(named, Scalar) or not isinstance(named.value, str):
        return None
    return ModelSpec(key.text, key, named.value, settings, named)


def _setting(r: Reading, name: str, found: Found, what: str) -> Any:
    node = found.value
    match name:
        case "params":
            return params(r, node, what)[0]
        case "rate_limit" | "price":
            return _table(r, node, TABLES[name], what)
        case "headers":
            return _headers(r, node, what)
    value = value_of(r, _MODEL[name].shape, node, what)
    if value is BAD or not isinstance(node, Scalar):
        return BAD
    if name == "base_url":
        return _address(r, node, what)
    if name == "api_key_env" and not _VARIABLE.fullmatch(value):
        # Not repeated: people paste the key itself here.
        r.secrets.append(node)
        code = "inline-secret" if looks_secret(value) else "invalid-name"
        r.error(
            code,
            found.place,
            f"{what} must be the name of an environment variable",
            "such as MY_API_KEY; the key itself is never written down",
        )
        return BAD
    return value


def _address(r: Reading, node: Scalar, what: str) -> Any:
    try:
        return address(node.text)
    except ValueError as wrong:
        fact, _, way = str(wrong).partition(": ")
        if "carries" in fact:
            refuse_secret(r, node.place(), node, f"{what} {fact}", way)
        else:
            r.error("invalid-url", node.place(), f"{what} {fact}", way or None)
        return BAD


def _headers(r: Reading, node: Node, what: str) -> Any:
    mapping = is_mapping(r, node, what)
    values: dict[str, Any] = {}
    for entry in mapping.entries if mapping else ():
        name, value = entry.key.text, entry.value
        if isinstance(value, Mapping):
            found = entries(r, value, TABLES["header"], f"the header {name!r}")
            env = value_of(r, TABLES["header"]["env"].shape, found["env"].value, f"'env' of {name!r}") if "env" in found else BAD
            if env is not BAD:
                values[name] = {"env": env}
        elif isinstance(value, Scalar) and value.text and (_SECRET_HEADER.search(name) or looks_secret(value.text)):
            message = f"the header {name!r} holds a secret, and a flow file is shared"
            refuse_secret(r, entry.key.place(), value, message, "write {env: VARIABLE}")
        else:
            read = value_of(r, _MODEL["model"].shape, value, f"the header {name!r}")
            if read is not BAD:
                values[name] = read
    return values


def _table(r: Reading, node: Node, table: Table, what: str) -> Any:
    mapping = is_mapping(r, node, what)
    if mapping is None:
        return BAD
    found = entries(r, mapping, table, what)
    values = {name: value_of(r, table[name].shape, each.value, f"{name!r} of {what}") for name, each in found.items()}
    return {name: value for name, value in values.items() if value is not BAD}


# -- defaults, limits --------------------------------------------------------------------------------------


def defaults(r: Reading, node: Node) -> DefaultsSpec:
    """Read `defaults`."""
    mapping = is_mapping(r, node, "'defaults'")
    if mapping is None:
        return DefaultsSpec()
    found = entries(r, mapping, _DEFAULTS, "'defaults'")
    values, keys = params(r, found["params"].value, "'defaults'") if "params" in found else ({}, {})
    return DefaultsSpec(
        model=model_names(r, found["model"].value, "'defaults'") if "model" in found else (),
        params=values,
        param_keys=keys,
        timeout=timeout(r, found.get("timeout"), "'defaults'"),
        retry=retry(r, found.get("retry"), "'defaults'"),
        cache=key_value(r, found, _DEFAULTS, "cache", "'defaults'"),
        max_parallel=key_value(r, found, _DEFAULTS, "max_parallel", "'defaults'"),
    )


def limits(r: Reading, node: Node) -> LimitsSpec:
    """Read `limits`."""
    mapping = is_mapping(r, node, "'limits'")
    if mapping is None:
        return LimitsSpec()
    found = entries(r, mapping, _LIMITS, "'limits'")
    values: dict[str, Any] = {}
    for name, each in found.items():
        value = value_of(r, _LIMITS[name].shape, each.value, f"{name!r} of 'limits'")
        if value is not BAD:
            values[name] = Decimal(str(value)) if name == "cost" else value
    return LimitsSpec(**values)
