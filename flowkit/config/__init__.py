"""The only room that reads configuration files and the environment: what is written there turns into endpoints."""

from __future__ import annotations

from flowkit.config.files import dotenv, load
from flowkit.config.resolving import Config, FlowModel, Origin, Resolved, UnknownModel
from flowkit.config.settings import Price, RateLimit

__all__ = ["Config", "FlowModel", "Origin", "Price", "RateLimit", "Resolved", "UnknownModel", "dotenv", "load"]
