"""The whole of a flow file: right ones are silent, each mistake is one problem at its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parsing import read, right, said, step, top

from flowkit import parser, source
from flowkit.errors import Problems
from flowkit.keys import TABLES
from flowkit.project import Project
from flowkit.spec import Expression, MapOf

FLOWS = Path(__file__).parent / "flows"
RIGHT = sorted([*(FLOWS / "good").rglob("*.flow.yaml"), *(FLOWS / "tricky").rglob("*.flow.yaml")])
BAD = {entry["file"]: entry for entry in json.loads((FLOWS / "bad/index.json").read_text(encoding="utf-8"))["files"]}
#: Mistakes that must be seen without following a reference.
OURS = ["034", "039", "047", "055", "087", "091", "095", "099", "103", "107", "112"]


def file(path: Path) -> tuple[object, tuple[object, ...]]:
    """Read a file of `flows`."""
    spec, problems = read(path.read_text(encoding="utf-8"), path.parent, path.name)
    return spec, tuple(problems)


@pytest.mark.parametrize("path", RIGHT, ids=lambda p: p.name)
def test_right_flows_are_silent(path: Path) -> None:
    """A right flow gives a spec and no problem, however odd it looks."""
    spec, problems = file(path)
    assert problems == ()
    assert spec is not None


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_flows(name: str) -> None:
    """What the reader of a flow reports, which is all that needs no reference, is one problem where the index wants it."""
    expected = BAD[name]
    _, problems = read((FLOWS / "bad" / name).read_text(encoding="utf-8"), FLOWS / "bad", name)
    if not problems:
        assert name[:3] not in OURS
        return
    (problem,) = problems
    assert problem.severity == expected["severity"]
    assert problem.place.line in _list(expected["line"])
    assert expected["column"] is None or problem.place.column in _list(expected["column"])
    text, hint = f"{problem.message} {problem.code}".lower(), f"{problem.hint} {problem.message}".lower()
    assert all(any(w.lower() in text for w in _list(words)) for words in expected["must_mention"])
    assert all(any(w.lower() in hint for w in _list(words)) for words in expected["hint_mentions"])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1:1 empty-file"]),
        ("[a]", ["1:1 not-a-flow"]),
        ("hello", ["1:1 not-a-flow"]),
        ("a: b", ["1:1 not-a-flow"]),
        ("steps: {a: {prompt: x}}", ["1:1 missing-key"]),
        ("flowkit: 1", ["1:1 missing-key"]),
        ("flowkit: 2\nsteps: {a: {prompt: x}}", ["1:10 unknown-format"]),
        ('flowkit: "1"\nsteps: {a: {prompt: x}}', ["1:10 unknown-format"]),
        ("flowkit: 1\nsteps:", ["2:7 empty-value"]),
        ("flowkit: 1\nsteps: {}", ["2:8 empty-value"]),
        ("flowkit: 1\nsteps: draft", ["2:8 wrong-type"]),
        ("flowkit: 1\nsteps: [{id: a}]", ["2:8 wrong-type"]),
        ("flowkit: 1\nSteps: {a: {prompt: x}}", ["2:1 unknown-key"]),
        ("flowkit: 1\nnodes: {a: {prompt: x}}", ["2:1 unknown-key"]),
        ("flowkit: 1\nnodes: [{name: a}]", ["2:1 unknown-key"]),
        ("version: 1\nsteps: {a: {prompt: x}}", ["1:1 unknown-key"]),
    ],
)
def test_what_is_no_flow(text: str, expected: list[str], tmp_path: Path) -> None:
    """A file that is no flow, or nearly one, says so once."""
    assert said(read(text, tmp_path)[1]) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("name: 5", ["2:7 wrong-type"]),
        ("name: 12:30:45", []),
        ("name:", ["2:6 empty-value"]),
        ('description: ""', []),
        ("zebra: 1", ["2:1 unknown-key"]),
        ("model: x", ["2:1 unknown-key"]),
        ("x-house: {any: [1]}", []),
        ("outputs: [steps.a.output]", ["2:10 wrong-type"]),
        ("outputs: 5", ["2:10 wrong-type"]),
        ("outputs: {a-b: 1, x-note: free}", ["2:11 invalid-name"]),
        ('outputs: {x: "{{ steps.a.output }}"}', ["2:15 braces-in-expression"]),
        ("tests: 5", ["2:8 wrong-type"]),
        ("tests: [{inputs: {}}]", []),
        ("limits: 5", ["2:9 wrong-type"]),
        (
            "limits: {calls: 0, seconds: 5m, cost: -1, token: 5}",
            ["2:17 out-of-range", "2:29 wrong-type", "2:39 out-of-range", "2:43 unknown-key"],
        ),
        ("inputs: [q]", ["2:9 wrong-type"]),
    ],
)
def test_top_level(lines: str, expected: list[str], tmp_path: Path) -> None:
    """Each mistake at the top level is one problem where it stands."""
    assert said(read(top(lines), tmp_path)[1]) == expected


def test_all_problems_at_once(tmp_path: Path) -> None:
    """One reading reports the mistakes of all parts of the file."""
    _, problems = read("flowkit: 1\nname: 5\ninputs: {q: strng}\nsteps:\n  a: {mesages: []}\n  b: {prompt: 7}\noutputs: {x: }\n", tmp_path)
    assert [line.split(" ")[1] for line in said(problems)] == [
        "wrong-type",
        "unknown-type",
        "unknown-key",
        "empty-value",
        "not-text",
        "empty-expression",
    ]


def test_no_step_is_lost(tmp_path: Path) -> None:
    """Whatever is wrong with a step, it is there, so that those who read it are not blamed."""
    spec, _ = read("flowkit: 1\nsteps: {a: , b: 5, c: {promt: x}, d: {zebra: 1}, e-f: {prompt: x}, g: {uses: 5}, h: {call: x}}", tmp_path)
    assert spec is not None
    assert list(spec.steps) == ["a", "b", "c", "d", "e-f", "g", "h"]


def test_names_of_the_file(tmp_path: Path) -> None:
    """Without a name the file's own is taken; shown path and root are kept."""
    spec = right(step("prompt: x"), tmp_path)
    assert (spec.name, spec.shown, spec.root) == ("x", "x.flow.yaml", tmp_path)


