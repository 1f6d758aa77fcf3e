"""stub"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowkit.types.validators import FieldError, Validator


@dataclass(frozen=True, slots=True)
class Answer:
    """A typed value read from a reply, and what had to be done to read it."""

    value: Any
    repairs: tuple[str, ...] = ()


def read(text: str, validator: Validator, *, wrapped: bool) -> Answer:
    raise NotImplementedError


def reask(errors: Sequence[FieldError]) -> str:
    raise NotImplementedError
