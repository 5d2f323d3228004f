"""Periods: half-open spans of days in the site's zone, and the ones they are compared with."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

Comparison = t.Literal["previous", "year", "none"]
Bucket = t.Literal["hour", "day", "week", "month"]


@dataclasses.dataclass(frozen=True, slots=True)
class Period:
    """The days from ``first`` to ``last``, both included, in ``zone``.

    ``name`` is what it is called in URLs and menus (``"today"``, ``"30d"``, …, ``"custom"``).
    ``now`` is the moment at which it was asked for: a period that contains it is still running.
    ``until`` cuts it off at a moment, as the period compared with one that is still running is cut.
    """

    name: str
    first: dt.date
    last: dt.date
    zone: dt.tzinfo
    now: dt.datetime
    until: dt.datetime | None = None
