"""Which steps may start is decided by what they wait for, and by nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.results import Status
from flowkit.scheduler import TRANSITIONS, IllegalTransition, Scheduler

ENDS = (Status.SUCCEEDED, Status.SKIPPED, Status.FAILED)

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


@pytest.mark.parametrize(
    ("waits", "ends", "released"),
    [
        ({}, [], [[]]),
        ({"a": ()}, ["a"], [["a"], []]),
        ({"a": (), "b": ()}, ["b", "a"], [["a", "b"], [], []]),
        ({"a": (), "b": ("a",), "c": ("b",)}, ["a", "b", "c"], [["a"], ["b"], ["c"], []]),
        (DIAMOND, ["a", "c", "b", "d"], [["a"], ["b", "c"], [], ["d"], []]),
        # A name given twice is waited for once.
        ({"a": (), "b": ("a", "a")}, ["a"], [["a"], ["b"]]),
    ],
    ids=["none", "one", "two", "chain", "diamond", "twice"],
)
def test_each_end_releases_what_waited_for_it_alone(waits: dict[str, tuple[str, ...]], ends: list[str], released: list[list[str]]) -> None:
    scheduler = Scheduler(waits)
    assert [scheduler.start(), *(scheduler.end(step, Status.SUCCEEDED) for step in ends)] == released


def test_a_skipped_step_releases_as_a_finished_one_does() -> None:
    scheduler = Scheduler(DIAMOND)
    scheduler.start()
    assert scheduler.end("a", Status.SKIPPED) == ["b", "c"]


def test_nothing_starts_after_a_failure() -> None:
    scheduler = Scheduler({"a": (), "b": (), "c": ("a",), "d": ("b",)})
    scheduler.start()
    assert scheduler.end("a", Status.FAILED) == []
    assert scheduler.end("b", Status.SUCCEEDED) == []
    assert scheduler.status["d"] is Status.PENDING


def test_nothing_starts_after_a_stop() -> None:
    scheduler = Scheduler({"a": (), "b": ("a",)})
    scheduler.start()
    scheduler.stop()
    assert scheduler.end("a", Status.SUCCEEDED) == []
    stopped_first = Scheduler({"a": ()})
    stopped_first.stop()
    assert stopped_first.start() == []


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_a_step_ends_once(first: Status, second: Status) -> None:
    scheduler = Scheduler({"a": ()})
    scheduler.start()
    scheduler.end("a", first)
    with pytest.raises(IllegalTransition):
        scheduler.end("a", second)


def test_a_step_that_did_not_start_cannot_end() -> None:
    with pytest.raises(IllegalTransition):
        Scheduler({"a": ()}).end("a", Status.SUCCEEDED)


def test_every_status_has_a_row_and_ends_lead_nowhere() -> None:
    assert TRANSITIONS.keys() == set(Status)
    assert not any(TRANSITIONS[end] for end in ENDS)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Any graph without circles: each step may wait for those before it."""
    names = [f"s{i}" for i in range(draw(st.integers(0, 12)))]
    return {name: tuple(draw(st.lists(st.sampled_from(names[:at]), max_size=4))) if at else () for at, name in enumerate(names)}


@given(graphs(), st.data())
def test_no_step_starts_before_all_that_it_waits_for_ended(waits: dict[str, tuple[str, ...]], data: st.DataObject) -> None:
    """For any graph and any order of ends, with failures anywhere, every step starts at most once, and only when it may."""
    scheduler = Scheduler(waits)
    running = scheduler.start()
    started = list(running)
    ended: set[str] = set()
    failed = False
    while running:
        step = running.pop(data.draw(st.integers(0, len(running) - 1)))
        how = data.draw(st.sampled_from(ENDS) if data.draw(st.integers(0, 9)) == 0 else st.sampled_from(ENDS[:2]))
        released = scheduler.end(step, how)
        ended.add(step)
        failed = failed or how is Status.FAILED
        assert not (failed and released)
        for new in released:
            assert set(waits[new]) <= ended
            assert new not in started
        running += released
        started += released
    assert failed or set(started) == set(waits)
    for step, status in scheduler.status.items():
        assert (status is Status.PENDING) == (step not in started)
        assert (status in ENDS) == (step in ended)
