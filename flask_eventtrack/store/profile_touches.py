"""The first and the last touch of customers, which their profiles keep."""

from __future__ import annotations

import collections
import collections.abc as cabc
import uuid as uuidlib

import sqlalchemy as sa

from ..ids import is_customer
from ..records import Identified
from .dialects import by_index, ids_parameter, is_among
from .rows import SessionRow
from .tables import Tables
from .touches import (
    Touch,
    Touches,
    columns_of,
    is_direct,
    read_profiles,
    touch_of,
    touches_of,
    update_touches,
)


class ProfileTouches:
    """The touches that a batch adds to customers' profiles.

    The first one is kept for good, also when its session is removed; the last one is the latest
    that is not direct. A batch without customers pays no query.

    :param sessions: the sessions whose touch or profile the batch has changed.
    """

    def __init__(
        self,
        connection: sa.Connection,
        tables: Tables,
        sessions: cabc.Iterable[SessionRow],
        identified: cabc.Iterable[Identified],
    ) -> None:
        self._connection, self._tables = connection, tables
        self._found: dict[uuidlib.UUID, list[Touch]] = collections.defaultdict(list)
        for row in sessions:
            touch, person = touch_of(row), row.person or row.uuid
            if touch is not None and is_customer(person):
                self._found[person].append(touch)
        self._identified = list(identified)
        self._customers = {*self._found, *(record.uuid for record in self._identified)}

    def lock(self) -> None:
        """Lock the profiles in the order of their uuids, before any of them is written."""
        if self._customers:
            _lock_profiles(self._connection, self._tables.profile, self._customers)

    def write(self) -> None:
        """Update the profiles, once the batch's profiles and aliases are written."""
        if not self._customers:
            return
        table = self._tables.profile
        kept = read_profiles(self._connection, table, self._customers)
        self._look_back(kept)
        after = {uuid: _merge(touches, self._found[uuid]) for uuid, touches in kept.items()}
        changes = {uuid: columns_of(*new) for uuid, new in after.items() if new != kept[uuid]}
        update_touches(self._connection, table.c.uuid, changes)

    def _look_back(self, kept: cabc.Mapping[uuidlib.UUID, Touches]) -> None:
        """Add the touches of profiles that are a customer's from now on, and of new customers."""
        connection, tables = self._connection, self._tables
        owners = self._find_owners({each for record in self._identified for each in record.others})
        customers = {record.uuid for record in self._identified}
        owners |= {uuid: uuid for uuid in customers & kept.keys() if kept[uuid][0] is None}
        sessions = touches_of(connection, tables.session, "uuid", owners)
        formers = read_profiles(connection, tables.profile, owners.keys() - customers)
        found = [*zip(owners, sessions, strict=True), *formers.items()]
        for uuid, touches in found:
            self._found[owners[uuid]] += filter(None, touches)

    def _find_owners(self, others: cabc.Set[uuidlib.UUID]) -> dict[uuidlib.UUID, uuidlib.UUID]:
        """Return whose these profiles are: that may be somebody else than the batch says."""
        if not others:
            return {}
        alias = self._tables.alias
        query = sa.select(alias.c.anonymous_uuid, alias.c.customer_uuid)
        query = query.where(alias.c.anonymous_uuid.in_(others))
        return {row.anonymous_uuid: row.customer_uuid for row in self._connection.execute(query)}


def refill_profiles(
    connection: sa.Connection, tables: Tables, customers: cabc.Collection[uuidlib.UUID]
) -> None:
    """Set the touches of some hundred profiles by what is stored of their persons' sessions."""
    uuids = sorted(customers)
    _lock_profiles(connection, tables.profile, uuids)
    touches = touches_of(connection, tables.session, "person", uuids)
    changes = {uuid: columns_of(*each) for uuid, each in zip(uuids, touches, strict=True)}
    update_touches(connection, tables.profile.c.uuid, changes)


def _merge(kept: Touches, found: cabc.Iterable[Touch]) -> Touches:
    """Return the earliest touch, and the latest that is not direct.

    Of two at the same time the found one counts: it is the same session, of which more is known.
    """
    first, last = kept
    for touch in found:
        if first is None or touch.at <= first.at:
            first = touch
        if not is_direct(touch) and (last is None or touch.at >= last.at):
            last = touch
    return first, last


def _lock_profiles(
    connection: sa.Connection, table: sa.Table, uuids: cabc.Iterable[uuidlib.UUID]
) -> None:
    name = connection.dialect.name
    query = by_index(sa.select(table.c.uuid).where(is_among(name, table.c.uuid)), table.c.uuid)
    query = query.order_by(table.c.uuid).with_for_update()
    connection.execute(query, ids_parameter(name, sorted(uuid.int for uuid in uuids))).all()
