"""Tests of flows: read from files, checked with their flow, run, and judged. `flowkit.testing` is the simulator for tests in Python."""

from __future__ import annotations

from flowkit.suites.loading import Loaded, found, load

__all__ = ["Loaded", "found", "load"]
