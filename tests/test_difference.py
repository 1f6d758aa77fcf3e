"""What changed between two versions of a flow, told in the words of its author."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from committing import make_tree
from test_meaning import CONFIG, FILES, MAIN, OTHER, SAME, changed, meant

from flowkit import compiler, config
from flowkit.difference import Change, affected, difference
from flowkit.git import at
from flowkit.meaning import Meaning, fingerprint, meaning, reader


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Meaning:
    return meant(tmp_path_factory.mktemp("before"))


def told(before: Meaning, folder: Path, files: dict[str, str]) -> list[Change]:
    return list(difference(before, meant(folder, files)))


def short(changes: list[Change] | tuple[Change, ...]) -> list[tuple]:
    return [(c.path, c.kind, c.before, c.after) for c in changes]


@pytest.mark.parametrize("what", SAME)
def test_what_no_model_sees_is_no_change_that_counts(what: str, before: Meaning, tmp_path: Path):
    assert [c for c in told(before, tmp_path, SAME[what]) if c.counts] == []


@pytest.mark.parametrize("what", OTHER)
def test_every_other_fingerprint_has_a_change_that_counts_both_ways(what: str, before: Meaning, tmp_path: Path):
    after = meant(tmp_path, OTHER[what])
    there, back = difference(before, after), difference(after, before)
    assert [c for c in there if c.counts]
    assert {c.path for c in there if c.kind == "added"} == {c.path for c in back if c.kind == "removed"}
    json.dumps([asdict(c) for c in (*there, *back)])


def test_the_same_flow_has_no_difference(before: Meaning, tmp_path: Path):
    assert told(before, tmp_path, FILES) == []


MESSAGES = [
    ("a text", changed(main__flow__yaml=("Split the message.", "Split the mail.")),
     [("steps.extract.messages[0].text", "changed", "Split the message.", "Split the mail.")]),
    ("a role", changed(main__flow__yaml=("- system: Split", "- developer: Split")),
     [("steps.extract.messages[0].role", "changed", "system", "developer")]),
    ("a message more", changed(main__flow__yaml=("      - system: Split the message.\n", "      - system: Split the message.\n      - system: Be quick.\n")),
     [("steps.extract.messages[1]", "added", None, {"role": "system", "text": "Be quick."})]),
    ("a message less", changed(main__flow__yaml=("      - system: Split the message.\n", "")),
     [("steps.extract.messages[0]", "removed", {"role": "system", "text": "Split the message."}, None)]),
    ("a moved message", OTHER["the order of messages"],
     [("steps.extract.messages[0]", "moved", "steps.extract.messages[1]", "steps.extract.messages[0]")]),
    ("texts as they are written", changed(main__flow__yaml=("In English: {{ inputs.ticket }}", "Here: {{inputs.ticket}}")),
     [("steps.extract.messages[1].text", "changed",
       "{# the ticket as it is #}\n{% if inputs.language == 'en' %}\nIn English: {{ inputs.ticket }}\n{% endif %}",
       "{# the ticket as it is #}\n{% if inputs.language == 'en' %}\nHere: {{inputs.ticket}}\n{% endif %}")]),
    ("an example", changed(main__flow__yaml=("{user: a,", "{user: b,")), [("steps.extract.examples[0].user", "changed", "a", "b")]),
    ("a check", changed(main__flow__yaml=("length < 9,", "length<8,")),
     [("steps.extract.checks[0].expr", "changed", "output.issues | length < 9", "output.issues | length<8")]),
    ("an included file", changed(deep___more__md=("brief", "long")), [("file deep/more.md", "changed", "And brief.\n", "And long.\n")]),
    ("a macro", changed(macros__md=("*{{ t }}*", "_{{ t }}_")),
     [("file macros.md", "changed", FILES["macros.md"], FILES["macros.md"].replace("*{{ t }}*", "_{{ t }}_"))]),
]  # fmt: skip

REST = [
    ("a parameter", changed(main__flow__yaml=("params: {max_tokens: 100}", "params: {max_tokens: 90, seed: 1}")), [
        (f"steps.{step}.params.{name}", kind, old, new)
        for step in ("draft", "extract", "talk")
        for name, kind, old, new in (("max_tokens", "changed", 100, 90), ("seed", "added", None, 1))]),
    ("a model swap", changed(flowkit__toml=("openai/large", "openai/larger")), [
        ("steps.child/one.model", "changed", "smart (large at api.openai.com)", "smart (larger at api.openai.com)"),
        ("steps.talk.model", "changed",
         ["smart (large at api.openai.com)", 'fast (small at api.openai.com, params {"temperature": 0, "top_p": 0.5})'],
         ["smart (larger at api.openai.com)", 'fast (small at api.openai.com, params {"temperature": 0, "top_p": 0.5})']),
        ("steps.talk/child/one.model", "changed", "smart (large at api.openai.com)", "smart (larger at api.openai.com)")]),
    ("a field of a type", changed(main__flow__yaml=("integer(1..5)", "integer(1..4), how bad")),
     [("steps.extract.output.issues[].severity", "changed", "integer(1..5)", "integer(1..4), how bad")]),
    ("a field more", changed(main__flow__yaml=("    severity: integer(1..5)\n", "    severity: integer(1..5)\n    kind?: enum(a | b)\n")),
     [("steps.extract.output.issues[].kind", "added", None, "enum(a | b) (optional)")]),
    ("a field that is optional now", changed(main__flow__yaml=("    title: string, short", "    title?: string, short")) | {
        "macros.md": FILES["macros.md"].replace("bold(i.title)", "bold(i.title or '')")},
     [("steps.extract.output.issues[].title", "changed", "string, short", "string, short (optional)"),
      ("file macros.md", "changed", FILES["macros.md"], FILES["macros.md"].replace("bold(i.title)", "bold(i.title or '')"))]),
    ("the order of fields", OTHER["the order of fields"],
     [("steps.extract.output.issues[]", "moved", ["title", "severity"], ["severity", "title"])]),
    ("a text in place of a record", changed(child__flow__yaml=("{{ inputs.b }}'}", "{{ inputs.b }}', output: {x: string}}")),
     [("steps.child/one.output", "changed", "string", "{x: string}"), ("steps.talk/child/one.output", "changed", "string", "{x: string}")]),
    ("an expression", changed(main__flow__yaml=("severity >= 2", "severity>=3")),
     [("steps.draft.when", "changed", "issue.severity >= 2", "issue.severity>=3")]),
    ("rounds", changed(main__flow__yaml=("max: 3", "max: 4")), [("steps.draft.repeat.max", "changed", 3, 4)]),
    ("no samples", changed(main__flow__yaml=("    samples: 3\n    pick: first\n", "")),
     [("steps.draft.samples", "removed", 3, None), ("steps.draft.pick", "removed", "first", None)]),
    ("a value", changed(main__flow__yaml=("tone: formal", "tone: friendly")), [("values.tone", "changed", "formal", "friendly")]),
    ("an input", changed(main__flow__yaml=("default: en", "default: de")),
     [("inputs.language", "changed", 'string = "en"', 'string = "de"')]),
    ("an output", changed(main__flow__yaml=("  low: values.limits.low\n", "  top: values.limits.high\n")),
     [("outputs.low", "removed", "values.limits.low", None), ("outputs.top", "added", None, "values.limits.high")]),
    ("an argument that is null", changed(main__flow__yaml=(", b: \"'x'\"", ", b: null"), child__flow__yaml=("b: string}", "b: string | null}")) | {
        "child.flow.yaml": FILES["child.flow.yaml"].replace("b: string}", "b: string | null}").replace("{{ inputs.b }}", "{{ inputs.b or 1 }}")}, [
        ("steps.child.with.b", "changed", "'x'", "none"),
        ("steps.child.inputs.b", "changed", "string", "string | null"),
        ("steps.child/one.messages[0].text", "changed", "Ask {{ inputs.a }} {{ inputs.b }}", "Ask {{ inputs.a }} {{ inputs.b or 1 }}"),
        ("steps.talk.tools.child.parameters.b", "changed", "string", "string | null"),
        ("steps.talk/child.inputs.b", "changed", "string", "string | null"),
        ("steps.talk/child/one.messages[0].text", "changed", "Ask {{ inputs.a }} {{ inputs.b }}", "Ask {{ inputs.a }} {{ inputs.b or 1 }}")]),
    ("a sub-flow", changed(child__flow__yaml=("'Ask ", "'Please ask ")), [
        (f"steps.{path}.messages[0].text", "changed", "Ask {{ inputs.a }} {{ inputs.b }}", "Please ask {{ inputs.a }} {{ inputs.b }}")
        for path in ("child/one", "talk/child/one")]),
    ("a tool's words", changed(child__flow__yaml=("string, first", "string, the first")),
     [("steps.talk.tools.child.parameters.a", "changed", "string, first", "string, the first"),
      ("steps.child.flow.descriptions.a", "changed", "first", "the first"),
      ("steps.talk/child.flow.descriptions.a", "changed", "first", "the first")]),
    ("settings", changed(main__flow__yaml=("retry: 2", "retry: 4")), [("steps.extract.retry.attempts", "changed", 2, 4)]),
    ("needs alone", changed(main__flow__yaml=("    needs: [child]\n", "")), [("steps.talk.needs", "removed", ["child"], None)]),
    ("another alias", FILES | {"main.flow.yaml": MAIN.replace("fast", "quick"), "flowkit.toml": CONFIG.replace("fast", "quick")},
     [("steps.draft.models", "changed", ["fast"], ["quick"]), ("steps.extract.models", "changed", ["fast"], ["quick"]),
      ("steps.talk.models", "changed", ["smart", "fast"], ["smart", "quick"])]),
]  # fmt: skip


@pytest.mark.parametrize(("files", "said"), [case[1:] for case in MESSAGES + REST], ids=[case[0] for case in MESSAGES + REST])
def test_a_change_is_told_where_it_is_and_nowhere_else(files: dict[str, str], said: list[tuple], before: Meaning, tmp_path: Path):
    assert short(told(before, tmp_path, files)) == said


def test_a_function_changes_by_its_code(before: Meaning, tmp_path: Path):
    changes = told(before, tmp_path, changed(tools__py=("word[:LIMIT]", "word[LIMIT:]")))
    assert [(c.path, c.kind, c.steps) for c in changes] == [
        ("steps.look.function.source", "changed", ("look",)),
        ("steps.talk.tools.look.function.source", "changed", ("talk",)),
    ]


def test_a_change_names_the_steps_that_it_reaches(before: Meaning, tmp_path: Path):
    files = changed(main__flow__yaml=("tone: formal", "tone: friendly"), deep___more__md=("brief", "long"))
    assert [(c.path, c.steps) for c in told(before, tmp_path, files)] == [("values.tone", ("draft",)), ("file deep/more.md", ("draft",))]
    one = told(before, tmp_path, changed(main__flow__yaml=("{type: string, default: en}", "{type: string, default: de}")))
    assert one[0].steps == ("extract",)


def test_settings_do_not_count(before: Meaning, tmp_path: Path):
    changes = told(before, tmp_path, changed(main__flow__yaml=("retry: 2", "retry: 4"), child__flow__yaml=("'Ask ", "'Please ask ")))
    assert [(c.path, c.counts) for c in changes] == [
        ("steps.child/one.messages[0].text", True),
        ("steps.talk/child/one.messages[0].text", True),
        ("steps.extract.retry.attempts", False),
    ]


# -- steps -------------------------------------------------------------------------------------------------------

HEAD = "flowkit: 1\ndefaults: {model: openai/m}\ninputs: {x: string}\nsteps:\n"


def between(folder: Path, old: str, new: str) -> tuple[Change, ...]:
    one, two = (meant(folder, {"flowkit.toml": "", "main.flow.yaml": HEAD + text}) for text in (old, new))
    return difference(one, two)


CHAIN = "  a: {prompt: 'One {{ inputs.x }}'}\n  b: {prompt: 'Two {{ steps.a.output }}', retry: 2}\n  c: {prompt: \"Three {{ steps['b'].output }}\"}\n"


def test_a_renamed_step_changes_nothing_that_reads_it(tmp_path: Path):
    """Nor do renames one below the other hide each other."""
    renamed = CHAIN.replace("a:", "first:").replace("steps.a", "steps.first").replace("  b:", "  second:").replace("['b']", "['second']")
    assert short(between(tmp_path, CHAIN, renamed)) == [
        ("steps.first", "renamed", "a", "first"),
        ("steps.second", "renamed", "b", "second"),
    ]


def test_what_changes_beside_a_rename_is_told_as_it_was_written(tmp_path: Path):
    new = CHAIN.replace("a:", "first:").replace("Two {{ steps.a", "2 {{ steps.first").replace("retry: 2", "retry: 3")
    assert short(between(tmp_path, CHAIN, new)) == [
        ("steps.first", "renamed", "a", "first"),
        ("steps.b.messages[0].text", "changed", "Two {{ steps.a.output }}", "2 {{ steps.first.output }}"),
        ("steps.b.retry.attempts", "changed", 2, 3),
    ]


def test_two_steps_that_change_names_are_told_as_what_they_say(tmp_path: Path):
    """Names that stay are the same steps, whatever they hold now."""
    changes = between(tmp_path, "  a: {prompt: One}\n  b: {prompt: Two}\n", "  a: {prompt: Two}\n  b: {prompt: One}\n")
    assert short(changes) == [
        ("steps.a.messages[0].text", "changed", "One", "Two"),
        ("steps.b.messages[0].text", "changed", "Two", "One"),
    ]


def test_added_and_removed_steps_are_told_whole(tmp_path: Path):
    changes = between(tmp_path, "  a: {prompt: One}\n", "  a: {prompt: One}\n  b: {prompt: 'Two {{steps.a.output}}'}\n")
    assert [(c.path, c.kind, c.before, c.steps) for c in changes] == [("steps.b", "added", None, ("b",))]
    assert changes[0].after["messages"] == [{"role": "user", "text": "Two {{steps.a.output}}"}]
    gone = between(tmp_path, "  a: {prompt: One}\n  b: {prompt: Two}\n", "  a: {prompt: One}\n")
    assert [(c.path, c.kind, c.after) for c in gone] == [("steps.b", "removed", None)]


def test_another_kind_of_step_is_told_key_by_key(tmp_path: Path):
    changes = between(tmp_path, "  a: {prompt: One}\n", "  a: {set: {x: inputs.x}}\n")
    assert ("steps.a.kind", "changed", "chat", "set") in short(changes)
    assert ("steps.a.set", "added", None, {"x": "inputs.x"}) in short(changes)


def test_the_name_of_a_step_in_a_sub_flow_is_not_that_of_its_user(tmp_path: Path):
    """Renaming `a` above leaves `a` inside of the sub-flow alone."""
    child = "flowkit: 1\nsteps:\n  a: {model: openai/m, prompt: hi}\n  z: {set: steps.a.output}\noutputs: {z: steps.z.output}\n"
    text = "  a: {prompt: One}\n  u: {uses: child.flow.yaml, needs: [a]}\n"
    sides = [
        meant(tmp_path, {"flowkit.toml": "", "child.flow.yaml": child, "main.flow.yaml": HEAD + each})
        for each in (text, text.replace("a: {", "b: {").replace("[a]", "[b]"))
    ]
    assert [c for c in short(difference(*sides)) if not c[0].endswith("needs")] == [("steps.b", "renamed", "a", "b")]


def test_included_files_that_change_places_change_the_text(tmp_path: Path):
    beside = {"flowkit.toml": "", "x.md": "X", "y.md": "Y"}
    text = HEAD + "  a: {prompt: \"{% include 'x.md' %}{% include 'y.md' %}\"}\n"
    sides = [
        meant(tmp_path, beside | {"main.flow.yaml": each})
        for each in (text, text.replace("x.md' %}{% include 'y", "y.md' %}{% include 'x"))
    ]
    assert short(difference(*sides)) == [
        ("steps.a.messages[0].text", "changed", "{% include 'x.md' %}{% include 'y.md' %}", "{% include 'y.md' %}{% include 'x.md' %}")
    ]


def test_an_included_file_that_is_renamed_and_changed_is_one_file(tmp_path: Path):
    """So is one that reads a renamed step."""
    text = HEAD + "  a: {prompt: One}\n  b: {prompt: \"{% include 'x.md' %}\"}\n"
    one = meant(tmp_path, {"flowkit.toml": "", "x.md": "X {{ steps.a.output }}", "main.flow.yaml": text})
    two = meant(tmp_path, {"y.md": "Y {{ steps.c.output }}", "main.flow.yaml": text.replace("x.md", "y.md").replace("a: {", "c: {")})
    assert short(difference(one, two)) == [
        ("steps.c", "renamed", "a", "c"),
        ("file y.md", "changed", "X {{ steps.a.output }}", "Y {{ steps.c.output }}"),
    ]
    less = meant(tmp_path, {"main.flow.yaml": text.replace("{% include 'x.md' %}", "{{ steps.a.output }}")})
    assert ("file x.md", "removed", "X {{ steps.a.output }}", None) in short(difference(one, less))


def test_what_reads_an_input_is_found_in_expressions_not_in_words(tmp_path: Path):
    text = (
        "flowkit: 1\ndefaults: {model: openai/m}\ninputs: {x: {type: string, default: one}, y: {type: string, default: two}}\nsteps:\n"
        "  words: {prompt: 'Your inputs are inputs.x and {{ inputs.y }}'}\n  text: {set: {text: inputs.x, name: inputs.y}}\n"
        "  whole: {prompt: '{{ inputs }}'}\n  item: {prompt: \"{{ inputs['x'] }}\"}\n  y: {prompt: '{{ inputs.y }}', when: inputs.y == 'x'}\n"
    )
    sides = [meant(tmp_path, {"flowkit.toml": "", "main.flow.yaml": each}) for each in (text, text.replace("default: one", "default: 1st"))]
    assert [(c.path, c.steps) for c in difference(*sides)] == [("inputs.x", ("item", "text", "whole"))]


def test_outputs_by_leaves_change_with_needs_alone(tmp_path: Path):
    text = "  a: {prompt: One}\n  b: {prompt: Two}\n"
    changes = between(tmp_path, text, text.replace("Two}", "Two, needs: [a]}"))
    assert short(changes) == [("outputs", "changed", ["a", "b"], ["b"]), ("steps.b.needs", "added", None, ["a"])]


def test_types_that_hold_themselves_are_compared(tmp_path: Path):
    text = "flowkit: 1\ntypes:\n  Node: {word: string, next?: Node}\nsteps:\n  a: {model: openai/m, prompt: One, output: Node}\n"
    one, two = (
        meant(tmp_path, {"flowkit.toml": "", "main.flow.yaml": each}) for each in (text, text.replace("word: string", "word: integer"))
    )
    assert short(difference(one, two)) == [("steps.a.output.word", "changed", "string", "integer")]


def test_parts_are_compared_one_by_one(tmp_path: Path):
    text = "  a:\n    messages:\n      - user:\n          - text: Look.\n          - image_url: {url: '{{ inputs.x }}', detail: low}\n"
    assert short(between(tmp_path, text, text.replace("low", "high").replace("Look.", "See."))) == [
        ("steps.a.messages[0].parts[0].text", "changed", "Look.", "See."),
        ("steps.a.messages[0].parts[1].detail", "changed", "low", "high"),
    ]


def test_what_stands_below_a_step_is_affected(tmp_path: Path):
    plan = plan_of(tmp_path)
    assert affected(plan, ["extract"]) == ("draft", "sum")
    assert affected(plan, ["draft"]) == ("sum",)
    assert affected(plan, ["child/one"]) == ("talk",)
    assert affected(plan, ["sum", "look"]) == ()
    assert affected(plan, []) == ()


def plan_of(folder: Path):
    meant(folder)
    return compiler.check(folder / "main.flow.yaml", cwd=folder).valid()


# -- a history -----------------------------------------------------------------------------------------------------

#: What each commit does to the files, (old, new) in one file or a new name for it, and what changes by that.
HISTORY = [
    ("a comment", {"a.flow.yaml": ("steps:\n", "# what is done\nsteps:\n")}, []),
    ("another name", {"a.flow.yaml": "flows/b.flow.yaml", "say.md": "flows/say.md", "macros.md": "flows/macros.md"}, []),
    ("another text", {"flows/say.md": ("Split it.", "Split it well.")}, ["changed file say.md"]),
    ("another name of a part", {"flows/say.md": "flows/system.md", "flows/b.flow.yaml": ("say.md", "system.md")}, []),
    ("another model", {"flowkit.toml": ("small", "large")}, ["changed steps.reply.model", "changed steps.split.model"]),
    ("a macro that nobody calls", {"flows/macros.md": ("x{%", "y{%")}, []),
    ("another name of a step", {"flows/b.flow.yaml": ("split", "extract")}, ["renamed steps.extract"]),
    ("a field", {"flows/b.flow.yaml": ("1..5", "1..4")}, ["changed steps.extract.output.issues[].severity"]),
    ("another layout", {"flows/b.flow.yaml": ('"{{ inputs.ticket }}"', "|\n          {{inputs.ticket}}")}, []),
]  # fmt: skip

BEGIN = {
    "flowkit.toml": '[models]\nfast = "openai/small"\n',
    "say.md": "Split it.\n",
    "macros.md": "{% macro item(i) %}- {{ i.title }}{% endmacro %}\n{% macro other(i) %}x{% endmacro %}\n",
    "a.flow.yaml": """\