def test_outputs_keep_keys_and_expressions(tmp_path: Path) -> None:
    """Outputs are expressions by name, each with its key."""
    spec = right(top("outputs: {one: steps.a.output, two: [1, steps.a.output]}"), tmp_path)
    assert isinstance(spec.outputs, MapOf)
    assert spec.outputs.keys["two"].column == 32
    assert isinstance(spec.outputs.items["one"], Expression)


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """A key in the file is refused, and no part of any problem repeats it, not even the source line."""
    secret = "sk-live-0123456789abcdef0123456789abcdef"
    lines = [
        f"api_key: {secret}",
        f"models: {{m: {{model: x/y, api_key: {secret}, zebra: 1}}}}",
        f"models: {{m: {{model: x/y, api_key_env: {secret}}}}}",
        f"models: {{m: {{model: x/y, headers: {{Authorization: Bearer {secret}}}}}}}",
        f"models: {{m: {{model: x/y, base_url: 'https://user:{secret}@host/v1'}}}}",
        f"models: {{m: {{model: x/y, base_url: 'https://host/v1?api_key={secret}'}}}}",
        f"zebra: {secret}",
        f"values: {{key: {secret}}}",
        f"defaults: {{params: {{api_key: {secret}}}, zebra: 1}}",
        f'defaults: {{params: {{extra_body: {{token: "{secret}"}}}}, zebra: 1}}',
    ]
    for line in lines:
        _, problems = read(top(line), tmp_path)
        assert "inline-secret" in [p.code for p in problems]
        assert secret not in repr(problems)


def test_secrets_stay_hidden_from_later_readers(tmp_path: Path) -> None:
    """Who reports something on the line of a secret afterwards does not show it either, and finds each name at its column."""
    spec, _ = read('flowkit: 1\nsteps: {a: {api_key: "sk-\\x41live-0123456789", prompt: "hi {{ x }}"}}', tmp_path)
    assert spec is not None
    text = spec.steps["a"].messages[0].text
    assert text is not None
    place = text.node.place(6, 7)
    assert "0123456789" not in place.source
    assert place.source[place.column - 1] == "x"


def test_an_incomplete_tree_is_not_blamed_for_what_it_lacks(tmp_path: Path) -> None:
    """What the reader of YAML refused is not reported as missing once more."""
    _, problems = read("flowkit: 1\nsteps:\n  a:\n    prompt: !x y\n", tmp_path)
    assert [p.code for p in problems] == ["yaml-tag"]


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from(["x", "{{ x }}", "", "7d", "a.flow.yaml", "list(string)"])
)
_WORDS = st.sampled_from([*TABLES["step"].names(), "x-a", "until", "expr", "user", "default", "attempts", "type", "zebra"])
_DATA = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4), max_leaves=12)


@given(st.dictionaries(st.sampled_from(TABLES["flow"].names()), _DATA, max_size=4), st.dictionaries(_WORDS, _DATA, max_size=5))
@settings(deadline=None, max_examples=200)
def test_any_tree_is_read_or_reported(flow: dict[str, object], body: dict[str, object]) -> None:
    """Whatever stands under the keys of the format, reading ends with problems and no exception."""
    text = json.dumps({**flow, "flowkit": 1, "steps": {"a": body}})
    problems = Problems()
    path = Path("/nowhere/x.flow.yaml")
    document = source.parse(text, path=path, shown="x.flow.yaml", problems=problems)
    spec = parser.parse(document, Project(path.parent), path, problems)
    assert spec is not None
    assert list(spec.steps) == ["a"]
    assert all(p.place.line >= 1 and p.place.column >= 1 and p.message for p in problems.found)
