"""Column types that mean the same on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import datetime as dt
import functools
import typing as t

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

#: The type of times as the databases hold them: UTC, without a zone.
NAIVE: t.Final = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


class UTCDateTime(sa.types.TypeDecorator[dt.datetime]):
    """An aware UTC datetime with microseconds, stored without its zone.

    MySQL and MariaDB drop the zone of a ``DateTime(timezone=True)`` without converting it, and cut
    microseconds unless the column says otherwise; SQLite returns naive values.
    """

    impl: sa.types.TypeEngine[t.Any] | type[sa.types.TypeEngine[t.Any]] = NAIVE
    cache_ok: bool | None = True

    def process_bind_param(
        self, value: dt.datetime | None, dialect: sa.Dialect
    ) -> dt.datetime | None:
        return None if value is None else to_utc(value).replace(tzinfo=None)

    def process_result_value(
        self, value: dt.datetime | None, dialect: sa.Dialect
    ) -> dt.datetime | None:
        return None if value is None else value.replace(tzinfo=dt.UTC)


def to_utc(moment: dt.datetime) -> dt.datetime:
    """Return an aware moment in UTC.

    :raises ValueError: it has no time zone.
    """
    if moment.tzinfo is dt.UTC:
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(dt.UTC)


@functools.cache
def text(length: int) -> sa.types.TypeEngine[str]:
    """Return a string type that is case-sensitive on every database."""
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def blob() -> sa.types.TypeEngine[bytes]:
    """Return a type for up to 16 MiB; MySQL's own default ends at 64 KiB."""
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def plain(kind: sa.types.TypeEngine[t.Any]) -> sa.types.TypeEngine[t.Any]:
    """Return a column type's equivalent among SQLAlchemy's own, for the host's migrations.

    Alembic writes the names of types into a migration, but does not import ours, nor the argument
    with which it would print our JSONB.
    """
    if isinstance(kind, UTCDateTime):
        return NAIVE
    if isinstance(kind, sa.JSON):
        jsonb = postgresql.JSONB()
        jsonb.astext_type = None  # type: ignore[assignment]
        return sa.JSON().with_variant(jsonb, "postgresql")
    return kind