flowkit: 1
name: triage
inputs: {ticket: string}
types:
  Issue: {title: string, severity: integer(1..5)}
steps:
  split:
    model: fast
    messages:
      - system: "{% include 'say.md' %}"
      - user: "{{ inputs.ticket }}"
    output: {issues: list(Issue)}
  reply:
    model: fast
    prompt: "{% from 'macros.md' import item %}{% for i in steps.split.output.issues %}{{ item(i) }}{% endfor %}"
outputs: {reply: steps.reply.output}
""",
}


def test_a_history_is_told_by_what_each_commit_changed(tmp_path: Path):
    """Renamed, moved and reformatted files change nothing; each other commit has a fingerprint of its own."""
    tree = make_tree(tmp_path)
    for name, text in BEGIN.items():
        tree.put(name, text)
    tree.commit("begin")
    for subject, edits, _ in HISTORY:
        for name, edit in edits.items():
            if isinstance(edit, str):
                (tree.root / edit).parent.mkdir(exist_ok=True)
                tree.git("mv", name, edit)
            else:
                text = (tree.root / name).read_text()
                tree.put(name, text.replace(*edit))
        tree.commit(subject)
    flow = tree.root / "flows" / "b.flow.yaml"
    read = [tree.repository.path(file) for file in compiler.check(flow, cwd=tree.root).files]
    commits = tree.repository.log([*read, "flowkit.toml"])[::-1]
    assert [commit.subject for commit in commits] == ["begin", *(subject for subject, *_ in HISTORY)]
    meanings = []
    for commit in commits:
        with at(tree.repository, commit.id, flow, name=commit.names["flows/b.flow.yaml"]) as snapshot:
            known = config.load(snapshot.project, {})
            plan = compiler.check(snapshot.path, cwd=snapshot.top).valid()
            meanings.append(
                meaning(plan, lambda name, plan, known=known: known.resolve(name, plan.models, {}), reader(snapshot.project.root))
            )
    for (subject, _, said), old, new in zip(HISTORY, meanings[:-1], meanings[1:], strict=True):
        assert [f"{c.kind} {c.path}" for c in difference(old, new)] == said, subject
        assert (fingerprint(old) == fingerprint(new)) is (said == []), subject
