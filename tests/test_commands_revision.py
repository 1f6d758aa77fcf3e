"""`FLOW@REV`: a flow is taken from a revision with all that belongs to it, without a checkout."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from command_line import call
from committing import Tree, make_tree

from flowkit.commands.revision import located
from flowkit.store import open_existing

FLOW = """\
flowkit: 1
name: main
types: {Kind: kinds.types.yaml#Kind}
inputs: {x: string}
values: {rules: {type: string, file: rules.txt}}
defaults: {model: m}
steps:
  first:
    prompt: "{% include 'part.md' %} {{ values.rules }} {{ inputs.x }}"
    output: {kind: Kind}
  called: {call: 'shop:find', with: {x: steps.first.output.kind}}
  child: {uses: child.flow.yaml, with: {x: steps.called.output}}
"""
FILES = {
    "flowkit.toml": '[models]\nm = "openai/then"\n',
    "flows/main.flow.yaml": FLOW,
    "flows/kinds.types.yaml": "Kind: enum(then)\n",
    "flows/rules.txt": "rules of then",
    "flows/part.md": "part of then\n",
    "flows/shop.py": "import helper\n\n\ndef find(x: str) -> str:\n    return helper.NAME + x\n",
    "flows/helper.py": "NAME = 'then-'\n",
    "flows/child.flow.yaml": "flowkit: 1\ninputs: {x: string}\ndefaults: {model: m}\nsteps: {ask: {prompt: 'then {{ inputs.x }}'}}\n",
    ".gitignore": ".flowkit/\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """All files say `then` in the first commit, and `later` in the working tree."""
    made = make_tree(tmp_path)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FLOWKIT_HOME", raising=False)
    monkeypatch.chdir(made.root)
    for name, text in FILES.items():
        made.put(name, text)
    made.commit("then")
    for name, text in FILES.items():
        made.put(name, text.replace("then", "later"))
    return made


def body(*words: str) -> str:
    found = call("render", *words, "-i", "x=1", "--json", "--run-functions")
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.mark.parametrize(("flow", "word"), [("flows/main.flow.yaml", "later"), ("flows/main.flow.yaml@HEAD", "then")])
def test_all_that_belongs_to_the_flow_is_of_the_revision(tree: Tree, flow: str, word: str) -> None:
    """Includes, values, types, the sub-flow, functions and what they import, and the configuration."""
    first, child = json.loads(body(flow, "first")), json.loads(body(flow, "child/ask"))
    assert first["model"] == word
    assert first["messages"][0]["content"] == f"part of {word} rules of {word} 1"
    assert first["response_format"]["json_schema"]["schema"]["properties"]["kind"]["enum"] == [word]
    assert child["messages"][0]["content"] == f"{word} {word}-{word}"


def test_one_after_the_other_each_gets_its_own(tree: Tree) -> None:
    for flow, word in [("flows/main.flow.yaml", "later"), ("flows/main.flow.yaml@HEAD", "then")] * 2:
        assert f"{word}-{word}" in body(flow, "child/ask")


def test_two_folders_may_have_helpers_of_one_name(tree: Tree) -> None:
    """Whichever was loaded first, each function imports what stands beside it."""
    for name in ("one", "two"):
        for file in ("shop.py", "helper.py", "child.flow.yaml", "kinds.types.yaml", "rules.txt", "part.md", "main.flow.yaml"):
            tree.put(f"flows/{name}/{file}", FILES[f"flows/{file}"].replace("then", name))
    for name in ("one", "two"):
        assert f"{name}-{name}" in body(f"flows/{name}/main.flow.yaml", "child/ask")


def test_a_run_is_kept_where_the_flow_is_today(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its real path and its commit, so that it can be found and goes on; and nothing is left behind."""
    passing = tmp_path / "passing"
    passing.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(passing))
    found = call("run", "flows/main.flow.yaml@HEAD", "-i", "x=1", "--simulate", "-q")
    assert found.exit_code == 0, found.output
    record = open_existing(tree.root / ".flowkit", version="", warn=print)
    assert record is not None
    with record:
        (row,) = record.runs()
        assert row.source is not None
        source = json.loads(record.body(row.source) or "")
    assert Path(row.path) == tree.root / "flows/main.flow.yaml"
    assert (row.revision, row.dirty) == (tree.git("rev-parse", "HEAD"), 0)
    assert json.loads(row.options)["revision"] == row.revision
    assert set(source) == {name for name in FILES if name.startswith("flows/")} - {"flows/helper.py"}
    assert not list(passing.iterdir())


def test_a_run_of_a_revision_goes_on_as_that_revision(tree: Tree) -> None:
    tree.put("replies.yaml", "first: [{error: {status: 500}}]\n")
    failed = call(
        "run", "flows/main.flow.yaml@HEAD", "-i", "x=1", "--simulate", "replies.yaml", "-q", "--set", "steps.first.retry.attempts=1"
    )
    assert failed.exit_code == 3, failed.output
    assert "--flow" not in failed.stderr
    tree.put("replies.yaml", "first: {kind: then}\n")
    found = call("resume", "-q")
    assert found.exit_code == 0, found.output


def test_plan_and_render_of_a_flow_that_is_gone(tree: Tree) -> None:
    tree.git("rm", "-q", "-f", "-r", "flows")
    assert "1 call" in call("plan", "flows/main.flow.yaml@HEAD", "-i", "x=1").stdout


def test_a_mistake_shows_the_revision(tree: Tree) -> None:
    tree.put("flows/main.flow.yaml", FLOW.replace("steps.first", "steps.furst"))
    tree.commit("broken")
    tree.put("flows/main.flow.yaml", FLOW)
    found = call("render", "flows/main.flow.yaml@HEAD", "first", "-i", "x=1")
    assert found.exit_code == 2
    assert "flows/main.flow.yaml@HEAD:" in found.stderr


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        ("flows/main.flow.yaml@HAED", "'HAED' is no revision"),
        ("flows/nope.flow.yaml@HEAD", "revision 'HEAD' has no 'flows/nope.flow.yaml'"),
    ],
)
def test_what_is_not_there_says_so(tree: Tree, flow: str, said: str) -> None:
    found = call("run", flow, "-i", "x=1")
    assert found.exit_code == 2
    assert said in found.stderr


def test_a_file_whose_name_holds_the_sign_is_a_file(tree: Tree) -> None:
    tree.put("a.yaml@b", "x")
    with located("a.yaml@b") as found:
        assert found.path == Path("a.yaml@b")
        assert found.snapshot is None
