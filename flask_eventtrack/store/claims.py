"""Marks by which processes agree on which of them does something once."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy import exc

from .engine import Database


def claim(
    database: Database, outcome: str, hour: dt.datetime, action: str = "", reason: str = ""
) -> bool:
    """Return True to the first caller with these values, among all processes.

    The mark is a row of the quality counters, whose ``count`` is 0: the primary key lets only one
    of them insert it.
    """
    quality = database.tables.quality
    row = {"hour": hour, "outcome": outcome, "action": action, "reason": reason}
    key = sa.and_(*(quality.c[name] == value for name, value in row.items()))
    try:
        with database.begin() as connection:
            if connection.scalar(sa.select(quality.c.count).where(key)) is not None:
                return False
            connection.execute(quality.insert().values(**row, count=0))
    except exc.IntegrityError:  # another process was faster
        return False
    return True
