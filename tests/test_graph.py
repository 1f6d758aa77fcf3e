"""Steps put in order by what they need."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit import graph


@st.composite
def _acyclic(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Any graph without a circle, in any order of writing."""
    number = draw(st.integers(0, 8))
    edges = {f"s{n}": tuple(f"s{m}" for m in range(n) if draw(st.booleans())) for n in range(number)}
    return {step: edges[step] for step in draw(st.permutations(list(edges)))}


ANY = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefz"), max_size=4).map(tuple), max_size=6)


@given(_acyclic())
def test_order_puts_each_step_behind_what_it_needs(edges: dict[str, tuple[str, ...]]) -> None:
    """In the order each step comes once, and behind all that it needs."""
    place = {step: number for number, step in enumerate(graph.order(edges))}
    assert place.keys() == edges.keys()
    assert all(place[needed] < place[step] for step, all_needed in edges.items() for needed in all_needed)


def test_order_is_the_authors_where_it_can_be() -> None:
    """A file whose steps stand in a possible order keeps it."""
    assert graph.order({"c": (), "a": ("c",), "b": (), "d": ("b", "a")}) == ["c", "a", "b", "d"]
    assert graph.order({"last": ("first",), "x": (), "first": ()}) == ["x", "first", "last"]


def test_order_refuses_a_circle() -> None:
    """A circle has no order."""
    with pytest.raises(ValueError, match="circle"):
        graph.order({"a": ("b",), "b": ("a",)})


def test_unknown_steps_are_left_out() -> None:
    """A step that does not exist is reported by who reads names; here it neither comes up nor hurts."""
    edges = {"a": ("ghost",), "b": ("a", "ghost")}
    assert graph.order(edges) == ["a", "b"]
    assert graph.cycle(edges) is None


@pytest.mark.parametrize(
    ("edges", "path"),
    [
        ({"a": ()}, None),
        ({"a": ("a",)}, ["a", "a"]),
        ({"a": ("b",), "b": ("c",), "c": ("a",)}, ["a", "b", "c", "a"]),
        ({"x": ("a",), "a": ("b",), "b": ("c", "a"), "c": ("a",)}, ["a", "b", "a"]),
        ({"b": ("a",), "a": ("b",)}, ["b", "a", "b"]),
    ],
)
def test_cycle_is_a_short_path_that_reads_as_needs(edges: dict[str, tuple[str, ...]], path: list[str] | None) -> None:
    """A circle is told from the author's first step on it, each step needing the next, by the shortest way round."""
    assert graph.cycle(edges) == path


def test_a_knot_is_all_that_need_each_other() -> None:
    """Two circles that share a step are one knot; a step that only reads one of them is in none."""
    edges = {"a": ("b",), "b": ("a", "c"), "c": ("b",), "d": ("c",), "e": ("e",)}
    assert sorted(map(sorted, graph.knots(edges))) == [["a", "b", "c"], ["e"]]


def test_each_knot_is_reported_once() -> None:
    """Two knots are two problems, however many circles each holds."""
    edges = {"a": ("b", "c"), "b": ("a", "c"), "c": ("a", "b"), "d": ("a",), "e": ("f",), "f": ("e",)}
    assert [path[0] for path in graph.cycles(edges)] == ["a", "e"]


@given(ANY)
def test_cycle_or_order_but_never_both(edges: dict[str, tuple[str, ...]]) -> None:
    """Steps have an order exactly when they have no circle, and a reported circle is one."""
    path = graph.cycle(edges)
    if path is None:
        assert len(graph.order(edges)) == len(edges)
        return
    assert path[0] == path[-1]
    assert all(needed in edges[step] for step, needed in itertools.pairwise(path))
    with pytest.raises(ValueError, match="circle"):
        graph.order(edges)


@given(_acyclic())
def test_levels_hold_what_can_run_together(edges: dict[str, tuple[str, ...]]) -> None:
    """A step of a level needs a step of the level before and none of its own or a later one."""
    rank = {step: number for number, row in enumerate(graph.levels(edges)) for step in row}
    assert all(rank[step] == max((rank[needed] + 1 for needed in edges[step]), default=0) for step in edges)


def _reach(edges: dict[str, tuple[str, ...]], step: str) -> set[str]:
    return set(edges[step]).union(*(_reach(edges, needed) for needed in edges[step]))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["ring", "chain", "dense"])
def test_large_graphs_are_quick(name: str) -> None:
    """Ten thousand steps in a ring or a chain and 124,750 edges take no recursion, and no time that grows with their square."""
    if name == "dense":
        edges = {f"s{n}": tuple(f"s{m}" for m in range(n)) for n in range(500)}
    else:
        edges = {f"s{n}": (f"s{n - 1}",) if n else () for n in range(10_000)}
    if name == "ring":
        edges["s0"] = ("s9999",)
    path = graph.cycle(edges)
    if name == "ring":
        assert path is not None
        assert len(path) == 10_001
    else:
        assert path is None
        assert graph.order(edges) == list(edges)
