"""A run as plain lines of a log."""

from __future__ import annotations

import errno
import io
from decimal import Decimal

from flowkit.chat import Attempt, Usage
from flowkit.console.plain import PlainView
from flowkit.events import (
    AnswerRepaired,
    AttemptFailed,
    Event,
    ItemFinished,
    RunFinished,
    RunStarted,
    StepDelta,
    StepFinished,
    StepStarted,
    ToolFinished,
)
from flowkit.money import Cost
from flowkit.results import Run, Status, StepError, StepResult


def _lines(*events: Event) -> list[str]:
    writer = io.StringIO()
    view = PlainView(writer)
    for event in events:
        view(event)
    return writer.getvalue().splitlines()


def test_a_run_reads_as_a_story() -> None:
    """Each beginning, end, failed attempt and repair is a line; pieces of text and items that went well are none."""
    run = Run("r", "triage", Status.FAILED, usage=Usage(4112, 820, calls=8), seconds=6.6, failed="draft")
    assert _lines(
        RunStarted("r", "triage", simulated=True, steps={"extract": (), "draft": ("extract",), "note": ()}),
        StepStarted("extract", "chat", 0.1),
        StepDelta("extract", "Hel", 0.2),
        AnswerRepaired("extract", "took the fenced block", 1.0),
        StepFinished("extract", Status.SUCCEEDED, 1.2, 1.1, usage=Usage(412, 96, calls=1)),
        StepFinished("note", Status.SKIPPED, 1.2),
        StepStarted("draft", "chat", 1.2, items=2),
        StepStarted("draft", "chat", 1.2, item=0, items=2),
        AttemptFailed("draft", Attempt(1, "m", "rate_limit", 0.2, "slow down"), 2.0, 1.6, item=1),
        ItemFinished("draft", 0, Status.SUCCEEDED, 2.0),
        ItemFinished("draft", 1, Status.FAILED, 4.0, error=StepError("timeout", "no answer\nin 30s")),
        StepFinished("draft", Status.FAILED, 6.5, 5.3, error=StepError("timeout", "no answer")),
        RunFinished(run, 6.6),
    ) == [
        "   0.0s  triage: 3 steps (simulated)",
        "   0.1s  extract: started",
        "   1.0s  extract: took the fenced block",
        "   1.2s  extract: succeeded in 1.1s, 1 call, 412 tokens in, 96 out",
        "   1.2s  note: skipped",
        "   1.2s  draft: started, 2 items",
        "   1.6s  draft, item 2: attempt 1 failed: rate_limit: slow down, again in 2.0s",
        "   4.0s  draft, item 2: failed: timeout: no answer in 30s",
        "   6.5s  draft: failed in 5.3s: timeout: no answer",
        "   6.6s  triage: failed at 'draft' in 6.6s, 8 calls, 4,932 tokens, $0.00",
    ]


def test_what_was_in_the_record_is_told() -> None:
    """A step says whether all of its answers were reused or how many of them; the last line says what was paid, and what nobody knows."""
    steps = {"a": StepResult("a", reused=2), "b": StepResult("b", reused=5)}
    run = Run("r", "triage", Status.SUCCEEDED, steps=steps, usage=Usage(1000, 204, calls=2), cost=Cost(Decimal("0.0031")), seconds=1.0)
    ends = [
        StepFinished("a", Status.SUCCEEDED, 1.0, 0.1, cached=True, reused=2),
        StepFinished("b", Status.SUCCEEDED, 1.0, 0.1, usage=Usage(9, 9, calls=2), attempts=2, reused=3),
        RunFinished(run, 1.0),
    ]
    assert [line[9:] for line in _lines(*ends)] == [
        "a: succeeded in 0.1s, cached",
        "b: succeeded in 0.1s, 3 of 5 cached, 2 calls, 9 tokens in, 9 out",
        "triage: succeeded in 1.0s, 2 calls, 7 from the record, 1,204 tokens, $0.0031",
    ]
    run.cost = Cost(unknown=2)
    assert _lines(ends[-1])[0].endswith("2 calls, 7 from the record, 1,204 tokens, cost unknown")
    run.cost = Cost(Decimal("0.1"), 1)
    assert _lines(ends[-1])[0].endswith("1,204 tokens, at least $0.10 (1 call of unknown cost)")
    run.simulated = True
    assert _lines(ends[-1])[0].endswith("1,204 tokens")


def test_many_items_are_told_by_tenths() -> None:
    """A loop of a thousand items says ten times how far it is, its end is told by the step."""
    items = [ItemFinished("draft", number, Status.SUCCEEDED, 1.0) for number in range(1000)]
    lines = _lines(StepStarted("draft", "chat", 0.0, items=1000), *items)
    assert lines[1:3] == ["   1.0s  draft: 100 of 1000 items done", "   1.0s  draft: 200 of 1000 items done"]
    assert len(lines) == 10


def test_escape_codes_in_messages_are_shown_not_obeyed() -> None:
    """An error text of a server cannot write to the terminal."""
    assert "␛[2J" in _lines(StepFinished("a", Status.FAILED, 0.0, error=StepError("server", "\x1b[2J")))[0]


class _Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_broken_stream_is_remembered_not_raised() -> None:
    """A full disk or a closed pipe does not reach the runner; whoever owns the view finds it afterwards."""
    view = PlainView(_Full())
    view(StepStarted("a", "chat", 0.0))
    view(StepStarted("b", "chat", 0.0))
    assert view.sink.failure is not None
    assert view.sink.failure.errno == errno.ENOSPC


def test_a_stream_of_ascii_gets_escapes() -> None:
    """A stream that lacks a character gets its escape."""
    raw = io.BytesIO()
    view = PlainView(io.TextIOWrapper(raw, encoding="ascii"))
    view(StepFinished("a", Status.FAILED, 0.0, error=StepError("server", "né")))
    assert raw.getvalue().endswith(b"server: n\\xe9\n")


def test_calls_of_tools_are_told_in_one_line_each() -> None:
    """Long arguments are cut; what a tool gave is for the model, what went wrong for the reader."""
    assert _lines(
        ToolFinished("a", "find", {"order": "A1"}, "x" * 500, None, 0.5, 1.0),
        ToolFinished("a", "find", {"order": "A" * 100}, "Error: no", "find raised ValueError: no", 0.5, 1.0, item=2),
    ) == [
        '   1.0s  a: called find {"order": "A1"} in 0.5s',
        '   1.0s  a, item 3: called find {"order": "' + "A" * 48 + "…: find raised ValueError: no",
    ]


def test_the_last_line_says_how_a_run_ended_that_no_step_failed() -> None:
    """Interrupted or stopped is not failed; and what was simulated says so at its end too."""

    def last(run: Run) -> str:
        return _lines(RunFinished(run, run.seconds))[0].strip().partition("  ")[2]

    assert (
        last(Run("r", "f", Status.FAILED, seconds=3.4, error=StepError("cancelled", "interrupted"))) == "f: interrupted after 3.4s, 0 calls"
    )
    assert last(Run("r", "f", Status.FAILED, seconds=3.4, error=StepError("timeout", "late"))) == "f: stopped after 3.4s, 0 calls"
    assert (
        last(Run("r", "f", Status.FAILED, seconds=3.4, error=StepError("timeout", "late"), failed="a"))
        == "f: failed at 'a' in 3.4s, 0 calls"
    )
    assert last(Run("r", "f", Status.SUCCEEDED, simulated=True, seconds=3.4)) == "f: succeeded in 3.4s (simulated), 0 calls"
