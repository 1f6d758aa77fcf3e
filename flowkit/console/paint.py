"""Colours of text on a screen that takes them. Knows escape codes, and not what is written."""

from __future__ import annotations

from typing import Final

_STATES: Final = {"succeeded": "32", "failed": "31", "interrupted": "33", "running": "36", "skipped": "2"}


class Paint:
    """Colours where they are welcome, else none."""

    def __init__(self, *, on: bool) -> None:
        self._on = on

    def _ink(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on and text else text

    def bold(self, text: str) -> str:
        """Return text that stands out."""
        return self._ink("1", text)

    def pale(self, text: str) -> str:
        """Return text that stands back."""
        return self._ink("2", text)

    def role(self, text: str) -> str:
        """Return the name of a role."""
        return self._ink("36", text)

    def warning(self, text: str) -> str:
        """Return text that tells of something odd."""
        return self._ink("33", text)

    def added(self, text: str) -> str:
        """Return a line that is only in the second of two."""
        return self._ink("32", text)

    def removed(self, text: str) -> str:
        """Return a line that is only in the first of two."""
        return self._ink("31", text)

    def gone(self, text: str) -> str:
        """Return words that the second of two texts lacks."""
        return self._ink("7;31", text)

    def come(self, text: str) -> str:
        """Return words that the first of two texts lacks."""
        return self._ink("7;32", text)

    def state(self, status: str, text: str) -> str:
        """Return text in the colour of a state."""
        return self._ink(_STATES.get(status, "0"), text)
