"""The parts of the importers, each by table."""

from __future__ import annotations

import ast
import textwrap

import pytest
import yaml

from flowkit.imports import fields, glue, layout, mustache, names, python, roles, servers, texts
from flowkit.imports.draft import Draft, Report
from flowkit.imports.roles import Message, Talk

# -- roles --


@pytest.mark.parametrize("line", ["system:", "# system:", "  #system :", "System:", 'system[name="x"]:'])
def test_a_line_of_a_role_begins_a_message(line: str) -> None:
    found = roles.split(f"{line}\nBe short.\n\nuser:\nHello\n", first="user")
    assert found.parts == (Message("system", "Be short.", 2), Message("user", "Hello", 5))


@pytest.mark.parametrize("line", ["the system: is down", "user: Ada", "{# user: #}", "{{ 'user:' }}"])
def test_other_lines_are_text(line: str) -> None:
    found = roles.split(f"system:\n{line}", first="user")
    assert [part.role for part in found.parts if isinstance(part, Message)] == ["system"]


@pytest.mark.parametrize(
    ("body", "talk"),
    [
        ("user:\n{{ m.inputs.q }}\nassistant:\n{{m.outputs.a}}", Talk("h[-3:]", 1, "inputs.q", "outputs.a")),
        ("user:\n{{ m['inputs']['q'] }}\nassistant:\n{{m.outputs.a | trim}}", Talk("h[-3:]", 1, "inputs.q", "outputs.a")),
        ("{{m.role}}:\n{{m.content}}", Talk("h[-3:]", 1)),
        ("{% if m.role == 'user' %}\nuser:\n{{m.content}}\n{% else %}\nassistant:\n{{m.content}}\n{% endif %}", Talk("h[-3:]", 1)),
    ],
)
def test_a_loop_that_only_writes_a_talk_is_one(body: str, talk: Talk) -> None:
    assert roles.split("{% for m in h[-3:] %}\n" + body + "\n{% endfor %}", first="user").parts == (talk,)


@pytest.mark.parametrize(
    "body",
    [
        "user:\nHe said {{ m.q }}\nassistant:\n{{ m.a }}",
        "assistant:\n{{ m.a }}\nuser:\n{{ m.q }}",
        "{% if m.role == 'user' %}\nassistant:\n{{m.content}}\n{% endif %}",
        "user:\n{{ other.q }}\nassistant:\n{{ m.a }}",
    ],
)
def test_a_loop_that_does_more_is_no_talk(body: str) -> None:
    """Its lines of roles are told, since they stay text."""
    found = roles.split("{% for m in h %}\n" + body + "\n{% endfor %}", first="user")
    assert not any(isinstance(part, Talk) for part in found.parts)
    assert found.inside


# -- texts --

NAMES = {"x": "inputs.x", "items": "steps.a.output", "order": "inputs.order"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ x }} x {{x.y}}", "{{ inputs.x }} x {{inputs.x.y}}"),
        ("{% for x in items %}{{ x }}{% endfor %}", "{% for x in steps.a.output %}{{ x }}{% endfor %}"),
        ("{{ order.x }}", "{{ inputs.order.x }}"),
        ("{% set x = x or 1 %}{{ x }}", "{% set x = inputs.x %}\n{% set x = x or 1 %}{{ x }}"),
        ("{% for k, v in order.items() %}{{ k }}{% endfor %}", "{% for k, v in inputs.order | items %}{{ k }}{% endfor %}"),
        ("{{ order.get('a') }} {{ order.get('a', x) }}", "{{ inputs.order['a'] }} {{ inputs.order['a'] | default( inputs.x) }}"),
        ("{{ x | pprint }}", "{{ inputs.x | json(2) }}"),
        ("costs ${{ x }}", "costs {{ '$' }}{{ inputs.x }}"),
        ("{{ f(x=x) }}", "{{ f(x=inputs.x) }}"),
    ],
)
def test_names_become_expressions(text: str, expected: str) -> None:
    assert texts.rewrite(text, NAMES) == (expected, [])


def test_what_jinja_cannot_read_stays_text() -> None:
    text, troubles = texts.rewrite("a\n{{ x", NAMES)
    assert text == "{% raw %}a\n{{ x{% endraw %}"
    assert [trouble.line for trouble in troubles] == [2]


