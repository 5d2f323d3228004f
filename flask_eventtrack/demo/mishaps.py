"""What went wrong in a made-up history: pages that failed, and events that were sent wrongly."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import math
import random
import typing as t

from ..records import PAGE_VISIT
from ..store.failures import DIRECT, FAILED, FAILED_FROM, Failure
from ..store.local_days import day_of, iter_days
from ..store.rows import CountRow
from ..store.undefined import UNDEFINED
from . import world
from .site import Site

_TUESDAY = 1
# When the checkout failed on the last Tuesday before today, in local hours.
_OUTAGE = range(14, 17)


class Mishap(t.NamedTuple):
    """The counts to which it adds: outcome, action and reason; and how many there are for each
    event of the history. That of an outage happens on one day alone.
    """

    counts: tuple[tuple[str, str, str], ...]
    share: float
    is_outage: bool = False


def _fail(failure: Failure, place: str, share: float, *, is_outage: bool = False) -> Mishap:
    reasons = (FAILED, failure.reason), (FAILED_FROM, failure.came_from(place))
    return Mishap(tuple((o, PAGE_VISIT, reason) for o, reason in reasons), share, is_outage)


def _refuse(action: str, code: str, share: float, param: str = "") -> Mishap:
    counts = [("rejected", action, code)]
    return Mishap((*counts, *([("invalid", action, param)] if param else [])), share)


_NOT_FOUND, _CHECKOUT = Failure(404, ""), Failure(500, "/checkout")
_MISHAPS = (
    _fail(_NOT_FOUND, "www.google.com", 0.0012),
    _fail(_NOT_FOUND, DIRECT, 0.0006),
    _fail(_NOT_FOUND, "/lookbook/<slug>", 0.0009),
    _fail(Failure(404, "/products/<slug>"), "/search", 0.0004),
    _fail(_CHECKOUT, "/basket", 0.012, is_outage=True),
    _fail(_CHECKOUT, "/checkout", 0.005, is_outage=True),
    _refuse("newsletter.sign_up", "undefined_event", 0.0008),
    _refuse("product.addToCart", "invalid_param", 0.0003, "quantity"),
    Mishap(((UNDEFINED, "product.addToCart", "colour"),), 0.002),
)


def iter_mishaps(site: Site, events: int, days: int, seed: int = 0) -> cabc.Iterator[CountRow]:
    """Yield the counts of a history. The same arguments give the same counts."""
    rng = random.Random(f"mishaps {seed}")  # noqa: S311 - it need not be secret
    last = day_of(site.now, site.zone)
    outage = last - dt.timedelta(days=(last.weekday() - _TUESDAY - 1) % 7 + 1)
    counts: collections.Counter[tuple[dt.datetime, str, str, str]] = collections.Counter()
    for day in iter_days(last - dt.timedelta(days=days), last):
        for mishap in _MISHAPS:
            if mishap.is_outage and day != outage:
                continue
            for _ in range(math.floor(events / (days + 1) * mishap.share + rng.random())):
                hour = rng.choice(_OUTAGE) if mishap.is_outage else _HOURS(rng)
                at = dt.datetime.combine(day, dt.time(hour), site.zone).astimezone(dt.UTC)
                at = at.replace(minute=0)
                if at <= site.now:
                    counts.update((at, *each) for each in mishap.counts)
    for key, count in sorted(counts.items()):
        yield CountRow(*key, count)


_HOURS = world.Picker(dict(enumerate(world.HOURS)))
