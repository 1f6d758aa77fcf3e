"""Order the steps of a flow by what they read, and report those that wait for each other. Knows ids and places, not what steps do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from flowkit import graph
from flowkit.errors import Problems
from flowkit.spec import StepSpec

Reads: TypeAlias = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Order:
    """All steps, each behind what it waits for, but for those that need each other."""

    steps: tuple[str, ...]
    reads: Reads
    #: Steps in a circle, of which those below know what is declared and no more.
    circular: frozenset[str]
    #: Without a choice of variants: the steps that no step reads.
    leaves: tuple[str, ...]


def ordered(
    written: Mapping[str, StepSpec], run: Mapping[str, StepSpec], reads_of: Callable[[StepSpec], tuple[str, ...]], problems: Problems
) -> Order:
    """Order the steps as they `run`; circles are reported for the steps as `written`, and for each variant in the place of its step.

    So a variant is right or wrong whatever is chosen; that two of them wait for each other is reported when both are chosen.
    """
    plain = {id_: reads_of(step) for id_, step in written.items()}
    circles = [(circle, written[circle[0]]) for circle in graph.cycles(plain)]
    straight, circular = _straight(plain) if circles else (plain, frozenset())
    steps = graph.order(straight)
    place = {id_: number for number, id_ in enumerate(steps)}
    for step in written.values():
        for variant in step.variants.values():
            own = reads_of(variant)
            # Only what comes behind a step in some order can wait for it.
            if step.id not in circular and any(place[read] >= place[step.id] for read in own):
                circles += [(circle, variant) for circle in graph.cycles({**straight, step.id: own})]
    reads = {id_: plain[id_] if step is written[id_] else reads_of(step) for id_, step in run.items()}
    if reads != plain:
        if not circles:
            circles = [(circle, next(run[id_] for id_ in circle if run[id_].variant)) for circle in graph.cycles(reads)]
        straight, circular = _straight(reads) if circles else (reads, frozenset())
        steps = graph.order(straight)
    for circle, step in circles:
        _report(circle, step, problems)
    read = {id_ for all_read in plain.values() for id_ in all_read}
    return Order(tuple(steps), straight, circular, tuple(id_ for id_ in plain if id_ not in read))


def _straight(reads: Reads) -> tuple[Reads, frozenset[str]]:
    """Return what steps read without what closes a circle, and the steps that stand in one."""
    knots = {id_: number for number, knot in enumerate(graph.knots(reads)) for id_ in knot}
    straight = {id_: tuple(r for r in all_read if id_ not in knots or knots[id_] != knots.get(r)) for id_, all_read in reads.items()}
    return straight, frozenset(knots)


def _report(circle: list[str], step: StepSpec, problems: Problems) -> None:
    """Report a circle at a step in it, or at the variant that the step is."""
    variant = step.variant
    if len(circle) == 2:
        message = f"step {step.id!r} needs itself" + (f" in its variant {variant.text!r}" if variant else "")
        hint = "a step that improves its own answer is a `repeat`; there its last answer is `previous`"
    else:
        when = f"with variant {variant.text!r} of step {step.id!r}, " if variant else ""
        message = f"{when}these steps wait for each other: {' → '.join(circle)}"
        hint = "take one of the references or `needs` away, or make a `repeat` of it"
    problems.error("cycle", (variant or step.key).place(), message, hint)
