"""What stands under `tools` is checked where it stands, before anything is called."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from flowkit import compiler
from flowkit.plan import ChatWork, Plan, PlannedTool
from flowkit.project import Project

SHOP = """
    from typing import Any


    def find(order: str) -> str:
        '''Find an order.

        Numbers begin with A.
        '''
        return order


    class Archive:
        def __call__(self, order: str) -> str:
            return order

        @staticmethod
        def old(order: str) -> str:
            return order


    archive = Archive()
    PRICE = 5


    def bare(order): ...
    def partly(order: str, since, *rest, **more): ...
    def free(order: Any, other: object = None): ...
    def positional(order: str, /): ...
    def größe(order: str): ...
"""
FLOW = "flowkit: 1\ndescription: Search.\ninputs: {query: string, most: {type: integer, default: 3}}\nsteps: {a: {set: inputs.query ~ inputs.most}}\n"


def check(folder: Path, tools: str, **files: str) -> tuple[list[str], tuple[PlannedTool, ...]]:
    """The problems as `column code`, and the tools."""
    (folder / "shop.py").write_text(textwrap.dedent(SHOP))
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    path = folder / "main.flow.yaml"
    path.write_text(f"flowkit: 1\nsteps:\n  a:\n    prompt: hi\n    model: openai/m\n    tools: [{tools}]\n")
    checked = compiler.check(path, cwd=folder, found=Project(folder))
    assert all(p.place.line == 6 for p in checked.problems)
    work = checked.plan.steps["a"].work if checked.plan is not None else None
    return [f"{p.place.column} {p.code}" for p in checked.problems], work.tools if isinstance(work, ChatWork) else ()


def test_a_function_is_known_by_its_last_name_and_its_docstring(tmp_path: Path) -> None:
    problems, tools = check(tmp_path, "shop:find, shop:archive, shop:Archive.old, shop:free")
    assert problems == []
    assert [t.tool.name for t in tools] == ["find", "archive", "old", "free"]
    assert tools[0].tool.description == "Find an order.\n\nNumbers begin with A."
    assert tools[3].tool.parameters["properties"] == {"order": {}, "other": {}}
    assert tools[3].tool.parameters["required"] == ["order"]


def test_a_flow_is_known_by_its_file_and_its_description(tmp_path: Path) -> None:
    problems, (tool,) = check(tmp_path, "search-all.flow.yaml", **{"search-all__flow__yaml": FLOW})
    assert problems == []
    assert (tool.tool.name, tool.tool.description) == ("search-all", "Search.")
    assert tool.tool.parameters["required"] == ["query"]
    assert isinstance(tool.target, Plan)


@pytest.mark.parametrize(
    ("tools", "wanted"),
    [
        ("shop:fnd", ["13 unknown-function"]),
        ("shp:find", ["13 unknown-module"]),
        ("shop:PRICE", ["13 unknown-function"]),
        ("find", ["13 invalid-function"]),
        ("shop:find, shop:bare", ["24 tool-annotation"]),
        ("shop:partly", ["13 tool-annotation"]),
        ("shop:positional", ["13 positional-only"]),
        ("shop:größe", ["13 tool-name"]),
        ("shop:find, shop:find", ["24 duplicate-tool"]),
        ("other.flow.yaml", ["13 file-not-found"]),
        ("../other.flow.yaml", ["13 path-escape"]),
        ("main.flow.yaml", ["13 flow-cycle"]),
        ("shop:fnd, shop:bare, nope.yaml", ["13 unknown-function", "23 tool-annotation", "34 file-not-found"]),
    ],
)
def test_a_wrong_tool_is_one_problem_where_it_stands(tmp_path: Path, tools: str, wanted: list[str]) -> None:
    assert check(tmp_path, tools)[0] == wanted


def test_steps_of_a_flow_that_is_a_tool_have_paths(tmp_path: Path) -> None:
    """So that replies can name them, and their models are looked up before anything is called."""
    (tmp_path / "search.flow.yaml").write_text(FLOW)
    path = tmp_path / "main.flow.yaml"
    path.write_text("flowkit: 1\nsteps:\n  a: {prompt: hi, model: openai/m, tools: [search.flow.yaml]}\n")
    plan = compiler.check(path, cwd=tmp_path, found=Project(tmp_path)).valid()
    assert [path for path, _, _ in plan.walk()] == ["a", "a/search/a"]
    assert [path for path, _, _ in plan.walk(tools=False)] == ["a"]
