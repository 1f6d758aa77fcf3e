"""Turn models, connections and parameters of other tools into aliases and `params` of a flow. Never reads or writes a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowkit.config.ready import READY
from flowkit.imports import fields
from flowkit.imports.draft import Draft, Report
from flowkit.imports.names import plain
from flowkit.keys.params import PARAMS, RESERVED_PARAMS, SERVER_PARAMS
from flowkit.types.imported import SchemaUnsupported

#: How other tools write parameters that flowkit calls otherwise.
_WORDS = {
    "maxtokens": "max_tokens",
    "maxoutputtokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "maxcompletiontokens": "max_completion_tokens",
    "topp": "top_p",
    "topk": "top_k",
    "frequencypenalty": "frequency_penalty",
    "presencepenalty": "presence_penalty",
    "stopsequences": "stop",
    "stop_sequences": "stop",
    "allowmultipletoolcalls": "parallel_tool_calls",
    "reasoningeffort": "reasoning_effort",
}
_INTEGERS = frozenset({"max_tokens", "max_completion_tokens", "seed", "top_logprobs", "top_k", "n"})
_NUMBERS = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
_ENV = re.compile(r"\$\{env:(\w+)(?::([^}]*))?\}|\$\{(\w+)\}", re.IGNORECASE)
#: Addresses of providers that flowkit has no ready entry for, which speak the protocol of OpenAI.
_ADDRESSES = {
    "anthropic": ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "github": ("https://models.github.ai/inference", "GITHUB_TOKEN"),
}


def params(said: Mapping[str, Any], report: Report, place: tuple[str, int]) -> dict[str, Any]:
    """Return the parameters of a model; what is none is reported. Empty texts mean nothing, as in Prompt flow."""
    found: dict[str, Any] = {}
    known = set(PARAMS.names())
    for key, written in said.items():
        name = _WORDS.get(key.lower(), key)
        value = _number(name, written)
        if value in (None, "", {}) or (name == "n" and value == 1):
            continue
        if isinstance(value, str) and (reference := re.search(r"\$\{[^}]*\}", value)):
            report.left(
                *place,
                f"parameter {key!r} is {reference[0]}",
                "parameters are constants in a flow; for one run: --set steps.ID.params.NAME=VALUE",
            )
        elif name in RESERVED_PARAMS:
            report.left(*place, f"parameter {key!r}", RESERVED_PARAMS[name])
        elif name in known:
            if wrong := _outside(name, value):
                report.left(*place, f"parameter {key!r}: {wrong}", "write a value that servers take")
            else:
                found[name] = value
        else:
            found.setdefault("extra_body", {})[name] = value
            if name not in SERVER_PARAMS:
                report.changed(*place, f"parameter {key!r} is none of the protocol", "it stands under `extra_body`, and is sent as it is")
    return found


def _number(name: str, value: Any) -> Any:
    """Other tools take `"256"` for 256."""
    if isinstance(value, str) and value.strip() and name in _INTEGERS | _NUMBERS:
        try:
            return int(value) if name in _INTEGERS else float(value)
        except ValueError:
            return value
    if name in _INTEGERS and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _outside(name: str, value: Any) -> str:
    """Say what is wrong with a value, if it is one that flowkit refuses."""
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in _INTEGERS:
        low = 1 if name.startswith("max") else None
        return (
            ""
            if isinstance(value, int) and numeric and (low is None or value >= low)
            else f"{value!r} is no whole number of at least {low}"
        )
    if name in _NUMBERS:
        low, high = {"temperature": (0, 2), "top_p": (0, 1)}.get(name, (-2, 2))
        return "" if numeric and low <= value <= high else f"{value!r} is no number from {low} to {high}"
    if name == "stop":
        texts = value if isinstance(value, list) else [value]
        return "" if 1 <= len(texts) <= 4 and all(isinstance(t, str) and t for t in texts) else f"{value!r} is no text, nor up to four"
    return ""


def env(text: Any) -> tuple[str, str | None]:
    """Return the variable that a text such as `${env:NAME}` names, or none, and the default it gives."""
    found = _ENV.fullmatch(text.strip()) if isinstance(text, str) else None
    return (found[1] or found[3], found[2]) if found else ("", None)


def is_model(name: Any) -> bool:
    """Whether this is the name of a model, and no variable, nor anything else."""
    return isinstance(name, str) and re.fullmatch(r"[\w.][\w.:/@+-]*", name) is not None


def output_of(form: Mapping[str, Any], name: str, draft: Draft, place: tuple[str, int]) -> Any:
    """Return the `output` that a `response_format` of JSON asks for, or None where it asks for text."""
    kind = str(form.get("type", ""))
    if not kind.startswith("json"):
        return None
    held = form.get("json_schema", form.get("jsonSchema"))
    schema = held.get("schema", held) if isinstance(held, Mapping) else None
    if isinstance(schema, Mapping):
        try:
            return fields.written(schema, name=name, types=draft.types)
        except SchemaUnsupported as error:
            draft.report.left(*place, f"the schema of the answer: {error}", "write the type under `output`")
    else:
        draft.report.typed(*place, "asks for JSON of any kind", "`output: object`; name its fields where you know them")
    return "object"


def tool_names(held: Any) -> list[str]:
    """Return the names of tools in any of the forms in which they are described: a list, a mapping by name, as the protocol has them."""
    if isinstance(held, Mapping):
        listed = held.get("tools")
        return tool_names(listed) if isinstance(listed, list) else [str(name) for name in held]
    found = []
    for tool in held if isinstance(held, list) else ():
        said = tool if isinstance(tool, Mapping) else {"name": tool}
        inner = said.get("function")
        found.append(said.get("name") or said.get("id") or (inner.get("name") if isinstance(inner, Mapping) else None))
    return [str(name) for name in found if name]


class Models:
    """The aliases of a flow: one for each model at each server."""

    def __init__(self, aliases: dict[str, Any]) -> None:
        self._aliases = aliases

    def alias(self, provider: str, model: str, *, base_url: str = "", api_key_env: str = "") -> str:
        """Return the alias of a model, which is made when it is new."""
        if not base_url and provider in _ADDRESSES:
            base_url, api_key_env = _ADDRESSES[provider][0], api_key_env or _ADDRESSES[provider][1]
        held: Any = f"{provider}/{model}" if provider in READY and not base_url else {"model": model, "base_url": base_url}
        if isinstance(held, dict) and api_key_env:
            held["api_key_env"] = api_key_env
        name = plain(model.rpartition("/")[2]) or "model"
        name = name if name[0].isalpha() else f"model_{name}"
        name = f"{name}_model" if name == model else name  # an alias of its own name leads nowhere
        first, number = name, 1
        while name in self._aliases and self._aliases[name] != held:
            number += 1
            name = f"{first}_{number}"
        self._aliases[name] = held
        return name
