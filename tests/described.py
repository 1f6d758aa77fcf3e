"""What the published description of chat completions says against the body of a request, where that description is at hand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

#: No part of this repository. Where it is absent nothing is held against a body, and test_wire_openapi is skipped.
DESCRIPTION = Path(__file__).resolve().parents[2] / "shared" / "wire" / "chat-completions.openapi.yaml"

#: Keys whose words the description chooses by; of all other values their kind is enough.
_TELLING = {"role", "type", "effort", "detail", "tool_choice"}

_found: dict[Any, list[str]] = {}


@cache
def validator() -> jsonschema.Draft202012Validator:
    described = yaml.load(DESCRIPTION.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return jsonschema.Draft202012Validator({**described, "$ref": "#/components/schemas/CreateChatCompletionRequest"})


def wrong(body: bytes) -> list[str]:
    """All that is wrong with a body, looked at whole."""
    return [f"{error.json_path}: {error.message[:300]}" for error in validator().iter_errors(json.loads(body))]


def wrong_in_shape(body: bytes) -> list[str]:
    """As `wrong`, but of bodies of one shape only the first is looked at; nothing without the description."""
    if not DESCRIPTION.exists():
        return []
    try:
        shape = _shape(json.loads(body))
    except ValueError as error:
        return [f"no JSON: {error}"]
    if shape not in _found:
        _found[shape] = wrong(body)
    return _found[shape]


def _shape(value: Any, key: str = "") -> Any:
    match value:
        case dict():
            return frozenset((k, _shape(v, k)) for k, v in value.items())
        case list():
            return ("list", frozenset(_shape(item) for item in value))
        case str() if key in _TELLING:
            return value
        case int() | float() if not isinstance(value, bool):
            # Bounds are part of the description, and parameters are few.
            return (type(value).__name__, value)
    return type(value).__name__
