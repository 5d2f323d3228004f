"""One page visit, two halves: what the server and the browser report becomes one row.

The halves may come in either order, more than once, and through different processes. The server's
half owns what the request says, the browser's half what only a browser knows. Whichever comes first
is inserted and counted, and the other one adds what it knows. The first browser half to claim a
visit keeps it (``claimed_by``); any other is a visit of its own.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..ids import is_customer
from ..records import CAMPAIGN, PAGE_VISIT, SCREEN_VIEW, Event, SessionRef
from ..text import page_label
from .dialects import by_index, ids_parameter, is_among
from .fast_rows import read_rows, update_rows
from .in_view import IN_VIEW, in_view_of, read_in_view
from .logged import leave_moved, own_columns
from .rows import EventRow
from .tables import cached_on_table

#: The actions that engagement is added to.
VISITS = frozenset({PAGE_VISIT, SCREEN_VIEW})
#: The columns by whose indexes visits are found, beside the primary key.
FOUND_BY = frozenset({"claimed_by", "session_id"})
# The parameters that only the server knows; a browser's values for them are ignored.
_SERVER_PARAMS = frozenset(
    {"url", "path", "endpoint", "url_rule", "referrer", "status", "duration_ms", *CAMPAIGN}
)
_OWNED = _SERVER_PARAMS.union(IN_VIEW)
# The columns that the server's half fills beside these, and those that the browser's half changes.
_SERVER_COLUMNS = ("time", "received_at", "uuid", "session_id", "site", "url_rule", "source")
_CLAIM_COLUMNS = ("label", "claimed_by", "params", "undefined")
# How far apart the two halves may be received if the browser's has an old tag (a 304).
_RESHOW_WINDOW = dt.timedelta(seconds=60)


class Visit(msgspec.Struct, gc=False):
    """A row of ``page.visit``. ``key`` is its id in the table, or None if it is not stored yet.

    ``counted_in`` is the session that has counted its time in view, and ``counted_ms`` how much.
    """

    row: EventRow
    key: uuidlib.UUID | None = None
    session: SessionRef | None = None
    is_claimed: bool = False
    is_filled: bool = False
    is_engaged: bool = False
    counted_in: uuidlib.UUID | None = None
    counted_ms: int = 0

    @property
    def is_stored(self) -> bool:
        return self.key is not None

    @property
    def has_server_half(self) -> bool:
        return "status" in self.row.params

    @property
    def is_customers(self) -> bool:
        """Whether its profile is a customer's."""
        return is_customer(self.row.uuid)

    @property
    def is_open(self) -> bool:
        """Whether a browser half may still claim it."""
        return self.row.claimed_by is None and self.has_server_half

    @property
    def is_shown_again(self) -> bool:
        """Whether it has only a browser half, since another one has claimed its tag's visit."""
        return self.row.claimed_by == self.row.id and not self.has_server_half

    def find_session(self) -> SessionRef | None:
        """Return its session, to give to another event.

        If only the session's id is known, device and start are made up. The session is then stored
        already, and keeps its own.
        """
        row = self.row
        if self.session is not None or row.session_id is None:
            return self.session
        return SessionRef(row.session_id, row.uuid, row.received_at)

    def claim(self, event: Event) -> None:
        """Add what the browser's half knows."""
        self._join(self.row.params, event.params)
        self.row.claimed_by = event.id
        self.row.undefined = list(event.undefined) or None
        self.is_claimed = True

    def fill(self, server: EventRow) -> None:
        """Add what the server's half knows to a visit that the browser reported first."""
        self._join(server.params, self.row.params)
        for name in _SERVER_COLUMNS:
            setattr(self.row, name, getattr(server, name))
        self.is_filled = True

    def engage(self, event: Event) -> None:
        """Add how long the page was in view and how far it was read; the larger values win.

        A title replaces the one from the start.
        """
        params = self.row.params
        told = read_in_view(event.params).within(self.row.time, event.received_at)
        self.row.params = {**params, **in_view_of(params).or_more(told).as_params()}
        title = event.params.get("title")
        if title and self.row.action == PAGE_VISIT:
            self.row.params["title"] = title
            self.row.label = page_label(self.row.params)
        self.is_engaged = True

    def _join(self, server: dict[str, t.Any], browser: dict[str, t.Any]) -> None:
        self.row.params = join_halves(server, browser)
        self.row.label = page_label(self.row.params)


