"""Rows of the tables in memory: a field for each column, in the order of the columns.

Their times are UTC, so that every database stores the same moment.
"""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec

from ..records import Event
from ..text import page_label
from .types import to_utc


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
    ended_at: dt.datetime | None = None
    pages: int = 0
    events: int = 0
    entry: str | None = None
    entry_at: dt.datetime | None = None
    exit: str | None = None
    exit_at: dt.datetime | None = None
    referrer: str | None = None
    source: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    browser: str | None = None
    os: str | None = None
    device_type: str | None = None
    language: str | None = None
    country: str | None = None
    site: str = ""
    private_at: dt.datetime | None = None
    logged_out_at: dt.datetime | None = None
    visible_ms: int = 0
    entry_rule: str | None = None
    channel: str | None = None
    person: uuidlib.UUID | None = None
    exit_rule: str | None = None


class TransactionRow(msgspec.Struct, gc=False):
    """A row of ``eventtrack_transaction``: a charge, or a cancellation, which names its charge.

    If its person was erased or has objected, only amounts and sources are left: ``uuid`` is None.
    """

    id: uuidlib.UUID
    charge_id: uuidlib.UUID | None
    order_id: str | None
    time: dt.datetime
    stored_at: dt.datetime
    uuid: uuidlib.UUID | None
    person: uuidlib.UUID | None
    session_id: uuidlib.UUID | None
    visit_id: uuidlib.UUID | None
    site: str
    currency: str
    amount: int
    cancelled: int = 0
    items: list[dict[str, t.Any]] | None = None
    digest: str | None = None
    settled_at: dt.datetime | None = None
    first_source: str | None = None
    first_medium: str | None = None
    first_campaign: str | None = None
    first_term: str | None = None
    first_content: str | None = None
    first_referrer: str | None = None
    first_rule: str | None = None
    first_channel: str | None = None
    first_at: dt.datetime | None = None
    last_source: str | None = None
    last_medium: str | None = None
    last_campaign: str | None = None
    last_term: str | None = None
    last_content: str | None = None
    last_referrer: str | None = None
    last_rule: str | None = None
    last_channel: str | None = None
    last_at: dt.datetime | None = None


class CountRow(msgspec.Struct, gc=False):
    """A row of ``eventtrack_hourly`` (site, action, URL rule) or ``eventtrack_quality`` (outcome,
    action, reason).
    """

    hour: dt.datetime
    first: str
    action: str
    last: str
    count: int


class AgentRow(msgspec.Struct, gc=False):
    """A row of ``eventtrack_agent_daily``."""

    day: dt.date
    site: str
    agent: str
    kind: str
    claim: str
    url_rule: str
    status: int
    count: int


Row = EventRow | SessionRow | TransactionRow | CountRow | AgentRow


def row_of(event: Event, stored_at: dt.datetime) -> EventRow:
    """Return the row of an event.

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
