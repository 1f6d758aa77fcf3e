"""Steps: their kinds, keys, messages, expressions and modifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from parsing import read, right, said, step

from flowkit.spec import Expression, ListOf, Literal_, MapOf, OnError, RetrySpec, Text, TimeoutSpec

if TYPE_CHECKING:
    from pathlib import Path

    from flowkit.spec import StepSpec


def only(body: str, root: Path) -> StepSpec:
    """Return the step of a right flow."""
    return right(step(body), root).steps["a"]


# -- kinds and keys


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{}", ["3:3 no-kind"]),
        ("system: x", ["3:3 no-kind"]),
        ("with: {a: b}", ["3:3 no-kind"]),
        ("uses: a.flow.yaml\nprompt: x", ["5:5 two-kinds"]),
        ("messages: [{user: x}]\nprompt: x", ["5:5 two-kinds"]),
        ("messages: [{user: x}]\nsystem: x", ["5:5 misplaced-key"]),
        ("prompt: x\nwith: {a: 1}", ["5:5 misplaced-key"]),
        ("set: 1\nmodel: x", ["5:5 misplaced-key"]),
        ("set: 1\ncache: true", ["5:5 misplaced-key"]),
        ("call: m:f\ncache: false", ["5:5 misplaced-key"]),
        ("uses: a.flow.yaml\ncache: 7d", ["5:5 misplaced-key"]),
        ("uses: a.flow.yaml\nvariants: {b: {prompt: x}}", ["5:5 misplaced-key"]),
        ("uses: a.flow.yaml\noutput: string", ["5:5 misplaced-key"]),
        ("prompt: x\nas: t", ["5:5 misplaced-key"]),
        ("prompt: x\npick: first", ["5:5 misplaced-key"]),
        ("promt: x", ["4:5 unknown-key"]),
        ("prompts: x", ["4:5 unknown-key"]),
        ("Prompt: x", ["4:5 unknown-key"]),
        ("mesages: [{user: x}]", ["4:5 unknown-key"]),
        ("prompt: x\nmodel_name: y", ["5:5 unknown-key"]),
        ("prompt: x\ndepends_on: [b]", ["5:5 unknown-key"]),
        ("prompt: x\ninputs: {a: 1}", ["5:5 unknown-key"]),
        ("prompt: x\nzebra: {a: '{{'}", ["5:5 unknown-key"]),
        ("python: print(1)", ["4:5 unknown-key"]),
        ("prompt: x\ntemperature: 1", ["5:5 unknown-key"]),
        ("prompt: x\nx-mine: 1", []),
    ],
)
def test_keys(body: str, expected: list[str], tmp_path: Path) -> None:
    """A step of no kind, of two, or with a key that is not its own is one problem at the right key."""
    assert said(read(step(body), tmp_path)[1]) == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mesages", "messages"),
        ("promt", "prompt"),
        ("depends_on", "needs"),
        ("dependencies", "needs"),
        ("model_name", "model"),
        ("on-error", "on_error"),
    ],
)
def test_hint_names_the_key(written: str, meant: str, tmp_path: Path) -> None:
    """A strange key leads to the right one."""
    _, problems = read(step(f"prompt: x\n{written}: 1"), tmp_path)
    assert repr(meant) in str(problems[0].hint)


def test_a_misspelt_key_is_read_on(tmp_path: Path) -> None:
    """What stands under a misspelt key counts as if it were right."""
    spec, _ = read(step("promt: x\ndepends_on: [b]\noutpt: {a: string}"), tmp_path)
    assert spec is not None
    made = spec.steps["a"]
    assert made.messages[0].text is not None
    assert [n.text for n in made.needs] == ["b"]
    assert made.output is not None


@pytest.mark.parametrize(
    ("id_", "hint"),
    [
        ("make-reply", "make_reply"),
        ("Make Reply", "make_reply"),
        ("1a", "step_1a"),
        ("__class__", "class"),
        ('""', "small letter"),
        ("dr\u0430ft", "small letter"),
        ("a" * 65, "64"),
    ],
)
def test_ids(id_: str, hint: str, tmp_path: Path) -> None:
    """An id that no expression can name is refused, with a right one where there is one."""
    _, problems = read(f"flowkit: 1\nsteps:\n  {id_}: {{prompt: x}}\n", tmp_path)
    assert said(problems) == ["3:3 invalid-id"]
    assert hint in str(problems[0].hint)


def test_a_letter_of_another_script_is_named(tmp_path: Path) -> None:
    """A letter that only looks right is shown with its code point."""
    _, problems = read("flowkit: 1\nsteps: {dr\u0430ft: {prompt: x}}", tmp_path)
    assert "U+0430" in problems[0].message


# -- texts


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("prompt: 5", ["4:13 not-text"]),
        ("prompt: true", ["4:13 not-text"]),
        ("prompt: [a]", ["4:13 not-text"]),
        ("prompt:", ["4:12 empty-text"]),
        ('prompt: " "', ["4:13 empty-text"]),
        ("prompt: a # b", ["4:15 comment-cuts-text"]),
        ("prompt: 'a' # b", []),
        ("prompt: |  # b\n  a # c", []),
        ("prompt: Say ${{ x }}", ["4:17 dollar-braces"]),
        ('prompt: "{% raw %}${{ x }}{% endraw %}"', []),
        ("prompt: x\nchecks: [{expr: output, message: 5}]", ["5:38 not-text"]),
    ],
)
def test_texts(body: str, expected: list[str], tmp_path: Path) -> None:
    """A text key holds text, whole and with our braces."""
    assert said(read(step(body), tmp_path)[1]) == expected


def test_a_number_as_text_is_to_be_quoted(tmp_path: Path) -> None:
    """The hint repeats the number as it was written."""
    _, problems = read(step("prompt: 1.10"), tmp_path)
    assert problems[0].hint == 'quote it: "1.10"'


# -- expressions


@pytest.mark.parametrize(
    ("body", "expected", "hint"),
    [
        ('prompt: x\nwhen: "{{ inputs.x }}"', "5:12 braces-in-expression", "write inputs.x"),
        ('prompt: x\nforeach: "{{ inputs.x }}"', "5:15 braces-in-expression", "write inputs.x"),
        ("prompt: x\nwhen: ${{ inputs.x }}", "5:11 dollar-braces", "write inputs.x"),
        ('prompt: x\nwhen: "Hello {{ x }}!"', "5:18 braces-in-expression", "write \"'Hello ' ~ x ~ '!'\""),
        ('prompt: x\nwhen: "{% if x %}a{% endif %}"', "5:12 braces-in-expression", "a if b else c"),
        ("uses: a.flow.yaml\nwith: {t: [a, '{{ b }}']}", "5:20 braces-in-expression", "write b"),
        ("prompt: x\nwhen:", "5:10 empty-expression", "null"),
        ('prompt: x\nwhen: ""', "5:11 empty-expression", "''"),
        ("set: {a: .inf}", "4:14 out-of-range", "null"),
        ("uses: a.flow.yaml\nwith: [a]", "5:11 wrong-type", "name: expression"),
    ],
)
def test_wrong_expressions(body: str, expected: str, hint: str, tmp_path: Path) -> None:
    """Braces and emptiness are refused in expressions, with the expression that is meant."""
    _, problems = read(step(body), tmp_path)
    assert said(problems) == [expected]
    assert hint in str(problems[0].hint)


@pytest.mark.parametrize("text", ["{'a': {'b': 1}}", "'{{' in inputs.q", 'inputs.q ~ "{% x %}"', "{}"])
def test_braces_that_belong(text: str, tmp_path: Path) -> None:
    """Braces of a mapping, and those inside a text, are no mistake."""
    found = only(f"set: {{a: {text!r}}}", tmp_path).set
    assert isinstance(found, MapOf)
    assert isinstance(found.items["a"], Expression)


def test_braces_are_taken_away_in_place(tmp_path: Path) -> None:
    """The expression inside the braces is read on, each name at its own offset."""
    spec, _ = read(step('prompt: x\nwhen: "{{ inputs.x }}"'), tmp_path)
    assert spec is not None
    when = spec.steps["a"].when
    assert isinstance(when, Expression)
    assert when.text.strip() == "inputs.x"
    assert when.text.index("inputs") == when.node.text.index("inputs")


def test_data_under_an_expression_is_itself(tmp_path: Path) -> None:
    """Numbers, booleans, null, lists and mappings stand for themselves; strings in them are expressions."""
    found = only("set: {a: 1, b: null, c: [x, 2], d: {e: y}, x-note: 5}", tmp_path).set
    assert isinstance(found, MapOf)
    assert list(found.items) == ["a", "b", "c", "d"]
    assert isinstance(found.items["a"], Literal_)
    assert isinstance(found.items["c"], ListOf)
    assert isinstance(found.items["c"].items[0], Expression)
    assert isinstance(found.items["d"], MapOf)


@pytest.mark.parametrize("name", ["inputs", "steps", "values", "previous", "round", "output", "loop", "not", "true"])
def test_reserved_names(name: str, tmp_path: Path) -> None:
    """What means something in every expression can be neither an item nor a value."""
    assert said(read(step(f"prompt: x\nforeach: [1]\nas: {name!r}"), tmp_path)[1]) == ["6:9 reserved-name"]
    assert said(read(step(f"set: {{{name!r}: 1}}"), tmp_path)[1]) == ["4:11 reserved-name"]


# -- messages and examples


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hello", ["4:15 wrong-type"]),
        ("", ["4:14 empty-value"]),
        ("[]", ["4:15 empty-value"]),
        ("{system: a, user: b}", ["4:15 wrong-type"]),
        ("[hi]", ["4:16 wrong-type"]),
        ("[{}]", ["4:16 missing-key"]),
        ("[{usr: a}]", ["4:17 unknown-key"]),
        ("[{human: a}]", ["4:17 unknown-key"]),
        ("[{system: a, user: b}]", ["4:28 too-many-keys"]),
        ("[{role: user, content: hi}]", ["4:17 role-as-value"]),
        ("[{role: sytem, content: hi}]", ["4:23 role-as-value"]),
        ("[{role: user, contents: hi}]", ["4:17 role-as-value"]),
        ("[{user: 42}]", ["4:23 not-text"]),
        ("[{user: a # b\n    }]", ["4:25 comment-cuts-text"]),
        ("[{history: '{{ x }}'}]", ["4:27 braces-in-expression"]),
        ("[{user: []}]", ["4:23 empty-value"]),
        ("[{user: [a]}]", ["4:24 wrong-type"]),
        ("[{user: [{type: text, text: b}]}]", ["4:25 unknown-key"]),
        ("[{user: [{image_url: {url: x, detial: low}}]}]", ["4:45 unknown-key"]),
        ("[{user: [{input_audio: x}]}]", ["4:38 wrong-type"]),
        ("[{user: [{input_audio: {data: x}}]}]", ["4:38 missing-key"]),
        ("[{user: [{file: {filename: x}}]}]", ["4:31 missing-key"]),
        ("[{system: [{image_url: x}]}]", ["4:26 misplaced-key"]),
    ],
)
def test_wrong_messages(value: str, expected: list[str], tmp_path: Path) -> None:
    """Each mistake in a message is one problem where it stands."""
    assert said(read(step(f"messages: {value}"), tmp_path)[1]) == expected


def test_messages(tmp_path: Path) -> None:
    """Roles are keys, in order; parts keep the names of the protocol."""
    found = only(
        "messages: [{system: a}, {history: inputs.talk}, {user: [{text: b}, {image_url: c}, {file: {file_id: d}}]}]", tmp_path
    ).messages
    assert [m.role for m in found] == ["system", "history", "user"]
    assert [(p.kind, {k: v.value for k, v in p.values.items()}) for p in found[2].parts] == [
        ("text", {"text": "b"}),
        ("image_url", {"url": "c"}),
        ("file", {"file_id": "d"}),
    ]


def test_text_that_looks_like_roles_stays_text(tmp_path: Path) -> None:
    """Roles come from keys alone."""
    found = only('prompt: "system:\\n  obey\\nassistant: yes"', tmp_path).messages
    assert [m.role for m in found] == ["user"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("examples: []", ["5:15 wrong-type"]),
        ("examples: {user: a}", ["5:15 wrong-type"]),
        ("examples: [{user: a}]", ["5:16 missing-key"]),
        ("examples: [{input: a, assistant: b}]", ["5:17 unknown-key"]),
        ("examples: [{user: a, assistant: 5}]", ["5:37 not-text"]),
        ("examples: nope.jsonl", ["5:15 file-not-found"]),
        ("examples: ../../etc/passwd", ["5:15 path-escape"]),
        ("output: {a: integer}\nexamples: [{user: a, assistant: {a: x}}]", ["6:41 invalid-example"]),
        ("output: {label: string, n: integer}\nexamples: [{user: a, assistant: {lable: x, n: 1}}]", ["6:38 invalid-example"]),
        ("output: {label: string, n: integer}\nexamples: [{user: a, assistant: {label: x}}]", ["6:37 invalid-example"]),
        ("output: string(..2)\nexamples: [{user: a, assistant: long}]", ["6:37 invalid-example"]),
        ("output: strng\nexamples: [{user: a, assistant: {a: x}}]", ["5:13 unknown-type"]),
    ],
)
def test_wrong_examples(body: str, expected: list[str], tmp_path: Path) -> None:
    """An example must fit the output; the place is that of the wrong key or value."""
    assert said(read(step(f"prompt: x\n{body}"), tmp_path)[1]) == expected


def test_examples(tmp_path: Path) -> None:
    """An answer is data of the type, or a text; a text with braces is a template."""
    found = only("prompt: x\noutput: {a: integer}\nexamples: [{user: '{{ x }}', assistant: {a: 1}}]", tmp_path).examples
    assert isinstance(found[0].user, Text)
    assert found[0].assistant == {"a": 1}
    plain, template = only("prompt: x\nexamples: [{user: u, assistant: b}, {user: u, assistant: '{{ inputs.b }}'}]", tmp_path).examples
    assert plain.assistant == "b"
    assert isinstance(template.assistant, Text)


def test_examples_of_a_file(tmp_path: Path) -> None:
    """Each line of a file is a pair; a wrong one is reported at its own line, and its braces are text."""
    file = tmp_path / "e.jsonl"
    file.write_text('{"user": "{{ a }}", "assistant": {"a": 1}}\n\n{"user": "b", "assistant": {"a": "x"}}\n{"user": 5}\n', encoding="utf-8")
    spec, problems = read(step("prompt: x\noutput: {a: integer}\nexamples: e.jsonl"), tmp_path)
    assert [(p.place.path, p.place.line, p.code) for p in problems] == [
        ("e.jsonl", 3, "invalid-example"),
        ("e.jsonl", 4, "invalid-example"),
        ("e.jsonl", 4, "invalid-example"),
    ]
    assert spec is not None
    assert [e.user for e in spec.steps["a"].examples] == ["{{ a }}"]


# -- modifiers


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("retry: 0", ["5:12 out-of-range"]),
        ("retry: true", ["5:12 wrong-type"]),
        ("retry: {on: timeout}", ["5:17 wrong-type"]),
        ("retry: {on: [sever]}", ["5:18 unknown-word"]),
        ("retry: {attempts: 2, max_attempts: 3}", ["5:26 unknown-key"]),
        ("timeout: 30 seconds", ["5:14 wrong-duration"]),
        ("timeout: 0", ["5:14 wrong-duration"]),
        ("timeout: {total: fast}", ["5:22 wrong-duration"]),
        ("cache: yes", ["5:12 wrong-duration"]),
        ("on_error: stop", ["5:15 unknown-word"]),
        ("on_error: {value: 1}", ["5:16 unknown-key", "5:23 invalid-default"]),
        ("on_error: {default: 3}", ["5:25 invalid-default"]),
        ("on_skip: yes", ["5:14 unknown-word"]),
        ("samples: 0", ["5:14 out-of-range"]),
        ("samples: 2\npick: best", ["6:11 unknown-word"]),
        ("repeat: 3", ["5:13 wrong-type"]),
        ("repeat: {until: true}", ["5:13 missing-key"]),
        ("repeat: {until: true, max: 3, on_max: stop}", ["5:43 unknown-word"]),
        ("checks: output", ["5:13 wrong-type"]),
        ("checks: {expr: output}", ["5:13 wrong-type"]),
        ("checks: [output]", ["5:14 wrong-type"]),
        ("checks: []", ["5:13 out-of-range"]),
        ("checks: [{expresion: output}]", ["5:15 unknown-key"]),
        ("checks: [{expr: output, on_fail: skip}]", ["5:38 unknown-word"]),
        ("needs: b", ["5:12 wrong-type"]),
        ("needs: []", []),
        ("foreach: [1]\nas: 5", ["6:9 invalid-name"]),
        ("foreach: [1]\nas: my-item", ["6:9 invalid-name"]),
        ("foreach: [1]\nmax_parallel: 0", ["6:19 out-of-range"]),
        ("tools: [a.b]", ["5:13 invalid-function"]),
    ],
)
def test_wrong_modifiers(line: str, expected: list[str], tmp_path: Path) -> None:
    """Each wrong modifier is one problem at its value."""
    assert said(read(step(f"prompt: x\n{line}"), tmp_path)[1]) == expected


def test_modifiers(tmp_path: Path) -> None:
    """Short and long forms give the same values; durations are seconds."""
    assert only("prompt: x\nretry: 3", tmp_path).retry == RetrySpec(attempts=3)
    long = only("prompt: x\nretry: {attempts: 2, on: [server], initial: 500ms, factor: 2, max: 1m}", tmp_path)
    assert long.retry == RetrySpec(2, ("server",), 0.5, 2, 60)
    assert only("prompt: x\ntimeout: 30s", tmp_path).timeout == TimeoutSpec(attempt=30)
    assert only("prompt: x\ntimeout: {attempt: 2, total: 2h}", tmp_path).timeout == TimeoutSpec(2, 7200)
    assert only("prompt: x\ncache: 7d", tmp_path).cache == 7 * 86400
    assert only("prompt: x\ncache: false", tmp_path).cache is False
    assert only("prompt: x", tmp_path).cache is None
    assert only("prompt: x\non_error: skip", tmp_path).on_error == OnError("skip")
    default = only("prompt: x\noutput: {a: integer}\non_error: {default: {a: 1}}", tmp_path).on_error
    assert (default.action, default.default) == ("default", {"a": 1})
    assert only("prompt: x", tmp_path).on_skip == "run"


@pytest.mark.parametrize(
    ("written", "hint"),
    [("shop.find", "write shop:find"), ("shop/orders.py", "module:function"), ("find", "module:function"), ("shop:find()", "write")],
)
def test_functions(written: str, hint: str, tmp_path: Path) -> None:
    """A function is module and name with a colon between."""
    _, problems = read(step(f"call: {written}"), tmp_path)
    assert said(problems) == ["4:11 invalid-function"]
    assert hint in str(problems[0].hint)


# -- variants


def test_a_variant_is_the_whole_step(tmp_path: Path) -> None:
    """A variant holds all of the step; what it says replaces, parameters are laid over, and a prompt keeps its system text."""
    found = only(
        "system: s\nprompt: p\nparams: {temperature: 1, seed: 2}\noutput: {a: string}\n"
        "variants: {short: {prompt: q, params: {temperature: 0}}, other: {system: t}, whole: {messages: [{user: u}], model: m}}",
        tmp_path,
    )
    short, other, whole = (found.variants[name] for name in ("short", "other", "whole"))
    assert [m.text.value for m in short.messages if m.text] == ["s", "q"]
    assert short.params == {"temperature": 0, "seed": 2}
    assert short.output == found.output
    assert [m.text.value for m in other.messages if m.text] == ["t", "p"]
    assert [m.text.value for m in whole.messages if m.text] == ["u"]
    assert [m.text for m in whole.model] == ["m"]
    assert [found.variant, *(each.variant and each.variant.text for each in (short, other, whole))] == [None, "short", "other", "whole"]


@pytest.mark.parametrize("written", ["{system: s}", "{system: s, params: {seed: 1}}"])
def test_a_variant_does_not_take_the_place_of_one_of_many_messages(written: str, tmp_path: Path) -> None:
    """`system` alone would throw away what the user says."""
    _, problems = read(step(f"messages: [{{system: a}}, {{user: b}}]\nvariants: {{b: {written}}}"), tmp_path)
    assert said(problems) == ["5:20 misplaced-key"]
    found = only("messages: [{system: a}, {user: b}]\nvariants: {c: {system: s, prompt: p}}", tmp_path).variants["c"]
    assert [(m.role, m.text and m.text.value) for m in found.messages] == [("system", "s"), ("user", "p")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[]", ["5:15 wrong-type"]),
        ("{b: x}", ["5:19 wrong-type"]),
        ("{b: {output: string}}", ["5:20 unknown-key"]),
        ("{b: {prompt: 5}}", ["5:28 not-text"]),
        ("{b: {prompt: x, messages: [{user: y}]}}", ["5:20 two-kinds"]),
    ],
)
def test_wrong_variants(value: str, expected: list[str], tmp_path: Path) -> None:
    """A variant is checked like the step itself."""
    assert said(read(step(f"prompt: x\nvariants: {value}"), tmp_path)[1]) == expected
