"""Rows of the tables on their way to them: a field each column, in the columns' order.

Their times are UTC, so that every database stores the same moment.
"""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec

from ..records import Event
from ..text import page_label


class EventRow(msgspec.Struct, gc=False):
    """A row of ``eventtrack_event``."""

    id: uuidlib.UUID
    action: str
    time: dt.datetime
    received_at: dt.datetime
    stored_at: dt.datetime
    label: str | None
    uuid: uuidlib.UUID
    session_id: uuidlib.UUID | None
    site: str
    url_rule: str
    source: str
    claimed_by: uuidlib.UUID | None
    params: dict[str, t.Any]
    undefined: list[str] | None


class SessionRow(msgspec.Struct, gc=False):
    """A row of ``eventtrack_session``."""

    id: uuidlib.UUID
    uuid: uuidlib.UUID
    device_id: uuidlib.UUID
    started_at: dt.datetime
    last_seen_at: dt.datetime
    ended_at: dt.datetime | None
    pages: int
    events: int
    entry: str | None
    entry_at: dt.datetime | None
    exit: str | None
    exit_at: dt.datetime | None
    referrer: str | None
    source: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    browser: str | None
    os: str | None
    device_type: str | None
    language: str | None
    country: str | None
    site: str


class HourlyRow(msgspec.Struct, gc=False):
    """A row of ``eventtrack_hourly``."""

    hour: dt.datetime
    site: str
    action: str
    url_rule: str
    count: int


class QualityRow(msgspec.Struct, gc=False):
    """A row of ``eventtrack_quality``."""

    hour: dt.datetime
    outcome: str
    action: str
    reason: str
    count: int


Row = EventRow | SessionRow | HourlyRow | QualityRow


def row_of(event: Event, stored_at: dt.datetime) -> EventRow:
    """Return the row that an event becomes.

    :raises ValueError: one of its times has no time zone.
    """
    return EventRow(
        event.id,
        event.action,
        to_utc(event.time),
        to_utc(event.received_at),
        stored_at,
        page_label(event.params) if event.half else event.label,
        event.uuid,
        event.session.id if event.session else None,
        event.site,
        event.url_rule,
        event.source,
        None,
        event.params,
        list(event.undefined) or None,
    )


def to_utc(moment: dt.datetime) -> dt.datetime:
    if moment.tzinfo is dt.UTC:
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(dt.UTC)
