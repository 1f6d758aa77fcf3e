"""`flowkit log` shows the commits that changed what a flow means, each once, and what their runs gave."""

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
types: {Kind: kinds.types.yaml#Kind}
inputs: {ticket: string}
defaults: {model: m}
steps:
  sort:
    prompt: |
      {% include 'prompts/sort.md' %}
      {{ inputs.ticket }}
    output: {kind: Kind}
  child: {uses: child.flow.yaml, with: {kind: steps.sort.output.kind}}
outputs: {answer: steps.child.output.answer}
"""
CHILD = "flowkit: 1\ninputs: {kind: string}\ndefaults: {model: m}\nsteps: {ask: {prompt: 'Answer {{ inputs.kind }}'}}\noutputs: {answer: steps.ask.output}\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CountingServer]:
    with CountingServer(lambda body: '{"kind": "bug"}' if "response_format" in body else "done") as found:
        yield found


@pytest.fixture
def tree(tmp_path: Path, server: CountingServer, monkeypatch: pytest.MonkeyPatch) -> Tree:
    made = make_tree(tmp_path)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FLOWKIT_HOME", raising=False)
    monkeypatch.chdir(made.root)
    made.put("flowkit.toml", f'[providers.p]\nbase_url = "{server.url}"\n[models.m]\nmodel = "p/gpt"\nprice = {{input = 1, output = 2}}\n')
    made.put("prompts/sort.md", "Sort it.\n")
    made.put("kinds.types.yaml", "Kind: enum(bug | question)\n")
    made.put("child.flow.yaml", CHILD)
    made.put("a.flow.yaml", FLOW)
    made.put(".gitignore", ".flowkit/\n")
    made.commit("begin")
    return made


def change(tree: Tree, file: str, old: str, new: str, subject: str | None) -> None:
    text = (tree.root / file).read_text()
    assert old in text
    tree.put(file, text.replace(old, new))
    if subject is not None:
        tree.commit(subject)


def log(*words: str) -> list[dict[str, Any]]:
    found = call("log", *words, "--json")
    assert found.exit_code == 0, found.output
    versions: list[dict[str, Any]] = json.loads(found.stdout)["versions"]
    return versions


def subjects(*words: str) -> list[str | None]:
    return [each["subject"] for each in log(*words)]


def test_all_that_reaches_a_model_counts_and_nothing_else(tree: Tree) -> None:
    change(tree, "a.flow.yaml", "steps:\n", "# a comment\nsteps:\n\n", "reformat")
    change(tree, "prompts/sort.md", "Sort", "Split", "an included file")
    change(tree, "kinds.types.yaml", "question", "question | praise", "a type")
    tree.put("unused.md", "x")
    tree.commit("another file")
    change(tree, "child.flow.yaml", "Answer", "Reply to", "a sub-flow")
    change(tree, "flowkit.toml", "p/gpt", "p/gpt-2", "a model")
    change(tree, "flowkit.toml", "input = 1", "input = 2", "a price")
    change(tree, "a.flow.yaml", "{{ inputs.ticket }}", "{{ inputs.ticket }}!", None)
    assert subjects("a.flow.yaml") == [None, "a model", "a sub-flow", "a type", "an included file", "begin"]
    assert subjects("a.flow.yaml", "-n", "2") == [None, "a model"]
    assert subjects("child.flow.yaml") == ["a model", "a sub-flow", "begin"]


def test_each_version_says_in_a_line_what_changed(tree: Tree) -> None:
    change(tree, "flowkit.toml", "p/gpt", "p/gpt-2", "swap")
    said = call("log", "a.flow.yaml").stdout
    lines = said.splitlines()
    assert "swap  Ann, 2023-11-14" in lines[0]
    assert "sort, child/ask: model m (gpt at " in lines[1]
    assert lines[2].endswith("no recorded runs")
    assert "new: sort, child" in said


def test_renames_of_the_flow_and_of_what_it_includes_are_followed(tree: Tree) -> None:
    tree.git("mv", "a.flow.yaml", "b.flow.yaml")
    tree.commit("rename the flow")
    tree.git("mv", "prompts/sort.md", "prompts/order.md")
    change(tree, "b.flow.yaml", "prompts/sort.md", "prompts/order.md", "rename a file")
    change(tree, "prompts/order.md", "Sort", "Order", "change it")
    assert subjects("b.flow.yaml") == ["change it", "begin"]


def test_a_file_that_is_no_longer_included_counts_where_it_was(tree: Tree) -> None:
    """Its commits are found although the flow of today does not name it."""
    change(tree, "prompts/sort.md", "Sort", "Split", "while it counted")
    change(tree, "a.flow.yaml", "{% include 'prompts/sort.md' %}", "Just sort.", "leave it out")
    change(tree, "prompts/sort.md", "Split", "Cut", "no longer")
    assert subjects("a.flow.yaml") == ["leave it out", "while it counted", "begin"]


def test_a_branch_is_compared_with_its_own_parent(tree: Tree) -> None:
    """Commits side by side do not show each other's changes; a merge that joins them is a version of its own."""
    tree.git("checkout", "-q", "-b", "side")
    change(tree, "prompts/sort.md", "Sort", "Split", "on the side")
    tree.git("checkout", "-q", "main")
    change(tree, "child.flow.yaml", "Answer", "Reply to", "on main")
    tree.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    found = {each["subject"]: [change["path"] for change in each["changes"]] for each in log("a.flow.yaml")}
    assert found["on the side"] == ["file prompts/sort.md"]
    assert found["on main"] == ["steps.child/ask.messages[0].text"]
    assert found["merge"] == ["file prompts/sort.md"]


def test_a_version_that_cannot_be_read_is_told_and_the_others_stand(tree: Tree) -> None:
    change(tree, "a.flow.yaml", "steps:", "stepz:", "break")
    change(tree, "a.flow.yaml", "stepz:", "steps:", "mend")
    change(tree, "a.flow.yaml", "steps:", "stepz:", "break again")
    change(tree, "a.flow.yaml", "{{ inputs.ticket }}", "{{ inputs.ticket }}!", "still broken")
    change(tree, "a.flow.yaml", "stepz:", "steps:", "mend what changed")
    found = {each["subject"]: each for each in log("a.flow.yaml")}
    assert list(found) == ["mend what changed", "break again", "mend", "break", "begin"]
    assert found["break"]["fingerprint"] is None
    assert found["mend"]["fingerprint"] == found["begin"]["fingerprint"]
    assert [change["path"] for change in found["mend what changed"]["changes"]] == ["steps.sort.messages[0].text"]
    said = call("log", "a.flow.yaml").stdout
    assert "broken: in " in said
    assert "as it was before it was broken" in said


def test_runs_stand_with_the_version_that_they_ran(tree: Tree, server: CountingServer) -> None:
    """Also those of a revision, those before a rename, and those of the working tree; simulated ones are none."""
    for word in ("x", "y"):
        assert call("run", "a.flow.yaml", "-i", f"ticket={word}", "-q").exit_code == 0
    change(tree, "prompts/sort.md", "Sort", "Split", "change")
    assert call("run", "a.flow.yaml@HEAD~1", "-i", "ticket=z", "-q").exit_code == 0
    assert call("run", "a.flow.yaml", "-i", "ticket=x", "-q", "--simulate").exit_code == 0
    server.reply = lambda body: (400, "no")
    assert call("run", "a.flow.yaml", "-i", "ticket=w", "-q").exit_code == 3
    tree.git("mv", "a.flow.yaml", "b.flow.yaml")
    tree.commit("rename")
    new, old = (each["runs"] for each in log("b.flow.yaml"))
    assert (new["runs"], new["succeeded"]) == (1, 0)
    assert (old["runs"], old["succeeded"], old["tokens_mean"]) == (3, 3, 30)
    assert old["cost_mean"] == pytest.approx(2 * (10 + 2 * 5) / 1e6)
    assert old["seconds_p50"] > 0
    assert "3 runs, all succeeded, 30 tokens, < $0.0001 each, median" in call("log", "b.flow.yaml").stdout


def test_a_flow_that_nobody_committed_is_its_own_only_version(tree: Tree) -> None:
    tree.put("new.flow.yaml", "flowkit: 1\nsteps: {say: {prompt: hi, model: m}}\n")
    assert subjects("new.flow.yaml") == [None]
    found = call("log", "nope.flow.yaml")
    assert found.exit_code == 2
    assert "neither the working tree nor HEAD has 'nope.flow.yaml'" in found.stderr
