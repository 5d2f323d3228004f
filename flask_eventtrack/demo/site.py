"""The app whose history is made up, and the rows of it that are not written yet."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import uuid as uuidlib

from ..records import from_ns
from ..store.rows import EventRow, SessionRow, TransactionRow
from .people import Person

_EPOCH = from_ns(0)


def from_us(microseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(0, 0, microseconds)


def in_microseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The app whose history is made up.

    :param now: when the history ends.
    :param host: the host of its URLs; ``name`` is its site.
    :param salt: ``EVENTTRACK_PROFILE_SALT``.
    :param records: says whether an action is recorded.
    :param prefix: what the ids of customers and orders begin with, where there are others.
    """

    now: dt.datetime
    zone: dt.tzinfo
    salt: str
    name: str
    host: str
    find_channel: cabc.Callable[[str, str, bool], str | None]
    records: cabc.Callable[[str], bool]
    session_timeout: dt.timedelta = dt.timedelta(minutes=30)
    lookback: dt.timedelta = dt.timedelta(days=30)
    prefix: str = ""


@dataclasses.dataclass(slots=True)
class Alias:
    """A row of ``eventtrack_alias``."""

    anonymous_uuid: uuidlib.UUID
    customer_uuid: uuidlib.UUID
    created_at: dt.datetime
    stored_at: dt.datetime
    applied_at: dt.datetime | None


@dataclasses.dataclass(slots=True)
class Rows:
    """Rows that are not written yet. ``profiles`` are people of whom nothing more comes."""

    events: list[EventRow] = dataclasses.field(default_factory=list)
    sessions: list[SessionRow] = dataclasses.field(default_factory=list)
    transactions: list[TransactionRow] = dataclasses.field(default_factory=list)
    aliases: list[Alias] = dataclasses.field(default_factory=list)
    profiles: list[Person] = dataclasses.field(default_factory=list)
