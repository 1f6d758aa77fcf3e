"""List all that is written in a step as text or expression. Knows nothing of what they mean."""

from __future__ import annotations

from collections.abc import Iterator

from flowkit.spec import Expr, StepSpec, Text


def texts_of(step: StepSpec) -> list[Text]:
    """Return every template of a step."""
    return list(_texts(step))


def _texts(step: StepSpec) -> Iterator[Text]:
    for message in step.messages:
        if message.text is not None:
            yield message.text
        for part in message.parts:
            yield from part.values.values()
    for example in step.examples:
        if isinstance(example.user, Text):
            yield example.user
        if isinstance(example.assistant, Text):
            yield example.assistant
    for check in step.checks:
        if check.message is not None:
            yield check.message


def exprs_of(step: StepSpec) -> list[Expr]:
    """Return every expression of a step."""
    found = [step.when, step.foreach, step.with_, step.set, step.repeat.until if step.repeat else None]
    found += [m.history for m in step.messages]
    found += [c.expr for c in step.checks]
    return [e for e in found if e is not None]
