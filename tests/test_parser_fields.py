"""Types, fields, inputs and values of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from parsing import read, right, said, top

from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    MISSING,
    NULL,
    NUMBER,
    STRING,
    Enum,
    Field,
    Integer,
    List,
    Record,
    Ref,
    String,
    nullable,
)

if TYPE_CHECKING:
    from pathlib import Path


# -- inputs and fields


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("q: ", ["2:13 empty-value"]),
        ("q: strng", ["2:13 unknown-type"]),
        ("q: [a]", ["2:13 type-syntax"]),
        ("q: 5", ["2:13 unknown-type"]),
        ("q: boolean(0..1)", ["2:20 type-range"]),
        ('"y z": string', ["2:10 invalid-name"]),
        ("y-z: string", ["2:10 invalid-name"]),
        ("q: string, q?: string", ["2:21 duplicate-field"]),
        ("q: {type: integer, default: a}", ["2:38 invalid-default"]),
        ("q: {type: list(integer), default: [1, b]}", ["2:48 invalid-default"]),
        ("q: {type: integer, default: }", ["2:38 empty-value"]),
        ("q: {type: string, default: 5}", ["2:37 invalid-default"]),
        ("q: {type: string, examples: [a, 5]}", ["2:42 invalid-example"]),
        ("q: {type: string, examples: a}", ["2:38 wrong-type"]),
        ("q: {type: string, pattern: '('}", ["2:37 wrong-pattern"]),
        ("q: {type: integer, pattern: x}", ["2:29 misplaced-key"]),
        ("q: {type: string, min_items: 1}", ["2:28 misplaced-key"]),
        ("q: {type: list(any), min_items: 3, max_items: 2}", ["2:42 out-of-range"]),
        ("q: {description: string}", ["2:13 missing-key"]),
        ("q: {type: string, defualt: a}", ["2:28 unknown-key"]),
        ("q: {type: string, max: 5}", ["2:28 unknown-key"]),
        ("q: {type: {a: string}}", ["2:20 type-syntax"]),
        ("q: {a: strng}", ["2:17 unknown-type"]),
        ("q: {}", ["2:13 empty-value"]),
        ("q: {type: string, x-note: free}", []),
        ("q?: {type: string, default: null}", []),
        ("q: {type: string, descriptions: integer}", []),
        ("q: {type: string, kind: integer}", []),
    ],
)
def test_fields(field: str, expected: list[str], tmp_path: Path) -> None:
    """A field has a type, and what its long form says fits that type."""
    assert said(read(top(f"inputs: {{{field}}}"), tmp_path)[1]) == expected


def test_forms_of_a_field(tmp_path: Path) -> None:
    """Short form, long form and nested record; `?` and default are kept apart."""
    spec = right(
        top(
            "inputs:\n  a: string, what it is\n  b?: integer(1..5)\n  c: {type: enum(x | y), default: x, description: d, examples: [y]}\n"
            "  d: {type: string, kind: integer}\n  e: {type: string | null, pattern: ^a}\n  f: {type: list(any), min_items: 1}"
        ),
        tmp_path,
    )
    a, b, c, d, e, f = spec.inputs.fields
    assert (a.type, a.description, a.optional) == (STRING, "what it is", False)
    assert (b.name, b.type, b.optional, b.default) == ("b", Integer(1, 5), True, MISSING)
    assert (c.type, c.default, c.description, c.examples, c.optional) == (Enum(("x", "y")), "x", "d", ("y",), False)
    assert d.type == Record((Field("type", STRING), Field("kind", INTEGER)))
    assert e.type == nullable(String(pattern="^a"))
    assert f.type == List(ANY, min_items=1)
    assert list(spec.input_keys) == ["a", "b", "c", "d", "e", "f"]


def test_a_record_may_have_a_field_called_type(tmp_path: Path) -> None:
    """A mapping under `output` or a name in `types` is always a record."""
    spec = right("flowkit: 1\ntypes: {T: {type: string, default: integer}}\nsteps: {a: {prompt: x, output: {type: string}}}\n", tmp_path)
    assert spec.types["T"] == Record((Field("type", STRING), Field("default", INTEGER)))
    assert spec.steps["a"].output == Record((Field("type", STRING),))


# -- named types


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ("T: ", ["2:12 empty-value"]),
        ("T: Isue, Issue: string", ["2:12 unknown-type"]),
        ("T: 'string, what'", ["2:19 type-syntax"]),
        ("string: integer", ["2:9 reserved-name"]),
        ("a-b: integer", ["2:9 invalid-name"]),
        ("A: A", ["2:9 endless-type"]),
        ("A: B, B: A", ["2:9 endless-type"]),
        ("A: {b: B}, B: {a: A}", ["2:9 endless-type"]),
        ("A: {kids: list(A), next?: A, up: A | null}", []),
        ("T: nope.schema.json", ["2:12 file-not-found"]),
        ("T: ../x.types.yaml#A", ["2:12 path-escape"]),
        ("T: nope:Thing", ["2:12 unknown-module"]),
        ("T: {}", ["2:12 empty-value"]),
    ],
)
def test_wrong_types(types: str, expected: list[str], tmp_path: Path) -> None:
    """Each wrong type is one problem at its place; what speaks of it is not blamed."""
    assert said(read(top(f"types: {{{types}}}"), tmp_path)[1]) == expected


def test_names_stand_for_their_types(tmp_path: Path) -> None:
    """A name is the type itself wherever it stands, in any order; inside itself it is a reference."""
    spec = right(
        "flowkit: 1\ntypes: {A: list(B), B: {c: C, kids: list(B)}, C: string, D: integer}\nsteps: {a: {prompt: x, output: A}}\n", tmp_path
    )
    b = spec.types["B"]
    assert isinstance(b, Record)
    assert b.name == "B"
    assert b.fields[0].type == STRING
    assert isinstance(b.fields[1].type, List)
    assert isinstance(b.fields[1].type.item, Ref)
    assert spec.steps["a"].output == List(b)
    assert spec.used_types == {"A", "B", "C"}
    assert list(spec.type_keys) == ["A", "B", "C", "D"]


def test_a_type_of_many_types_stays_small(tmp_path: Path) -> None:
    """Names inside names inside names do not grow without bounds."""
    many = "".join(f"  T{i}: {{a: T{i + 1}, b: list(T{i + 1})}}\n" for i in range(200))
    spec = right(f"flowkit: 1\ntypes:\n{many}  T200: string\nsteps: {{a: {{prompt: x, output: T0}}}}\n", tmp_path)
    assert len(spec.types) == 201


def test_types_from_elsewhere(tmp_path: Path) -> None:
    """Files of types, JSON Schema and classes are types like any other."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a.types.yaml").write_text("A: {b: list(B), s: S}\nB: {a?: A}\nS: s.schema.json\n", encoding="utf-8")
    (tmp_path / "deep/s.schema.json").write_text(
        '{"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": false}', encoding="utf-8"
    )
    (tmp_path / "kinds.py").write_text("from dataclasses import dataclass\n@dataclass\nclass Thing:\n    n: int\n", encoding="utf-8")
    spec = right(top("types: {A: deep/a.types.yaml#A, S: deep/s.schema.json, K: 'kinds:Thing'}"), tmp_path)
    assert isinstance(spec.types["A"], Record)
    assert spec.types["A"].fields[1].type == spec.types["S"] == Record((Field("x", STRING),))
    assert spec.types["K"] == Record((Field("n", INTEGER),))


