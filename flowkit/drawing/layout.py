"""Place boxes in layers and lead arrows between them, never through one. Knows sizes and arrows, not what they mean.

The method is Sugiyama's: layers by longest path; a long arrow gets a lane in each layer that it passes; the order in a layer is
improved until few arrows cross; then each box is moved towards those that it is joined to. Between two layers an arrow is a curve,
inside a layer it is straight and in its own lane, so that it cannot meet a box. All is computed `along` the arrows and `across`
them, and turned at the end.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Size: TypeAlias = tuple[float, float]
Point: TypeAlias = tuple[float, float]
#: A box by its id, or a lane of an arrow in one layer: (number of the arrow, layer).
Key: TypeAlias = str | tuple[int, int]

_BETWEEN: Final = 26.0  # boxes of one layer
_LANE: Final = 14.0
_GAP: Final = 46.0  # layers, at least
_WIDEST_GAP: Final = 150.0
_PORT: Final = 13.0
_SWEEPS: Final = 16  # to untangle
_SETTLING: Final = 60  # sweeps until boxes stand well
_STRAIGHT: Final = 12.0  # how much a long arrow insists on one lane, where a short one weighs 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where all is. `boxes`: left upper corners.

    `routes`: per arrow the points at which it enters and leaves each gap between layers, in pairs: a curve within a pair, a straight
    line from one pair to the next.
    """

    size: Size
    boxes: Mapping[str, Point]
    routes: Sequence[tuple[Point, ...]]
    right: bool


@dataclass(slots=True)
class _Layers:
    arrows: Sequence[tuple[str, str]]
    thick: dict[Key, float]  # size along
    broad: dict[Key, float]  # size across
    rows: list[list[Key]]
    #: Ends of the pieces that each arrow has between neighbouring layers, as (arrow, from, to).
    pieces: list[list[tuple[int, Key, Key]]]
    before: dict[Key, list[tuple[int, Key]]] = field(default_factory=dict)
    after: dict[Key, list[tuple[int, Key]]] = field(default_factory=dict)


def arrange(sizes: Mapping[str, Size], arrows: Sequence[tuple[str, str]], *, right: bool, last: str | None = None) -> Layout:
    """Place boxes of (width, height) so that all arrows lead to the right, or down.

    The arrows make no circle. The box `last` gets the last layer for itself.
    """
    if not sizes:
        return Layout((0.0, 0.0), {}, (), right)
    layers = _layers(sizes, arrows, _ranks(sizes, arrows, last), right=right)
    _untangle(layers)
    ports = _ports(layers)
    across = _across(layers, ports)
    return _turned(layers, ports, across, right=right)


