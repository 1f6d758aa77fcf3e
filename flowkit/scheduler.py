"""Decide which steps may start. Knows nothing of time, tasks or models.

A step is pending until all that it waits for has ended, then running, then one of three ends. A failure stops the schedule:
what runs may end, nothing new starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowkit.results import Status

#: From where to where a step may go. Everything else is a bug.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING}),
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.SKIPPED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.SKIPPED: frozenset(),
}


class IllegalTransition(Exception):
    """A step was moved where it cannot go; a bug in flowkit."""


class Scheduler:
    """The states of the steps of one plan: a counter for each of what it still waits for, so that each end costs what it releases."""

    def __init__(self, waits: Mapping[str, Sequence[str]]) -> None:
        self.status = dict.fromkeys(waits, Status.PENDING)
        self.stopped = False
        self._left = {step: len(set(above)) for step, above in waits.items()}
        self._below: dict[str, list[str]] = {step: [] for step in waits}
        for step, above in waits.items():
            for other in set(above):
                self._below[other].append(step)

    def start(self) -> list[str]:
        """Return the steps that may start at once, and take them as running."""
        return self._release([step for step, left in self._left.items() if left == 0 and self.status[step] is Status.PENDING])

    def end(self, step: str, status: Status) -> list[str]:
        """Take the end of a step; return the steps that may start now, and take them as running."""
        self._move(step, status)
        if status is Status.FAILED:
            self.stopped = True
        free = []
        for below in self._below[step]:
            self._left[below] -= 1
            if self._left[below] == 0:
                free.append(below)
        return self._release(free)

    def leave(self, step: str) -> None:
        """Take a step for one of which nobody knows what it gives: what needs it never starts, and all else goes on."""
        self._move(step, Status.FAILED)

    def stop(self) -> None:
        """Let nothing new start."""
        self.stopped = True

    def _release(self, steps: list[str]) -> list[str]:
        if self.stopped:
            return []
        for step in steps:
            self._move(step, Status.RUNNING)
        return steps

    def _move(self, step: str, status: Status) -> None:
        if status not in TRANSITIONS[self.status[step]]:
            raise IllegalTransition(f"{step}: {self.status[step]} → {status}")
        self.status[step] = status
