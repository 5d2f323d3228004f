"""What the person of each row should be, and rows of one profile in numbers."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

from flask_eventtrack.records import Identified

from ..hosts import Host
from .records import DEVICE, an_event, an_id, at, session_of, write

CUSTOMER, OTHER = uuidlib.uuid5(DEVICE, "42"), uuidlib.uuid5(DEVICE, "43")


def follow(aliases: t.Mapping[uuidlib.UUID, uuidlib.UUID], uuid: uuidlib.UUID) -> uuidlib.UUID:
    """Return where a profile's aliases end."""
    while uuid in aliases:
        uuid = aliases[uuid]
    return uuid


def wrong_people(host: Host) -> list[dict[str, t.Any]]:
    """Return the sessions and transactions whose person is not what the aliases say."""
    aliases = {row["anonymous_uuid"]: row["customer_uuid"] for row in host.rows("alias")}
    rows = [*host.rows("session"), *host.rows("transaction")]
    return [row for row in rows if row["uuid"] and row["person"] != follow(aliases, row["uuid"])]


def people(host: Host) -> set[uuidlib.UUID | None]:
    return {row["person"] for row in host.rows("session")}


def log_in(
    customer: uuidlib.UUID = CUSTOMER,
    anonymous: uuidlib.UUID | None = DEVICE,
    seconds: float = 5,
    former: uuidlib.UUID | None = None,
) -> Identified:
    return Identified(
        uuid=customer,
        customer_id=str(customer),
        time=at(seconds),
        anonymous=anonymous,
        former=former,
    )


def add_sessions(host: Host, number: int, uuid: uuidlib.UUID = DEVICE, first: int = 1) -> None:
    """Write so many sessions of a device, with an event each."""
    for start in range(first, first + number, 500):
        end = min(start + 500, first + number)
        write(
            host,
            *(
                an_event(
                    seconds=each, id=an_id(each), uuid=uuid, session=session_of(DEVICE, each, each)
                )
                for each in range(start, end)
            ),
        )


def add_transactions(host: Host, number: int, uuid: uuidlib.UUID = DEVICE) -> None:
    """Insert so many orders of a profile."""
    database = host.state.pipeline.database
    row = {"time": at(1), "stored_at": at(1), "site": "", "currency": "EUR", "amount": 1}
    row |= {"uuid": uuid, "person": uuid}
    rows = [{"id": uuidlib.uuid4(), **row} for _ in range(number)]
    with database.begin() as connection:
        connection.execute(database.tables.transaction.insert(), rows)


def apply_aliases(host: Host, minutes: float = 2) -> int:
    """Do the chore, some minutes later; return how many transactions it took."""
    host.clock.advance(minutes=minutes)
    steps = 0
    while host.state.pipeline.writer.apply_aliases():
        steps += 1
    return steps


def unapplied(host: Host) -> list[uuidlib.UUID]:
    return [row["anonymous_uuid"] for row in host.rows("alias") if row["applied_at"] is None]
