"""Order steps by what they need; the only user of networkx. Knows ids and nothing of what steps do.

`edges` maps each step, in the author's order, to the steps that it needs. A needed step that is no key is somebody else's problem and
is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import networkx as nx

Edges: TypeAlias = Mapping[str, Sequence[str]]


def order(edges: Edges) -> list[str]:
    """Return all steps, each behind what it needs, and in the author's order where that leaves a choice.

    Raises ValueError when there is a cycle.
    """
    place = {step: number for number, step in enumerate(edges)}
    try:
        return list(nx.lexicographical_topological_sort(_graph(edges), key=place.__getitem__))
    except nx.NetworkXUnfeasible:
        raise ValueError("the steps need each other in a circle") from None


def cycle(edges: Edges) -> list[str] | None:
    """Return one circle as a path in which each step needs the next and the last is the first again, or None."""
    return next(iter(cycles(edges)), None)


def cycles(edges: Edges) -> list[list[str]]:
    """Return a shortest circle for each knot of steps that need each other, from the author's first step in it that lies on one.

    One circle a knot, for their number grows exponentially; and no recursion, for a flow may be one ring of 10,000 steps.
    """
    graph = _graph(edges).reverse(copy=False)  # an edge leads from a step to one that it needs
    place = {step: number for number, step in enumerate(edges)}
    found = [_circle(graph.subgraph(knot).copy(), min(knot, key=place.__getitem__)) for knot in _knots(graph)]
    return sorted(found, key=lambda path: place[path[0]])


def knots(edges: Edges) -> list[set[str]]:
    """Return the sets of steps that need each other, whether by one circle or by several."""
    return list(_knots(_graph(edges)))


def _knots(graph: nx.DiGraph[str]) -> Iterator[set[str]]:
    return (k for k in nx.strongly_connected_components(graph) if len(k) > 1 or any(graph.has_edge(step, step) for step in k))


def _circle(knot: nx.DiGraph[str], first: str) -> list[str]:
    if knot.has_edge(first, first):
        return [first, first]
    came_from = dict(nx.bfs_predecessors(knot, first))
    step = next(step for step in came_from if knot.has_edge(step, first))  # breadth first: the nearest one
    path = [first]
    while step != first:
        path.append(step)
        step = came_from[step]
    return [first, *reversed(path)]


def levels(edges: Edges) -> list[list[str]]:
    """Return the steps in rows: each needs something of the row before it and nothing later. There must be no cycle."""
    place = {step: number for number, step in enumerate(edges)}
    return [sorted(row, key=place.__getitem__) for row in nx.topological_generations(_graph(edges))]


def _graph(edges: Edges) -> nx.DiGraph[str]:
    """Return the graph whose edges lead from a needed step to the step that needs it."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(edges)
    graph.add_edges_from((needed, step) for step, all_needed in edges.items() for needed in all_needed if needed in edges)
    return graph
