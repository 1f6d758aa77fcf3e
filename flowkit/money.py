"""Amounts of US dollars that may be partly unknown, and how people read them. Knows no price and no call."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

_SMALLEST = Decimal("0.0001")
_CENT = Decimal("0.01")


def money(amount: Decimal | None) -> str:
    """Return an amount in words: `$0.0123`, `$1.20`, `< $0.0001`; None is `unknown`, since an unknown cost is not 0."""
    if amount is None:
        return "unknown"
    if 0 < amount < _SMALLEST:
        return f"< ${_SMALLEST}"
    cents = amount.quantize(_CENT, ROUND_HALF_EVEN)
    fine = amount.quantize(_SMALLEST, ROUND_HALF_EVEN)
    if amount >= 1 or fine == cents:
        return f"${cents:,f}"
    return f"${fine.normalize():f}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What calls cost together: the sum of those whose cost is known, and how many there are beside them. `+` adds two."""

    known: Decimal = Decimal(0)
    #: Calls whose cost nobody knows: there is no price, or the server did not count.
    unknown: int = 0

    @classmethod
    def of(cls, amount: Decimal | None) -> Cost:
        """Return the cost of one call; None: unknown."""
        return cls(unknown=1) if amount is None else cls(amount)

    @property
    def total(self) -> Decimal | None:
        """The whole sum; None as soon as a part of it is unknown."""
        return None if self.unknown else self.known

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.known + other.known, self.unknown + other.unknown)

    def __str__(self) -> str:
        if not self.unknown:
            return money(self.known)
        if not self.known:
            return money(None)
        # `at least < $0.0001` would be no amount.
        least = f"at least {money(self.known)}" if self.known >= _SMALLEST else "unknown in part"
        return f"{least} ({self.unknown} call{'s' * (self.unknown > 1)} of unknown cost)"
