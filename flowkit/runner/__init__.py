"""Run a plan: the only async loop. Steps start the moment their data is there, and everything that happens leaves as an event."""

from flowkit.runner.execution import Execution
from flowkit.runner.services import GRACE, Services

__all__ = ["GRACE", "Execution", "Services"]
