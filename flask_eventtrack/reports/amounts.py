"""Orders and their money, added up in whole minor units by currency."""

from __future__ import annotations

import collections

from ..money import Money, from_minor


class Amounts:
    """How many orders there were, and what was earned by currency."""

    __slots__ = ("minor", "orders")

    def __init__(self) -> None:
        self.orders: int = 0
        self.minor: collections.Counter[str] = collections.Counter()

    def add(self, orders: int, currency: str, amount: int) -> None:
        self.orders += orders
        self.minor[currency] += amount

    def merge(self, other: Amounts) -> None:
        self.orders += other.orders
        for currency, amount in other.minor.items():
            self.minor[currency] += amount

    def money(self) -> tuple[Money, ...]:
        """Return the amounts, with the digits of their currency, in the order of their codes."""
        return tuple(
            Money(from_minor(int(amount), currency), currency)
            for currency, amount in sorted(self.minor.items())
        )
