"""Run a plan: the only async loop. Steps start the moment their data is there, and everything that happens leaves as an event."""

from flowkit.runner.execution import Execution
from flowkit.runner.services import GRACE, Entry, Ledger, Services
from flowkit.runner.spending import Spending

__all__ = ["GRACE", "Entry", "Execution", "Ledger", "Services", "Spending"]
