"""The tables of release 0.1, as its ``create_all()`` made them, and rows as it inserted them."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from ..hosts import START

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_BLOB = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
_IS_CLAIMED = sa.text("claimed_by IS NOT NULL")


def _text(length: int) -> sa.types.TypeEngine[str]:
    varchar = mysql.VARCHAR(length, collation="utf8mb4_bin")
    return sa.String(length).with_variant(varchar, "mysql", "mariadb")


def _columns(**kinds: t.Any) -> list[sa.Column[t.Any]]:
    """Make columns: of a type in a list, one that may be null; in a tuple, one of the key."""
    return [
        sa.Column(
            name,
            kind[0] if isinstance(kind, list | tuple) else kind,
            primary_key=isinstance(kind, tuple),
            nullable=isinstance(kind, list),
        )
        for name, kind in kinds.items()
    ]


FIRST = sa.MetaData()
sa.Table(
    "eventtrack_event",
    FIRST,
    *_columns(
        id=(sa.Uuid(),),
        action=_text(32),
        time=_TIME,
        received_at=_TIME,
        stored_at=_TIME,
        label=[_text(255)],
        uuid=sa.Uuid(),
        session_id=[sa.Uuid()],
        site=_text(255),
        url_rule=_text(255),
        source=_text(8),
        claimed_by=[sa.Uuid()],
        params=_JSON,
        undefined=[_JSON],
    ),
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
)
sa.Table(
    "eventtrack_session",
    FIRST,
    *_columns(
        id=(sa.Uuid(),),
        uuid=sa.Uuid(),
        device_id=sa.Uuid(),
        started_at=_TIME,
        last_seen_at=_TIME,
        ended_at=[_TIME],
        pages=sa.Integer(),
        events=sa.Integer(),
        entry=[_text(255)],
        entry_at=[_TIME],
        exit=[_text(255)],
        exit_at=[_TIME],
        referrer=[sa.Text()],
        source=[_text(255)],
        utm_source=[_text(255)],
        utm_medium=[_text(255)],
        utm_campaign=[_text(255)],
        utm_term=[_text(255)],
        utm_content=[_text(255)],
        browser=[_text(64)],
        os=[_text(64)],
        device_type=[_text(16)],
        language=[_text(35)],
        country=[_text(2)],
        site=_text(255),
    ),
    sa.Index("ix_eventtrack_session_uuid_started_at", "uuid", "started_at"),
    sa.Index("ix_eventtrack_session_ended_at_started_at", "ended_at", "started_at"),
)
sa.Table(
    "eventtrack_profile",
    FIRST,
    *_columns(
        uuid=(sa.Uuid(),),
        customer_id=_text(255),
        traits=_JSON,
        first_seen_at=_TIME,
        last_seen_at=_TIME,
    ),
    sa.Index("ix_eventtrack_profile_customer_id", "customer_id"),
)
sa.Table(
    "eventtrack_alias",
    FIRST,
    *_columns(anonymous_uuid=(sa.Uuid(),), customer_uuid=sa.Uuid(), created_at=_TIME),
    sa.Index("ix_eventtrack_alias_customer_uuid", "customer_uuid"),
)
sa.Table(
    "eventtrack_hourly",
    FIRST,
    *_columns(
        hour=(_TIME,),
        site=(_text(255),),
        action=(_text(32),),
        url_rule=(_text(255),),
        count=sa.BigInteger(),
    ),
)
sa.Table(
    "eventtrack_quality",
    FIRST,
    *_columns(
        hour=(_TIME,),
        outcome=(_text(16),),
        action=(_text(32),),
        reason=(_text(64),),
        count=sa.BigInteger(),
    ),
)
sa.Table("eventtrack_uncounted", FIRST, *_columns(event_id=(sa.Uuid(),), record=_BLOB))
sa.Table(
    "eventtrack_rejected",
    FIRST,
    *_columns(
        id=(sa.Uuid(),),
        rejected_at=_TIME,
        action=_text(32),
        reason=_text(255),
        payload=sa.Text(),
    ),
    sa.Index("ix_eventtrack_rejected_rejected_at", "rejected_at"),
)
sa.Table("eventtrack_tombstone", FIRST, *_columns(uuid_hash=(_text(64),), erased_at=_TIME))
sa.Table("eventtrack_salt", FIRST, *_columns(day=(sa.Date(),), salt=_text(64)))

_NOW = START.replace(tzinfo=None)


def insert_first_rows(connection: sa.Connection) -> dict[str, dict[str, t.Any]]:
    """Insert a row into each table as release 0.1 does, with its columns only; return them."""
    ids = [uuidlib.uuid4() for _ in range(9)]
    rows: dict[str, dict[str, t.Any]] = {
        "event": {
            "id": ids[0],
            "action": "order.ship",
            "time": _NOW,
            "received_at": _NOW,
            "stored_at": _NOW,
            "uuid": ids[1],
            "session_id": ids[2],
            "site": "localhost",
            "url_rule": "",
            "source": "server",
            "params": {"a": 1},
        },
        "session": {
            "id": ids[2],
            "uuid": ids[1],
            "device_id": ids[1],
            "started_at": _NOW,
            "last_seen_at": _NOW,
            "pages": 0,
            "events": 1,
            "site": "localhost",
        },
        "profile": {
            "uuid": ids[3],
            "customer_id": "7",
            "traits": {},
            "first_seen_at": _NOW,
            "last_seen_at": _NOW,
        },
        "alias": {"anonymous_uuid": ids[1], "customer_uuid": ids[3], "created_at": _NOW},
        "hourly": {
            "hour": _NOW,
            "site": ids[4].hex,
            "action": "order.ship",
            "url_rule": "",
            "count": 1,
        },
        "quality": {
            "hour": _NOW,
            "outcome": "accepted",
            "action": ids[5].hex,
            "reason": "",
            "count": 1,
        },
        "rejected": {
            "id": ids[6],
            "rejected_at": _NOW,
            "action": "a.b",
            "reason": "x",
            "payload": "{}",
        },
        "tombstone": {"uuid_hash": ids[7].hex, "erased_at": _NOW},
    }
    for name, row in rows.items():
        connection.execute(FIRST.tables[f"eventtrack_{name}"].insert().values(row))
    return rows
