"""One page visit, two witnesses: the halves of server and browser become one row.

The halves may come in either order, more than once, and through different processes. The server's
half owns what the request says, the browser's half what only a browser knows; whichever comes
first is inserted and counted, and the other fills in its own. The first browser half to claim a
visit keeps it (``claimed_by``); any other is a visit of its own.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..event import CAMPAIGN, PAGE_VISIT, Event, SessionRef, page_label
from .tables import Tables

_SERVER_OWNED = frozenset(
    {
        "url",
        "path",
        "endpoint",
        "url_rule",
        "referrer",
        "status",
        "duration_ms",
        *CAMPAIGN,
    }
)
# How far apart the two halves may be received when the browser's has an old tag (a 304).
_RESHOW_WINDOW = dt.timedelta(seconds=60)


@dataclasses.dataclass(slots=True)
class Visit:
    """A row of ``page.visit``, stored (``key`` is its id in the table) or about to be."""

    row: dict[str, t.Any]
    key: uuidlib.UUID | None = None
    session: SessionRef | None = None
    changed: bool = False

    @property
    def has_server_half(self) -> bool:
        return "status" in self.row["params"]

    @property
    def is_customers(self) -> bool:
        """Whether the profile is derived from a customer's id (a UUID version 5)."""
        profile: uuidlib.UUID = self.row["uuid"]
        return profile.version == 5

    @property
    def is_open(self) -> bool:
        """Whether a browser half may still claim it."""
        return self.row["claimed_by"] is None and self.has_server_half

    @property
    def is_shown_again(self) -> bool:
        """Whether a browser half stands alone because its tag's visit belongs to another."""
        return self.row["claimed_by"] == self.row["id"] and not self.has_server_half

    def join(self, server: dict[str, t.Any], browser: dict[str, t.Any]) -> None:
        owned = {name: server[name] for name in _SERVER_OWNED & server.keys()}
        self.row["params"] = {**server, **browser, **owned}
        self.row["label"] = page_label(self.row["params"])
        self.changed = True


class VisitBook:
    """The visits that a batch touches, and what becomes of its halves."""

    def __init__(self, connection: sa.Connection, tables: Tables) -> None:
        self._connection = connection
        self._table = tables.event
        self._visits: dict[uuidlib.UUID, Visit] = {}
        self._by_key: dict[uuidlib.UUID, Visit] = {}
        self._by_page: dict[uuidlib.UUID, Visit] = {}

    def load(self, events: cabc.Iterable[Event]) -> None:
        """Read and lock the visits that events are halves of, or name."""
        halves = [event for event in events if event.half]
        cookieless = [event for event in events if event.claim and event.claim.cookieless]
        ids = {event.id for event in halves} | {
            event.claim.visit_id for event in (*halves, *cookieless) if event.claim
        }
        pages = {event.id for event in halves if event.half == "browser"}
        columns = self._table.c
        if ids:
            self._fetch(columns.id.in_(sorted(ids)))
        if pages:
            self._fetch(columns.claimed_by.in_(sorted(pages)))

    def _fetch(self, condition: sa.ColumnElement[bool]) -> None:
        query = (
            sa.select(self._table)
            .where(condition, self._table.c.action == PAGE_VISIT)
            .order_by(self._table.c.id)
            .with_for_update()
        )
        for row in self._connection.execute(query).mappings():
            if row["id"] not in self._by_key:
                visit = Visit(dict(row), key=row["id"])
                self._by_key[row["id"]] = visit
                self._register(visit)

    def _register(self, visit: Visit) -> None:
        self._visits[visit.row["id"]] = visit
        if visit.row["claimed_by"] is not None:
            self._by_page[visit.row["claimed_by"]] = visit

    def find(self, visit_id: uuidlib.UUID) -> Visit | None:
        return self._visits.get(visit_id)

    def find_claimed_by(self, page: uuidlib.UUID) -> Visit | None:
        return self._by_page.get(page)

    def add(self, row: dict[str, t.Any], event: Event) -> None:
        self._register(Visit(row, session=event.session))

    def claim(self, visit: Visit, event: Event) -> None:
        """Join a browser half to the visit that it claims."""
        visit.join(visit.row["params"], event.params)
        visit.row["claimed_by"] = event.id
        visit.row["undefined"] = list(event.undefined) or None
        self._by_page[event.id] = visit

    def rename(self, visit: Visit, visit_id: uuidlib.UUID) -> None:
        del self._visits[visit.row["id"]]
        visit.row["id"] = visit_id
        visit.changed = True
        self._visits[visit_id] = visit

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
        columns = self._table.c
        after, before = event.received_at - _RESHOW_WINDOW, event.received_at + _RESHOW_WINDOW
        self._fetch(
            sa.and_(
                columns.session_id == event.session.id,
                columns.received_at.between(after, before),
            )
        )
        candidates = [
            visit
            for visit in self._visits.values()
            if visit.row["session_id"] == event.session.id
            and visit.row["params"].get("path") == event.params.get("path")
            and after <= visit.row["received_at"] <= before
            and fits(visit)
        ]
        return max(candidates, key=lambda visit: visit.row["received_at"], default=None)

    def new_rows(self) -> list[dict[str, t.Any]]:
        return [visit.row for visit in self._visits.values() if visit.key is None]

    def update_changed(self) -> None:
        """Write what the halves have added to visits that were stored before."""
        for key, visit in sorted(self._by_key.items()):
            if visit.changed:
                self._connection.execute(
                    self._table.update().where(self._table.c.id == key).values(visit.row)
                )
