"""Turn comparisons of flows into data for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from flowkit.chat import Message
from flowkit.comparing import Comparison, Messages, Said, Version
from flowkit.console import forecasts
from flowkit.console.differences import verdict

SCHEMA: Final = 1


def document(found: Sequence[Comparison]) -> dict[str, Any]:
    """Return the one object of `flowkit diff --format json`."""
    return {"schema": SCHEMA, "flows": [_flow(each) for each in found]}


def _flow(found: Comparison) -> dict[str, Any]:
    return {
        "flow": found.flow,
        "before": _version(found.before),
        "after": _version(found.after),
        "same_meaning": found.broken is None and not found.counting,
        "verdict": verdict(found),
        "broken": found.broken,
        "changes": [asdict(change) for change in found.changes],
        "affected": list(found.affected),
        "messages": None if found.messages is None else _messages(found.messages),
        "rerun": None if found.forecast is None else forecasts.document(found.forecast),
    }


def _version(side: Version) -> dict[str, Any]:
    return {"revision": side.label, "commit": side.commit, "path": side.shown, "fingerprint": side.fingerprint}


def _messages(found: Messages) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "simulated": found.simulated,
        "assumed": list(found.assumed),
        "sampled": list(found.sampled),
        "failures": list(found.failures),
        "steps": {step: _said(said) for step, said in found.steps.items()},
    }


def _said(said: Said) -> dict[str, Any]:
    return {
        "same": said.same,
        "skipped": said.skipped,
        "unknown": said.unknown,
        "differ": [
            {
                "row": pair.row,
                "item": pair.item,
                "again": pair.again,
                "before": None if pair.before is None else [_message(message) for message in pair.before],
                "after": None if pair.after is None else [_message(message) for message in pair.after],
            }
            for pair in said.differ
        ],
    }


def _message(message: Message) -> Mapping[str, Any]:
    content = list(message.content) if isinstance(message.content, tuple) else message.content
    calls = [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    return {"role": message.role, "content": content} | ({"tool_calls": calls} if calls else {})