def test_mistakes_elsewhere_are_reported_there(tmp_path: Path) -> None:
    """A mistake in another file stands at its place in that file, once."""
    (tmp_path / "a.types.yaml").write_text("A: {b: strng}\n", encoding="utf-8")
    (tmp_path / "u.schema.json").write_text('{"not": {}}', encoding="utf-8")
    (tmp_path / "n.schema.json").write_text("{", encoding="utf-8")
    lines = "types: {A: a.types.yaml#A, B: a.types.yaml#Nope, C: a.types.yaml, U: u.schema.json, N: n.schema.json, D: a.types.yaml#A}"
    _, problems = read(top(lines), tmp_path)
    assert [(p.place.path, p.place.line, p.place.column, p.code) for p in problems] == [
        ("a.types.yaml", 1, 8, "unknown-type"),
        ("n.schema.json", 1, 2, "json-syntax"),
        ("x.flow.yaml", 2, 44, "unknown-type"),
        ("x.flow.yaml", 2, 53, "type-syntax"),
        ("x.flow.yaml", 2, 70, "unsupported-schema"),
    ]


# -- values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("v: ", ["2:13 empty-value"]),
        ("v: .inf", ["2:13 out-of-range"]),
        ("v-w: 1", ["2:10 invalid-name"]),
        ("v: {type: integer, value: x}", ["2:36 invalid-value"]),
        ("v: {type: list(integer), value: [1, x]}", ["2:46 invalid-value"]),
        ("v: {type: strng, value: x}", ["2:20 unknown-type"]),
        ("v: {type: string, vlaue: x}", ["2:28 unknown-key"]),
        ("v: {value: 1, file: x.json}", ["2:24 too-many-keys"]),
        ("v: {type: string, file: nope.txt}", ["2:34 file-not-found"]),
        ("v: {file: ../x.txt}", ["2:20 path-escape"]),
        ("v: {file: x.flow.toml}", ["2:20 file-not-found"]),
        ("v: {file: 5}", ["2:20 wrong-type"]),
        ("v: {type: bug, kind: x}", []),
        ("v: '{{ text }} ${{ text }}'", []),
    ],
)
def test_wrong_values(value: str, expected: list[str], tmp_path: Path) -> None:
    """A constant has its type; what it holds is data, never a template."""
    assert said(read(top(f"values: {{{value}}}"), tmp_path)[1]) == expected


