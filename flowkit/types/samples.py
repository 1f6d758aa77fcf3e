"""stub"""
from __future__ import annotations

from typing import Any

from flowkit.types.algebra import Type


def sample(type_: Type, *, seed: str) -> Any:
    raise NotImplementedError
