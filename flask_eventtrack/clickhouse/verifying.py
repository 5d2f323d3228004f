"""Compares a copy with the tables: sums by day, in UTC."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa

from ..store.changes import Kind, newest_position
from ..store.tables import Tables
from .copying import Copier
from .problems import CopyProblem
from .rows import conditions_of
from .server import Server
from .tables import KINDS, name_of

#: How many rows a group of a day has, and their sums.
Sums = tuple[int, ...]
#: A day and a group.
Key = tuple[str, str]

# By its kind: the moment that says a row's day, the column by which rows are grouped, and those
# that are summed up beside the number of rows.
_DAY: t.Final[dict[Kind, str]] = {
    "event": "time",
    "session": "started_at",
    "transaction": "time",
}
_GROUPS: t.Final[dict[Kind, str]] = {
    "event": "action",
    "session": "site",
    "transaction": "currency",
}
_SUMS: t.Final[dict[Kind, tuple[str, ...]]] = {
    "event": (),
    "session": ("pages", "events"),
    "transaction": ("amount", "cancelled"),
}
_ROUNDS = 5
_ROUND_SECONDS = 2.0
# For how many seconds the other process may be behind.
_PATIENCE = 60


class Difference(t.NamedTuple):
    """A day on which the copy and the table differ.

    :param group: the action of events, the site of sessions, the currency of orders.
    :param names: what is counted: ``rows``, and the columns that are summed up.
    """

    kind: Kind
    day: str
    group: str
    names: tuple[str, ...]
    stored: Sums
    copied: Sums


class Verified(t.NamedTuple):
    """What a comparison has found.

    :param rows: how many rows it has compared, of how many ``days``.
    :param moving: how many days were left out, since they change all the time.
    """

    differences: list[Difference]
    rows: int
    days: int
    moving: int = 0


def verify(copier: Copier) -> Verified:
    """Compare a copy that no other process writes with the tables, as both are at one moment."""
    with copier.connect() as connection:
        for _ in copier.catch_up(connection):
            pass
        stored = _read_stored(connection, copier.database.tables)
    return _compare(stored, _read_copied(copier.server))


def verify_beside(copier: Copier, pause: cabc.Callable[[float], object]) -> Verified:
    """Compare a copy that another process writes with the tables.

    Both go on changing. So a day whose numbers differ is read again, until both are equal, or the
    table's are the same twice and the copy's still differ. What changes each time is left out.

    :param copier: of :func:`.open_beside`.
    :param pause: waits for so many seconds.
    :raises CopyProblem: the copy stays behind.
    """
    before = dict[Kind, dict[Key, Sums]]()
    found = Verified([], 0, 0)
    for _ in range(_ROUNDS):
        with copier.connect() as connection:
            newest = newest_position(connection, copier.database.tables)
            stored = _read_stored(connection, copier.database.tables)
        _wait(newest, copier, pause)
        found = _compare(stored, _read_copied(copier.server))
        moving = [each for each in found.differences if _has_moved(each, before)]
        if not moving:
            break
        still = [each for each in found.differences if each not in moving]
        found = found._replace(differences=still, moving=len({each.day for each in moving}))
        before = stored
        pause(_ROUND_SECONDS)
    return found


def _has_moved(difference: Difference, before: cabc.Mapping[Kind, cabc.Mapping[Key, Sums]]) -> bool:
    """Whether the table's numbers are other ones than before, or none were read before."""
    if not before:
        return True
    nothing = (0,) * len(difference.names)
    former = before[difference.kind].get((difference.day, difference.group), nothing)
    return former != difference.stored


def _wait(newest: int, copier: Copier, pause: cabc.Callable[[float], object]) -> None:
    for _ in range(_PATIENCE):
        position = copier.notes.read("copy").position
        if position >= newest:
            return
        pause(1.0)
    raise CopyProblem(
        f"The other process is at position {position:,} of the commit log, which has come to "
        f"{newest:,}: it does not keep up, or is copying all rows."
    )


def _read_stored(connection: sa.Connection, tables: Tables) -> dict[Kind, dict[Key, Sums]]:
    return {kind: _read_table(connection, tables, kind) for kind in KINDS}


def _read_table(connection: sa.Connection, tables: Tables, kind: Kind) -> dict[Key, Sums]:
    table: sa.Table = getattr(tables, kind)
    day, group = sa.func.date(table.c[_DAY[kind]]), table.c[_GROUPS[kind]]
    sums = (sa.func.sum(table.c[name]) for name in _SUMS[kind])
    query = sa.select(day, group, sa.func.count(), *sums).group_by(day, group)
    query = query.where(*conditions_of(kind, tables))
    return {
        (str(row[0]), row[1]): tuple(int(each) for each in row[2:])
        for row in connection.execute(query)
    }


def _read_copied(server: Server) -> dict[Kind, dict[Key, Sums]]:
    found: dict[Kind, dict[Key, Sums]] = {}
    for kind in KINDS:
        sums = "".join(f", sum({name})" for name in _SUMS[kind])
        query = (
            f"SELECT toString(toDate({_DAY[kind]})) AS day, {_GROUPS[kind]}, count(){sums} "
            f"FROM {name_of(kind)} FINAL GROUP BY ALL"
        )
        found[kind] = {(row[0], row[1]): tuple(row[2:]) for row in server.read(query)}
    return found


def _compare(
    stored: cabc.Mapping[Kind, cabc.Mapping[Key, Sums]],
    copied: cabc.Mapping[Kind, cabc.Mapping[Key, Sums]],
) -> Verified:
    differences, days = [], set[str]()
    for kind in KINDS:
        names = ("rows", *_SUMS[kind])
        nothing = (0,) * len(names)
        for key in sorted(stored[kind].keys() | copied[kind].keys()):
            days.add(key[0])
            theirs = stored[kind].get(key, nothing), copied[kind].get(key, nothing)
            if theirs[0] != theirs[1]:
                differences.append(Difference(kind, *key, names, *theirs))
    rows = sum(sums[0] for each in stored.values() for sums in each.values())
    return Verified(differences, rows, len(days))
