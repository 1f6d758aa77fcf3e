"""Write runs and batches as a table, one a line. Knows no store; `now` is given."""

from __future__ import annotations

from collections.abc import Sequence

from flowkit import printable
from flowkit.console.paint import Paint
from flowkit.history import words
from flowkit.history.listing import Listed, ListedBatch

_HEADS = ("RUN", "WHEN", "FLOW", "STATUS", "STEPS", "CALLS", "REUSED", "TOKENS", "COST", "TIME", "REVISION")
_FLOW, _STATUS = _HEADS.index("FLOW"), _HEADS.index("STATUS")
_RIGHT = frozenset({"STEPS", "CALLS", "REUSED", "TOKENS", "COST", "TIME"})
#: Columns for the name of a flow.
_NAME = 32


def text(found: Sequence[Listed | ListedBatch], *, now: float | None, paint: Paint, ids: int) -> str:
    """Return the table. `now` None: times in full. `ids` is the number of digits of a run that tell it apart from all others."""
    rows = [_run(each, now, ids) if isinstance(each, Listed) else _batch(each, now, ids) for each in found]
    notes = [each.status for each in found]
    wide = [max(printable.width(cells[at]) for cells in (_HEADS, *rows)) for at in range(len(_HEADS))]
    lines = [paint.pale(_line(_HEADS, wide))]
    lines += [_colored(cells, wide, status, paint) for cells, status in zip(rows, notes, strict=True)]
    return "\n".join(lines) + "\n"


def _run(found: Listed, now: float | None, ids: int) -> tuple[str, ...]:
    row, spent = found.row, found.spent
    done = found.steps.get("succeeded", 0) + found.steps.get("skipped", 0)
    all_ = done if found.status == "succeeded" else found.of  # what is skipped before it begins is not kept
    name = printable.clip(printable.line(row.flow), _NAME)
    if row.row is not None:
        name += f" row {row.row}"
    return (
        row.id[:ids],
        _when(row.started, now),
        name,
        found.status + (" (simulated)" if row.simulated else ""),
        str(done) if all_ in {None, done} else f"{done}/{all_}",
        str(spent.calls) + (f"+{spent.maybe_billed}?" if spent.maybe_billed else ""),
        str(spent.reused) if spent.reused else "",
        _tokens(found),
        words.cost(spent, brief=True),
        words.took(row.seconds) if row.seconds else "",
        words.revision(row),
    )


def _batch(found: ListedBatch, now: float | None, ids: int) -> tuple[str, ...]:
    row, spent = found.row, found.spent
    failed = sum(found.failed.values())
    said = f"{printable.plural(row.rows, 'row')}, {found.succeeded} ok" + (f", {failed} failed" if failed else "")
    return (
        row.id[:ids],
        _when(row.started, now),
        printable.clip(printable.line(row.flow), _NAME) + " (batch)",
        f"{found.status}: {said}" + (" (simulated)" if row.simulated else ""),
        "",
        str(spent.calls) if spent.calls else "",
        str(spent.reused) if spent.reused else "",
        _tokens(found),
        words.cost(spent, brief=True),
        words.took(row.seconds) if row.seconds else "",
        "",
    )


def _tokens(found: Listed | ListedBatch) -> str:
    spent = found.spent
    if spent.input_tokens is None and spent.output_tokens is None:
        return ""
    return printable.count((spent.input_tokens or 0) + (spent.output_tokens or 0))


def _when(started: float, now: float | None) -> str:
    return words.clock(started) if now is None else words.ago(started, now)


def _cells(cells: Sequence[str], wide: Sequence[int]) -> list[str]:
    return [
        " " * (wide[at] - printable.width(cell)) + cell if _HEADS[at] in _RIGHT else printable.pad(cell, wide[at])
        for at, cell in enumerate(cells)
    ]


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    return "  ".join(_cells(cells, wide)).rstrip()


def _colored(cells: Sequence[str], wide: Sequence[int], status: str, paint: Paint) -> str:
    shown = _cells(cells, wide)
    shown[0], shown[_STATUS] = paint.bold(shown[0]), paint.state(status, shown[_STATUS])
    return "  ".join(shown).rstrip()
