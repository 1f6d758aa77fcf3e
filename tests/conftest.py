"""What holds for all tests: a busy machine fails no law of hypothesis, and no record outlives its test."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("flowkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flowkit")


_numbers = count()


@pytest.fixture(autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded outside of projects lies in a folder of the test's own, and no test knows where it runs."""
    # In CI nothing is asked unasked; tests say themselves where they mean that.
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state" / str(next(_numbers))))
