"""What a picture of a flow shows: steps, arrows, inputs and outputs. Knows nothing of plans and nothing of paper."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from flowkit import graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kind: TypeAlias = Literal["chat", "flow", "call", "set"]

#: `data`: the step reads an output. `conditional`: it reads one that may be absent. `needs`: order without data.
Style: TypeAlias = Literal["data", "conditional", "needs"]

#: Ends of arrows that are no steps; `#` cannot stand in the id of a step.
INPUTS: Final = "#inputs"
OUTPUTS: Final = "#outputs"


@dataclass(frozen=True, slots=True)
class Box:
    """One step. `marks` are its modifiers by keyword, such as `{"foreach": "issue in steps.extract.output.issues"}`.

    `lines` is what else is worth saying, each on a line of its own. `inside` is the sub-flow of a `uses` step.
    """

    id: str
    kind: Kind
    model: str | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    inside: Sketch | None = None

    @property
    def about(self) -> str:
        """Its kind, and the model that it asks."""
        return f"{self.kind} · {self.model}" if self.model else self.kind


@dataclass(frozen=True, slots=True)
class Arrow:
    """`target` waits for `source`; either is the id of a step, INPUTS or OUTPUTS."""

    source: str
    target: str
    style: Style = "data"


@dataclass(frozen=True, slots=True)
class Sketch:
    """A flow as it is drawn. Steps stand in the author's order; the arrows make no circle."""

    name: str
    steps: tuple[Box, ...]
    arrows: tuple[Arrow, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    description: str = ""

    def needed(self) -> dict[str, tuple[str, ...]]:
        """Return for each step the steps that it waits for."""
        found: dict[str, list[str]] = {box.id: [] for box in self.steps}
        for arrow in self.arrows:
            if arrow.source in found and arrow.target in found:
                found[arrow.target].append(arrow.source)
        return {step: tuple(dict.fromkeys(sources)) for step, sources in found.items()}

    def ordered(self) -> list[Box]:
        """Return the steps in an order in which they could run."""
        boxes = {box.id: box for box in self.steps}
        return [boxes[id_] for id_ in graph.order(self.needed())]

    def trimmed(self) -> Sketch:
        """Return it with one arrow a pair, and from the inputs only to where they enter: most steps read some input.

        Below a step that reads the inputs an arrow from them says nothing about order; drawn, they would hide those that do.
        """
        needed = self.needed()
        fed = {arrow.target for arrow in self.arrows if arrow.source == INPUTS}
        below: set[str] = set()
        for step in graph.order(needed):
            if any(source in fed or source in below for source in needed[step]):
                below.add(step)
        kept: dict[tuple[str, str], Arrow] = {}
        for arrow in self.arrows:
            if arrow.source != INPUTS or arrow.target not in below:
                kept.setdefault((arrow.source, arrow.target), arrow)
        return replace(self, arrows=tuple(kept.values()))

    def walk(self) -> Iterator[Box]:
        """Yield every step, those of sub-flows behind the step that runs them."""
        for box in self.steps:
            yield box
            if box.inside is not None:
                yield from box.inside.walk()
