"""Live: who is here now, and the events as they come in."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid as uuidlib

from flask import Response, request

from ..reports.feed import Stored
from ..reports.people import Named
from ..reports.rows import HereNow
from ..request.access import Access
from ..state import State
from . import figures
from .feed_words import Veil, describe_event, write_age
from .names import name_country
from .people import catch_up, choose_veil, name_person, read_moment
from .plain import respond_json
from .render import find_root, render

_SHOWN = 50
# More than are shown, so that an event whose transaction was late is among them.
_FETCHED = 100
_LONGEST_ACTION = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Here:
    """A person who is here, as the page shows them."""

    name: str
    url: str
    path: str
    source: str
    note: str
    age: str


@dataclasses.dataclass(frozen=True, slots=True)
class LiveItem:
    """An event as the page shows it."""

    id: str
    time: str
    kind: str
    label: str
    seen: str
    action: str
    who: str
    url: str


@dataclasses.dataclass(frozen=True, slots=True)
class Live:
    """What happens now; ``after`` is the moment from which the next look goes on."""

    here: list[Here]
    people: int
    pages: int
    events: list[LiveItem]
    after: str


def show_live(state: State, access: Access) -> Response:
    """Show who is here, and the latest events."""
    action = _read_action()
    live = _read(state, access, None, action)
    return render(
        state,
        access,
        "live",
        "Live",
        live=dataclasses.replace(live, events=live.events[:_SHOWN]),
        action=action,
        actions=sorted(definition.action for definition in state.catalogue),
        here_now=live.people,
    )


def send_live(state: State, access: Access) -> Response:
    """Send what is new to the page's script."""
    live = _read(state, access, read_moment(request.args.get("after", "")), _read_action())
    return respond_json(live)


def _read_action() -> str:
    return request.args.get("action", "").strip()[:_LONGEST_ACTION]


def _read(state: State, access: Access, after: dt.datetime | None, action: str) -> Live:
    catch_up(state)
    reports, shown, root = state.reports, choose_veil(access), find_root(state)
    here, stored = reports.here_now(), reports.live(after, _FETCHED, action)
    names = reports.name({each.event.uuid for each in stored})
    latest = stored[0].stored_at if stored else after
    return Live(
        here=[_describe_here(each, reports.now, shown, root) for each in here[:_SHOWN]],
        people=len(here),
        pages=len({each.path for each in here}),
        events=[_describe(each, names, state.reports.zone, shown, root) for each in stored],
        after=latest.isoformat() if latest else "",
    )


def _describe_here(each: HereNow, now: dt.datetime, shown: Veil, root: str) -> Here:
    country = name_country(each.country) if each.country else ""
    pages = figures.quantify(each.pages, "page")
    return Here(
        name=name_person(each.person, each.customer_id, shown),
        url=f"{root}/people/{each.person}",
        path=figures.shorten(shown(each.path or figures.MISSING), 60),
        source=shown(each.source or ""),
        note=" · ".join(filter(None, [country, each.device_type, pages])),
        age=write_age(each.last_seen_at, now),
    )


def _describe(
    stored: Stored, names: dict[uuidlib.UUID, Named], zone: dt.tzinfo, shown: Veil, root: str
) -> LiveItem:
    item, named = describe_event(stored.event, zone, shown), names[stored.event.uuid]
    return LiveItem(
        id=str(item.id),
        time=item.time,
        kind=item.kind,
        label=item.label,
        seen=item.seen,
        action=item.action,
        who=name_person(named.person, named.customer_id, shown),
        url=f"{root}/people/{named.person}",
    )
