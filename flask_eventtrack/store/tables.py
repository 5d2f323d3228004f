"""The tables. Every statement runs on those that :class:`Tables` holds."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import typing as t

import sqlalchemy as sa

from ..records import CAMPAIGN, TOUCH
from .logged import BATCH, LOGGED, add_columns, add_filled_columns
from .types import JSON, UTCDateTime, blob, plain, text

#: The version of the tables and of what is in them. A release that changes either counts it up.
#: A new column is nullable or has a default in the database, so that the release before goes on
#: writing. Version 1 is that of release 0.1, which kept no version.
VERSION = 6

#: What a row of closed days counts; ``visible`` and ``seconds`` are sums over its sessions.
COUNTS: t.Final = ("sessions", "pages", "events", "bounces", "seconds", "visible_ms")

_PREFIX = "eventtrack_"
_CLUSTERED = frozenset(
    {
        "daily",
        "returning",
        "person_day",
        "agent_daily",
        "cohort",
        "commit",
        "gone",
        "follower",
        "stream",
    }
)
_IS_CLAIMED = sa.text("claimed_by IS NOT NULL")


def _touch(prefix: t.Literal["first", "last"]) -> list[sa.schema.SchemaItem]:
    """Return the columns of a touch."""
    types: dict[str, sa.types.TypeEngine[t.Any]] = {
        "referrer": sa.Text(),
        "channel": text(16),
        "at": UTCDateTime(),
    }
    return [sa.Column(f"{prefix}_{name}", types.get(name, text(255))) for name in TOUCH]


_MakeItems = cabc.Callable[[], list[sa.schema.SchemaItem]]
# What makes the columns and indexes of each table, by its field of :class:`Tables`.
_ITEMS: dict[str, _MakeItems] = {
    "event": lambda: [
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
        # With what reports read of a session's events, so that they look up no row.
        sa.Index(
            "ix_eventtrack_event_session_id_and_rule",
            *("session_id", "time", "action", "url_rule", "source"),
        ),
        sa.Index(
            "ix_eventtrack_event_claimed_by",
            "claimed_by",
            postgresql_where=_IS_CLAIMED,
            sqlite_where=_IS_CLAIMED,
        ),
        sa.Index("ix_eventtrack_event_stored_at", "stored_at"),
        # The same for a time, of which funnels and filters want some actions and routes. No index
        # begins with the action: SQLite would look up the events of a session by it.
        sa.Index(
            "ix_eventtrack_event_time_and_rule",
            *("time", "action", "url_rule", "session_id", "source"),
        ),
    ],
    "session": lambda: [
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
        # So that a filter on a country reads that country's entries alone.
        sa.Index(
            "ix_eventtrack_session_country_started_at_source", "country", "started_at", "source"
        ),
        sa.Index("ix_eventtrack_session_uuid_started_at", "uuid", "started_at"),
        sa.Index("ix_eventtrack_session_person_started_at", "person", "started_at"),
        # Without last_seen_at: it changes with each event of a session, and so would the index.
        sa.Index("ix_eventtrack_session_ended_at_started_at", "ended_at", "started_at"),
    ],
    "profile": lambda: [
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
    "alias": lambda: [
        sa.Column("anonymous_uuid", sa.Uuid(), primary_key=True),
        sa.Column("customer_uuid", sa.Uuid(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("stored_at", UTCDateTime()),
        sa.Column("applied_at", UTCDateTime()),
        sa.Index("ix_eventtrack_alias_customer_uuid", "customer_uuid"),
        sa.Index("ix_eventtrack_alias_applied_at", "applied_at"),
    ],
    "transaction": lambda: [
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
    "hourly": lambda: [
        sa.Column("hour", UTCDateTime(), primary_key=True),
        sa.Column("site", text(255), primary_key=True),
        sa.Column("action", text(32), primary_key=True),
        sa.Column("url_rule", text(255), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
    ],
    "quality": lambda: [
        sa.Column("hour", UTCDateTime(), primary_key=True),
        sa.Column("outcome", text(16), primary_key=True),
        sa.Column("action", text(32), primary_key=True),
        sa.Column("reason", text(64), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
    ],
    "uncounted": lambda: [
        sa.Column("event_id", sa.Uuid(), primary_key=True),
        sa.Column("record", blob(), nullable=False),
        sa.Column("due_at", UTCDateTime()),
    ],
    "rejected": lambda: [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("rejected_at", UTCDateTime(), nullable=False),
        sa.Column("action", text(32), nullable=False),
        sa.Column("reason", text(255), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Index("ix_eventtrack_rejected_rejected_at", "rejected_at"),
    ],
    "tombstone": lambda: [
        sa.Column("uuid_hash", text(64), primary_key=True),
        sa.Column("erased_at", UTCDateTime(), nullable=False),
    ],
    "objection": lambda: [
        sa.Column("uuid_hash", text(64), primary_key=True),
        sa.Column("objected_at", UTCDateTime(), primary_key=True),
        sa.Column("withdrawn_at", UTCDateTime()),
    ],
    "salt": lambda: [
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("salt", text(64), nullable=False),
    ],
    # What closed days counted, so that no report counts their sessions again. The dimension comes
    # before the day: a report reads some dimensions of many days.
    "daily": lambda: [
        sa.Column("site", text(255), primary_key=True),
        sa.Column("dimension", text(16), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("value", text(255), primary_key=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.Index("ix_eventtrack_daily_day", "day"),
    ],
    # Of the visitors of a day, how many were last here on another one.
    "returning": lambda: [
        sa.Column("site", text(255), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("previous", sa.Date(), primary_key=True),
        sa.Column("visitors", sa.BigInteger(), nullable=False),
    ],
    # Of the visitors of a day, how many first came on another one, and for how many of them it is
    # the first day of its week or month.
    "cohort": lambda: [
        sa.Column("site", text(255), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("first_day", sa.Date(), primary_key=True),
        sa.Column("visitors", sa.BigInteger(), nullable=False),
        sa.Column("of_week", sa.BigInteger(), nullable=False),
        sa.Column("of_month", sa.BigInteger(), nullable=False),
    ],
    # The visitors of each closed day, as they are counted in "returning".
    "person_day": lambda: [
        sa.Column("person", sa.Uuid(), primary_key=True),
        sa.Column("site", text(255), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("previous", sa.Date(), nullable=False),
        # With what a day is counted by, so that closing it looks up no row.
        sa.Index("ix_eventtrack_person_day_day_previous", "day", "previous"),
    ],
    # What agents have read: the programs of AI assistants, search engines and other bots.
    "agent_daily": lambda: [
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("site", text(255), primary_key=True),
        sa.Column("agent", text(48), primary_key=True),
        sa.Column("kind", text(16), nullable=False),
        sa.Column("claim", text(16), primary_key=True),
        sa.Column("url_rule", text(255), primary_key=True),
        sa.Column("status", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
    ],
    # Row 1: up to which day days are closed, and their zone. Row 2: from which day all are to be
    # counted anew.
    "closed": lambda: [
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("zone", text(64), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
    ],
    # Closed days and people that are to be counted again.
    "recount_day": lambda: [
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    ],
    "recount_person": lambda: [
        sa.Column("person", sa.Uuid(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    ],
    # The customers' traits, by which people are searched.
    "trait": lambda: [
        sa.Column("uuid", sa.Uuid(), primary_key=True),
        sa.Column("name", text(64), primary_key=True),
        sa.Column("value", text(255), nullable=False),
        # PostgreSQL finds the beginnings of values by their bytes, whatever the collation.
        sa.Index(
            "ix_eventtrack_trait_value", "value", postgresql_ops={"value": "varchar_pattern_ops"}
        ),
    ],
    # Who looked at a person, exported or erased them, and who made or revoked a link.
    "audit": lambda: [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", text(255), nullable=False),
        sa.Column("action", text(32), nullable=False),
        sa.Column("subject", text(255), nullable=False),
        sa.Index("ix_eventtrack_audit_at", "at"),
    ],
    # Read-only links to the overview.
    "link": lambda: [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("name", text(255), nullable=False),
        sa.Column("site", text(255)),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("created_by", text(255), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime()),
    ],
    # What people have made on the pages and saved under a name.
    "saved": lambda: [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("kind", text(16), nullable=False),
        sa.Column("name", text(255), nullable=False),
        sa.Column("definition", JSON, nullable=False),
        sa.Column("made_by", text(255), nullable=False),
        sa.Column("made_at", UTCDateTime(), nullable=False),
        sa.Index("ix_eventtrack_saved_kind_name", "kind", "name", unique=True),
    ],
    "schema": lambda: [
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("reached_at", UTCDateTime(), nullable=False),
    ],
}

# The tables of the commit log, which exist only if it is on.
_LOG_ITEMS: dict[str, _MakeItems] = {
    # A row for each transaction of ours, in the order of the commits. Row 0 is the counter: its
    # batch is the latest ``seq``.
    "commit": lambda: [
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column(BATCH, sa.BigInteger(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
    ],
    # The rows that a transaction has deleted or moved, and why: see :mod:`.logged`.
    "gone": lambda: [
        sa.Column(BATCH, sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("kind", text(16), primary_key=True),
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("action", text(32)),
        sa.Column("stored_at", UTCDateTime()),
        sa.Column("reason", text(16)),
    ],
    # How far each of the host's functions on events has come, which process runs it, and the event
    # that it fails with.
    "follower": lambda: [
        sa.Column("name", text(255), primary_key=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("told", JSON),
        sa.Column("owner", sa.Uuid()),
        sa.Column("leased_until", UTCDateTime()),
        sa.Column("event_id", sa.Uuid()),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("error", text(255)),
        sa.Column("failed_at", UTCDateTime()),
        sa.Column("retry_at", UTCDateTime()),
        sa.Column("given_up", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("missed_at", UTCDateTime()),
    ],
}

# The table of the workers, which exists only if records go through streams.
_STREAM_ITEMS: dict[str, _MakeItems] = {
    # For each stream the ids of the last frames that are committed, the last entry of the stream,
    # and when that was.
    "stream": lambda: [
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("frames", JSON, nullable=False),
        sa.Column("last", text(64), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
    ],
}


@dataclasses.dataclass(frozen=True, slots=True)
class Tables:
    """The tables, of one schema and bind. Those of the commit log, and that of the workers, are
    None while these are off."""

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
    cohort: sa.Table
    person_day: sa.Table
    agent_daily: sa.Table
    closed: sa.Table
    recount_day: sa.Table
    recount_person: sa.Table
    trait: sa.Table
    audit: sa.Table
    link: sa.Table
    saved: sa.Table
    schema: sa.Table
    commit: sa.Table | None = None
    gone: sa.Table | None = None
    follower: sa.Table | None = None
    stream: sa.Table | None = None

    @classmethod
    def for_metadata(
        cls, metadata: sa.MetaData, *, has_log: bool = False, has_stream: bool = False
    ) -> Tables:
        """Return the tables for our statements, and add copies to the host's ``metadata``.

        The host's copies, for ``create_all()`` and for migrations, have SQLAlchemy's own types.

        :param has_log: whether the commit log is on, with its tables and columns.
        :param has_stream: whether records go through streams to workers, which have a table.
        """
        items = _find_items(has_log=has_log, has_stream=has_stream)
        for name, make_items in items.items():
            if _key(name, metadata) not in metadata.tables:
                for column in _make(name, make_items, metadata).columns:
                    column.type = plain(column.type)
        if has_log:
            for name in LOGGED:
                host_table = metadata.tables[_key(name, metadata)]
                if BATCH not in host_table.columns:
                    add_columns(host_table, name)
        return _make_own(metadata.schema, metadata.info.get("bind_key"), has_log, has_stream)

    def all(self) -> list[sa.Table]:
        tables = (getattr(self, field.name) for field in dataclasses.fields(self))
        return [table for table in tables if table is not None]


@functools.cache
def _make_own(schema: str | None, bind_key: str | None, has_log: bool, has_stream: bool) -> Tables:
    """Return the tables for our statements: the apps of a process share them."""
    own = sa.MetaData(schema=schema, info={"bind_key": bind_key})
    items = _find_items(has_log=has_log, has_stream=has_stream)
    tables = Tables(**{name: _make(name, each, own) for name, each in items.items()})
    if has_log:
        for name in LOGGED:
            add_filled_columns(getattr(tables, name), name)
    return tables


def _find_items(*, has_log: bool, has_stream: bool) -> dict[str, _MakeItems]:
    return _ITEMS | (_LOG_ITEMS if has_log else {}) | (_STREAM_ITEMS if has_stream else {})


def _make(name: str, make_items: _MakeItems, metadata: sa.MetaData) -> sa.Table:
    # SQLite keeps the rows of some in the order of the key, so that reports read them in one go.
    with_rowid = name not in _CLUSTERED
    return sa.Table(f"{_PREFIX}{name}", metadata, *make_items(), sqlite_with_rowid=with_rowid)


def _key(name: str, metadata: sa.MetaData) -> str:
    table = f"{_PREFIX}{name}"
    return f"{metadata.schema}.{table}" if metadata.schema else table


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
