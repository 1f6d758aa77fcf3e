"""The live picture of a run, drawn to a console of fixed size at a fixed time."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from flowkit.chat import Attempt, Usage
from flowkit.console.live import LiveView
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
from flowkit.results import Run, Status, StepError

if TYPE_CHECKING:
    from collections.abc import Callable

#: The moment at which a test's clock stands when its run begins.
BEGAN = 100.0


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def _show(*events: Event, at: float = 0.0, columns: int = 90, height: int = 24) -> list[str]:
    clock = Clock()
    console = Console(file=io.StringIO(), record=True, width=columns, height=height, force_terminal=True)
    view = LiveView(console, clock)
    for event in events:
        view(event)
    clock.now = BEGAN + at
    console.print(view.picture())
    lines = console.export_text().splitlines()
    assert all(len(line) <= columns for line in lines)
    assert len(lines) <= height
    return [line.rstrip() for line in lines]


def _start(*steps: str, simulated: bool = False) -> RunStarted:
    return RunStarted("r", "triage", simulated=simulated, steps=dict.fromkeys(steps, ()))


def _done(step: str, at: float = 1.0, **more: object) -> StepFinished:
    return StepFinished(step, Status.SUCCEEDED, at, 1.0, usage=Usage(412, 96, calls=1), **more)  # type: ignore[arg-type]  # test data


def test_every_state_has_its_sign() -> None:
    """Pending, running, succeeded, failed and skipped steps are told apart without colour; what is known stands beside them."""
    assert _show(
        _start("extract", "draft", "audit", "note", "reply", simulated=True),
        StepStarted("extract", "chat", 0.0),
        _done("extract", attempts=1),
        StepFinished("note", Status.SKIPPED, 1.0),
        StepStarted("draft", "chat", 1.0),
        StepStarted("audit", "chat", 1.0),
        StepFinished("audit", Status.FAILED, 2.0, 1.0, error=StepError("timeout", "no answer\nin 30s")),
        at=2.5,
    ) == [
        "triage  simulated",
        "✓ extract  1.0s   412 in   96 out",
        "⠋ draft    1.5s",
        "✗ audit    1.0s                    timeout: no answer in 30s",
        "- note                             skipped",
        "· reply",
        "  2.5s · 1 call · 508 tokens",
    ]


def test_items_and_retries_of_a_loop() -> None:
    """A `foreach` shows how many items are done, what they spent so far, and how many wait to be asked again."""
    events: list[Event] = [
        _start("draft"),
        StepStarted("draft", "chat", 0.0, items=5),
        StepStarted("draft", "chat", 0.0, item=0),
        AttemptFailed("draft", Attempt(1, "m", "rate_limit", 0.1), 2.0, 0.5, item=3),
        ItemFinished("draft", 0, Status.SUCCEEDED, 1.0, 1.0, Usage(800, 120, calls=1)),
        ItemFinished("draft", 1, Status.FAILED, 1.0, 1.0, Usage(800, 0, calls=1)),
    ]
    assert _show(*events, at=1.0)[1] == "⠇ draft  1.0s  2/5  1.6k in  120 out  1 waiting to retry (rate_limit), 1 failed"
    assert "waiting" not in _show(*events, at=3.0)[1]
    assert _show(*events, at=1.0)[-1] == "  1.0s · 2 calls · 1,720 tokens · $0.00"


@pytest.mark.parametrize(("at", "said"), [(1.0, "attempt 2 in 1.5s (server)"), (3.0, "attempt 2")])
def test_a_retry_is_counted_down(at: float, said: str) -> None:
    """A step that waits says for how long and why; then that it is tried again."""
    events: list[Event] = [_start("a"), StepStarted("a", "chat", 0.0), AttemptFailed("a", Attempt(1, "m", "server", 0.1), 2.0, 0.5)]
    assert _show(*events, at=at)[1].endswith(said)


def test_notes_of_a_finished_step() -> None:
    """What was unusual on the way to an answer stays visible: retries, repairs, the cache."""
    started: list[Event] = [_start("a"), StepStarted("a", "chat", 0.0)]
    assert _show(*started, _done("a", attempts=3))[1].endswith("  3 attempts")
    assert _show(*started, _done("a", attempts=0, cached=True))[1].endswith("  cached")
    assert _show(*started, AnswerRepaired("a", "took the fenced block", 0.5), _done("a"))[1].endswith("  answer repaired")
    used = ToolFinished("a", "find", {}, "x", None, 0.1, 0.5)
    assert _show(*started, used, used, _done("a", attempts=3))[1].endswith("  2 tool calls")
    assert _show(*started, used)[1].endswith("  1 tool call")
    assert _show(*started, StepDelta("a", "x" * 1500, 0.5))[1].endswith("  1.5k characters")


def test_what_was_in_the_record_is_told() -> None:
    """Items that cost nothing are counted while others are asked, and at the end."""
    started: list[Event] = [_start("a"), StepStarted("a", "chat", 0.0, items=5)]
    reused = [ItemFinished("a", number, Status.SUCCEEDED, 0.5, reused=1) for number in range(3)]
    assert _show(*started, *reused, at=0.5)[1].endswith("3/5  3 cached")
    assert _show(*started, *reused, at=0.5)[-1].endswith("0 calls · 3 from the record · $0.00")
    paid = StepFinished("a", Status.SUCCEEDED, 1.0, 1.0, usage=Usage(9, 9, calls=2), attempts=2, reused=3, cost=Cost(unknown=2))
    lines = _show(*started, *reused, paid)
    assert lines[1].endswith("3 of 5 cached")
    assert lines[-1].endswith("2 calls · 3 from the record · 18 tokens · cost unknown")


def test_steps_of_a_sub_flow_stand_below_their_step() -> None:
    """Inner steps are indented below the step that runs them, before the steps that follow it."""
    lines = _show(
        _start("load", "translate", "merge"),
        StepStarted("translate", "flow", 0.0),
        StepStarted("translate/detect", "chat", 0.0),
        StepStarted("merge", "set", 0.0),
        _done("translate/detect"),
        StepStarted("translate/rewrite", "flow", 1.0),
        StepStarted("translate/rewrite/ask", "chat", 1.0),
        at=1.0,
    )
    assert [re.split(r"\s+\d", line[2:])[0] for line in lines[1:-1]] == ["load", "translate", "  detect", "  rewrite", "    ask", "merge"]


def test_a_sub_flow_run_per_item_is_one_row_a_step() -> None:
    """An inner step that runs once per item is one row that counts its runs, and ends with the last of them."""
    events: list[Event] = [_start("each"), StepStarted("each", "flow", 0.0, items=3)]
    events += [StepStarted("each/ask", "chat", 0.0, item=number) for number in range(3)]
    events += [_done("each/ask"), _done("each/ask", 2.0)]
    assert "2/3" in _show(*events, at=2.0)[2]
    line = _show(*events, _done("each/ask", 3.0), at=4.0)[2]
    assert line.startswith("✓   ask")
    assert "3.0s  3/3  1.2k in  288 out" in line


def test_spent_tokens_are_counted_once() -> None:
    """What inner steps spent counts until their step tells its own sum, and never twice."""
    inner: list[Event] = [_start("each"), StepStarted("each", "flow", 0.0), StepStarted("each/ask", "chat", 0.0), _done("each/ask")]
    assert _show(*inner, at=1.0)[-1].endswith("1 call · 508 tokens · $0.00")
    assert _show(*inner, _done("each"), at=1.0)[-1].endswith("1 call · 508 tokens · $0.00")


def _many(number: int) -> list[Event]:
    ids = [f"step_{n:03}" for n in range(number)]
    events: list[Event] = [_start(*ids)]
    for n, id_ in enumerate(ids[: number // 2]):
        events.append(StepStarted(id_, "chat", n * 0.1))
        events.append(StepFinished(id_, Status.FAILED if n == 3 else Status.SUCCEEDED, n * 0.1 + 0.1, 0.1))
    return [*events, *(StepStarted(id_, "chat", 99.0) for id_ in ids[number // 2 : number // 2 + 3])]


def test_a_tall_flow_folds_what_is_done() -> None:
    """However many steps there are, the picture fits: failed and running steps stay, then what ended last; the rest is counted."""
    lines = _show(*_many(200), at=100.0, height=12)
    assert len(lines) == 10
    shown = [line.split()[1] for line in lines[1:-2]]
    assert shown == ["step_003", "step_097", "step_098", "step_099", "step_100", "step_101", "step_102"]
    assert lines[-2] == "  … 193 more: 96 done, 97 waiting"


@pytest.mark.parametrize("columns", [20, 30, 45, 200])
def test_a_narrow_terminal_shows_fewer_columns(columns: int) -> None:
    """On a narrow terminal tokens and notes go before time and name; no line wraps."""
    events: list[Event] = [
        _start("a_step_with_a_long_name"),
        StepStarted("a_step_with_a_long_name", "chat", 0.0),
        _done("a_step_with_a_long_name"),
    ]
    line = _show(*events, columns=columns)[1]
    assert line.startswith("✓ a_step")
    assert ("412 in" in line) == (columns > 45)


def test_the_last_picture_tells_how_it_ended() -> None:
    """When the run is over, its own figures are shown, where it failed, and what it stopped."""
    run = Run("r", "triage", Status.FAILED, usage=Usage(1000, 100, calls=3), seconds=6.6, failed="a")
    lines = _show(
        _start("a", "b"),
        StepStarted("a", "chat", 0.0),
        StepStarted("b", "chat", 0.0),
        StepFinished("a", Status.FAILED, 6.0, 6.0, error=StepError("server", "boom")),
        RunFinished(run, 6.6),
        at=60.0,
    )
    assert lines[1:] == [
        "✗ a  6.0s  server: boom",
        "✗ b  6.6s  cancelled: the run ended first",
        "  failed at 'a' · 6.6s · 3 calls · 1,100 tokens · $0.00",
    ]


def test_an_interrupted_run_did_not_fail() -> None:
    run = Run("r", "triage", Status.FAILED, seconds=6.6, error=StepError("cancelled", "interrupted"))
    assert _show(_start("a"), StepStarted("a", "chat", 0.0), RunFinished(run, 6.6))[-1] == "  interrupted after 6.6s · 0 calls"


def test_a_console_of_ascii_gets_ascii() -> None:
    """A terminal that knows ASCII alone sees the same picture in ASCII."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    view = LiveView(Console(file=file, width=60, height=20, force_terminal=True), Clock())
    for event in (_start("a", "b"), StepStarted("a", "chat", 0.0), _done("a")):
        view(event)
    assert view.picture().plain.splitlines() == ["triage", "+ a  1.0s   412 in   96 out", ". b", "  0.0s | 1 call | 508 tokens | $0.00"]


def test_it_runs_on_a_terminal_and_leaves_its_last_picture() -> None:
    """Entered and left, it draws by itself and what remains on the screen is the last state."""
    file = io.StringIO()
    clock: Callable[[], float] = Clock()
    with LiveView(Console(file=file, width=60, height=20, force_terminal=True), clock) as view:
        view(_start("a"))
        view(StepStarted("a", "chat", 0.0))
        view(_done("a"))
    assert "✓ " in file.getvalue().rpartition("triage")[2]
