"""Put the keys of a flow and of its steps in their order; everything else stays as it is written. Knows the tables of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowkit.keys import TABLES
from flowkit.layout.pieces import Block, Brackets, Item, Leaf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowkit.layout.pieces import Pieces

#: A step from top to bottom as it happens: when and how often, by whom, what is said or called, what comes back, what if not.
STEP: Final = tuple(
    """
    needs foreach as when on_skip max_parallel repeat
    model params samples pick timeout retry cache
    uses call with set
    system messages prompt examples tools
    output checks on_error variants
    """.split()
)


def arrange(pieces: Pieces) -> None:
    """Order the keys of a file if it is a flow."""
    root = pieces.root.value
    if not isinstance(root, Block) or not is_flow([item.key for item in root.items]):
        return
    _sort(root, TABLES["flow"].names())
    steps = root.named("steps")
    for step in steps.value.items if steps and isinstance(steps.value, Block) else ():
        if isinstance(step.value, Block):
            _sort(step.value, STEP)


def is_flow(keys: Sequence[str | None]) -> bool:
    """Whether a file with these keys at its top is a flow, and no file of types or tests."""
    return "flowkit" in keys and "steps" in keys


def _sort(block: Block, names: Sequence[str]) -> None:
    """Sort the items of a mapping; a key without a place in the order follows the key that it stands below."""
    ranks = {name: rank for rank, name in enumerate(names)}
    ranked: list[tuple[int, Item]] = []
    for item in block.items:
        above = ranked[-1][0] if ranked else -1
        ranked.append((ranks.get(item.key or "", above), item))
    ordered = [item for _, item in sorted(ranked, key=lambda pair: pair[0])]
    if _defined_before_use(ordered):
        block.items = ordered


def _defined_before_use(items: list[Item]) -> bool:
    """Whether no alias stands above its anchor."""
    words = [word for item in items for word in _names(item)]
    known: set[str] = set()
    here = {word[1:] for word in words if word[0] == "&"}
    for word in words:
        if word[0] == "&":
            known.add(word[1:])
        elif word[1:] in here - known:
            return False
    return True


def _names(item: Item) -> Iterator[str]:
    """Yield the anchors (`&a`) and aliases (`*a`) in an item, in order."""
    if item.key and item.key.startswith("&"):
        yield item.key.split()[0]
    if item.anchor:
        yield item.anchor
    if isinstance(item.value, Block):
        for inner in item.value.items:
            yield from _names(inner)
    elif isinstance(item.value, Brackets):
        yield from (mark.lines[0] for mark in item.value.marks if mark.kind in {"text", "property"} and mark.lines[0][:1] in {"&", "*"})
    elif isinstance(item.value, Leaf) and item.value.kind == "alias":
        yield item.value.lines[0]
