"""Profiles and aliases: customers, and the anonymous profiles that became theirs."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..records import Identified
from .person import apply_new
from .sessions import Transaction
from .tables import Tables
from .traits import write_traits


def write_profiles(transaction: Transaction, identified: cabc.Iterable[Identified]) -> None:
    """Write what became known about customers, in an order that keeps writers from a deadlock."""
    connection, tables, now = transaction.connection, transaction.tables, transaction.now
    new = set[uuidlib.UUID]()
    for record in sorted(identified, key=lambda record: record.uuid):
        _write_profile(connection, tables, record)
        taken = [record.anonymous]
        if record.former is not None and _take_over(connection, tables, record.former, record):
            taken.append(record.former)
        for profile in filter(None, taken):
            if _write_alias(connection, tables.alias, profile, record, now):
                new.add(profile)
    apply_new(connection, tables, new, transaction.totals.marks)


def _write_profile(connection: sa.Connection, tables: Tables, record: Identified) -> None:
    table = tables.profile
    query = sa.select(table).where(table.c.uuid == record.uuid).with_for_update()
    found = connection.execute(query).mappings().first()
    if found is None:
        row = {"uuid": record.uuid, "customer_id": record.customer_id, "traits": record.traits}
        seen = {"first_seen_at": record.time, "last_seen_at": record.time}
        connection.execute(table.insert().values(**row, **seen))
        if record.traits:
            write_traits(connection, tables.trait, record.uuid, record.traits)
        return
    # The later record wins, whichever is written first.
    is_news = record.time >= found["last_seen_at"]
    older, newer = (found["traits"], record.traits)[:: 1 if is_news else -1]
    changes: dict[str, t.Any] = {
        "first_seen_at": min(found["first_seen_at"], record.time),
        "last_seen_at": max(found["last_seen_at"], record.time),
    }
    if record.traits:
        changes["traits"] = {**older, **newer}
    connection.execute(table.update().where(table.c.uuid == record.uuid).values(changes))
    if changes.get("traits", found["traits"]) != found["traits"]:
        write_traits(connection, tables.trait, record.uuid, changes["traits"])


def _take_over(
    connection: sa.Connection, tables: Tables, former: uuidlib.UUID, record: Identified
) -> bool:
    """Make a former profile's aliases the customer's; return whether the profile is stored."""
    profile, alias = tables.profile, tables.alias
    query = sa.select(profile.c.uuid).where(profile.c.uuid == former)
    if connection.execute(query).first() is None:
        return False
    change = alias.update().where(alias.c.customer_uuid == former)
    connection.execute(change.values(customer_uuid=record.uuid))
    return True


def _write_alias(
    connection: sa.Connection,
    table: sa.Table,
    anonymous: uuidlib.UUID,
    record: Identified,
    now: dt.datetime,
) -> bool:
    """Write an alias, unless the profile has one; return whether it is new."""
    query = sa.select(table.c.anonymous_uuid).where(table.c.anonymous_uuid == anonymous)
    if connection.execute(query).first() is not None:
        return False
    moments = {"created_at": record.time, "stored_at": now}
    connection.execute(
        table.insert().values(anonymous_uuid=anonymous, customer_uuid=record.uuid, **moments)
    )
    return True
