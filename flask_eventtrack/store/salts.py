"""Visits of anonymous visitors: those of one browser on one day have a profile in common.

The profile is a hash of what the browser always sends, keyed with the day's salt. The salt is
random, shared by all processes, and destroyed a day after its own. From then on no one can tell
which visitor a profile was, or find the same browser on another day.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import hmac
import secrets
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..records import Client, Event, Record
from .tables import Tables

_DAY = dt.timedelta(days=1)


def name_anonymous(
    connection: sa.Connection, tables: Tables, records: cabc.Sequence[Record], now: dt.datetime
) -> cabc.Sequence[Record]:
    """Return the records; those of anonymous visitors get the profile of their day and browser.

    A record that comes after its day's salt is destroyed keeps the random profile that it has.

    :raises sqlalchemy.exc.IntegrityError: another process made a day's salt meanwhile; the next
        attempt finds it.
    """
    days = {record.time.date() for record in records if _is_anonymous(record)}
    if not days:
        return records
    salts = _load(connection, tables.salt, days & {now.date(), now.date() - _DAY})
    return [_name(record, salts) if _is_anonymous(record) else record for record in records]


def destroy_salts(
    connection: sa.Connection, tables: Tables, now: dt.datetime, limit: dt.datetime
) -> bool:
    """Delete the salts of the days before yesterday (UTC); return whether there were some.

    Those of days to come go as well: a clock that was wrong has made them, and they would stay.

    :param limit: the latest moment that the database's clock allows. If ``now`` is later, the salts
        of the days around it are kept: other processes use them.
    """
    table = tables.salt
    day = table.c.day
    is_over = sa.or_(day < now.date() - _DAY, day > now.date() + _DAY)
    if limit < now:
        is_over &= ~day.between(limit.date() - _DAY, limit.date() + _DAY)
    return connection.execute(table.delete().where(is_over)).rowcount > 0


def _load(
    connection: sa.Connection, table: sa.Table, days: cabc.Iterable[dt.date]
) -> dict[dt.date, bytes]:
    """Return all salts by day, after making those of ``days`` that are missing."""
    salts: dict[dt.date, str] = {row.day: row.salt for row in connection.execute(sa.select(table))}
    for day in sorted(days):
        if day not in salts:
            salts[day] = secrets.token_hex()
            connection.execute(table.insert().values(day=day, salt=salts[day]))
    return {day: salt.encode() for day, salt in salts.items()}


def _is_anonymous(record: Record) -> t.TypeGuard[Event]:
    return isinstance(record, Event) and record.is_anonymous


def _name(event: Event, salts: cabc.Mapping[dt.date, bytes]) -> Event:
    salt = salts.get(event.time.date())
    if salt is None or event.client is None:
        return event
    return msgspec.structs.replace(event, uuid=_profile_of(event.client, event.site, salt))


def _profile_of(client: Client, site: str, salt: bytes) -> uuidlib.UUID:
    text = "\0".join((site, client.address, client.user_agent))
    digest = hmac.digest(salt, text.encode(errors="backslashreplace"), "sha256")
    return uuidlib.UUID(bytes=digest[:16], version=4)