def _ranks(sizes: Mapping[str, Size], arrows: Sequence[tuple[str, str]], last: str | None) -> dict[str, int]:
    """Return the layer of each box: behind all that it waits for, and later where that makes more arrows shorter than longer."""
    sources: dict[str, list[str]] = {id_: [] for id_ in sizes}
    targets: dict[str, list[str]] = {id_: [] for id_ in sizes}
    for source, target in arrows:
        sources[target].append(source)
        targets[source].append(target)
    rank = dict.fromkeys(sizes, 0)
    missing = {id_: len(found) for id_, found in sources.items()}
    ready = [id_ for id_ in sizes if not missing[id_]]
    for id_ in ready:  # grows while it is read: Kahn's order
        for target in targets[id_]:
            rank[target] = max(rank[target], rank[id_] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    for id_ in reversed(ready):
        if targets[id_] and len(targets[id_]) > len(sources[id_]):
            rank[id_] = min(rank[target] for target in targets[id_]) - 1
    if last in rank:
        rank[last] = max((number for id_, number in rank.items() if id_ != last), default=-1) + 1
    return rank


def _layers(sizes: Mapping[str, Size], arrows: Sequence[tuple[str, str]], rank: Mapping[str, int], *, right: bool) -> _Layers:
    rows: list[list[Key]] = [[] for _ in range(max(rank.values()) + 1)]
    layers = _Layers(arrows, {}, {}, rows, [[] for _ in rows[1:]])
    for id_, (width, height) in sizes.items():
        layers.thick[id_], layers.broad[id_] = (width, height) if right else (height, width)
        rows[rank[id_]].append(id_)
    for number, (source, target) in enumerate(arrows):
        end: Key = source
        for layer in range(rank[source] + 1, rank[target] + 1):
            start, end = end, target if layer == rank[target] else (number, layer)
            if end != target:
                layers.thick[end], layers.broad[end] = 0.0, _LANE
                rows[layer].append(end)
            layers.pieces[layer - 1].append((number, start, end))
            layers.after.setdefault(start, []).append((number, end))
            layers.before.setdefault(end, []).append((number, start))
    return layers


# -- order within the layers -------------------------------------------------------------------------------


def _untangle(layers: _Layers) -> None:
    """Sort each layer by the mean place of its neighbours, down and up by turns, and keep the order with the fewest crossings."""
    best, fewest = [row[:] for row in layers.rows], _crossings(layers)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        neighbours = layers.before if down else layers.after
        rows = layers.rows if down else layers.rows[::-1]
        for fixed, row in itertools.pairwise(rows):
            place = {key: number for number, key in enumerate(fixed)}
            mean = {key: _mean([place[other] for _, other in neighbours.get(key, ())], number) for number, key in enumerate(row)}
            row.sort(key=mean.__getitem__)
        found = _crossings(layers)
        if found < fewest:
            best, fewest = [row[:] for row in layers.rows], found
    layers.rows[:] = best


def _mean(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _crossings(layers: _Layers) -> int:
    """Count pairs of arrow pieces that cross, in O(n log n) a gap: inversions, counted by a binary indexed tree."""
    total = 0
    for upper, lower, pieces in zip(layers.rows, layers.rows[1:], layers.pieces, strict=False):
        start = {key: number for number, key in enumerate(upper)}
        end = {key: number for number, key in enumerate(lower)}
        counts = [0] * (len(lower) + 1)
        for seen, (_, position) in enumerate(sorted((start[source], end[target]) for _, source, target in pieces)):
            index, not_behind = position + 1, 0
            while index:
                not_behind += counts[index]
                index &= index - 1
            total += seen - not_behind
            index = position + 1
            while index <= len(lower):
                counts[index] += 1
                index += index & -index
    return total


# -- coordinates -------------------------------------------------------------------------------------------


def _ports(layers: _Layers) -> dict[tuple[int, Key, bool], float]:
    """Return for (arrow, box, outgoing) how far from the middle of its side it joins the box: all in one point where there is no room."""
    place = {key: number for row in layers.rows for number, key in enumerate(row)}
    found: dict[tuple[int, Key, bool], float] = {}
    for outgoing, joined in ((True, layers.after), (False, layers.before)):
        for key, others in joined.items():
            room = layers.broad[key] - 20.0
            step = min(_PORT, room / (len(others) - 1)) if len(others) > 1 else 0.0
            step = step if step >= 7.0 else 0.0
            for number, (arrow, _) in enumerate(sorted(others, key=lambda other: place[other[1]])):
                found[arrow, key, outgoing] = (number - (len(others) - 1) / 2) * step
    return found


def _across(layers: _Layers, ports: Mapping[tuple[int, Key, bool], float]) -> dict[Key, float]:
    """Return the middle of each box and lane across the arrows."""
    middle: dict[Key, float] = {}
    for row in layers.rows:
        _pack(row, layers, dict.fromkeys(row, (0.0, 1.0)), middle)
    sweeps = max(4, min(_SETTLING, 200_000 // len(layers.broad)))
    for sweep in range(sweeps):
        down, late = sweep % 2 == 0, sweep > sweeps // 3
        means = _means(layers, middle) if late else {}
        for row in layers.rows if down else layers.rows[::-1]:
            wishes = {key: _wish(key, layers, ports, middle, later=late or not down, earlier=late or down) for key in row}
            for key in row:
                if isinstance(key, tuple) and late:
                    place, weight = wishes[key]
                    wishes[key] = (place * weight + means[key[0]] * _STRAIGHT) / (weight + _STRAIGHT), weight + _STRAIGHT
            _pack(row, layers, wishes, middle)
    return middle


def _means(layers: _Layers, middle: Mapping[Key, float]) -> dict[int, float]:
    """Return for each long arrow the mean place of its lanes, at which it would be straight."""
    places: dict[int, list[float]] = {}
    for row in layers.rows:
        for key in row:
            if isinstance(key, tuple):
                places.setdefault(key[0], []).append(middle[key])
    return {arrow: sum(found) / len(found) for arrow, found in places.items()}


def _wish(
    key: Key, layers: _Layers, ports: Mapping[tuple[int, Key, bool], float], middle: Mapping[Key, float], *, later: bool, earlier: bool
) -> tuple[float, float]:
    """Return where a box or lane would like to be, and how much: long arrows insist on being straight."""
    total = weights = 0.0
    for wanted, joined, outgoing in ((earlier, layers.before, False), (later, layers.after, True)):
        for arrow, other in joined.get(key, ()) if wanted else ():
            weight = 1.0 + 3.0 * isinstance(key, tuple) + 3.0 * isinstance(other, tuple)
            total += weight * (middle[other] + ports[arrow, other, not outgoing] - ports[arrow, key, outgoing])
            weights += weight
    return (total / weights, weights) if weights else (middle[key], 0.1)


def _pack(row: Sequence[Key], layers: _Layers, wishes: Mapping[Key, tuple[float, float]], middle: dict[Key, float]) -> None:
    """Give a layer the places nearest to its wishes at which nothing overlaps: isotonic regression by pooling neighbours."""
    offset = 0.0
    pools: list[tuple[float, float, int]] = []  # place, weight, number of members; places without the room that members take
    offsets = []
    for number, key in enumerate(row):
        if number:
            offset += _distance(row[number - 1], key, layers)
        offsets.append(offset)
        place, weight = wishes[key][0] - offset, wishes[key][1]
        count = 1
        while pools and pools[-1][0] > place:
            other, other_weight, other_count = pools.pop()
            place = (place * weight + other * other_weight) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        pools.append((place, weight, count))
    number = 0
    for place, _, count in pools:
        for _ in range(count):
            middle[row[number]] = place + offsets[number]
            number += 1


def _distance(one: Key, other: Key, layers: _Layers) -> float:
    lanes = isinstance(one, tuple) + isinstance(other, tuple)
    return (layers.broad[one] + layers.broad[other]) / 2 + (_BETWEEN, _BETWEEN / 2, 0.0)[lanes]


def _turned(layers: _Layers, ports: Mapping[tuple[int, Key, bool], float], across: Mapping[Key, float], *, right: bool) -> Layout:
    """Give layers their places along the arrows, and turn all into (x, y)."""
    low = min(across[key] - layers.broad[key] / 2 for row in layers.rows for key in row)
    high = max(across[key] + layers.broad[key] / 2 for row in layers.rows for key in row)
    starts, ends, at = [], [], 0.0
    boxes: dict[str, Point] = {}
    for number, row in enumerate(layers.rows):
        thick = max(layers.thick[key] for key in row)
        starts.append(at)
        ends.append(at + thick)
        for key in row:
            if isinstance(key, str):
                boxes[key] = (at + (thick - layers.thick[key]) / 2, across[key] - layers.broad[key] / 2 - low)
        at += thick
        if number < len(layers.pieces):
            steepest = max((abs(across[one] - across[other]) for _, one, other in layers.pieces[number]), default=0.0)
            at += min(_WIDEST_GAP, _GAP + 0.16 * steepest)
    routes: list[list[Point]] = [[] for _ in layers.arrows]
    for number, pieces in enumerate(layers.pieces):
        for arrow, source, target in pieces:
            routes[arrow].append((ends[number], across[source] + ports[arrow, source, True] - low))
            routes[arrow].append((starts[number + 1], across[target] + ports[arrow, target, False] - low))
    for (source, target), route in zip(layers.arrows, routes, strict=True):  # a box may be thinner than its layer: on to its side
        route.insert(0, (boxes[source][0] + layers.thick[source], route[0][1]))
        route.append((boxes[target][0], route[-1][1]))
    if right:
        return Layout((at, high - low), boxes, [tuple(route) for route in routes], right)
    turned = {id_: (over, along) for id_, (along, over) in boxes.items()}
    return Layout((high - low, at), turned, [tuple((over, along) for along, over in route) for route in routes], right)