def test_an_unknown_filter_is_told_with_its_line() -> None:
    text, troubles = texts.rewrite("a\n{{ x | shout }}", NAMES)
    assert text == "a\n{{ inputs.x | default }}"
    assert [(t.line, t.what) for t in troubles] == [(2, "there is no filter 'shout'")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{a}} {{{b}}} {{&c}}", "{{ a }} {{ b }} {{ c }}"),
        ("{{#a}}yes{{/a}}{{^a}}no{{/a}}", "{% if a %}yes{% endif %}{% if not a %}no{% endif %}"),
        ("{{#rows}}{{name}}{{/rows}}", "{% for item in rows %}{{ item.name }}{% endfor %}"),
        ("{{#a}}{{.}}{{/a}}", "{% for item in a %}{{ item }}{% endfor %}"),
        ("{{! note }}", "{# note #}"),
        ("100{% off", "100{{ '{%' }} off"),
    ],
)
def test_mustache_becomes_jinja(text: str, expected: str) -> None:
    assert mustache.to_jinja(text, lists={"rows"}) == (expected, [])


@pytest.mark.parametrize("text", ["a\n{{> part}}", "a\n{{=<% %>=}}", "a\n{{/x}}", "a\n{{#x}}"])
def test_mustache_that_cannot_be_turned_is_told(text: str) -> None:
    assert [trouble.line for trouble in mustache.to_jinja(text)[1]] == [2]


# -- Python --


def function(text: str) -> ast.FunctionDef:
    found = ast.parse(textwrap.dedent(text)).body[-1]
    assert isinstance(found, ast.FunctionDef)
    return found


@pytest.mark.parametrize(
    ("text", "kind", "sure"),
    [
        ("def f(t: str): return json.loads(t)", "json", True),
        ("def f(t):\n    data = json.loads(t)\n    return data['a']", "json", True),
        ("def f(t):\n    try:\n        return json.loads(t)\n    except ValueError:\n        return {}", "json", True),
        ("def f(t):\n    data = json.loads(t)\n    if 'a' in data:\n        return data['a']\n    return data", "json", False),
        ("def f(t): return int(t.strip())", "number", True),
        ("def f(t):\n    try:\n        return float(t)\n    except ValueError:\n        return 0.0", "number", True),
        ("def f(t): return t.strip()", "trim", True),
        ("def f(t):\n    for w in ['a', 'b']:\n        if w in t.lower():\n            return w\n    return 'c'", "words", True),
        ("def f(t):\n    if 'yes' in t: return 'yes'\n    return 'no'", "words", True),
        ("def f(t):\n    if t.startswith('1'): return 'good'\n    return 'bad'", None, False),
        ("def f(t):\n    if t == 'si': return 'yes'\n    return 'no'", "words", False),
        ("def f(t) -> list: return [p.strip() for p in t.split(',')]", "list", False),
        ("def f(t): return requests.get(t).text", None, False),
        ("def f(t, n): return json.loads(t)", None, False),
        ("def f(t): return json.loads(open(t).read())", None, False),
    ],
)
def test_glue_is_recognised(text: str, kind: str | None, sure: bool) -> None:
    found = glue.recognise(function(text))
    assert (found.kind, found.sure) == (kind, sure) if found else kind is None


def test_words_hold_what_is_given_where_none_is_found() -> None:
    found = glue.recognise(function("def f(t):\n    return next((w for w in ('a', 'b') if w in t), 'none of them')"))
    assert found is not None
    assert found.words == ("a", "b", "none of them")


def copied(text: str) -> python.Copied:
    return python.copy(textwrap.dedent(text).lstrip(), stem="node", is_local=lambda name: name == "beside")


def test_a_copied_file_needs_no_prompt_flow() -> None:
    found = copied(
        """
        from promptflow.core import tool, trace
        from promptflow.connections import Connection


        @trace
        def help_(a): return a


        @tool
        def f(a: Connection, b: int = 3) -> str:
            return help_(a)
        """
    )
    assert "promptflow" not in found.text
    assert "@" not in found.text
    assert found.text.startswith("from __future__ import annotations\n")
    assert found.needs == []
    assert {name: (p.annotation, p.required) for name, p in found.parameters().items()} == {"a": ("Connection", True), "b": ("int", False)}
    names_: dict[str, object] = {}
    exec(found.text, names_)
    assert names_["f"]("a") == "a"  # type: ignore[operator]


