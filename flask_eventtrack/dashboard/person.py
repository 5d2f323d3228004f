"""A person: what is known of them, and all they did."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t
import uuid as uuidlib

from flask import Response, redirect, request

from ..reports import person as persons
from ..reports.person import Cursor, Person, PersonFeed
from ..request.access import Access
from ..request.problems import problem
from ..state import State
from . import figures
from .audit import note_view
from .feed_words import Veil, group_feed, write_moment
from .names import name_country
from .people import catch_up, choose_veil, link_people, name_person, read_moment, read_uuid
from .plain import respond_json
from .render import render

_PAGE = 50
_MOST_TRAITS = 50
_Fact = tuple[str, str]


class Found(t.NamedTuple):
    """A person, and a page of their feed."""

    known: Person
    feed: PersonFeed
    has_objected: bool


def show_person(state: State, access: Access, person: str) -> Response:
    """Show a person; a profile that became another one's leads there."""
    found = _read(state, person)
    if found is None:
        return show_unknown(state, access)
    known, feed = found.known, found.feed
    if str(known.person) != person:
        return redirect_to(state, known.person)
    note_view(state, access, known.person)
    shown, zone = choose_veil(access), state.reports.zone
    title = name_person(known.person, known.customer_id, shown)
    return render(
        state,
        access,
        "people",
        title,
        template="person",
        known=known,
        facts=_list_facts(known, state, shown),
        called=figures.shorten(shown(known.name), 60) if known.name else title,
        initials=_find_initials(shown(known.name or known.customer_id or "?")),
        since=write_moment(known.first_seen_at, zone),
        days=group_feed(feed.events, feed.sessions, zone, state.reports.now, shown),
        further=_write_cursor(feed.further),
        is_first=request.args.get("before") is None,
        action=_clean_action(request.args.get("action", "")),
        actions=sorted(definition.action for definition in state.catalogue),
        has_objected=found.has_objected,
        zone=str(zone),
    )


def send_person(state: State, access: Access, person: str) -> Response:
    """Send a person and a page of their feed as JSON."""
    found = _read(state, person)
    if found is None:
        return problem(404, "not_found", "Nothing is stored of a person with this id.")
    note_view(state, access, found.known.person)
    return respond_json(list_values(found, choose_veil(access)))


def list_values(found: Found, shown: Veil) -> dict[str, t.Any]:
    """Return a person and a page of their feed as programs read them."""
    known, feed = found.known, found.feed
    values = dataclasses.asdict(known)
    values |= {name: _as_dict(values[name]) for name in ("first_touch", "last_touch")}
    body = {
        "person": values,
        "events": [event._asdict() for event in feed.events],
        "sessions": [session._asdict() for session in feed.sessions.values()],
    }
    return {**shown(body), "further": _write_cursor(feed.further)}


def _read(state: State, text: str) -> Found | None:
    args = request.args
    return read_person(state, text, args.get("before", ""), args.get("action", ""))


def read_person(state: State, text: str, before: str = "", action: str = "") -> Found | None:
    """Read all that a page shows of a person in one snapshot; None if nothing is stored of them.

    :param text: their uuid.
    :param before: where the page of their feed begins, as the page before it says.
    :param action: the only events of the feed.
    """
    catch_up(state)
    uuid = read_uuid(text)
    if uuid is None:
        return None
    reader, writer = state.reports.reader, state.pipeline.writer
    with reader.open() as connection:
        owner = persons.find_owner(connection, reader.tables, uuid)
        if owner is None:
            return None
        known = persons.describe_person(connection, reader.tables, owner)
        where = _read_cursor(before), _PAGE, _clean_action(action)
        feed = persons.read_person_feed(connection, reader.tables, known.profiles, *where)
        return Found(known, feed, writer.has_objected(connection, known.profiles))


def _as_dict(touch: t.Any) -> object:
    return touch and touch._asdict()


def find_owner(state: State, text: str) -> uuidlib.UUID | None:
    """Return the person of a uuid in a URL, or None."""
    catch_up(state)
    uuid = read_uuid(text)
    return None if uuid is None else state.reports.owner(uuid)


def redirect_to(state: State, person: uuidlib.UUID, end: str = "") -> Response:
    """Lead to the same page of a person."""
    query = f"?{request.query_string.decode()}" if request.query_string else ""
    response = redirect(f"{link_people(state)}/{person}{end}{query}", 302, Response)
    response.headers["Cache-Control"] = "no-store"
    return t.cast("Response", response)


def show_unknown(state: State, access: Access) -> Response:
    """Say, inside the frame, that there is no such person."""
    return render(
        state,
        access,
        "people",
        "No such person",
        template="message",
        status=404,
        sentence="Nothing is stored of a person with this id.",
        hint="They may have been erased, or their events are past their retention period.",
        back=link_people(state),
        back_label="People",
        again=None,
    )


def _clean_action(text: str) -> str:
    return text.strip()[:32]


def _read_cursor(text: str) -> Cursor | None:
    moment, _, uuid = text.partition("~")
    time = read_moment(moment)
    return None if time is None else Cursor(time, read_uuid(uuid))


def _write_cursor(cursor: Cursor | None) -> str | None:
    if cursor is None:
        return None
    return cursor.time.isoformat() + (f"~{cursor.id}" if cursor.id else "")


def _find_initials(name: str) -> str:
    """Return the first letters of a name, or of an id."""
    words = [word for word in name.split() if word[:1].isalnum()]
    return "".join(word[0] for word in (*words[:1], *words[1:][-1:])).upper() or "?"


def _list_facts(known: Person, state: State, shown: Veil) -> list[_Fact]:
    zone = state.reports.zone
    facts: list[_Fact] = []
    facts += _list_traits(known.traits, shown)
    facts.append(("Uuid", str(known.person)))
    if len(known.profiles) > 1:
        facts.append(("Profiles", f"{len(known.profiles):,}"))
    facts.append(("First seen", write_moment(known.first_seen_at, zone)))
    facts.append(("Last seen", write_moment(known.last_seen_at, zone)))
    facts.append(("Devices", _write_devices(known)))
    facts.append(("Sessions", f"{known.sessions:,}"))
    facts.append(("Orders", _write_orders(known)))
    for name, touch in (("First source", known.first_touch), ("Last source", known.last_touch)):
        if touch is not None:
            parts = filter(None, (touch.source or "direct", touch.campaign))
            facts.append((name, figures.shorten(shown(" / ".join(parts)), 80)))
    if known.country:
        facts.append(("Country", name_country(known.country)))
    return facts


def _list_traits(traits: cabc.Mapping[str, t.Any], shown: Veil) -> cabc.Iterator[_Fact]:
    for name, value in list(traits.items())[:_MOST_TRAITS]:
        text = value if isinstance(value, str) else str(value)
        yield figures.shorten(shown(name), 40), figures.shorten(shown(text), 200)


def _write_devices(known: Person) -> str:
    kinds = (
        " · ".join(filter(None, (each.browser, each.os))) or each.device_type or "unknown"
        for each in known.devices[:4]
    )
    return f"{known.number_of_devices:,} ({', '.join(kinds)})" if known.devices else "0"


def _write_orders(known: Person) -> str:
    return " · ".join([f"{known.orders:,}", *map(figures.write_money, known.revenue)])
