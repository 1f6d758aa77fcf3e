"""How the laws of hypothesis are run: a busy machine fails none of them."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("flowkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flowkit")
