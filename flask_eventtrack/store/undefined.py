"""The names of undefined actions and parameters in the quality counters: few, and erasable.

Clients can make up names, and put personal data into them.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import functools

import sqlalchemy as sa

from .engine import Database
from .fast_rows import add_counts
from .rows import CountRow

#: An outcome: an event has a parameter that its definition does not have, named by the reason.
UNDEFINED = "undefined"
MOST_NAMES = 200
_FRESH = dt.timedelta(hours=1)

IsDefined = cabc.Callable[[str], bool]
#: An undefined action and "", or an action and an undefined parameter.
Name = tuple[str, str]


class UndefinedNames:
    """The first 200 undefined names of an app, as the database knows them. Others are counted
    without their text.

    :param is_defined: whether the app defines an action.
    :param most: up to how many names the text of a given one is kept, so that one client cannot use
        up all places. A name is ``"action"`` or ``"action parameter"``.
    """

    def __init__(
        self,
        is_defined: IsDefined = lambda action: True,
        most: cabc.Callable[[str], int] = lambda name: MOST_NAMES,
    ) -> None:
        self._is_defined = is_defined
        self._most = most
        self._known: set[Name] = set()
        self._read_at: dt.datetime | None = None

    def admit(
        self,
        connection: sa.Connection,
        quality: sa.Table,
        now: dt.datetime,
        wanted: set[Name],
    ) -> set[Name]:
        """Return the names that are counted as they are.

        Only a new name costs a query, and none does while there is no room.
        """
        if wanted <= self._known:
            return wanted
        is_fresh = self._read_at is not None and self._read_at <= now < self._read_at + _FRESH
        if len(self._known) < MOST_NAMES or not is_fresh:
            self._known, self._read_at = self._read(connection, quality), now
        for name in sorted(wanted - self._known):
            if len(self._known) < min(MOST_NAMES, self._most(" ".join(name).rstrip())):
                self._known.add(name)
        return wanted & self._known

    def find_name(self, outcome: str, action: str, reason: str) -> Name | None:
        """Return the undefined name of a counter, if it has one."""
        if action and not self._is_defined(action):
            return action, ""
        return (action, reason) if outcome == UNDEFINED and reason else None

    def _read(self, connection: sa.Connection, quality: sa.Table) -> set[Name]:
        names = sa.case((quality.c.outcome == UNDEFINED, quality.c.reason), else_="")
        query = sa.select(quality.c.outcome, quality.c.action, names).distinct()
        found = (self.find_name(*row) for row in connection.execute(query))
        return {name for name in found if name is not None}


def clear_names(database: Database, is_defined: IsDefined) -> int:
    """Remove the undefined names from the quality counters, and return how many there were.

    Their counts stay, without a name. Each hour is a transaction.
    """
    quality, names = database.tables.quality, UndefinedNames(is_defined)
    with database.read() as connection:
        hours = connection.scalars(sa.select(quality.c.hour).distinct()).all()
    cleared = set[Name]()
    for hour in hours:
        cleared |= database.take_turn(functools.partial(_clear_hour, quality, names, hour))
    database.shrink_log()
    return len(cleared)


def _clear_hour(
    quality: sa.Table, names: UndefinedNames, hour: dt.datetime, connection: sa.Connection
) -> set[Name]:
    query = sa.select(quality).where(quality.c.hour == hour).order_by(*quality.primary_key)
    rows = connection.execute(query.with_for_update()).all()
    counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
    cleared = set[Name]()
    for _, outcome, action, reason, count in rows:
        name = names.find_name(outcome, action, reason)
        if name is None:
            continue
        cleared.add(name)
        counts[strip_name(outcome, action, reason, name)] += count
        key = {"hour": hour, "outcome": outcome, "action": action, "reason": reason}
        is_it = (quality.c[column] == value for column, value in key.items())
        connection.execute(quality.delete().where(*is_it))
    rest = [CountRow(hour, *key, count) for key, count in sorted(counts.items())]
    add_counts(connection, quality, rest)
    return cleared


def strip_name(outcome: str, action: str, reason: str, name: Name) -> tuple[str, str, str]:
    """Return a counter's outcome, action and reason without its undefined name."""
    return outcome, action if name[1] else "", "" if outcome == UNDEFINED else reason
