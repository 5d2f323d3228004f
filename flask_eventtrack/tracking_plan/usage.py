"""How the definitions are used: what arrived of each, what never did, and what has no definition.

It reads the hourly totals and the quality counters. Of the events themselves, it reads a few of the
latest of each action.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import time
import typing as t

import sqlalchemy as sa

from ..catalogue.definitions import Catalogue
from ..records import PAGE_ENGAGE
from ..reports.reader import Reader
from ..store.reading import TimeUp
from ..store.tables import Tables
from ..store.undefined import UNDEFINED

_HOUR = dt.timedelta(hours=1)
#: So many events of each action are read.
LATEST: t.Final = 100
#: So many undefined actions are told, the most frequent first.
MOST_UNDEFINED: t.Final = 200
# How many seconds older totals, and the latest events, may each take.
_PATIENCE = 5.0
_REJECTED, _INVALID = "rejected", "invalid"
# Rejections of events whose action was not kept, as it may be no name.
_OF_ACTION = ("invalid_action", "undefined_event", "too_many_undefined")


@dataclasses.dataclass
class Use:
    """What arrived of an action since a moment.

    :param last_seen: the last hour in which an event of it happened, also before the moment; None
        if there was none.
    :param places: how many events each site and URL rule had, the most frequent first.
    :param sources: what sent the latest events: ``server``, ``browser``, ``app``.
    :param undefined: how many events had an undefined parameter, by name; ``""`` for names that
        were not kept.
    :param undefined_of_latest: the undefined parameters of the latest events, if names were not
        kept.
    :param invalid: how many events were refused for a parameter of the definition, by name.
    :param rejected: how many events were refused, by code, those in ``invalid`` among them.
    """

    action: str
    builtin: bool = False
    count: int = 0
    last_seen: dt.datetime | None = None
    places: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    sources: list[str] = dataclasses.field(default_factory=list)
    undefined: dict[str, int] = dataclasses.field(default_factory=dict)
    undefined_of_latest: list[str] = dataclasses.field(default_factory=list)
    invalid: dict[str, int] = dataclasses.field(default_factory=dict)
    rejected: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many events were stored or refused."""
        return self.count + sum(self.rejected.values())


class Undefined(t.NamedTuple):
    """An action without a definition, and the nearest that has one."""

    use: Use
    nearest: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usage:
    """How the definitions of a catalogue are used.

    :param since: the beginning of the counts.
    :param never_seen: definitions of which no event was ever stored. Built-in ones are only among
        them if events of them were refused.
    :param more: how many undefined actions there are besides.
    :param unnamed: how many events were refused whose action was not kept.
    :param is_complete: whether the totals before ``since`` could be read in time. Otherwise
        ``never_seen`` has definitions that may have been seen before.
    """

    since: dt.datetime
    defined: list[Use]
    never_seen: list[Use]
    not_defined: list[Undefined]
    more: int
    unnamed: int
    is_complete: bool


def read_usage(
    reader: Reader,
    catalogue: Catalogue,
    since: dt.datetime,
    *,
    with_builtin: bool = False,
    patience: float = _PATIENCE,
) -> Usage:
    """Read how the definitions were used since the hour of a moment.

    :param with_builtin: whether built-in definitions are listed that were never seen.
    :param patience: for how many seconds totals before ``since`` are read, and then the latest
        events.
    :raises ReportUnavailable: the database does not answer.
    """
    since = since.replace(minute=0, second=0, microsecond=0)
    uses = {each.action: Use(each.action, each.builtin) for each in catalogue}
    uses.pop(PAGE_ENGAGE, None)  # it is stored with its page's visit
    defined = frozenset(uses)
    with reader.open() as connection:
        _add_totals(connection, reader.tables, since, uses)
        unnamed = _add_quality(connection, reader.tables, since, uses)
        is_complete = _add_older(connection, reader, since, uses, patience)
        _add_latest(connection, reader, uses.values(), patience)
    ours = [uses[action] for action in sorted(defined)]
    others = [use for action, use in uses.items() if catalogue.find(action) is None and use.total]
    others.sort(key=lambda use: (-use.total, use.action))
    return Usage(
        since=since,
        defined=[use for use in ours if use.last_seen],
        never_seen=[
            use for use in ours if not use.last_seen and _is_shown(use, with_builtin=with_builtin)
        ],
        not_defined=[
            Undefined(use, catalogue.find_nearest(use.action)) for use in others[:MOST_UNDEFINED]
        ],
        more=len(others[MOST_UNDEFINED:]),
        unnamed=unnamed,
        is_complete=is_complete,
    )


