"""What a report is limited to: conditions that are all to be met, from and to the URL."""

from __future__ import annotations

import dataclasses
import typing as t

Operator = t.Literal["is", "is_not", "contains", "at_least", "at_most"]


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a field; of several values, one is enough (for ``is_not``: none)."""

    field: str
    operator: Operator
    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that are all to be met. An empty one limits nothing."""

    conditions: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions)