def join_halves(server: dict[str, t.Any], browser: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the parameters of a visit from those of its two halves."""
    owned = {name: server[name] for name in _OWNED & server.keys()}
    route = browser["url"].partition("#")[2]  # which no browser sends to its server
    if route and "url" in owned:
        owned["url"] += f"#{route}"
    return {**server, **browser, **owned}


def visit_of(row: EventRow, key: uuidlib.UUID | None = None) -> Visit:
    """Return the visit of a row whose time in view its session has counted."""
    visible_ms = in_view_of(row.params).visible_ms
    return Visit(row, key, counted_in=row.session_id, counted_ms=visible_ms)


class VisitBook:
    """The visits that a batch touches, found by what its halves and events say."""

    def __init__(self, connection: sa.Connection, table: sa.Table) -> None:
        self._connection = connection
        self._table = table
        # By the numbers of UUIDs, which hash and compare faster than UUIDs: by the visit's id, by
        # the id under which it is stored, and by the id of the browser's half that claimed it.
        self._visits: dict[int, Visit] = {}
        self._by_key: dict[int, Visit] = {}
        self._by_page: dict[int, Visit] = {}
        # For halves that may show an earlier page again: the halves for which the visits near them
        # have not been read yet; the ids of those for which they have; the visits by session.
        self._repeats: list[Event] = []
        self._searched: set[int] = set()
        self._by_session: dict[int, list[Visit]] = {}

    def load(
        self,
        events: cabc.Iterable[Event],
        known: cabc.Set[int],
        engaged: cabc.Sequence[Event] = (),
    ) -> None:
        """Read and lock the visits that the events are halves of, or that their claims name.

        :param known: which of the events' and visits' ids are stored.
        :param engaged: engagement, whose visits are read too.
        """
        ids = set[int]().union(*map(names_of_engaged, engaged))
        pages = {event.page.int for event in engaged if event.page is not None}
        for event in events:
            if event.half:
                ids.add(event.id.int)
            if event.half == "browser":
                pages.add(event.id.int)
            elif event.claim and event.claim.kind == "kept":
                pages.add(event.claim.visit_id.int)
            if event.claim and (event.half or event.takes_identity):
                ids.add(event.claim.visit_id.int)
            if event.session and _may_repeat(event):
                self._repeats.append(event)
                self._by_session[event.session.id.int] = []
        self._fetch("id", ids & known)
        self._fetch("claimed_by", pages)

    def _fetch(self, column: str, ids: set[int], **parameters: t.Any) -> None:
        if ids:
            name = self._connection.dialect.name
            query = _query_by(self._table, name, column)
            parameters |= ids_parameter(name, sorted(ids))
            for row in read_rows(self._connection, EventRow, query, parameters):
                if row.id.int not in self._by_key:
                    visit = self._by_key[row.id.int] = visit_of(row, row.id)
                    self._register(visit)

    def _register(self, visit: Visit) -> None:
        self._visits[visit.row.id.int] = visit
        if visit.row.claimed_by is not None:
            self._by_page[visit.row.claimed_by.int] = visit
        self._note_session(visit)

    def _note_session(self, visit: Visit) -> None:
        session_id = visit.row.session_id
        if session_id is not None and session_id.int in self._by_session:
            self._by_session[session_id.int].append(visit)

    def find(self, visit_id: uuidlib.UUID) -> Visit | None:
        return self._visits.get(visit_id.int)

    def find_claimed_by(self, page: uuidlib.UUID) -> Visit | None:
        return self._by_page.get(page.int)

    def find_of_page(self, page: uuidlib.UUID) -> Visit | None:
        """Return the visit that a browser half is by itself, or that it has claimed."""
        own = self.find(page)
        is_own = own is not None and own.row.source == "browser" and own.row.claimed_by is None
        return own if is_own else self.find_claimed_by(page)

    def find_engaged(self, event: Event) -> Visit | None:
        """Return the visit that engagement belongs to, whoever sent it; None if it is not stored.

        A visit is known by its browser's half. Until that is stored, the page's tag names it too,
        unless another page has claimed it.
        """
        page, claim = event.page, event.claim
        if page is not None:
            own = self.find(page)
            if own is None or own.row.claimed_by not in {None, page} or own.has_server_half:
                own = self.find_claimed_by(page)
            if own is not None:
                return own
        if claim is None or claim.kind in {"foreign", "kept"}:
            return None
        visit = self.find(claim.visit_id)
        is_free = visit is not None and visit.row.claimed_by is None
        return visit if is_free or (page is None and claim.kind == "own") else None

    def add(self, row: EventRow, session: SessionRef | None) -> None:
        self._register(Visit(row, None, session))

    def claim(self, visit: Visit, event: Event) -> None:
        """Join a browser half to the visit that it claims."""
        visit.claim(event)
        self._by_page[event.id.int] = visit

    def fill(self, visit: Visit, row: EventRow, session: SessionRef | None) -> None:
        """Join a server half to the visit that its browser reported first."""
        visit.fill(row)
        visit.session = session or visit.session
        self._note_session(visit)

    def rename(self, visit: Visit, visit_id: uuidlib.UUID) -> None:
        del self._visits[visit.row.id.int]
        visit.row.id = visit_id
        self._visits[visit_id.int] = visit

    def find_open(self, event: Event) -> Visit | None:
        """Return the server visit that a browser half with an old tag shows, if there is one."""
        return self._nearest(event, lambda visit: visit.is_open)

    def find_shown_again(self, event: Event) -> Visit | None:
        """Return the lone browser half that shows this server visit (a 304), if there is one."""
        return self._nearest(event, lambda visit: visit.is_shown_again)

    def _nearest(self, event: Event, fits: cabc.Callable[[Visit], bool]) -> Visit | None:
        """Return the last fitting visit of the same session and path, by the server's clock."""
        if event.session is None:
            return None
        self._search_near(event)
        after, before = event.received_at - _RESHOW_WINDOW, event.received_at + _RESHOW_WINDOW
        candidates = [
            visit
            for visit in self._by_session[event.session.id.int]
            if visit.row.session_id == event.session.id
            and visit.row.params.get("path") == event.params.get("path")
            and after <= visit.row.received_at <= before
            and fits(visit)
        ]
        return max(candidates, key=lambda visit: visit.row.received_at, default=None)

    def _search_near(self, event: Event) -> None:
        """Read the visits near an event, and in the same query those near all others like it."""
        if event.id.int in self._searched:
            return
        events = [event, *filter(self._is_repeat, self._repeats)]
        received = [each.received_at for each in events]
        self._fetch(
            "session_id",
            {each.session.id.int for each in events if each.session},
            after=min(received) - _RESHOW_WINDOW,
            before=max(received) + _RESHOW_WINDOW,
        )
        self._searched.update(each.id.int for each in events)
        self._repeats = []

    def _is_repeat(self, event: Event) -> bool:
        """Whether an event seems to show an earlier page again; that is settled in its turn."""
        if event.claim is None or event.claim.kind == "foreign":
            return True
        visit = self.find(event.claim.visit_id)
        return visit is not None and visit.row.claimed_by is not None

    def iter_engaged(self) -> cabc.Iterator[Visit]:
        """Yield the visits whose time in view, or whose session, may have changed."""
        return (each for each in self._visits.values() if each.is_engaged or each.is_filled)

    def new_rows(self) -> list[EventRow]:
        return [visit.row for visit in self._visits.values() if not visit.is_stored]

    def update_changed(self) -> None:
        """Write what the halves have added to visits that were stored before."""
        table = self._table
        claimed, filled, engaged = [], [], []
        for _, visit in sorted(self._by_key.items()):
            if visit.key != visit.row.id:
                is_it = table.c.id == visit.key
                leave_moved(self._connection, table, is_it)
                rename = table.update().where(is_it).values(id=visit.row.id)
                self._connection.execute(rename)
            if visit.is_filled:
                filled.append(visit.row)
            elif visit.is_claimed:
                claimed.append(visit.row)
            elif visit.is_engaged:
                engaged.append(visit.row)
        update_rows(self._connection, table, ("label", "params"), engaged)
        update_rows(self._connection, table, _CLAIM_COLUMNS, claimed)
        update_rows(self._connection, table, (*_SERVER_COLUMNS, *_CLAIM_COLUMNS), filled)


def ids_of_engaged(event: Event) -> list[uuidlib.UUID]:
    """Return the ids under which the visit of engagement may be stored, the browser's first."""
    ids = [event.page] if event.page is not None else []
    if event.claim is not None and event.claim.kind != "foreign":
        ids.append(event.claim.visit_id)
    return ids


def names_of_engaged(event: Event) -> set[int]:
    """Return the :func:`ids_of_engaged` as numbers."""
    return {each.int for each in ids_of_engaged(event)}


def _may_repeat(event: Event) -> bool:
    """Whether an event may be the half of a page that was shown before."""
    if event.half == "browser":
        return event.claim is not None
    return event.half == "server" and event.params["status"] == 304


@cached_on_table
def _query_by(table: sa.Table, dialect_name: str, column: str) -> sa.Select[t.Any]:
    """Return the query that locks visits by one of their ids; those of a session also by time."""
    query = sa.select(*own_columns(table)).where(is_among(dialect_name, table.columns[column]))
    query = by_index(query, table.columns[column])
    if column == "session_id":
        received = table.c.received_at.between(sa.bindparam("after"), sa.bindparam("before"))
        query = query.where(received)
    return query.where(table.c.action == PAGE_VISIT).order_by(table.c.id).with_for_update()
