"""Records that the database has refused, and a person decides on: tried again, or given up."""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..errors import EventTrackError
from ..store.rejected import take_rejected
from ..store.tables import Tables
from ..store.totals import Totals
from .pipeline import Pipeline
from .refusal import read_described

#: The reason in the quality counters for a record that a person has removed.
GIVEN_UP: t.Final = "given up"


class NotWhole(EventTrackError, ValueError):
    """The record cannot be tried again: it was cut or masked before it was stored."""


def try_again(connection: sa.Connection, pipeline: Pipeline, record_id: uuidlib.UUID) -> str | None:
    """Give a refused record to the writer again, and return its action; None if there is none.

    The journal has the record before the caller commits the removal of its row. In the other order,
    a process that dies in between would lose it. If the commit fails, the row is still there, and
    the record is tried again. The writer knows it by its id and stores it once: a further try is
    only counted, as ``duplicate``.

    :raises NotWhole: it cannot be read.
    :raises TimeoutError: the journal has no room.
    """
    found = take_rejected(connection, pipeline.database.tables, record_id)
    if found is None:
        return None
    record = read_described(found.payload)
    if record is None:
        raise NotWhole("The record is not stored as a whole, so it cannot be tried again.")
    if not pipeline.put(record):
        raise TimeoutError("There is no room for the record. Try again later.")
    return found.action


def give_up(
    connection: sa.Connection, tables: Tables, record_id: uuidlib.UUID, now: dt.datetime
) -> str | None:
    """Remove a refused record for good, count it as dropped, and return its action; None if there
    is none."""
    found = take_rejected(connection, tables, record_id)
    if found is None:
        return None
    totals = Totals()
    totals.count_outcome(now, "dropped", found.action, GIVEN_UP)
    totals.write(connection, tables, now)
    return found.action
