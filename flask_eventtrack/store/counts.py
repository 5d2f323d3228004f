"""Counters of a batch: hourly totals and data quality."""

from __future__ import annotations

import collections
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..event import ACTION_MAX_LENGTH
from . import dialects
from .tables import Tables

_REASON_MAX_LENGTH = 64


class Counts:
    """What a batch adds to ``eventtrack_hourly`` and ``eventtrack_quality``."""

    def __init__(self) -> None:
        self._hourly: collections.Counter[tuple[dt.datetime, str, str, str]] = collections.Counter()
        self._quality: collections.Counter[tuple[dt.datetime, str, str, str]] = (
            collections.Counter()
        )

    def count_row(self, row: dict[str, t.Any], by: int = 1) -> None:
        """Count an event row in its hour; ``by=-1`` takes it out again."""
        key = (hour_of(row["time"]), row["site"], row["action"], row["url_rule"])
        self._hourly[key] += by

    def count_outcome(
        self, at: dt.datetime, outcome: str, action: str, reason: str = "", by: int = 1
    ) -> None:
        key = (hour_of(at), outcome, action[:ACTION_MAX_LENGTH], reason[:_REASON_MAX_LENGTH])
        self._quality[key] += by

    def write(self, connection: sa.Connection, tables: Tables) -> None:
        """Add the counters in the order of their keys, so that two writers cannot deadlock."""
        for table, counter in ((tables.hourly, self._hourly), (tables.quality, self._quality)):
            names = [column.name for column in table.primary_key.columns]
            rows = [
                {**dict(zip(names, key, strict=True)), "count": count}
                for key, count in sorted(counter.items())
                if count
            ]
            if rows:
                dialects.add_to_counts(connection, table, rows)


def hour_of(moment: dt.datetime) -> dt.datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
