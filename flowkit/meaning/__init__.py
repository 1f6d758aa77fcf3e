"""Turn a plan into what it tells models and makes of their answers, as plain data. Knows no layout, no comment and no server.

A meaning holds four parts:

flow      what reaches a model or changes an output; the fingerprint is made of it alone. Keys stand in alphabetical order where
          order means nothing, else in the author's, so that the order counts everywhere in it.
settings  by the path of each step ("" is the flow): what changes time, cost or labels only
written   spelling of a text → the text as it stands in its file, where that differs
files     spelling of an included file → its path beside the flow
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowkit import project
from flowkit.config import Resolved
from flowkit.endpoints import redact
from flowkit.errors import ConfigError
from flowkit.identity import whole
from flowkit.meaning.functions import described
from flowkit.meaning.words import Json, Words, Written
from flowkit.plan import CallWork, ChatWork, FlowWork, Plan, PlannedMessage, PlannedStep, PlannedTool
from flowkit.project import PathRefused
from flowkit.templates import Reader, ReadRefused
from flowkit.types import schemas
from flowkit.types.algebra import Record

__all__ = ["Meaning", "Resolve", "fingerprint", "meaning", "reader"]

#: A meaning is plain data, so that it can be stored and read again.
Meaning = dict[str, Any]
#: Finds the server behind a model's name in a flow; raises ConfigError where it leads nowhere.
Resolve = Callable[[str, Plan], Resolved]

#: Keys of a flow's own alias that say what is asked; the rest is of keys, cost and speed.
_ALIAS = ("base_url", "params", "structured")


def reader(root: Path) -> Reader:
    """Return what reads the files that templates of a project include."""

    def read(name: str, beside: Path) -> tuple[Path, str]:
        try:
            path = project.resolve(name, beside=beside, root=root)
            return path, project.read_text(path)
        except PathRefused as refused:
            raise ReadRefused(refused.message, refused.hint, escapes=refused.reason == "escape") from refused

    return read


def meaning(plan: Plan, resolve: Resolve | None, read: Reader) -> Meaning:
    """Return what a flow means, its sub-flows and tools included.

    `resolve` None, or one that raises ConfigError, leaves a model as its name and what the flow itself says of it. `read` is only
    asked for the files that templates include.

    Raises:
        ReadRefused: an included file went away since the flow was checked.
    """
    whole = _Whole(plan, resolve, read)
    flow = whole.flow(plan, "", root=True)
    return {"flow": flow, "settings": whole.settings, "written": whole.written.texts, "files": whole.written.files}


def fingerprint(meaning: Meaning) -> str:
    """Return 16 hexadecimal digits that are the same for the same meaning."""
    text = json.dumps(meaning["flow"], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


class _Whole:
    """Walks a plan and the plans in it."""

    def __init__(self, plan: Plan, resolve: Resolve | None, read: Reader) -> None:
        self._home = plan.path.parent
        self._resolve = resolve
        self._read = read
        self.written = Written()
        self.settings: dict[str, dict[str, Json]] = {}

    def flow(self, plan: Plan, path: str, *, root: bool = False) -> dict[str, Json]:
        words = Words(plan.path, self._home, self._read, self.written)
        steps = {id_: self._step(plan, step, words, f"{path}/{id_}".removeprefix("/")) for id_, step in sorted(plan.steps.items())}
        outputs: Json = words.value(plan.outputs) if plan.outputs is not None else None
        leaves: Json = list(plan.leaves)
        if root:  # nothing reads these as text, where their order would show
            outputs = _sorted(outputs) if isinstance(outputs, dict) else outputs
            leaves = sorted(leaves)
        said = _said(
            {
                "name": plan.name,
                "description": plan.description or None,
                "max_parallel": plan.max_parallel,
                "limits": {name: str(value) for name, value in asdict(plan.limits).items() if value is not None},
                "descriptions": {f.name: f.description for f in plan.inputs.fields if f.description},
            }
        )
        self.settings[path] = said if root else self.settings.get(path, {}) | {"flow": said}
        return _said(
            {
                "inputs": _inputs(plan.inputs, ordered="inputs" in words.whole),
                "values": dict(plan.values) if "values" in words.whole else _sorted(plan.values),
                "steps": steps,
                "outputs": outputs,
                "leaves": leaves,
            }
        )

    def _step(self, plan: Plan, step: PlannedStep, words: Words, path: str) -> dict[str, Json]:
        """Return what one step means; what it only costs goes into the settings."""
        self.settings[path] = _said(
            {
                "waits": sorted(step.waits),
                "max_parallel": step.max_parallel,
                "cache": step.cache,
                "variants": list(step.variants),
                "variant": step.variant,
            }
        )
        work = step.work
        match work:
            case ChatWork():
                did = self._chat(plan, work, words, path)
                did["output"] = schemas.json_schema(step.type)
            case FlowWork():
                did = {"with": _sorted_if_named(words.value(work.with_)), "flow": self.flow(work.plan, path)}
            case CallWork():
                did = {"with": _sorted_if_named(words.value(work.with_)), "function": described(work.function, work.name)}
            case _:
                did = {"set": words.value(work.value)}
        if step.validator is not None:
            did["output"] = schemas.json_schema(step.type)
        repeat = step.repeat
        return {"kind": step.kind} | _said(
            {
                "when": words.value(step.when),
                "foreach": words.value(step.foreach),
                "as": step.as_ if step.foreach is not None else None,
                **did,
                "repeat": None if repeat is None else {"until": words.value(repeat.until), "max": repeat.max, "on_max": repeat.on_max},
                "checks": [
                    _said(
                        {
                            "expr": words.value(check.expr),
                            "message": None if check.message is None else words.text(check.message),
                            "on_fail": check.on_fail,
                        }
                    )
                    for check in step.checks
                ],
                "samples": step.samples,
                "pick": step.pick,
                "on_error": None if step.on_error.action == "fail" else {"action": step.on_error.action, "default": step.on_error.default},
                "on_skip": sorted(step.skips_with),
            }
        )

    # -- chat ----------------------------------------------------------------------------------------------

    def _chat(self, plan: Plan, work: ChatWork, words: Words, path: str) -> dict[str, Json]:
        asked = [self._model(name, plan, work) for name in work.models or ("",)]
        # What all of them are told stands once, whichever file says it.
        shared = {name: value for name, value in asked[0][1].items() if all(name in p and p[name] == value for _, p in asked)}
        models = [m | _said({"params": _params({n: v for n, v in own.items() if n not in shared})}) for m, own in asked]
        self.settings[path] |= _said(
            {
                "models": list(work.models),
                "alias": _said({name: self._said_of(name, plan) for name in work.models}),
                "retry": _said(asdict(work.retry)),
                "timeout": _said(asdict(work.timeout)),
            }
        )
        return {
            "models": models,
            "params": _params(shared),
            "messages": [_message(message, words) for message in work.messages],
            "examples": [{"user": words.text(e.user), "assistant": words.text(e.assistant)} for e in work.examples],
            "tools": [self._tool(tool, path) for tool in work.tools],
        }

    def _model(self, name: str, plan: Plan, work: ChatWork) -> tuple[dict[str, Json], Mapping[str, Any]]:
        """Return where a question goes, and all parameters that go with it."""
        found = None
        if self._resolve is not None:
            try:
                found = self._resolve(name, plan)
            except ConfigError:
                found = None
        if found is None:
            said = plan.models.get(name)
            own = {key: said.settings[key] for key in _ALIAS if key in said.settings} if said is not None else {}
            below = own.pop("params", {})
            return {"name": name} | ({"model": said.model, **own} if said is not None else {}), _merged(below, work.params)
        endpoint = found.endpoint
        asked: dict[str, Json] = {"url": redact(endpoint.url, endpoint.secrets), "model": endpoint.model}
        if work.shape is not None:
            form = None if endpoint.structured == "auto" else endpoint.structured
            asked |= _said({"structured": form, "lengths": endpoint.lengths or None})
        return asked, _merged(found.params, work.params)

    def _said_of(self, name: str, plan: Plan) -> dict[str, Json]:
        """Return what the configuration says of a model and no question shows: prices and limits."""
        try:
            found = None if self._resolve is None else self._resolve(name, plan)
        except ConfigError:
            found = None
        if found is None:
            return {}
        price = {} if found.price is None else {key: str(each) for key, each in asdict(found.price).items() if each is not None}
        endpoint = found.endpoint
        rate = {key: getattr(endpoint, key) for key in ("requests_per_minute", "tokens_per_minute")}
        return _said({"price": price, "timeout": found.timeout, "max_parallel": endpoint.max_parallel, **rate})

    def _tool(self, tool: PlannedTool, path: str) -> dict[str, Json]:
        told = {"name": tool.tool.name, "description": tool.tool.description, "parameters": tool.tool.parameters}
        if isinstance(tool.target, Plan):
            return told | {"flow": self.flow(tool.target, f"{path}/{tool.tool.name}")}
        return told | {"function": described(tool.target, tool.tool.name)}


def _message(message: PlannedMessage, words: Words) -> dict[str, Json]:
    if message.history is not None:
        return {"history": words.value(message.history)}
    if message.text is not None:
        return {"role": message.role, "text": words.text(message.text)}
    parts = [{"kind": part.kind} | {name: words.text(text) for name, text in sorted(part.values.items())} for part in message.parts]
    return {"role": message.role, "parts": parts}


def _inputs(record: Record, *, ordered: bool) -> dict[str, Json]:
    """Return inputs without what is only said about them; what a model reads of them stands with the tool that they are for."""
    schema: dict[str, Json] = _undescribed(schemas.json_schema(record))
    fields = schema["properties"]
    told = {"fields": _sorted(fields), "required": sorted(schema["required"]), "$defs": _sorted(schema.get("$defs", {}))}
    return _said(told | {"order": list(fields) if ordered else []})


def _undescribed(schema: Json) -> Json:
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Json] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            found[key] = {name: _undescribed(each) for name, each in value.items()}
        elif key in ("items", "additionalProperties"):
            found[key] = _undescribed(value)
        elif key == "anyOf":
            found[key] = [_undescribed(each) for each in value]
        elif key not in ("description", "examples"):
            found[key] = value
    return found


def _merged(below: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the parameters of a step over those of its model, as a call does."""
    merged = {**below, **own}
    if "extra_body" in below and "extra_body" in own:
        merged["extra_body"] = {**below["extra_body"], **own["extra_body"]}
    return merged


def _params(params: Mapping[str, Any]) -> dict[str, Json]:
    found: dict[str, Json] = _numbers(_sorted(params))
    if isinstance(extra := found.get("extra_body"), Mapping):
        found["extra_body"] = _sorted(extra)
    return found


def _numbers(value: Json) -> Json:
    """Return data in which 1.0 is 1, as it is in the key of a call."""
    if isinstance(value, Mapping):
        return {name: _numbers(each) for name, each in value.items()}
    return [_numbers(each) for each in value] if isinstance(value, list | tuple) else whole(value)


def _sorted_if_named(value: Json) -> Json:
    """Arguments are given by name."""
    return _sorted(value) if isinstance(value, dict) else value


def _sorted(mapping: Mapping[str, Any]) -> dict[str, Json]:
    return dict(sorted(mapping.items()))


def _said(values: Mapping[str, Json]) -> dict[str, Json]:
    """Return what is said, without what is absent or empty."""
    return {name: value for name, value in values.items() if value is not None and value not in ({}, [], ())}
