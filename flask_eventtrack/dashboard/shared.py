"""Shared links: URLs that open the overview until they end, and nothing else.

A URL holds the id of its row, signed with the app's secret key. So the table alone opens nothing,
and the URL need not be stored to be shown again.
"""

from __future__ import annotations

import datetime as dt
import uuid as uuidlib

import sqlalchemy as sa

from ..records import from_ns
from ..request.access import Access, Link
from ..state import State


def find_shared(state: State, secret: str) -> Access | None:
    """Return what a shared link permits: the numbers of all sites, or of its own.

    None if it is forged, revoked or past its end.

    :raises sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    link_id = state.tokens.read_link(secret)
    if link_id is None:
        return None
    table = state.pipeline.database.tables.link
    query = sa.select(table.c.ends_at, table.c.site)
    query = query.where(table.c.id == link_id, is_open(table, from_ns(state.clock())))
    with state.pipeline.database.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    sites = None if row.site is None else frozenset({row.site})
    return Access(sites=sites, link=Link(f"/shared/{secret}", row.ends_at))


def write_path(state: State, link_id: uuidlib.UUID) -> str:
    """Return the path of a link, below the root of the dashboard."""
    return f"/shared/{state.tokens.write_link(link_id)}/"


def is_open(table: sa.Table, now: dt.datetime) -> sa.ColumnElement[bool]:
    """Whether a link opens the overview: it has not ended, and is not revoked."""
    return sa.and_(table.c.revoked_at.is_(None), table.c.ends_at > now)
