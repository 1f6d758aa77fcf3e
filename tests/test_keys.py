"""The tables of keys are whole and agree with each other, with the parser's values and with the reference."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from parsing import read, right, top

from flowkit import reference
from flowkit.chat import ROLES
from flowkit.keys import TABLES, Shape
from flowkit.keys.step import MAKERS
from flowkit.spec import DefaultsSpec, LimitsSpec, RepeatSpec, RetrySpec, StepSpec, TimeoutSpec

PAGE = Path(__file__).parent.parent / "docs/format.md"


def refs(shape: Shape) -> set[str]:
    """Return the tables that a shape speaks of."""
    return {shape.ref} - {""} | {ref for inner in shape.of for ref in refs(inner)}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_whole(name: str) -> None:
    """Every key has a doc that is a sentence; no word is key and stranger at once; what is meant is a key."""
    table = TABLES[name]
    assert len(set(table.names())) == len(table.keys)
    for key in table.keys:
        assert key.doc.endswith((".", "…")), key.name
        assert refs(key.shape) <= set(TABLES)
        assert key.example.startswith(f"{key.name}:"), key.name
    assert set(table.meant.values()) <= set(table.names())
    assert not set(table.names()) & {*table.meant, *table.hints}
    assert not set(table.meant) & set(table.hints)


def test_every_table_is_reached() -> None:
    """Each table stands somewhere in the file."""
    reached = {"flow", "field"} | {ref for table in TABLES.values() for key in table.keys for ref in refs(key.shape)}
    assert reached == set(TABLES)


@pytest.mark.parametrize(
    ("table", "noun"),
    [("limits", LimitsSpec), ("retry", RetrySpec), ("timeout", TimeoutSpec), ("repeat", RepeatSpec), ("defaults", DefaultsSpec)],
)
def test_a_mapping_becomes_the_value_of_the_same_names(table: str, noun: type) -> None:
    """What may be written is what the spec holds."""
    assert set(TABLES[table].names()) == {f.name for f in fields(noun)} - {"param_keys"}


def test_a_step_has_a_place_for_each_key() -> None:
    """Every key of a step has a field in the spec."""
    held = {f.name.rstrip("_") for f in fields(StepSpec)}
    assert set(TABLES["step"].names()) - {"prompt", "system"} <= held


def test_kinds() -> None:
    """Each kind of step has at least one key that makes it, which is its own."""
    assert set(MAKERS.values()) == {"chat", "flow", "call", "set"}
    assert all(TABLES["step"][name].kinds == (kind,) for name, kind in MAKERS.items())


def test_roles() -> None:
    """The messages know the roles of the protocol, and history."""
    assert set(TABLES["message"].names()) == {*ROLES, "history"}


@pytest.mark.parametrize("key", TABLES["params"].keys, ids=lambda k: k.name)
def test_examples_of_parameters_are_right(key: object, tmp_path: Path) -> None:
    """The example of each parameter is one that the parser takes."""
    right(top("defaults: {params: {" + key.example.replace("…", "x") + "}}"), tmp_path)  # type: ignore[attr-defined]  # a Key


@pytest.mark.parametrize("name", ["flow", "defaults", "limits"])
def test_examples_of_the_file_are_right(name: str, tmp_path: Path) -> None:
    """The example of each key makes a flow that the parser takes."""
    for key in TABLES[name].keys:
        example = key.example.replace("…", "x")
        lines = example if name == "flow" else f"{name}: {{{example}}}"
        steps = "" if key.name == "steps" else "steps: {reply: {prompt: x}}\n"
        mark = "" if key.name == "flowkit" else "flowkit: 1\n"
        assert read(f"{mark}{lines}\n{steps}", tmp_path)[1] == (), key.name


def test_the_reference_is_in_step() -> None:
    """The page of the format holds the tables as they are; running this file writes them."""
    page = PAGE.read_text(encoding="utf-8")
    assert reference.filled(page) == page


def test_a_page_without_markers_is_refused() -> None:
    """Nothing is written into a page that has no place for it."""
    with pytest.raises(ValueError, match="lacks the lines"):
        reference.filled("no place")


if __name__ == "__main__":
    PAGE.write_text(reference.filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
