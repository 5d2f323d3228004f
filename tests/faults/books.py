"""The database, reconciled with what the clients were told."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import re
import time
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from flask_eventtrack.records import SESSION_END, SESSION_START
from flask_eventtrack.store.tables import Tables

from .load import Ledger

_NUMBER = re.compile(r"[?&]n=(\d+)")
_SHOWN = 5
_OWN = frozenset({SESSION_START, SESSION_END})
Row = dict[str, t.Any]
Key = tuple[t.Any, ...]


@dataclasses.dataclass(frozen=True)
class Stored:
    """All rows at one time, and the pages by the number in their address."""

    events: list[Row]
    sessions: list[Row]
    hourly: list[Row]
    quality: list[Row]
    aliases: set[tuple[uuidlib.UUID, uuidlib.UUID]]
    pages: dict[int, list[Row]]

    def count(self, outcome: str, action: str = "") -> int:
        """Return a sum of the quality counters."""
        return sum(
            row["count"]
            for row in self.quality
            if row["outcome"] == outcome and row["action"].startswith(action)
        )


class Books:
    """A reader of our tables from outside, which has made them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tables = Tables.for_metadata(sa.MetaData())
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.tables.event.metadata.create_all(self.engine)

    def rows(self, connection: sa.Connection, table: sa.Table) -> list[Row]:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]

    def read(self) -> Stored:
        with self.engine.connect() as connection:
            events = self.rows(connection, self.tables.event)
            pages: dict[int, list[Row]] = collections.defaultdict(list)
            for row in events:
                number = _NUMBER.search(row["params"].get("url", ""))
                if number and row["action"] == "page.visit":
                    pages[int(number[1])].append(row)
            return Stored(
                events,
                self.rows(connection, self.tables.session),
                self.rows(connection, self.tables.hourly),
                self.rows(connection, self.tables.quality),
                {
                    (row["anonymous_uuid"], row["customer_uuid"])
                    for row in self.rows(connection, self.tables.alias)
                },
                pages,
            )

    def count_hourly(self, action: str) -> int:
        """Return how many events of an action the hourly totals say."""
        hourly = self.tables.hourly.c
        query = sa.select(sa.func.sum(hourly.count)).where(hourly.action == action)
        with self.engine.connect() as connection:
            return connection.scalar(query) or 0

    def ids(self, action: str) -> set[uuidlib.UUID]:
        """Return the ids of the stored events of an action."""
        column = self.tables.event.c
        query = sa.select(column.id).where(column.action == action)
        with self.engine.connect() as connection:
            return set(connection.scalars(query))

    def await_settled(
        self, ledger: Ledger, seconds: float = 30, *, dropping: bool = False
    ) -> Stored:
        """Return what is stored once it agrees with the ledger and with itself.

        :param dropping: whether pages may be missing that are counted as dropped.
        :raises AssertionError: it does not agree when the time is up; says in what.
        """
        deadline = time.monotonic() + seconds
        while True:
            began = time.monotonic()
            stored = self.read()
            faults = find_faults(ledger, stored, dropping=dropping)
            if not faults:
                return stored
            assert time.monotonic() < deadline, "\n".join(faults)
            # The program under test needs the processor, too.
            time.sleep(0.05 + 3 * (time.monotonic() - began))


def find_faults(ledger: Ledger, stored: Stored, *, dropping: bool = False) -> list[str]:
    """Return what of the stored rows contradicts the ledger, or other rows."""
    return [
        *_find_page_faults(ledger, stored, dropping=dropping),
        *_find_event_faults(ledger, stored),
        *_find_session_faults(ledger, stored),
        *_find_count_faults(stored),
    ]


def _complain(what: str, found: cabc.Collection[t.Any]) -> cabc.Iterator[str]:
    if found:
        shown = ", ".join(str(item) for item in list(found)[:_SHOWN])
        yield f"{len(found)} {what}: {shown}"


