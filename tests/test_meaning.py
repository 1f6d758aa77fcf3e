"""What a flow means: layout changes nothing, everything that reaches a model does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit import compiler, config, project
from flowkit.config import Resolved, UnknownModel
from flowkit.endpoints import Endpoint, Secret
from flowkit.meaning import Meaning, fingerprint, meaning, reader
from flowkit.meaning.functions import code
from flowkit.templates import ReadRefused

CONFIG = """
[models.fast]
model = "openai/small"
params = {temperature = 0, top_p = 0.5}
[models.smart]
model = "openai/large"
"""

MAIN = """\
flowkit: 1
name: whole
types:
  Issue:
    title: string, short
    severity: integer(1..5)
  Order: {id: string}
values:
  tone: formal
  limits: {low: 1, high: 9}
inputs:
  ticket: string, what came
  language: {type: string, default: en}
defaults: {model: fast, params: {max_tokens: 100}}
steps:
  extract:
    messages:
      - system: Split the message.
      - user: |
          {# the ticket as it is #}
          {% if inputs.language == 'en' %}
          In English: {{ inputs.ticket }}
          {% endif %}
    examples:
      - {user: a, assistant: {issues: [], order: null}}
    output: {issues: list(Issue), order?: Order}
    checks:
      - {expr: output.issues | length < 9, message: too many}
    retry: 2
  draft:
    foreach: steps.extract.output.issues
    as: issue
    when: issue.severity >= 2
    messages:
      - system: "{% include 'style.md' %}"
      - user: "{% from 'macros.md' import shown %}{{ shown(issue) }} {{ values.tone }}"
    repeat: {until: output | length < 300, max: 3}
    on_error: {default: none}
    samples: 3
    pick: first
  sum:
    set: {drafts: steps.draft.output, n: "1 + 2"}
  child:
    uses: child.flow.yaml
    with: {a: inputs.ticket, b: "'x'"}
  look:
    call: tools:look
    with: {word: inputs.ticket}
  talk:
    model: [smart, fast]
    prompt: "Look for {{ inputs.ticket }}"
    tools: ["tools:look", child.flow.yaml]
    needs: [child]
outputs:
  drafts: steps.sum.output
  seen: steps.look.output
  said: steps.talk.output
  child: steps.child.output
  low: values.limits.low
"""

FILES = {
    "flowkit.toml": CONFIG,
    "main.flow.yaml": MAIN,
    "style.md": "Be kind.\n{% include 'deep/more.md' %}\n",
    "deep/more.md": "And brief.\n",
    "macros.md": (
        "Macros of ours.\n{% macro shown(i) %}{{ bold(i.title) }}{% endmacro %}\n{% macro bold(t) %}*{{ t }}*{% endmacro %}\n"
        "{% macro other(t) %}-{{ t }}{% endmacro %}\n"
    ),
    "child.flow.yaml": "flowkit: 1\ndescription: Ask.\ninputs: {a: 'string, first', b: string}\nsteps:\n"
    "  one: {model: smart, prompt: 'Ask {{ inputs.a }} {{ inputs.b }}'}\n",
    "tools.py": (
        "LIMIT = 3\nOTHER = 4\n\ndef look(word: str) -> str:\n    '''Look it up.'''\n    return shorten(word)\n\n"
        "def shorten(word):\n    return word[:LIMIT]\n\ndef unrelated():\n    return OTHER\n"
    ),
}


def meant(folder: Path, files: Mapping[str, str] = FILES, *, resolved: bool = True, main: str = "main.flow.yaml") -> Meaning:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = project.find(folder)
    known = config.load(found, {})
    checked = compiler.check(folder / main, cwd=folder)
    assert checked.errors == ()
    return meaning(checked.valid(), (lambda name, plan: known.resolve(name, plan.models, {})) if resolved else None, reader(found.root))


def changed(**edits: tuple[str, str]) -> dict[str, str]:
    """The files with one text of each named file replaced; `__` stands for the dot of a name, `___` for a slash."""
    files = dict(FILES)
    for name, (old, new) in edits.items():
        key = name.replace("___", "/").replace("__", ".")
        assert files[key].count(old) == 1, f"{old!r} stands {files[key].count(old)} times in {key}"
        files[key] = files[key].replace(old, new)
    return files


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Meaning:
    return meant(tmp_path_factory.mktemp("before"))


def test_a_meaning_is_json_and_stays_what_it_is_when_read_again(before: Meaning):
    again = json.loads(json.dumps(before))
    assert again == before
    assert fingerprint(again) == fingerprint(before)
    assert len(fingerprint(before)) == 16


def test_no_path_of_this_machine_is_in_a_meaning(before: Meaning, tmp_path: Path):
    text = json.dumps(before)
    assert str(tmp_path.parent) not in text
    assert fingerprint(meant(tmp_path)) == fingerprint(before)


MOVED = MAIN.replace('  sum:\n    set: {drafts: steps.draft.output, n: "1 + 2"}\n', "").replace(
    "steps:\n", 'steps:\n  sum:\n    set: {drafts: steps.draft.output, n: "1 + 2"}\n'
)


def _swapped(text: str, first: str, second: str) -> str:
    return text.replace(first, "\0").replace(second, first).replace("\0", second)


SAME = {
    "comments": changed(main__flow__yaml=("steps:\n", "# a comment\nsteps:  # another\n")),
    "a moved step": FILES | {"main.flow.yaml": MOVED},
    "moved types": changed(main__flow__yaml=("  Order: {id: string}\n", ""))
    | {"main.flow.yaml": MAIN.replace("  Order: {id: string}\n", "").replace("types:\n", "types:\n  Order: {id: string}\n")},
    "a renamed type": FILES | {"main.flow.yaml": MAIN.replace("Order", "Bestellung")},
    "moved blocks": FILES | {"main.flow.yaml": MAIN.replace("name: whole\n", "") + "name: whole\n"},
    "moved keys of a step": changed(
        main__flow__yaml=("    as: issue\n    when: issue.severity >= 2\n", "    when: issue.severity >= 2\n    as: issue\n")
    ),
    "moved inputs": changed(
        main__flow__yaml=(
            "  ticket: string, what came\n  language: {type: string, default: en}\n",
            "  language: {type: string, default: en}\n  ticket: string, what came\n",
        )
    ),
    "moved values": changed(
        main__flow__yaml=("  tone: formal\n  limits: {low: 1, high: 9}\n", "  limits: {low: 1, high: 9}\n  tone: formal\n")
    ),
    "moved arguments": changed(main__flow__yaml=("{a: inputs.ticket, b: \"'x'\"}", "{b: \"'x'\", a: inputs.ticket}")),
    "moved outputs": changed(main__flow__yaml=("  low: values.limits.low\n", ""))
    | {"main.flow.yaml": MAIN.replace("  low: values.limits.low\n", "").replace("outputs:\n", "outputs:\n  low: values.limits.low\n")},
    "flow style": changed(
        main__flow__yaml=(
            "    title: string, short\n    severity: integer(1..5)\n",
            "    {title: 'string, short', severity: integer(1..5)}\n",
        )
    ),
    "quotes": changed(main__flow__yaml=("Split the message.", "'Split the message.'")),
    "a block for a line": changed(main__flow__yaml=("- system: Split the message.", "- system: |\n          Split the message.")),
    "a folded line": changed(main__flow__yaml=("- system: Split the message.", "- system: >-\n          Split\n          the message.")),
    "blanks in an expression": changed(main__flow__yaml=("output | length < 300", "output|length<  300")),
    "quotes in an expression": changed(main__flow__yaml=("inputs.language == 'en'", 'inputs.language == "en"')),
    "blanks in braces": changed(main__flow__yaml=("English: {{ inputs.ticket }}", "English: {{inputs . ticket}}")),
    "an expression over two lines": changed(main__flow__yaml=("when: issue.severity >= 2", "when: >-\n      issue.severity\n      >= 2")),
    "an indented tag": changed(main__flow__yaml=("          {% endif %}", "            {% endif %}")),
    "no comment of the template": changed(main__flow__yaml=("          {# the ticket as it is #}\n", "")),
    "an anchor": FILES
    | {"main.flow.yaml": MAIN.replace("low: 1, high: 9", "low: &one 1, high: 9").replace("samples: 3", "samples: 3\n    x-note: *one")},
    "notes": changed(main__flow__yaml=("name: whole\n", "name: whole\nx-owner: ann\n")),
    "another name": changed(main__flow__yaml=("name: whole", "name: other")),
    "an input's description": changed(main__flow__yaml=("string, what came", "string, what arrived")),
    "retry": changed(main__flow__yaml=("retry: 2", "retry: 4")),
    "timeout": changed(main__flow__yaml=("retry: 2", "timeout: 4s")),
    "how many at once": changed(main__flow__yaml=("as: issue", "as: issue\n    max_parallel: 2")),
    "cache": changed(main__flow__yaml=("retry: 2", "cache: 7d")),
    "needs": changed(main__flow__yaml=("    needs: [child]\n", "")),
    "a default said twice": changed(main__flow__yaml=("retry: 2", "params: {max_tokens: 100}")),
    "another alias of the same model": FILES
    | {"main.flow.yaml": MAIN.replace("fast", "quick"), "flowkit.toml": CONFIG.replace("fast", "quick")},
    "a renamed include": {name: text for name, text in FILES.items() if name != "style.md"}
    | {
        "main.flow.yaml": MAIN.replace("style.md", "words/style.txt"),
        "words/style.txt": "Be kind.\n{% include '../deep/more.md' %}\n",
    },
    "a renamed sub-flow": {name: text for name, text in FILES.items() if name != "child.flow.yaml"}
    | {
        "main.flow.yaml": MAIN.replace("uses: child.flow.yaml", "uses: sub/child.flow.yaml").replace(
            ", child.flow.yaml]", ", sub/child.flow.yaml]"
        ),
        "sub/child.flow.yaml": FILES["child.flow.yaml"],
    },
    "a macro that nobody calls": changed(macros__md=("-{{ t }}", "+{{ t }}")),
    "text beside macros": changed(macros__md=("Macros of ours.", "Our macros.")),
    "moved macros": FILES
    | {"macros.md": "{% macro bold(t) %}*{{ t }}*{% endmacro %}{% macro shown(i) %}{{ bold(i.title) }}{% endmacro %}"},
    "comments of Python": changed(tools__py=("    return shorten(word)", "    # short\n    return  shorten( word )")),
    "a function that is not called": changed(tools__py=("return OTHER", "return OTHER + 1")),
    "moved functions": FILES | {"tools.py": _swapped(FILES["tools.py"], "LIMIT = 3\n", "OTHER = 4\n")},
}

#: Two flows that say the same.
PAIRS = {
    "a number in quotes": (
        "steps: {s: {set: {a: 1, b: null, c: true, d: 1.5}}}",
        "steps: {s: {set: {a: '1', b: 'none', c: \"True\", d: '1.5'}}}",
    ),
    "prompt and messages": (
        "steps: {a: {model: openai/m, system: One., prompt: Two.}}",
        "steps: {a: {model: openai/m, messages: [{system: One.}, {user: Two.}]}}",
    ),
    "examples in a file": (
        "steps: {a: {model: openai/m, prompt: Two., output: {n: integer}, examples: [{user: 'a {{ \"{{\" }} b', assistant: {n: 1}}]}}",
        "steps: {a: {model: openai/m, prompt: Two., output: {n: integer}, examples: examples.jsonl}}",
    ),
    "types in a file": (
        "types: {T: {n: 'integer, how many'}}\nsteps: {a: {model: openai/m, prompt: Two., output: {x: T, y: T}}}",
        "types: {T: 'the.types.yaml#T'}\nsteps: {a: {model: openai/m, prompt: Two., output: {x: T, y: T}}}",
    ),
    "a value in a file": (
        "values: {v: 'long '}\nsteps: {s: {set: values.v}}",
        "values: {v: {type: string, file: v.txt}}\nsteps: {s: {set: values.v}}",
    ),
    "an anchor": (
        "steps: {a: {model: openai/m, prompt: Two.}, b: {model: openai/m, prompt: Two.}}",
        "steps: {a: &a {model: openai/m, prompt: Two.}, b: *a}",
    ),
    "a default model": (
        "steps: {a: {model: openai/m, prompt: Two., params: {seed: 1}}}",
        "defaults: {model: openai/m, params: {seed: 1}}\nsteps: {a: {prompt: Two.}}",
    ),
}

OTHER = {
    "a message": changed(main__flow__yaml=("Split the message.", "Split the mail.")),
    "a role": changed(main__flow__yaml=("- system: Split", "- developer: Split")),
    "a blank in a text": changed(main__flow__yaml=("Split the message.", "'Split the message. '")),
    "the order of messages": FILES
    | {
        "main.flow.yaml": MAIN.replace("      - system: Split the message.\n", "").replace(
            "    examples:\n", "      - system: Split the message.\n    examples:\n"
        )
    },
    "a tag that keeps its line": changed(main__flow__yaml=("== 'en' %}", "== 'en' +%}")),
    "a literal": changed(main__flow__yaml=("== 'en'", "== 'e n'")),
    "text that looks like a value": changed(main__flow__yaml=("{{ values.tone }}", "{% raw %}{{ values.tone }}{% endraw %}"))
    | {
        "main.flow.yaml": MAIN.replace("{{ values.tone }}", "{% raw %}{{ values.tone }}{% endraw %}").replace(
            "low: values.limits.low", "low: values.tone"
        )
    },
    "a value": changed(main__flow__yaml=("tone: formal", "tone: friendly")),
    "the order in a value": changed(main__flow__yaml=("{low: 1, high: 9}", "{high: 9, low: 1}")),
    "a type's description": changed(main__flow__yaml=("string, short", "string, very short")),
    "a bound": changed(main__flow__yaml=("integer(1..5)", "integer(1..4)")),
    "the order of fields": changed(
        main__flow__yaml=(
            "    title: string, short\n    severity: integer(1..5)\n",
            "    severity: integer(1..5)\n    title: string, short\n",
        )
    ),
    "an optional field": changed(main__flow__yaml=("order?: Order", "'order': Order | null")),
    "an example": changed(main__flow__yaml=("{user: a,", "{user: b,")),
    "a default of an input": changed(main__flow__yaml=("default: en", "default: de")),
    "never": changed(main__flow__yaml=("    when: issue.severity >= 2\n", ""))
    | {"main.flow.yaml": MAIN.replace("issue.severity >= 2", "none")},
    "when": changed(main__flow__yaml=("severity >= 2", "severity >= 3")),
    "until": changed(main__flow__yaml=("length < 300", "length < 301")),
    "rounds": changed(main__flow__yaml=("max: 3", "max: 4")),
    "a check": changed(main__flow__yaml=("length < 9", "length < 8")),
    "what a check says": changed(main__flow__yaml=("message: too many", "message: far too many")),
    "on_error": changed(main__flow__yaml=("{default: none}", "{default: nothing}")),
    "samples": changed(main__flow__yaml=("samples: 3", "samples: 4")),
    "pick": changed(main__flow__yaml=("pick: first", "pick: majority")),
    "a set value": changed(main__flow__yaml=("1 + 2", "1 + 3")),
    "the order of set values": changed(
        main__flow__yaml=('{drafts: steps.draft.output, n: "1 + 2"}', '{n: "1 + 2", drafts: steps.draft.output}')
    ),
    "an argument": changed(main__flow__yaml=("b: \"'x'\"", "b: \"'y'\"")),
    "a parameter": changed(main__flow__yaml=("max_tokens: 100", "max_tokens: 101")),
    "a parameter of the configuration": changed(flowkit__toml=("top_p = 0.5", "top_p = 0.6")),
    "the model behind an alias": changed(flowkit__toml=("openai/small", "openai/tiny")),
    "the server behind an alias": changed(
        flowkit__toml=('model = "openai/large"', 'model = "openai/large"\nbase_url = "http://localhost:1/v1"')
    ),
    "another model": changed(main__flow__yaml=("model: fast", "model: smart")),
    "the order of fallback": changed(main__flow__yaml=("[smart, fast]", "[fast, smart]")),
    "an included file": changed(style__md=("Be kind.", "Be curt.")),
    "a file that an included file includes": changed(deep___more__md=("brief", "long")),
    "a macro": changed(macros__md=("bold(i.title)", "bold(i.severity)")),
    "a macro that a macro calls": changed(macros__md=("*{{ t }}*", "_{{ t }}_")),
    "a sub-flow": changed(child__flow__yaml=("'Ask ", "'Please ask ")),
    "what a tool says of itself": changed(child__flow__yaml=("description: Ask.", "description: Ask a human.")),
    "what a tool says of its arguments": changed(child__flow__yaml=("string, first", "string, the first")),
    "a docstring of a tool": changed(tools__py=("Look it up.", "Search.")),
    "a function": changed(tools__py=("return shorten(word)", "return shorten(word.lower())")),
    "a function that a function calls": changed(tools__py=("word[:LIMIT]", "word[LIMIT:]")),
    "a constant of a function": changed(tools__py=("LIMIT = 3", "LIMIT = 4")),
    "tools": changed(main__flow__yaml=('["tools:look", child.flow.yaml]', '["tools:look"]')),
    "an output": changed(main__flow__yaml=("low: values.limits.low", "low: values.limits.high")),
    "the name of a step": FILES | {"main.flow.yaml": MAIN.replace("sum:", "total:").replace("steps.sum", "steps.total")},
    "the name of an item": FILES
    | {"main.flow.yaml": MAIN.replace("as: issue", "as: one").replace("issue.sev", "one.sev").replace("shown(issue)", "shown(one)")},
}


@pytest.mark.parametrize("what", SAME)
def test_what_no_model_sees_changes_nothing(what: str, before: Meaning, tmp_path: Path):
    after = meant(tmp_path, SAME[what])
    assert after["flow"] == before["flow"]
    assert fingerprint(after) == fingerprint(before)


@pytest.mark.parametrize("what", PAIRS)
def test_another_way_to_write_it_is_the_same_flow(what: str, tmp_path: Path):
    beside = {
        "flowkit.toml": "",
        "examples.jsonl": '{"user": "a {{ b", "assistant": {"n": 1}}\n',
        "the.types.yaml": "T: {n: 'integer, how many'}\n",
        "v.txt": "long ",
    }
    one, two = (meant(tmp_path, beside | {"main.flow.yaml": f"flowkit: 1\n{text}\n"}) for text in PAIRS[what])
    assert one["flow"] == two["flow"]
    assert fingerprint(one) == fingerprint(two)


@pytest.mark.parametrize("what", OTHER)
def test_what_a_model_sees_or_an_output_holds_changes_the_fingerprint(what: str, before: Meaning, tmp_path: Path):
    assert fingerprint(meant(tmp_path, OTHER[what])) != fingerprint(before)


def test_settings_are_kept_beside_what_counts(before: Meaning):
    """A comparison can show them, though the fingerprint does not know them."""
    assert before["settings"][""] == {"name": "whole", "descriptions": {"ticket": "what came"}}
    assert before["settings"]["extract"] == {"models": ["fast"], "alias": {"fast": {"max_parallel": 16}}, "retry": {"attempts": 2}}
    assert before["settings"]["talk/child/one"] == {"models": ["smart"], "alias": {"smart": {"max_parallel": 16}}}


def test_texts_are_kept_as_written(before: Meaning):
    text = before["flow"]["steps"]["extract"]["messages"][1]["text"]
    assert text == "{% if inputs.language == 'en' %}In English: {{ inputs.ticket }}\n{% endif %}"
    assert before["written"][text].splitlines()[0] == "{# the ticket as it is #}"
    style = before["flow"]["steps"]["draft"]["messages"][0]["text"]
    assert style == {"text": "{% include 'file 1' %}", "included": ["Be kind.\n{% include 'file 2' %}", "And brief."]}
    assert before["files"]["And brief."] == "deep/more.md"


def test_a_model_is_what_it_resolves_to_and_never_a_key(before: Meaning, tmp_path: Path):
    meant(tmp_path)
    step = before["flow"]["steps"]["talk"]
    url = "https://api.openai.com/v1/chat/completions"
    small = {"url": url, "model": "small", "params": {"temperature": 0, "top_p": 0.5}}
    assert step["models"] == [{"url": url, "model": "large"}, small]
    assert step["params"] == {"max_tokens": 100}
    key = "sk-verysecretverysecret"
    endpoint = Endpoint("n", f"https://h.example/v1?api_key={key}", "m", Secret(key), headers={"x-token": key})
    plan = compiler.check(tmp_path / "main.flow.yaml", cwd=tmp_path).valid()
    found = meaning(plan, lambda name, plan: Resolved(endpoint, {}, (name,)), reader(tmp_path))
    assert key not in json.dumps(found)
    assert found["flow"]["steps"]["talk"]["models"][0] == {"url": "https://h.example/v1/chat/completions?api_key=***", "model": "m"}


def test_a_model_that_leads_nowhere_is_its_name(tmp_path: Path):
    meant(tmp_path)
    (tmp_path / "main.flow.yaml").write_text(
        "flowkit: 1\nmodels: {own: {model: openai/x, params: {seed: 1}, api_key_env: K}}\n"
        "steps:\n  a: {model: own, prompt: hi}\n  b: {model: lost, prompt: hi}\n  c: {prompt: hi}\n"
    )
    plan = compiler.check(tmp_path / "main.flow.yaml", cwd=tmp_path).valid()

    def lost(name, plan):
        raise UnknownModel(f"no {name}")

    for resolve in (lost, None):
        steps = meaning(plan, resolve, reader(tmp_path))["flow"]["steps"]
        assert [step["models"] for step in steps.values()] == [[{"name": "own", "model": "openai/x"}], [{"name": "lost"}], [{"name": ""}]]
        assert steps["a"]["params"] == {"seed": 1}


def test_the_order_of_inputs_counts_where_they_are_used_whole(tmp_path: Path):
    """`{{ inputs }}` prints them in order."""
    text = 'flowkit: 1\ninputs: {%s}\nsteps:\n  a: {model: openai/m, prompt: "{{ %s }}"}\n'
    prints = {
        (order, read): fingerprint(meant(tmp_path, {"flowkit.toml": "", "main.flow.yaml": text % (order, read)}))
        for order in ("x: string, y: string", "y: string, x: string")
        for read in ("inputs", "inputs.x ~ inputs['y']")
    }
    assert len(set(prints.values())) == 3


def test_a_parameter_means_the_same_wherever_it_is_said(before: Meaning, tmp_path: Path):
    """What a model's table says and what a step says are one list of parameters."""
    files = changed(
        flowkit__toml=("params = {temperature = 0, top_p = 0.5}", "params = {top_p = 0.5}"),
        main__flow__yaml=("    examples:\n", "    params: {temperature: 0}\n    examples:\n"),
    )
    after = meant(tmp_path, files)
    assert after["flow"]["steps"]["extract"] == before["flow"]["steps"]["extract"]
    assert after["flow"]["steps"]["draft"] != before["flow"]["steps"]["draft"]


def test_leaves_stand_in_no_order(tmp_path: Path):
    text = "flowkit: 1\ndefaults: {model: openai/m}\nsteps:\n%s"
    both = ("  a: {prompt: x}\n", "  b: {prompt: y}\n")
    one, two = (meant(tmp_path, {"flowkit.toml": "", "main.flow.yaml": text % "".join(order)}) for order in (both, both[::-1]))
    assert fingerprint(one) == fingerprint(two)


def test_an_include_that_may_be_missing_means_nothing_while_it_is(tmp_path: Path):
    files = {
        "flowkit.toml": "",
        "main.flow.yaml": "flowkit: 1\nsteps:\n  a:\n    model: openai/m\n    prompt: \"x {% include 'no.md' ignore missing %}\"\n",
    }
    (tmp_path / "no.md").write_text("yes")
    there = meant(tmp_path, files)
    plan = compiler.check(tmp_path / "main.flow.yaml", cwd=tmp_path).valid()
    (tmp_path / "no.md").unlink()
    gone = meaning(plan, None, reader(tmp_path))
    assert gone["flow"]["steps"]["a"]["messages"][0]["text"] == "x {% include 'no.md' ignore missing %}"
    assert there["flow"]["steps"]["a"]["messages"][0]["text"]["included"] == ["yes"]


def test_an_included_file_that_went_away_is_not_taken_for_nothing(tmp_path: Path):
    meant(tmp_path)
    plan = compiler.check(tmp_path / "main.flow.yaml", cwd=tmp_path).valid()
    (tmp_path / "style.md").unlink()
    with pytest.raises(ReadRefused, match=r"there is no file 'style\.md'"):
        meaning(plan, None, reader(tmp_path))


BLANKS = st.sampled_from(["", " ", "  ", "\n"])
TOKENS = [
    "inputs",
    ".",
    "a",
    "|",
    "default",
    "(",
    "'x  y'",
    ",",
    "true",
    ")",
    "~",
    "inputs",
    ".",
    "b",
    "|",
    "upper",
    "==",
    "inputs",
    "[",
    "'b'",
    "]",
]


@given(st.lists(BLANKS, min_size=len(TOKENS) + 1, max_size=len(TOKENS) + 1))
def test_no_blank_between_tokens_counts(tmp_path_factory: pytest.TempPathFactory, blanks: list[str]):
    """In the tag of a template, blanks and line ends around any token mean nothing."""
    folder = tmp_path_factory.mktemp("blanks")
    laid = "".join(blank + token for blank, token in zip(blanks, TOKENS, strict=False)) + blanks[-1]
    flow = "flowkit: 1\ninputs: {{a?: string, b: string}}\nsteps:\n  x: {{model: openai/m, prompt: {}}}\n"
    said = [
        meant(folder, {"flowkit.toml": "", "main.flow.yaml": flow.format(json.dumps("{{" + text + "}}"))})["flow"]
        for text in (laid, " ".join(TOKENS))
    ]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import os\nimport re as r\ndef f(): return r.X\n", "import re as r\n\ndef f():\n    return r.X"),
        (
            "try:\n    import json\nexcept ImportError:\n    json = None\ndef f(): json\n",
            "try:\n    import json\nexcept ImportError:\n    json = None\n\ndef f():\n    json",
        ),
        ("def g(): f()\ndef f(): g()\n", "def g():\n    f()\n\ndef f():\n    g()"),
        (
            "class f:\n    def __call__(self): return A\nA, B = 1, 2\nC = 3\n",
            "class f:\n\n    def __call__(self):\n        return A\nA, B = (1, 2)",
        ),
        ("globals()['f'] = print\nA = 1", "globals()['f'] = print\nA = 1"),
    ],
)
def test_the_code_of_a_function_is_all_of_its_module_that_it_names(module: str, said: str):
    assert [line for line in code(module, "f").splitlines() if line] == [line for line in said.splitlines() if line]


def test_functions_without_source_are_their_name_and_signature(tmp_path: Path):
    flow = "flowkit: 1\nsteps:\n  a: {call: 'math:sqrt', with: {x: 4}, output: number}\n"
    files = {
        "flowkit.toml": "",
        "main.flow.yaml": flow.replace("math:sqrt", "made:f").replace("x: 4", "word: \"'a'\"").replace("number", "string"),
        "made.py": "exec('def f(word: str) -> str: return word')\n",
    }
    function = meant(tmp_path, files)["flow"]["steps"]["a"]["function"]
    assert (function["name"], function["signature"]) == ("made:f", "(word: 'str') -> 'str'") or function[
        "signature"
    ] == "(word: str) -> str"
