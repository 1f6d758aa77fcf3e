"""`flowkit diff` tells what a reader of a pull request wants to know, and nothing that is not so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from committing import Tree, make_tree
from counting_server import CountingServer

FLOW = """\
flowkit: 1
name: triage
inputs: {ticket: string, tone: {type: enum(formal | friendly), default: friendly}}
defaults: {model: m, params: {temperature: 0, max_tokens: 50}}
steps:
  extract:
    messages:
      - system: |
          You sort support tickets.
          {% include 'house.md' %}
      - user: "{{ inputs.ticket }}"
    output: {issues: list(string)}
  draft:
    foreach: steps.extract.output.issues
    messages:
      - system: Answer in a {{ inputs.tone }} tone.
      - user: "{{ item }}"
  reply:
    prompt: "Merge {{ steps.draft.output }}"
outputs: {reply: steps.reply.output}
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    made = make_tree(tmp_path)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    for name in ("FLOWKIT_HOME", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(made.root)
    made.put(
        "flowkit.toml", '[providers.p]\nbase_url = "http://127.0.0.1:9/v1"\n[models.m]\nmodel = "p/gpt"\nprice = {input = 1, output = 2}\n'
    )
    made.put("house.md", "Stay calm.\n")
    made.put("triage.flow.yaml", FLOW)
    made.put(".gitignore", ".flowkit/\n")
    made.commit("begin")
    return made


@pytest.fixture
def server(tree: Tree) -> Iterator[CountingServer]:
    def reply(body: dict[str, Any]) -> str:
        return '{"issues": ["a", "b"]}' if "response_format" in body else f"said {body['messages'][-1]['content']}"

    with CountingServer(reply) as found:
        table = f'[providers.p]\nbase_url = "{found.url}"\n[models.m]\nmodel = "p/gpt"\nprice = {{input = 1, output = 2}}\n'
        tree.put("flowkit.toml", table)
        tree.commit("a server")
        yield found


def change(tree: Tree, *pairs: tuple[str, str], file: str = "triage.flow.yaml") -> None:
    text = (tree.root / file).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    tree.put(file, text)


def diff(*words: str, code: int = 0) -> str:
    found = call("diff", *words)
    assert found.exit_code == code, found.output
    return found.stdout


def data(*words: str) -> dict[str, Any]:
    """The first flow of the JSON."""
    said: dict[str, Any] = json.loads(diff(*words, "--format", "json"))["flows"][0]
    return said


# -- what changed ------------------------------------------------------------------------------------------


def test_nothing_changed(tree: Tree) -> None:
    """It is said so; with --exit-code it is 0, and a comment says nothing at all."""
    assert diff("triage.flow.yaml", "--exit-code").endswith("no change\n")
    assert diff() == "no flow below this folder differs\n"
    assert diff("--format", "markdown") == diff("triage.flow.yaml", "--format", "markdown") == ""


def test_yaml_that_was_laid_out_anew_is_no_change(tree: Tree) -> None:
    """Comments, quotes, blank lines and the order of steps are no change, and it says what else there is."""
    reordered = FLOW.replace('  reply:\n    prompt: "Merge {{ steps.draft.output }}"\n', "").replace(
        "steps:\n", "# all of it\nsteps:\n  reply:\n    prompt: 'Merge {{steps.draft.output}}'\n\n"
    )
    tree.put("triage.flow.yaml", reordered)
    assert diff("triage.flow.yaml", "--exit-code").endswith("no change in meaning: only layout, comments or order are others\n")
    assert "No change in meaning" in diff("--format", "markdown")
    assert data("triage.flow.yaml")["same_meaning"]


def test_a_changed_text_is_shown_by_its_lines_with_its_step(tree: Tree) -> None:
    change(tree, ("You sort support", "You split support"), ("temperature: 0", "temperature: 0.3"))
    said = diff("triage.flow.yaml", "--exit-code", code=1)
    assert "steps extract, draft, reply\n  ~ params.temperature  0 → 0.3\n" in said
    assert "step extract\n  ~ messages[0].text\n" in said
    assert "      - You sort support tickets.\n      + You split support tickets.\n" in said


def test_a_change_of_an_included_file_names_the_file_and_who_reads_it(tree: Tree) -> None:
    tree.put("house.md", "Stay very calm.\n")
    said = diff()
    assert "file house.md  read by extract\n  ~ Stay calm. → Stay very calm.\n" in said
    assert "below: draft, reply" in said


def test_a_change_of_the_configuration_is_a_change_of_each_model(tree: Tree) -> None:
    change(tree, ("p/gpt", "p/gpt-2"), file="flowkit.toml")
    assert "steps extract, draft, reply\n  ~ model  m (gpt at 127.0.0.1:9) → m (gpt-2 at 127.0.0.1:9)\n" in diff()


def test_what_the_configuration_says_of_others_is_no_change(tree: Tree) -> None:
    """A new alias touches no flow that does not use it; a price costs, and changes no meaning."""
    text = (tree.root / "flowkit.toml").read_text()
    tree.put("flowkit.toml", text + '[models.unused]\nmodel = "p/other"\n')
    assert diff() == "no flow below this folder differs\n"
    assert diff("--format", "markdown") == diff("triage.flow.yaml", "--format", "markdown") == ""
    tree.put("flowkit.toml", text.replace("input = 1", "input = 3"))
    said = diff("--format", "markdown")
    assert "What changes time, cost or labels only" in said
    assert "- `alias.m.price.input`: `1` → `3`" in said
    assert data("triage.flow.yaml")["same_meaning"]


def test_a_whole_number_may_be_written_with_a_point(tree: Tree) -> None:
    change(tree, ("temperature: 0", "temperature: 0.0"))
    assert data("triage.flow.yaml")["changes"] == []


def test_a_renamed_include_is_told_beside_its_changes(tree: Tree) -> None:
    tree.git("mv", "house.md", "style.md")
    change(tree, ("'house.md'", "'style.md'"))
    said = diff("triage.flow.yaml")
    assert "no change in meaning: only names change" in said
    assert "file style.md\n    ~ renamed from house.md\n" in said
    tree.put("style.md", "Stay very calm.\n")
    said = diff("triage.flow.yaml")
    assert "~ Stay calm. → Stay very calm." in said
    assert "~ renamed from house.md\n" in said


def test_a_step_that_was_renamed_and_edited_is_one_step(tree: Tree) -> None:
    """Where it is clear which one; what is quite another text is another step."""
    change(tree, ("  draft:", "  answer:"), ("steps.draft.", "steps.answer."), ("}} tone.", "}} tone, please."))
    said = diff("triage.flow.yaml")
    assert "step answer\n  ~ renamed from draft\n  ~ messages[0].text  Answer in a" in said
    assert "all of it" not in said
    assert "only names change" not in said
    change(tree, ("Answer in a {{ inputs.tone }} tone, please.", "Count the letters of this poem, and list all words that rhyme"))
    change(tree, ('"{{ item }}"', '"{{ item }}!"'))
    said = diff("triage.flow.yaml")
    assert "step answer\n  + all of it" in said


def test_a_renamed_step_is_one_line(tree: Tree) -> None:
    change(tree, ("  draft:", "  answer:"), ("steps.draft.", "steps.answer."))
    said = diff("triage.flow.yaml")
    assert "only names change: fingerprint" in said
    assert "Only names change (fingerprints of the meaning:" in diff("--format", "markdown")
    assert "below" not in said
    assert "step answer\n  ~ renamed from draft\n" in said
    assert said.count("~") == 1


def test_a_new_step_is_shown_as_its_author_would_tell_it(tree: Tree) -> None:
    """Its model, its messages and the type of its answer; and a step that went likewise."""
    polish = (
        "  polish:\n    system: Be brief.\n    prompt: Polish {{ steps.reply.output }}\n    output: {text: string, note?: string}\noutputs:"
    )
    change(tree, ("outputs:", polish), ("steps.reply.output}", "steps.polish.output.text}"))
    shown = """\
step polish
  + all of it
  +   kind: chat
  +   model: gpt at 127.0.0.1:9
  +   params: {"max_tokens": 50, "temperature": 0}
  +   system:
  +     Be brief.
  +   user:
  +     Polish {{ steps.reply.output }}
  +   output:
  +     text: string
  +     note?: string
"""
    said = diff("triage.flow.yaml")
    assert shown in said
    assert "outputs\n  ~ reply  steps.reply.output → steps.polish.output.text\n" in said
    tree.commit("polish")
    tree.put("triage.flow.yaml", FLOW)
    assert shown.replace("  +", "  -") in diff("triage.flow.yaml")


def test_settings_stand_apart(tree: Tree) -> None:
    change(tree, ("  reply:\n", "  reply:\n    timeout: 30s\n"))
    said = diff("triage.flow.yaml")
    assert "no change in meaning; what changed is time, cost or labels" in said
    assert "timeout" in said


@pytest.mark.parametrize("revisions", ["HEAD~1..HEAD", "HEAD~1..", "HEAD~1", "side...HEAD"])
def test_revisions_are_compared(tree: Tree, revisions: str) -> None:
    tree.git("branch", "side")
    change(tree, ("You sort", "You split"))
    tree.commit("split")
    assert "You split" in diff("triage.flow.yaml", revisions)
    assert "You split" in diff(revisions)
    assert data("triage.flow.yaml", revisions)["before"]["commit"] == tree.git("rev-parse", "HEAD~1")


def test_a_flow_with_a_revision_is_compared_with_the_working_tree(tree: Tree) -> None:
    change(tree, ("You sort", "You split"))
    assert "You split" in diff("triage.flow.yaml@HEAD")


def test_a_renamed_flow_is_followed(tree: Tree) -> None:
    """A file that was only renamed changed nothing; one that was renamed and changed shows that change alone."""
    tree.git("mv", "triage.flow.yaml", "sort.flow.yaml")
    tree.commit("rename")
    said = diff("sort.flow.yaml", "HEAD~1..HEAD")
    assert "no change in meaning: the file has another name\nrenamed from triage.flow.yaml\n" in said
    assert "Renamed from `triage.flow.yaml`." in diff("HEAD~1..HEAD", "--format", "markdown")
    assert "it is sort.flow.yaml now" in diff("triage.flow.yaml", "HEAD~1")
    change(tree, ("You sort", "You split"), file="sort.flow.yaml")
    said = diff("sort.flow.yaml", "HEAD~1")
    assert said.count("~ ") == 1
    assert "You split" in said
    tree.commit("split")
    assert [each["flow"] for each in json.loads(diff("HEAD~2..", "--format", "json"))["flows"]] == ["sort.flow.yaml"]


def test_new_and_removed_flows_are_told(tree: Tree) -> None:
    tree.put("new.flow.yaml", "flowkit: 1\nsteps: {say: {prompt: hi, model: m}}\n")
    (tree.root / "triage.flow.yaml").unlink()
    said = diff()
    assert "new.flow.yaml" in said
    assert "new: HEAD" in said
    assert "removed: working tree has no such flow" in said


def test_all_flows_are_those_of_this_folder(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sub-flow that changed shows in each flow that uses it; a flow that nothing touched is left out."""
    tree.put("sub/child.flow.yaml", "flowkit: 1\ninputs: {x: string}\nsteps: {ask: {prompt: 'A {{ inputs.x }}', model: m}}\n")
    tree.put("sub/main.flow.yaml", "flowkit: 1\nsteps: {child: {uses: child.flow.yaml, with: {x: \"'y'\"}}}\n")
    tree.commit("more")
    change(tree, ("A {{", "B {{"), file="sub/child.flow.yaml")
    assert [each["flow"] for each in json.loads(diff("--format", "json"))["flows"]] == ["sub/child.flow.yaml", "sub/main.flow.yaml"]
    assert "step child/ask\n" in diff("sub/main.flow.yaml")
    monkeypatch.chdir(tree.root / "sub")
    assert [each["flow"] for each in json.loads(diff("--format", "json"))["flows"]] == ["child.flow.yaml", "main.flow.yaml"]


def test_python_functions_of_both_sides_are_their_own(tree: Tree) -> None:
    """A changed function is a change; each side is read with its own file."""
    tree.put("shop.py", "def find(x: str) -> str:\n    return x\n")
    tree.put("call.flow.yaml", "flowkit: 1\nsteps: {found: {call: 'shop:find', with: {x: \"'y'\"}}}\n")
    tree.commit("a function")
    tree.put("shop.py", "def find(x: str) -> str:\n    return x + x\n")
    assert "step found\n  ~ function.source" in diff()
    tree.put("shop.py", "# said better\ndef find(x: str) -> str:\n    return x\n")
    assert "no change in meaning" in diff()


# -- mistakes ----------------------------------------------------------------------------------------------


def test_a_broken_flow_is_reported(tree: Tree) -> None:
    """As it is now: every problem, at its place. As it was: in a line, and the others are still compared."""
    change(tree, ("steps.draft", "steps.draf"))
    found = call("diff", "triage.flow.yaml")
    assert found.exit_code == 2
    tree.commit("broken")
    tree.put("triage.flow.yaml", FLOW)
    assert "cannot be compared: in HEAD it has 1 error: triage.flow.yaml:" in diff()
    tree.commit("mended")
    change(tree, ("steps.draft", "steps.draf"))
    assert "cannot be compared: in working tree it has 1 error: triage.flow.yaml:" in diff(code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope.flow.yaml"], "neither 'HEAD' nor the working tree has 'nope.flow.yaml'"),
        (["triage.flow.yaml", "HAED"], "'HAED' is no revision"),
        (["-i", "ticket=x"], "name it"),
        (["triage.flow.yaml", "-i", "tickt=x"], "did you mean 'ticket'"),
    ],
)
def test_mistakes_say_the_way_out(tree: Tree, words: list[str], said: str) -> None:
    found = call("diff", *words)
    assert found.exit_code == 2
    assert said in found.stderr


# -- messages ----------------------------------------------------------------------------------------------


def steps(said: dict[str, Any]) -> dict[str, tuple[int, int, bool]]:
    """By step: questions that are the same, those that differ, and whether something is unknown."""
    return {name: (each["same"], len(each["differ"]), bool(each["unknown"])) for name, each in said["messages"]["steps"].items()}


def test_without_a_record_only_what_inputs_tell_is_known(tree: Tree) -> None:
    change(tree, ("You sort", "You split"))
    said = data("triage.flow.yaml", "-i", "ticket=Help")
    assert steps(said) == {"extract": (0, 1, False), "draft": (0, 0, True), "reply": (0, 0, True)}
    (pair,) = said["messages"]["steps"]["extract"]["differ"]
    assert pair["before"][0]["content"] == "You sort support tickets.\nStay calm."
    assert pair["after"][0]["content"] == "You split support tickets.\nStay calm."
    assert "needs the answer of 'extract', which is not in the record" in diff("triage.flow.yaml", "-i", "ticket=Help")
    assert said["rerun"]["calls"] == 1


def test_with_simulated_answers_all_messages_are_known(tree: Tree) -> None:
    change(tree, ("Answer in a", "Write in a"))
    tree.put("replies.yaml", "extract: {issues: [a, b, c]}\ndraft: d\n")
    said = data("triage.flow.yaml", "-i", "ticket=Help", "--simulate", "replies.yaml")
    assert steps(said) == {"extract": (1, 0, False), "draft": (0, 3, False), "reply": (1, 0, False)}
    assert said["messages"]["simulated"]
    assert [pair["item"] for pair in said["messages"]["steps"]["draft"]["differ"]] == [0, 1, 2]


def test_answers_of_the_record_stand_on_both_sides(tree: Tree, server: CountingServer) -> None:
    """What changed at the top is no reason not to see what changed below; and a rerun is counted as it would be."""
    assert call("run", "triage.flow.yaml", "-i", "ticket=Help", "-q").exit_code == 0
    asked = server.count
    change(tree, ("You sort", "You split"), ("Answer in a", "Write in a"))
    said = data("triage.flow.yaml", "-i", "ticket=Help")
    assert steps(said) == {"extract": (0, 1, False), "draft": (0, 2, False), "reply": (1, 0, False)}
    assert said["messages"]["assumed"] == ["extract", "draft"]
    assert (said["rerun"]["calls"], said["rerun"]["hits"], said["rerun"]["open"]) == (1, 0, ["draft", "reply"])
    assert said["rerun"]["cost_at_most"] > 0
    assert server.count == asked
    assert "with the same answers of extract, draft on both sides" in diff("triage.flow.yaml", "-i", "ticket=Help")


def test_answers_of_the_new_side_serve_the_old_one(tree: Tree, server: CountingServer) -> None:
    """Where only the new version was run, the old one is rendered with its answers."""
    change(tree, ("You sort", "You split"), ("Answer in a", "Write in a"))
    assert call("run", "triage.flow.yaml", "-i", "ticket=Help", "-q").exit_code == 0
    said = data("triage.flow.yaml", "-i", "ticket=Help")
    assert steps(said) == {"extract": (0, 1, False), "draft": (0, 2, False), "reply": (1, 0, False)}
    assert said["rerun"]["calls"] == 0


def test_an_answer_that_no_longer_fits_its_type_leaves_the_rest_unknown(tree: Tree, server: CountingServer) -> None:
    assert call("run", "triage.flow.yaml", "-i", "ticket=Help", "-q").exit_code == 0
    change(tree, ("{issues: list(string)}", "{issues: list(string), language: string}"))
    assert steps(data("triage.flow.yaml", "-i", "ticket=Help")) == {"extract": (1, 0, False), "draft": (0, 0, True), "reply": (0, 0, True)}


def test_rows_of_a_file_are_rendered(tree: Tree) -> None:
    tree.put("rows.jsonl", '{"ticket": "one"}\n{"ticket": "two"}\n{"ticket": "three"}\n')
    change(tree, ("You sort", "You split"))
    said = data("triage.flow.yaml", "--data", "rows.jsonl", "--limit", "2")
    assert said["messages"]["rows"] == 2
    assert [pair["row"] for pair in said["messages"]["steps"]["extract"]["differ"]] == [1, 2]
    assert "extract, row 1\n" in diff("triage.flow.yaml", "--data", "rows.jsonl")


def test_each_side_gets_the_inputs_that_it_has(tree: Tree) -> None:
    """An input that came in, and one that went."""
    change(tree, ("ticket: string,", "ticket: string, extra: string,"), ("You sort", "You {{ inputs.extra }}"))
    said = data("triage.flow.yaml", "-i", "ticket=Help", "-i", "extra=split")
    assert said["messages"]["steps"]["extract"]["differ"][0]["after"][0]["content"].startswith("You split")
    tree.commit("extra")
    tree.put("triage.flow.yaml", FLOW)
    said = data("triage.flow.yaml", "-i", "ticket=Help", "-i", "extra=split")
    assert said["messages"]["steps"]["extract"]["differ"][0]["before"][0]["content"].startswith("You split")


def test_markdown_cannot_be_left_by_a_text(tree: Tree) -> None:
    """Whatever a prompt says, it stays inside of its block."""
    change(tree, ("You sort support tickets.", "```\n          </details> @all\n          ``````"))
    said = diff("triage.flow.yaml", "-i", "ticket=x", "--format", "markdown")
    blocks = said.split("```````")
    assert "</details> @all" not in "".join(blocks[::2])
    assert said.count("<details>") == "".join(blocks[::2]).count("</details>")


def test_words_are_marked_on_a_terminal(tree: Tree) -> None:
    from flowkit.console.paint import Paint
    from flowkit.console.sides import above, beside

    lines = above("a b c\nsame\n", "a x c\nsame\n", Paint(on=True))
    assert lines[0].endswith("a \x1b[7;31mb\x1b[0m c")
    assert lines[1].endswith("a \x1b[7;32mx\x1b[0m c")
    plain = beside("one two three four", "one two 3 four", Paint(on=False), columns=23)
    assert plain == ["one two    ≠ one two 3", "three four ≠ four"]