def _find_page_faults(ledger: Ledger, stored: Stored, *, dropping: bool) -> cabc.Iterator[str]:
    lost = ledger.pages - stored.pages.keys()
    dropped = stored.count("dropped", "page.visit")
    if not dropping:
        yield from _complain("acknowledged pages are lost", lost)
    elif len(lost) != dropped:
        yield f"{len(lost)} acknowledged pages are lost, {dropped} are counted as dropped"
    yield from _complain(
        "pages are stored twice", [n for n, rows in stored.pages.items() if len(rows) > 1]
    )
    yield from _complain("pages were never asked for", stored.pages.keys() - ledger.sent_pages)
    yield from _complain(
        "pages have not been joined by their browser's half",
        [
            number
            for number, half in ledger.joined.items()
            if [row["claimed_by"] for row in stored.pages.get(number, [])] != [half]
        ],
    )
    yield from _complain(
        "visits lack how long they were in view",
        [
            (number, ledger.engaged[half])
            for number, half in ledger.joined.items()
            if half in ledger.engaged
            and [row["params"].get("visible_ms") for row in stored.pages.get(number, [])]
            != [ledger.engaged[half]]
        ],
    )


def _find_event_faults(ledger: Ledger, stored: Stored) -> cabc.Iterator[str]:
    engaged = [row["id"] for row in stored.events if row["action"] == "page.engage"]
    yield from _complain("rows tell how long a page was in view", engaged)
    ids = [row["id"] for row in stored.events]
    known = {*ids, *(row["claimed_by"] for row in stored.events)}
    yield from _complain("acknowledged events are lost", ledger.events - known)
    posted = {row["id"] for row in stored.events if row["action"] == "note.add"}
    yield from _complain("events were never sent", posted - ledger.sent_events)
    yield from _complain("aliases are lost", ledger.aliases - stored.aliases)


def _find_session_faults(ledger: Ledger, stored: Stored) -> cabc.Iterator[str]:
    events: collections.Counter[uuidlib.UUID] = collections.Counter()
    pages: collections.Counter[uuidlib.UUID] = collections.Counter()
    in_view: collections.Counter[uuidlib.UUID] = collections.Counter()
    own: collections.Counter[tuple[uuidlib.UUID, str]] = collections.Counter()
    for row in stored.events:
        session, action = row["session_id"], row["action"]
        if action in _OWN:
            own[session, action] += 1
        else:
            events[session] += 1
            pages[session] += action == "page.visit"
            in_view[session] += row["params"].get("visible_ms", 0)
    ids = {row["id"] for row in stored.sessions}
    yield from _complain("sessions have no row", {*events, *(key[0] for key in own)} - ids - {None})
    for session in stored.sessions:
        id_, is_over = session["id"], session["ended_at"] is not None
        found = (session["events"], session["pages"], 1, int(is_over))
        right = (events[id_], pages[id_], own[id_, SESSION_START], own[id_, SESSION_END])
        if found != right:
            yield f"session {id_} has (events, pages, starts, ends) {found}, and rows {right}"
        if session["visible_ms"] != in_view[id_]:
            yield f"session {id_} was in view for {session['visible_ms']} ms, not {in_view[id_]}"
        if session["started_at"] > session["last_seen_at"]:
            yield f"session {id_} ends before it starts"
    over = {row["id"] for row in stored.sessions if row["ended_at"] is not None}
    yield from _complain("sessions were left, and go on", ledger.ended - over)


def _find_count_faults(stored: Stored) -> cabc.Iterator[str]:
    hourly: collections.Counter[Key] = collections.Counter()
    for row in stored.events:
        hour = row["time"].replace(minute=0, second=0, microsecond=0)
        hourly[hour, row["site"], row["action"], row["url_rule"]] += 1
    kept = {
        (row["hour"], row["site"], row["action"], row["url_rule"]): row["count"]
        for row in stored.hourly
        if row["count"]
    }
    yield from _complain(
        "hourly totals differ from a recount",
        [
            (key, kept.get(key), hourly[key])
            for key in {*kept, *hourly}
            if kept.get(key, 0) != hourly[key]
        ],
    )
    accepted, rows = stored.count("accepted"), sum(r["action"] not in _OWN for r in stored.events)
    if accepted != rows:
        yield f"{accepted} events are counted as accepted, and {rows} are stored"
