"""What these pages are asked for: a period and a site. They have no other filters."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

from flask import request
from werkzeug.datastructures import MultiDict

from ...reports.counting import Counter
from ...request.access import Access
from ...state import State
from ..named_filters import NONE
from ..overview import describe_query, list_sites
from ..query import Query, read_query
from ..render import find_root

#: Why some numbers are not shown where only some sites are counted.
NO_SITE: t.Final = (
    "Refused events and undefined parameters are counted for all sites together. They are not "
    "shown for single sites."
)


def read_asked(state: State, access: Access) -> Query:
    """Read the period and the site of a URL.

    :raises ReportError: one of them is wrong.
    """
    wanted = ("period", "from", "to", "site")
    args = MultiDict((name, value) for name, value in request.args.items() if name in wanted)
    return read_query(state.reports, access, find_root(state), args)


def describe_asked(
    state: State, access: Access, query: Query, page: str, **own: str | None
) -> dict[str, t.Any]:
    """Return what the bar above the page shows."""
    return {
        **describe_query(query, page, named=NONE, **own),
        "fields": [],
        "sites": list_sites(state, access, query),
        "no_site": NO_SITE if query.sites is not None else None,
    }


@contextlib.contextmanager
def open_counter(state: State) -> cabc.Iterator[Counter]:
    """Open a connection that counts, and sees one moment."""
    reports = state.reports
    with reports.reader.open() as connection:
        yield Counter(
            reports.reader, connection, reports.catalogue, reports.zone, reports.defined_goals
        )
