"""The tables. Every statement runs on the per-app copies that :class:`Tables` holds."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import typing as t

import sqlalchemy as sa

from ..records import CAMPAIGN, TOUCH
from .types import JSON, UTCDateTime, blob, plain, text

#: The version of the tables and of what is in them. A release that changes either counts it up.
#: A new column is nullable or has a default in the database, so that the release before goes on
#: writing. Version 1 is that of release 0.1, which kept no version.
VERSION = 5

#: What a row of closed days counts; ``visible`` and ``seconds`` are sums over its sessions.
COUNTS: t.Final = ("sessions", "pages", "events", "bounces", "seconds", "visible_ms")

_CLUSTERED = frozenset({"daily", "returning", "person_day"})
_IS_CLAIMED = sa.text("claimed_by IS NOT NULL")


def _touch(prefix: t.Literal["first", "last"]) -> list[sa.schema.SchemaItem]:
    """Return the columns of a touch."""
    types: dict[str, sa.types.TypeEngine[t.Any]] = {
        "referrer": sa.Text(),
        "channel": text(16),
        "at": UTCDateTime(),
    }
    return [sa.Column(f"{prefix}_{name}", types.get(name, text(255))) for name in TOUCH]


# The columns and indexes of each table, by its field of :class:`Tables`.
_ITEMS: dict[str, list[sa.schema.SchemaItem]] = {
    "event": [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("action", text(32), nullable=False),
        sa.Column("time", UTCDateTime(), nullable=False),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("stored_at", UTCDateTime(), nullable=False),
        sa.Column("label", text(255)),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid()),
        sa.Column("site", text(255), nullable=False),
        sa.Column("url_rule", text(255), nullable=False),
        sa.Column("source", text(8), nullable=False),
        sa.Column("claimed_by", sa.Uuid()),
        sa.Column("params", JSON, nullable=False),
        sa.Column("undefined", JSON),
        sa.Index("ix_eventtrack_event_uuid_time", "uuid", "time"),
        sa.Index("ix_eventtrack_event_session_id_time", "session_id", "time"),
        sa.Index(
            "ix_eventtrack_event_claimed_by",
            "claimed_by",
            postgresql_where=_IS_CLAIMED,
            sqlite_where=_IS_CLAIMED,
        ),
        sa.Index("ix_eventtrack_event_stored_at", "stored_at"),
        sa.Index("ix_eventtrack_event_time_action", "time", "action"),
    ],
    "session": [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime()),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("entry", text(255)),
        sa.Column("entry_at", UTCDateTime()),
        sa.Column("exit", text(255)),
        sa.Column("exit_at", UTCDateTime()),
        sa.Column("referrer", sa.Text()),
        sa.Column("source", text(255)),
        *(sa.Column(name, text(255)) for name in CAMPAIGN),
        sa.Column("browser", text(64)),
        sa.Column("os", text(64)),
        sa.Column("device_type", text(16)),
        sa.Column("language", text(35)),
        sa.Column("country", text(2)),
        sa.Column("site", text(255), nullable=False),
        sa.Column("private_at", UTCDateTime()),
        sa.Column("logged_out_at", UTCDateTime()),
        sa.Column("visible_ms", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("entry_rule", text(255)),
        sa.Column("channel", text(16)),
        sa.Column("person", sa.Uuid()),
        sa.Column("exit_rule", text(255)),
        # So that a filter does not look up sessions with other values. These columns hardly ever
        # change; with more of them, PostgreSQL (2,704 bytes) or MariaDB (3,072) would refuse.
        sa.Index(
            "ix_eventtrack_session_started_at_and_dimensions",
            *("started_at", "country", "source", "channel", "device_type", "browser", "os"),
            *("language", "utm_campaign"),
        ),
        sa.Index("ix_eventtrack_session_uuid_started_at", "uuid", "started_at"),
        sa.Index("ix_eventtrack_session_person_started_at", "person", "started_at"),
        # Without last_seen_at: it changes with each event of a session, and so would the index.
        sa.Index("ix_eventtrack_session_ended_at_started_at", "ended_at", "started_at"),
    ],
    "profile": [
        sa.Column("uuid", sa.Uuid(), primary_key=True),
        sa.Column("customer_id", text(255), nullable=False),
        sa.Column("traits", JSON, nullable=False),
        sa.Column("first_seen_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", UTCDateTime(), nullable=False),
        *_touch("first"),
        *_touch("last"),
        sa.Index("ix_eventtrack_profile_customer_id", "customer_id"),
        # For the newest customers. It changes once for each of them.
        sa.Index("ix_eventtrack_profile_first_seen_at", "first_seen_at"),
    ],
    "alias": [
        sa.Column("anonymous_uuid", sa.Uuid(), primary_key=True),
        sa.Column("customer_uuid", sa.Uuid(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("stored_at", UTCDateTime()),
        sa.Column("applied_at", UTCDateTime()),
        sa.Index("ix_eventtrack_alias_customer_uuid", "customer_uuid"),
        sa.Index("ix_eventtrack_alias_applied_at", "applied_at"),
    ],
    "transaction": [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("charge_id", sa.Uuid()),
        sa.Column("order_id", text(255)),
        sa.Column("time", UTCDateTime(), nullable=False),
        sa.Column("stored_at", UTCDateTime(), nullable=False),
        sa.Column("uuid", sa.Uuid()),
        sa.Column("person", sa.Uuid()),
        sa.Column("session_id", sa.Uuid()),
        sa.Column("visit_id", sa.Uuid()),
        sa.Column("site", text(255), nullable=False),
        sa.Column("currency", text(3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("items", JSON),
        sa.Column("digest", text(64)),
        sa.Column("settled_at", UTCDateTime()),
        *_touch("first"),
        *_touch("last"),
        # With what reports read of orders, so that they look up no row.
        sa.Index(
            "ix_eventtrack_transaction_time_and_amount",
            *("time", "session_id", "charge_id", "currency", "amount"),
        ),
        sa.Index("ix_eventtrack_transaction_uuid_time", "uuid", "time"),
        sa.Index("ix_eventtrack_transaction_person_time", "person", "time"),
        sa.Index("ix_eventtrack_transaction_settled_at", "settled_at", "stored_at"),
    ],
    "hourly": [
        sa.Column("hour", UTCDateTime(), primary_key=True),
        sa.Column("site", text(255), primary_key=True),
        sa.Column("action", text(32), primary_key=True),
        sa.Column("url_rule", text(255), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
    ],
    "quality": [
        sa.Column("hour", UTCDateTime(), primary_key=True),
        sa.Column("outcome", text(16), primary_key=True),
        sa.Column("action", text(32), primary_key=True),
        sa.Column("reason", text(64), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
    ],
    "uncounted": [
        sa.Column("event_id", sa.Uuid(), primary_key=True),
        sa.Column("record", blob(), nullable=False),
        sa.Column("due_at", UTCDateTime()),
    ],
    "rejected": [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("rejected_at", UTCDateTime(), nullable=False),
        sa.Column("action", text(32), nullable=False),
        sa.Column("reason", text(255), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Index("ix_eventtrack_rejected_rejected_at", "rejected_at"),
    ],
    "tombstone": [
        sa.Column("uuid_hash", text(64), primary_key=True),
        sa.Column("erased_at", UTCDateTime(), nullable=False),
    ],
    "objection": [
        sa.Column("uuid_hash", text(64), primary_key=True),
        sa.Column("objected_at", UTCDateTime(), primary_key=True),
        sa.Column("withdrawn_at", UTCDateTime()),
    ],
    "salt": [
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("salt", text(64), nullable=False),
    ],
    # What closed days counted, so that no report counts their sessions again. The dimension comes
    # before the day: a report reads some dimensions of many days.
    "daily": [
        sa.Column("site", text(255), primary_key=True),
        sa.Column("dimension", text(16), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("value", text(255), primary_key=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.Index("ix_eventtrack_daily_day", "day"),
    ],
    # Of the visitors of a day, how many were last here on another one.
    "returning": [
        sa.Column("site", text(255), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("previous", sa.Date(), primary_key=True),
        sa.Column("visitors", sa.BigInteger(), nullable=False),
    ],
    # The visitors of each closed day, as they are counted in "returning".
    "person_day": [
        sa.Column("person", sa.Uuid(), primary_key=True),
        sa.Column("site", text(255), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("previous", sa.Date(), nullable=False),
        sa.Index("ix_eventtrack_person_day_day", "day"),
    ],
    # Row 1: up to which day days are closed, and their zone. Row 2: from which day all are to be
    # counted anew.
    "closed": [
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("zone", text(64), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
    ],
    # Closed days and people that are to be counted again.
    "recount_day": [
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    ],
    "recount_person": [
        sa.Column("person", sa.Uuid(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    ],
    # The customers' traits, by which people are searched.
    "trait": [
        sa.Column("uuid", sa.Uuid(), primary_key=True),
        sa.Column("name", text(64), primary_key=True),
        sa.Column("value", text(255), nullable=False),
        # PostgreSQL finds the beginnings of values by their bytes, whatever the collation.
        sa.Index(
            "ix_eventtrack_trait_value", "value", postgresql_ops={"value": "varchar_pattern_ops"}
        ),
    ],
    # Who looked at a person, exported or erased them, and who made or revoked a link.
    "audit": [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", text(255), nullable=False),
        sa.Column("action", text(32), nullable=False),
        sa.Column("subject", text(255), nullable=False),
        sa.Index("ix_eventtrack_audit_at", "at"),
    ],
    # Read-only links to the overview.
    "link": [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("name", text(255), nullable=False),
        sa.Column("site", text(255)),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("created_by", text(255), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime()),
    ],
    "schema": [
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("reached_at", UTCDateTime(), nullable=False),
    ],
}

_metadata = sa.MetaData()
for _name, _items in _ITEMS.items():
    # SQLite keeps their rows in the order of the key, so that reports read them in one go.
    sa.Table(f"eventtrack_{_name}", _metadata, *_items, sqlite_with_rowid=_name not in _CLUSTERED)


@dataclasses.dataclass(frozen=True, slots=True)
class Tables:
    """The tables, of one schema and bind."""

    event: sa.Table
    session: sa.Table
    profile: sa.Table
    alias: sa.Table
    transaction: sa.Table
    hourly: sa.Table
    quality: sa.Table
    uncounted: sa.Table
    rejected: sa.Table
    tombstone: sa.Table
    objection: sa.Table
    salt: sa.Table
    daily: sa.Table
    returning: sa.Table
    person_day: sa.Table
    closed: sa.Table
    recount_day: sa.Table
    recount_person: sa.Table
    trait: sa.Table
    audit: sa.Table
    link: sa.Table
    schema: sa.Table

    @classmethod
    def for_metadata(cls, metadata: sa.MetaData) -> Tables:
        """Return the tables for our statements, and add copies to the host's ``metadata``.

        The host's copies, for ``create_all()`` and for migrations, have SQLAlchemy's own types.
        """
        for table in _metadata.tables.values():
            _ensure(table, metadata)
        return _make_own(metadata.schema, metadata.info.get("bind_key"))

    def all(self) -> list[sa.Table]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


@functools.cache
def _make_own(schema: str | None, bind_key: str | None) -> Tables:
    """Return the tables for our statements: the apps of a process share them."""
    own = sa.MetaData(schema=schema, info={"bind_key": bind_key})
    return Tables(*(_copy(table, own) for table in _metadata.tables.values()))


def _ensure(table: sa.Table, metadata: sa.MetaData) -> None:
    key = f"{metadata.schema}.{table.name}" if metadata.schema else table.name
    if key not in metadata.tables:
        for column in _copy(table, metadata).columns:
            column.type = plain(column.type)


def _copy(table: sa.Table, metadata: sa.MetaData) -> sa.Table:
    if metadata.schema:
        return table.to_metadata(metadata, schema=metadata.schema)
    return table.to_metadata(metadata)


_Args = t.TypeVarTuple("_Args")
_Made = t.TypeVar("_Made")


def cached_on_table(
    make: cabc.Callable[[sa.Table, *_Args], _Made],
) -> cabc.Callable[[sa.Table, *_Args], _Made]:
    """Decorate a function of a table and hashable arguments: it is called once for each of them.

    What it returned is kept in the table's ``info``, for all apps of the process: so no argument is
    an app's own.
    """

    def find(table: sa.Table, *args: *_Args) -> _Made:
        cache: dict[t.Any, _Made] = table.info.setdefault(make, {})
        if args not in cache:
            cache[args] = make(table, *args)
        return cache[args]

    return find
