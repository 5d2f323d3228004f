"""People: a search, lists, and who did an event."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

from flask import Response, request

from ..reports.people import MOST
from ..reports.rows import PersonRow
from ..request.access import Access
from ..state import State, warn_of_memory
from . import figures
from .feed_words import Veil, keep, veil, write_moment
from .plain import respond_csv, respond_json
from .render import find_root, render

_LONGEST_SEARCH = 300
_SHORT = 8
# Others are out of some database's range, or soon are when one adds to them.
_YEARS = 1970, 9000

FOUND_BY: t.Final = {"customer": "customer id", "uuid": "uuid", "order": "order"}


class Listed(t.NamedTuple):
    """People as the page lists them."""

    title: str
    sentence: str
    rows: list[PersonRow]
    further: dict[str, str] | None = None


def choose_veil(access: Access) -> Veil:
    """Return what is done with e-mail addresses: only who may manage sees them in full."""
    return keep if access.may_manage else veil


def name_person(person: uuidlib.UUID, customer_id: str | None, shown: Veil) -> str:
    """Return what a person is called: "Customer 42", "Anonymous 3f2a9c01"."""
    if customer_id is not None:
        return f"Customer {figures.shorten(shown(customer_id), 60)}"
    return f"Anonymous {str(person)[:_SHORT]}"


def catch_up(state: State) -> None:
    """With SQLite in memory, write what waits: no other process sees it, and no thread writes it
    in time."""
    if state.pipeline.database.is_in_memory:
        warn_of_memory(state)
        state.pipeline.flush()


def show_people(state: State, access: Access) -> Response:
    """Show a list of people."""
    sought, event, order = _read_query()
    listed = _list(state, access, sought, event, order)
    return render(
        state,
        access,
        "people",
        "People",
        listed=listed,
        sought=sought,
        event=event,
        order=order,
        actions=sorted(definition.action for definition in state.catalogue),
        shown=choose_veil(access),
        name_person=name_person,
        write_moment=lambda moment: write_moment(moment, state.reports.zone),
        found_by=FOUND_BY,
        zone=str(state.reports.zone),
    )


def send_people(state: State, access: Access) -> Response:
    """Send the list as JSON."""
    listed = _list(state, access, *_read_query())
    shown = choose_veil(access)
    return respond_json(
        {
            "people": [shown(dataclasses.asdict(row)) for row in listed.rows],
            "further": listed.further,
        }
    )


def send_people_file(state: State, access: Access) -> Response:
    """Send everyone who did an event as CSV; without an event, the list of the page."""
    sought, event, order = _read_query()
    shown = choose_veil(access)
    rows: t.Iterable[PersonRow]
    if event:
        rows = state.reports.everyone_who_did(event)
    else:
        rows = _list(state, access, sought, event, order).rows
    return respond_csv("people", list_cells(rows, shown))


def list_cells(rows: cabc.Iterable[PersonRow], shown: Veil) -> cabc.Iterator[cabc.Sequence[object]]:
    """Yield the lines of a file of people, with their head."""
    yield ("uuid", "customer_id", "name", "first_seen_at", "last_seen_at", "sessions", "events")
    for row in rows:
        yield (
            *(str(row.person), shown(row.customer_id), shown(row.name)),
            *(moment and moment.isoformat() for moment in (row.first_seen_at, row.last_seen_at)),
            *(row.sessions, row.events),
        )


def _read_query() -> tuple[str, str, str]:
    args = request.args
    order = "active" if args.get("order") == "active" else "newest"
    return args.get("q", "").strip()[:_LONGEST_SEARCH], args.get("event", "").strip()[:32], order


def _list(state: State, access: Access, sought: str, event: str, order: str) -> Listed:
    catch_up(state)
    reports = state.reports
    if sought:
        rows = reports.search(sought, whole=not access.may_manage)
        return Listed("Found", "By customer id, uuid, order number, or any trait.", rows)
    if event:
        before = read_moment(request.args.get("before", ""))
        doers = reports.who_did(event, before=before)
        further = doers.further and {"event": event, "before": doers.further.isoformat()}
        sentence = "People of the latest 500 events within 30 days, the latest first."
        return Listed("Who did", sentence, doers.people, further or None)
    if order == "active":
        sentence = "By their sessions among the latest 5,000 sessions."
        return Listed("Most active people", sentence, reports.most_active())
    rows = reports.newest(read_uuid(request.args.get("before", "")))
    further = {"before": str(rows[-1].person)} if len(rows) == MOST else None
    return Listed(
        "Newest customers",
        "The order is that of their first log-in, which may be later than “First seen”.",
        rows,
        further,
    )


def read_moment(text: str) -> dt.datetime | None:
    """Return a moment of a URL in UTC; None if it is none, or none at which anything happened."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    is_known = moment.tzinfo is not None and _YEARS[0] <= moment.year <= _YEARS[1]
    return moment.astimezone(dt.UTC) if is_known else None


def read_uuid(text: str) -> uuidlib.UUID | None:
    try:
        return uuidlib.UUID(text)
    except ValueError:
        return None


def link_people(state: State) -> str:
    """Return the URL path of the list."""
    return f"{find_root(state)}/people"
