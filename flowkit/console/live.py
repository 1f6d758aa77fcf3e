"""Draw a run on a terminal as a tree of steps that is kept up to date. The only user of rich; knows events alone."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.text import Text

from flowkit import printable
from flowkit.console.board import Board, Row
from flowkit.console.spent import stopped
from flowkit.events import Event, RunStarted
from flowkit.results import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

#: Frames a second: a spinner that moves, at a cost that nobody sees.
REFRESH: Final = 8
_GAP: Final = "  "

_STYLES: Final = {
    Status.PENDING: "dim",
    Status.RUNNING: "cyan",
    Status.SUCCEEDED: "green",
    Status.FAILED: "bold red",
    Status.SKIPPED: "dim",
}
_WORDS: Final = {
    Status.RUNNING: "running",
    Status.SUCCEEDED: "done",
    Status.SKIPPED: "skipped",
    Status.FAILED: "failed",
    Status.PENDING: "waiting",
}
_GLYPHS: Final = {Status.PENDING: "·", Status.SUCCEEDED: "✓", Status.FAILED: "✗", Status.SKIPPED: "-"}
_ASCII_GLYPHS: Final = {Status.PENDING: ".", Status.SUCCEEDED: "+", Status.FAILED: "x", Status.SKIPPED: "-"}
_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_SPINNER: Final = "|/-\\"

#: What is given up first when not all steps fit on the screen.
_IMPORTANCE: Final = (Status.FAILED, Status.RUNNING, Status.SUCCEEDED, Status.PENDING, Status.SKIPPED)


class LiveView:
    """Shows events on a terminal while it is entered; the last picture stays. `clock` counts seconds from any moment.

    Events come from the runner's thread, pictures are drawn by a thread of rich: the lock is held for neither longer than it takes to
    copy the few rows that fit on the screen.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._began = clock()
        self._board = Board()
        self._lock = Lock()
        self._live = Live(
            console=console,
            get_renderable=self.picture,
            refresh_per_second=REFRESH,
            redirect_stdout=False,  # what a function of the flow prints must reach a pipe
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._live.stop()
        except OSError:  # the terminal was closed; the run itself is over and kept
            return

    def __call__(self, event: Event) -> None:
        """Take one event; drawing happens elsewhere."""
        with self._lock:
            if isinstance(event, RunStarted):
                self._began = self._clock() - event.at
            self._board.apply(event)

    def picture(self) -> Text:
        """Return the run as it stands now, never larger than the terminal."""
        columns, height = self._console.size
        plain = not self._console.encoding.lower().startswith("utf")
        now = self._clock() - self._began
        with self._lock:
            rows, hidden = _choose(list(self._board.ordered()), height - 4)
            parts = [_header(self._board), *_table(rows, now, columns - 1, plain=plain)]
            if hidden:
                parts.append(Text(f"  … {_fold(hidden)}", style="dim"))
            parts.append(_footer(self._board, now))
        picture = Text("\n", no_wrap=True, overflow="crop", end="").join(parts)
        if plain:
            text = printable.ascii_only(picture.plain.replace("…", "...").replace(" · ", " | "))
            return Text(text, no_wrap=True, overflow="crop", end="")
        return picture


def _choose(rows: list[Row], room: int) -> tuple[list[Row], list[Row]]:
    """Return the rows that are shown, in their order, and the rest: failed and running ones go first, then what ended last."""
    room = max(room, 3)
    if len(rows) <= room:
        return rows, []
    buckets: dict[Status, list[Row]] = {status: [] for status in _IMPORTANCE}
    for row in rows:
        buckets[row.status].append(row)
    buckets[Status.SUCCEEDED].sort(key=lambda row: (row.started or 0.0) + (row.seconds or 0.0), reverse=True)
    ranked = [row for status in _IMPORTANCE for row in sorted(buckets[status], key=lambda row: row.depth)]
    kept = {row.id for row in ranked[: room - 1]}
    return [row for row in rows if row.id in kept], [row for row in rows if row.id not in kept]


def _fold(hidden: list[Row]) -> str:
    counts = {status: sum(row.status is status for row in hidden) for status in _WORDS}
    return f"{len(hidden)} more: " + ", ".join(f"{number} {_WORDS[status]}" for status, number in counts.items() if number)


def _header(board: Board) -> Text:
    header = Text(printable.line(board.flow), style="bold")
    if board.simulated:
        header.append(f"{_GAP}simulated", style="not bold yellow")
    return header


def _footer(board: Board, now: float) -> Text:
    run = board.run
    took = printable.seconds(now if run is None else run.seconds)
    early = None if run is None else stopped(run)
    parts = [took if early is None else f"{early} after {took}", *board.spent().parts(simulated=board.simulated)]
    footer = Text(_GAP)
    if run is not None and board.simulated:
        parts.append("simulated")
    if run is not None and run.status is Status.FAILED and early is None:
        footer.append(f"failed at {run.failed!r}" if run.failed else "failed", style="bold red").append(" · ", style="dim")
    return footer.append(" · ".join(parts), style="dim")


def _table(rows: list[Row], now: float, columns: int, *, plain: bool) -> list[Text]:
    """Lay the rows out in columns: name, time, progress, tokens, and in what is left a note. The narrower, the fewer."""
    shown = {row.id for row in rows}
    cells = [(_name(row, shown), _time(row, now), _progress(row), _tokens(row)) for row in rows]
    if not cells:
        return []
    widths = [max(map(printable.width, column)) for column in zip(*cells, strict=True)]
    widths[0] = min(widths[0], max(columns // 2, 12))
    used, kept = 2 + widths[0], [0]
    for number in (1, 2, 3):  # in order of importance
        if widths[number] and used + len(_GAP) + widths[number] <= columns:
            used += len(_GAP) + widths[number]
            kept.append(number)
    room = columns - used - len(_GAP)
    lines = []
    for row, texts in zip(rows, cells, strict=True):
        line = Text(f"{_glyph(row, now, plain=plain)} ", style=_STYLES[row.status])
        name = printable.pad(printable.clip(texts[0], widths[0]), widths[0])
        line.append(name, style="dim" if row.status in {Status.PENDING, Status.SKIPPED} else "not bold default")
        for number in kept[1:]:
            line.append(_GAP + " " * (widths[number] - printable.width(texts[number])) + texts[number], style="not bold dim")
        note, style = _note(row, now)
        if note and room >= 8:
            line.append(_GAP + printable.clip(note, room), style=style)
        line.rstrip()
        lines.append(line)
    return lines


def _glyph(row: Row, now: float, *, plain: bool) -> str:
    if row.status is Status.RUNNING:
        spinner = _ASCII_SPINNER if plain else _SPINNER
        return spinner[int(now * REFRESH) % len(spinner)]
    return (_ASCII_GLYPHS if plain else _GLYPHS)[row.status]


def _name(row: Row, shown: set[str]) -> str:
    """Return the id below its caller, or the whole path where the caller is not on the screen."""
    parent, _, last = row.id.rpartition("/")
    return _GAP * row.depth + last if not parent or parent in shown else row.id


def _time(row: Row, now: float) -> str:
    elapsed = row.elapsed(now)
    return "" if elapsed is None or row.status is Status.SKIPPED else printable.seconds(elapsed)


def _progress(row: Row) -> str:
    return f"{row.progress[0]}/{row.progress[1]}" if row.progress else ""


def _tokens(row: Row) -> str:
    usage = row.spent.usage
    if usage.input_tokens is None and usage.output_tokens is None:
        return ""
    return f"{printable.count(usage.input_tokens or 0):>4} in {printable.count(usage.output_tokens or 0):>4} out"


def _note(row: Row, now: float) -> tuple[str, str]:
    """Return what is worth saying about a step beyond its figures, and how it looks."""
    parts = []
    if row.status is Status.RUNNING:
        parts.extend(_waiting(row, now))
        if row.spent.reused:
            parts.append(f"{row.spent.reused} cached")
        if row.lost:
            parts.append(f"{row.lost} failed")
        if row.tools:
            parts.append(printable.plural(row.tools, "tool call"))
        if row.received and not parts:
            parts.append(f"{printable.count(row.received)} characters")
        return ", ".join(parts), "yellow" if row.retries or row.lost else "dim"
    if row.error is not None and row.status is Status.FAILED:
        return printable.line(f"{row.error.kind}: {row.error.message}"), "red"
    if row.status is Status.SKIPPED:
        parts.append("skipped")
        if row.error is not None:
            parts.append(printable.line(f"after {row.error.kind}: {row.error.message}"))
    if row.cached or row.spent.partly:
        parts.append("cached" if row.cached else row.spent.partly)
    if row.progress is None and row.attempts > 1 and not row.tools:
        parts.append(f"{row.attempts} attempts")
    elif row.progress is not None and row.retries:
        parts.append(printable.plural(row.retries, "failed attempt"))
    if row.lost:
        parts.append(f"{row.lost} failed")
    if row.tools:
        parts.append(printable.plural(row.tools, "tool call"))
    if row.repairs:
        parts.append("answer repaired" if row.repairs == 1 else f"{row.repairs} repairs")
    return ", ".join(parts), "dim"


def _waiting(row: Row, now: float) -> list[str]:
    wait = row.next_wait(now)
    if row.progress is not None:
        number = sum(each.until > now for each in row.waiting.values())
        return [f"{number} waiting to retry ({wait.kind})"] if wait else []
    if not row.retries:
        return []
    attempt = f"attempt {row.last_attempt + 1}"
    return [f"{attempt} in {printable.seconds(wait.until - now)} ({wait.kind})"] if wait else [attempt]
