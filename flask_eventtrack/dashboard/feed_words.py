"""Events as pages show them: grouped by day and session, each with its sentence and details."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import itertools
import json
import typing as t
import uuid as uuidlib

from ..privacy.masking import veil_emails
from ..records import CHARGE, PAGE_VISIT
from ..reports.feed import FeedEvent
from ..reports.person import FeedSession
from ..store.in_view import in_view_of, say_in_view
from . import figures

Kind = t.Literal["visit", "money", "session", "custom"]
Veil = cabc.Callable[[t.Any], t.Any]

_LONGEST_VALUE = 500
_MOST_PARAMS = 40
_LONGEST_LABEL = 160
_VISITS = frozenset({PAGE_VISIT, "screen.view"})


class Item(t.NamedTuple):
    """An event: its time of day, its sentence, what the visit showed, and its parameters."""

    id: uuidlib.UUID
    moment: dt.datetime
    time: str
    kind: Kind
    label: str
    seen: str
    action: str
    source: str
    params: tuple[tuple[str, str], ...]


class Group(t.NamedTuple):
    """Events of a session, or without one; ``note`` says where the session came from."""

    title: str
    note: str
    is_open: bool
    items: list[Item]


class Day(t.NamedTuple):
    """The groups of a day."""

    title: str
    groups: list[Group]


def keep(value: t.Any) -> t.Any:
    """Show a value as it is."""
    return value


def veil(value: t.Any) -> t.Any:
    """Return a value, which may hold others, with the e-mail addresses in it cut short."""
    if isinstance(value, str):
        return veil_emails(value)
    if isinstance(value, dict):
        return {veil(name): veil(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [veil(each) for each in value]
    return value


def describe_event(event: FeedEvent, zone: dt.tzinfo, shown: Veil) -> Item:
    """Return an event as pages show it."""
    seen = say_in_view(in_view_of(event.params)) if event.action in _VISITS else ""
    label = event.label.removesuffix(f" ({seen})") if seen else event.label
    moment = event.time.astimezone(zone)
    return Item(
        id=event.id,
        moment=moment,
        time=f"{moment:%H:%M:%S}",
        kind=_kind_of(event.action),
        label=_cut(shown(label), _LONGEST_LABEL),
        seen=seen,
        action=event.action,
        source=event.source,
        params=tuple(_list_params(event.params, shown)),
    )


def _kind_of(action: str) -> Kind:
    if action in _VISITS:
        return "visit"
    if action == CHARGE or action.startswith("transaction."):
        return "money"
    return "session" if action.startswith("session.") else "custom"


def _list_params(params: cabc.Mapping[str, t.Any], shown: Veil) -> cabc.Iterator[tuple[str, str]]:
    for name, value in itertools.islice(params.items(), _MOST_PARAMS):
        text = value if isinstance(value, str) else json.dumps(shown(value), ensure_ascii=False)
        yield _cut(shown(name), 64), _cut(shown(text), _LONGEST_VALUE)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def group_feed(
    events: cabc.Iterable[FeedEvent],
    sessions: cabc.Mapping[uuidlib.UUID, FeedSession],
    zone: dt.tzinfo,
    now: dt.datetime,
    shown: Veil = keep,
) -> list[Day]:
    """Group a feed, newest first, by the days of a zone and in each by session."""
    days = []
    for day, of_day in itertools.groupby(events, lambda e: e.time.astimezone(zone).date()):
        groups = [
            _make_group(
                sessions.get(session_id) if session_id else None,
                [describe_event(event, zone, shown) for event in of_session],
                now,
                shown,
                is_lost=session_id is not None,
            )
            for session_id, of_session in itertools.groupby(of_day, lambda e: e.session_id)
        ]
        days.append(Day(name_day(day, now.astimezone(zone).date()), groups))
    return days


def _make_group(
    session: FeedSession | None,
    items: list[Item],
    now: dt.datetime,
    shown: Veil,
    *,
    is_lost: bool,
) -> Group:
    if session is None:
        return Group("Session" if is_lost else "Outside a session", "", is_open=False, items=items)
    came = [shown(part) for part in (session.source, session.utm_campaign) if part]
    client = [part for part in (session.browser, session.os) if part]
    pages = figures.quantify(session.pages, "page")
    source = "direct" if came == ["direct"] else f"from {' / '.join(came)}" if came else ""
    note = " · ".join(filter(None, [pages, source, ", ".join(client)]))
    title = f"Session of {figures.write_seconds(session.seconds)}"
    is_open = session.ended_at is None and now - session.last_seen_at < dt.timedelta(minutes=5)
    return Group(title, note, is_open, items)


def name_day(day: dt.date, today: dt.date) -> str:
    """Return a day for a heading: "Today", "Yesterday", "Tue 24 November"."""
    if day == today:
        return "Today"
    if day == today - dt.timedelta(days=1):
        return "Yesterday"
    text = figures.write_day(day)
    return text.removesuffix(f" {today.year}")


def write_moment(moment: dt.datetime | None, zone: dt.tzinfo) -> str:
    """Return a moment: "24 Nov 2026, 14:32"."""
    if moment is None:
        return figures.MISSING
    local = moment.astimezone(zone)
    return f"{local.day} {figures.name_month(local.date())[:3]} {local.year}, {local:%H:%M}"


def write_age(moment: dt.datetime, now: dt.datetime) -> str:
    """Return how long ago a moment was: "12s ago"."""
    return f"{figures.write_seconds(max(0.0, (now - moment).total_seconds()))} ago"