def test_inferred_types(tmp_path: Path) -> None:
    """A literal has the narrowest type that says nothing wrong."""
    spec = right(
        top(
            "values: {a: 1, b: [1, 2.5], c: [{x: 1}, {x: 2}], d: [], e: [null, 1], f: {y: true},\n"
            "  g: [1, x], h: null, i: NO, j: [{x: 1}, {y: 2}]}"
        ),
        tmp_path,
    )
    assert {name: value.type for name, value in spec.values.items()} == {
        "a": INTEGER,
        "b": List(NUMBER),
        "c": List(Record((Field("x", INTEGER),))),
        "d": List(ANY),
        "e": List(nullable(INTEGER)),
        "f": Record((Field("y", BOOLEAN),)),
        "g": List(ANY),
        "h": NULL,
        "i": STRING,
        "j": List(ANY),
    }


def test_values_from_files(tmp_path: Path) -> None:
    """A file gives data by its ending; of a text the final newline is dropped."""
    (tmp_path / "a.json").write_text('{"x": [1]}', encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n\n{"n": 2}\n', encoding="utf-8")
    (tmp_path / "a.yaml").write_text("x: NO\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("one\ntwo\n\n", encoding="utf-8")
    spec = right(
        top("values: {j: {file: a.json}, l: {type: 'list(any)', file: a.jsonl}, y: {file: a.yaml}, t: {type: string, file: a.txt}}"),
        tmp_path,
    )
    assert {name: value.value for name, value in spec.values.items()} == {
        "j": {"x": [1]},
        "l": [{"n": 1}, {"n": 2}],
        "y": {"x": "NO"},
        "t": "one\ntwo\n",
    }
    assert spec.values["j"].type == Record((Field("x", List(INTEGER)),))


def test_wrong_data_in_files(tmp_path: Path) -> None:
    """Wrong data is reported in its file where that has lines, else at the name of the file."""
    (tmp_path / "a.json").write_text('{"x": NaN}', encoding="utf-8")
    (tmp_path / "b.json").write_text('"x"', encoding="utf-8")
    (tmp_path / "c.json").write_text('{"a": 1, "a": 2}', encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('1\n"x"\n', encoding="utf-8")
    (tmp_path / "a.yaml").write_text("x: 5\n", encoding="utf-8")
    (tmp_path / "a.txt").write_bytes(b"\xff")
    (tmp_path / "a.py").write_text("", encoding="utf-8")
    names = {
        "a": "{file: a.json}",
        "b": "{type: integer, file: b.json}",
        "c": "{file: c.json}",
        "d": "{type: list(integer), file: a.jsonl}",
    }
    names |= {"e": "{type: {x: string}, file: a.yaml}", "f": "{file: a.txt}", "g": "{file: a.py}"}
    lines = "values:\n" + "\n".join(f"  {name}: {value}" for name, value in names.items())
    _, problems = read(top(lines), tmp_path)
    assert [(p.place.path, p.place.line, p.code) for p in problems] == [
        ("a.json", 1, "json-syntax"),
        ("a.jsonl", 2, "invalid-value"),
        ("a.yaml", 1, "invalid-value"),
        ("c.json", 1, "json-syntax"),
        ("x.flow.yaml", 4, "invalid-value"),
        ("x.flow.yaml", 8, "not-utf8"),
        ("x.flow.yaml", 9, "wrong-type"),
    ]
