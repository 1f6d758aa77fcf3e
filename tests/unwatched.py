"""The environment of a child that is measured: what watches the tests, such as coverage, must not weigh on it."""

from __future__ import annotations

import os


def unwatched(**more: str) -> dict[str, str]:
    """Return the environment without coverage."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")} | more
