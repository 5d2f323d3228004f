"""What a new site has recorded so far: it says what is still to be done."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from ..store.tables import Tables

_NEWEST = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """What there is among the newest events: any at all, any of a browser."""

    has_events: bool
    has_browser: bool


def read_start(connection: sa.Connection, tables: Tables) -> Start:
    """Look at the newest events alone, so that it takes no longer where there are many."""
    event = tables.event.c
    query = sa.select(event.source, event.claimed_by).order_by(event.stored_at.desc())
    rows = connection.execute(query.limit(_NEWEST)).all()
    by_browser = any(row.source == "browser" or row.claimed_by is not None for row in rows)
    return Start(bool(rows), by_browser)
