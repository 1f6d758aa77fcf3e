"""The JSON Schema of the format takes right flows, refuses wrong ones, and knows every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from parsing import step, top

from flowkit import source
from flowkit.errors import Problems
from flowkit.keys import TABLES
from flowkit.schema import schema

FLOWS = Path(__file__).parent / "flows"
RIGHT = sorted([*(FLOWS / "good").rglob("*.flow.yaml"), *(FLOWS / "tricky").rglob("*.flow.yaml")])
VALIDATOR = Draft202012Validator(schema())


def plain(text: str) -> Any:
    """Return the data of a YAML text."""
    document = source.parse(text, path=Path("x"), shown="x", problems=Problems())
    assert document.root is not None
    return source.plain(document.root)


def test_it_is_a_schema() -> None:
    """The schema obeys its own draft."""
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", RIGHT, ids=lambda p: p.name)
def test_right_flows(path: Path) -> None:
    """Editors mark nothing in a right flow."""
    assert [e.message for e in VALIDATOR.iter_errors(plain(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "text",
    [
        top("zebra: 1"),
        top("name: 5"),
        top("limits: {calls: 0}"),
        top("inputs: {q: 5}"),
        "steps: {a: {prompt: x}}",
        "flowkit: 2\nsteps: {a: {prompt: x}}",
        "flowkit: 1\nsteps: {make-reply: {prompt: x}}",
        step("promt: x"),
        step("prompt: x\nuses: a.flow.yaml"),
        step("prompt: x\nwith: {a: 1}"),
        step("prompt: x\nparams: {temperature: cold}"),
        step("prompt: x\nparams: {top_k: 1}"),
        step("prompt: x\nrepeat: {until: true, max: 2, on_max: stop}"),
        step('prompt: x\nwhen: "{{ x }}"'),
        step("prompt: x\nretry: 0"),
        step("prompt: x\ntimeout: fast"),
        step("prompt: x\nas: t"),
        step("messages: [{system: a, user: b}]"),
        step("messages: [{role: user, content: b}]"),
        step("messages: []"),
    ],
)
def test_wrong_flows(text: str) -> None:
    """Editors mark what the parser refuses, as far as a schema can say it."""
    assert not VALIDATOR.is_valid(plain(text))


@pytest.mark.parametrize(
    "text",
    [
        top("x-house: {any: 1}"),
        step("prompt: x\nx-mine: 1"),
        step("prompt: x\nparams: {temperature: null, x-why: 1, extra_body: {top_k: 1}}"),
        step("prompt: x\nforeach: inputs.l\nas: t\nrepeat: {until: output, max: 2}\non_error: {default: a}"),
        step("prompt: x\noutput: {type: string, a?: {b: integer, c: {type: string, default: x}}}"),
        step("set: {a: 1, b: [x, {c: null}]}"),
        step("prompt: x\nvariants: {short: {prompt: y, params: {seed: 1}}}"),
    ],
)
def test_more_right_flows(text: str) -> None:
    """Free keys, null parameters, records and overlays are nothing to mark."""
    assert [e.message for e in VALIDATOR.iter_errors(plain(text))] == []


def test_every_key_has_its_doc() -> None:
    """An editor shows the doc of each key."""
    whole = schema()
    for name, table in TABLES.items():
        properties = whole["properties"] if name == "flow" else whole["$defs"][name]["properties"]
        assert {key.name: key.doc for key in table.keys} == {key: value["description"] for key, value in properties.items()}