def _is_shown(unseen: Use, *, with_builtin: bool) -> bool:
    return with_builtin or not unseen.builtin or bool(unseen.rejected)


def _find_use(uses: dict[str, Use], action: str) -> Use:
    return uses.setdefault(action, Use(action))


def _add_totals(
    connection: sa.Connection, tables: Tables, since: dt.datetime, uses: dict[str, Use]
) -> None:
    """Add how many events there were, where, and when the last one was."""
    hourly = tables.hourly.c
    keys = (hourly.action, hourly.site, hourly.url_rule)
    query = (
        sa.select(*keys, sa.func.sum(hourly.count).label("number"), sa.func.max(hourly.hour))
        .where(hourly.hour >= since, hourly.count > 0)
        .group_by(*keys)
        .order_by(sa.desc("number"), *keys)
    )
    for action, site, url_rule, count, hour in connection.execute(query):
        use = _find_use(uses, action)
        use.count += int(count)
        use.places[site, url_rule] = int(count)
        use.last_seen = max(use.last_seen or hour, hour)


def _add_quality(
    connection: sa.Connection, tables: Tables, since: dt.datetime, uses: dict[str, Use]
) -> int:
    """Add rejections and wrong parameters; return how many rejected events have no action."""
    quality = tables.quality.c
    keys = (quality.outcome, quality.action, quality.reason)
    query = (
        sa.select(*keys, sa.func.sum(quality.count).label("number"))
        .where(quality.hour >= since, quality.outcome.in_([_REJECTED, _INVALID, UNDEFINED]))
        .group_by(*keys)
        .order_by(sa.desc("number"), quality.reason)
    )
    unnamed = 0
    for outcome, action, reason, count in connection.execute(query):
        if action:
            use = _find_use(uses, action)
            counts = {_REJECTED: use.rejected, _INVALID: use.invalid, UNDEFINED: use.undefined}
            counts[outcome][reason] = int(count)
        elif outcome == _REJECTED and reason in _OF_ACTION:
            unnamed += int(count)
    return unnamed


def _add_older(
    connection: sa.Connection,
    reader: Reader,
    since: dt.datetime,
    uses: dict[str, Use],
    patience: float,
) -> bool:
    """Add when actions were last seen before a moment; return whether that was read in time."""
    missing = [action for action, use in uses.items() if not use.last_seen]
    hourly = reader.tables.hourly.c
    query = (
        sa.select(hourly.action, sa.func.max(hourly.hour))
        .where(hourly.hour < since, hourly.count > 0, hourly.action.in_(missing))
        .group_by(hourly.action)
    )
    try:
        with reader.limited(connection, patience):
            for action, hour in connection.execute(query):
                uses[action].last_seen = hour
    except TimeUp:
        return False
    return True


def _add_latest(
    connection: sa.Connection, reader: Reader, uses: cabc.Iterable[Use], patience: float
) -> None:
    """Add what only the events tell, from some of the last hour in which there were any."""
    due = time.monotonic() + patience
    event = reader.tables.event.c
    for use in uses:
        if use.last_seen is None:
            continue
        query = (
            sa.select(event.source, event.undefined)
            .where(event.time >= use.last_seen, event.time < use.last_seen + _HOUR)
            .where(event.action == use.action, event.source != "bot")
            .limit(LATEST)
        )
        try:
            with reader.limited(connection, due - time.monotonic()):
                rows = connection.execute(query).all()
        except TimeUp:
            return
        use.sources = sorted({row.source for row in rows})
        if "" in use.undefined:
            use.undefined_of_latest = sorted({n for row in rows for n in row.undefined or ()})