def test_what_it_needs_of_prompt_flow_is_told_with_its_line() -> None:
    found = copied("from promptflow.core import log_metric, tool\n\n\n@tool\ndef f(a):\n    log_metric('n', a)\n")
    assert [(note.line, note.what) for note in found.needs] == [(6, "uses 'log_metric' of Prompt flow")]


def test_libraries_are_imported_where_they_are_used() -> None:
    found = copied(
        """
        import far_away
        import early_bird
        import json
        from beside import shelf

        BIRD = early_bird.sing()


        def f(a):
            '''What it does.'''
            return far_away.find(a), json.dumps(a), shelf


        class C:
            def m(self):
                return far_away
        """
    )
    assert found.libraries == ["far_away", "early_bird"]
    assert found.first == ["early_bird"]
    assert found.local == {"beside"}
    assert found.text.count("import far_away") == 2
    assert "    '''What it does.'''\n    import far_away\n" in found.text
    assert found.text.index("import early_bird") < found.text.index("BIRD")
    ast.parse(found.text)


# -- fields, models, names --


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        ("5", "integer", (True, 5)),
        (5.0, "integer", (True, 5)),
        (5.5, "integer", (False, None)),
        (True, "integer", (False, None)),
        ("0.5", "number", (True, 0.5)),
        ("True", "boolean", (True, True)),
        (10, "string", (True, "10")),
        ('["a"]', "list(any)", (True, ["a"])),
        ({"a": 1}, "string", (False, None)),
        ("x", "object", (False, None)),
    ],
)
def test_defaults_fit_their_types(value: object, type_: str, expected: tuple[bool, object]) -> None:
    assert fields.fitting(value, type_) == expected


def test_parameters_are_read_as_other_tools_write_them() -> None:
    report = Report()
    said = {"maxTokens": "5", "temperature": "0.5", "stop": "", "top_k": 4, "odd": 1, "n": 1, "seed": 2.0}
    found = servers.params(said, report, ("f", 3))
    assert found == {"max_tokens": 5, "temperature": 0.5, "extra_body": {"top_k": 4, "odd": 1}, "seed": 2}
    assert [(f.kind, f.line, f.what) for f in report.findings] == [("changed", 3, "parameter 'odd' is none of the protocol")]


@pytest.mark.parametrize(
    "said", [{"n": 3}, {"temperature": 3}, {"max_tokens": 0}, {"top_p": "${inputs.p}"}, {"stream": True}, {"stop": ["a"] * 5}]
)
def test_parameters_that_flowkit_refuses_are_told(said: dict[str, object]) -> None:
    report = Report()
    assert servers.params(said, report, ("f", 1)) == {}
    assert len(report.of("left")) == 1


@pytest.mark.parametrize(
    "held",
    [
        [{"type": "function", "function": {"name": "a"}}, {"id": "b"}, {"function": "odd"}],
        {"tools": [{"name": "a"}, "b"]},
        {"a": {"type": "function"}, "b": None},
    ],
)
def test_tools_are_named_however_they_are_described(held: object) -> None:
    assert servers.tool_names(held) == ["a", "b"]


def test_names_are_given_once() -> None:
    given = names.Names(kind="step")
    assert [given.new(name) for name in ("NER LLM", "ner_llm", "Grüße-1", "2nd", "output", "NER LLM")] == [
        "ner_llm",
        "ner_llm_2",
        "grue_1",
        "step_2nd",
        "output_step",
        "ner_llm",
    ]


# -- layout --


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "",
        "no",
        "1",
        "1.5",
        "a: b",
        "a #b",
        "- a",
        "{{ x }}",
        "it's",
        'say "a"',
        "a\\b",
        "@a",
        "a\nb",
        " a\n  b",
        "\n\na",
        "a\n\n",
        "a \nb\t",
        "\x07\n",
        "a\u2028b",
        "~",
        "'",
        "a\n# b\n",
        "null",
        "12:30",
        "? a",
        "*a",
        "é",
        "[a]",
        "a, b",
        "{a}",
        "a:",
    ],
)
def test_texts_are_read_as_they_were(text: str) -> None:
    draft = Draft("n", "o", steps={"a": {"set": text, "list": [text, {"k": text}]}}, inputs={"i": {"type": "string", "default": text}})
    held = yaml.safe_load(layout.flow(draft))
    assert held["steps"]["a"] == {"set": text, "list": [text, {"k": text}]}
    assert held["inputs"]["i"]["default"] == text
