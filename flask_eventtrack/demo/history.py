"""A made-up history: sessions in the order in which they begin, until now."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import heapq
import itertools
import operator
import random
import typing as t

from ..identity.visitor import customer_uuid
from . import world
from .people import HOUR, MINUTE, People, Person
from .recording import Maker
from .sessions import tell
from .site import Rows, Site, from_us, in_microseconds

# How many events are kept in memory until they are written, more or less.
_CHUNK = 20_000
_SLOT = 2000
# How many people have just come, and how long ago at most.
_HERE, _HERE_FOR = 6, 4 * MINUTE
_MOST_USUAL = max(world.HOURS) * max(world.DAYS)


def iter_history(site: Site, events: int, days: int, seed: int = 0) -> cabc.Iterator[Rows]:
    """Yield the rows of about so many events, some thousands at a time, in the order of time.

    The history begins at midnight in the site's zone, so many days before today. The same arguments
    give the same rows.
    """
    history = _History(site, random.Random(seed))  # noqa: S311 - it need not be secret
    slots = _list_slots(site, events, days, history.rng)
    total = sum(slot.weight for slot in slots)
    reached = 0.0
    for slot in slots:
        reached += slot.weight
        history.fill(slot, int(events * reached / total))
        if len(history.maker.rows.events) >= _CHUNK:
            yield history.take_rows()
    history.show_present()
    yield history.take_rows()


class _Slot(t.NamedTuple):
    """A part of the history, and the share of the events in it. Microseconds since the epoch."""

    start: int
    end: int
    weight: float


def _list_slots(site: Site, events: int, days: int, rng: random.Random) -> list[_Slot]:
    """Return the hours of the history; if they are very busy, parts of them."""
    first = site.now.astimezone(site.zone).date() - dt.timedelta(days=days)
    begin = in_microseconds(dt.datetime.combine(first, dt.time(), site.zone))
    now = in_microseconds(site.now)
    parts = 1 + events // (days + 1) // 12 // _SLOT
    length = HOUR // parts
    moods = [rng.uniform(0.9, 1.1) for _ in range(days + 2)]
    slots = []
    for start in range(begin, now, length):
        end = min(start + length, now)
        day = (start - begin) // (24 * HOUR)
        growth = 0.75 + 0.5 * day / (days + 1)
        usual = _weigh(site, (start + end) // 2)
        slots.append(_Slot(start, end, usual * moods[day] * growth * (end - start)))
    return slots


def _weigh(site: Site, at: int) -> float:
    """Return how usual it is to come at a moment, from 0 to 1."""
    local = from_us(at).astimezone(site.zone)
    return world.HOURS[local.hour] * world.DAYS[local.weekday()] / _MOST_USUAL


class _History:
    """The people so far, and what they have done."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        self.rng = rng
        self.maker = Maker(site, rng)
        self._people = People(
            rng,
            self.maker.now,
            lambda at: _weigh(site, at),
            site.prefix,
            lambda customer_id: customer_uuid(site.salt, customer_id),
        )
        # Whoever comes again, by when. The number keeps the order of those who come at once.
        self._returning: list[tuple[int, int, Person]] = []
        self._numbers = itertools.count()
        self._events = 0

    def fill(self, slot: _Slot, events: int) -> None:
        """Add the sessions of a slot, until there are so many events from the beginning."""
        while self._returning and self._returning[0][0] < slot.end:
            self._come(heapq.heappop(self._returning)[2])
        while self._events < events:
            start = slot.start + int(self.rng.random() * (slot.end - slot.start))
            self._come(self._people.make(start))

    def show_present(self) -> None:
        """Let some people have come just now."""
        for _ in range(_HERE):
            start = self.maker.now - int(self.rng.random() * _HERE_FOR)
            self._come(self._people.make(start))

    def _come(self, person: Person) -> None:
        start = person.visits[person.done]
        browser = self._people.choose_browser(person, start)
        self._events += tell(self.maker, person, browser, start)
        if not person.is_over():
            entry = (person.visits[person.done], next(self._numbers), person)
            heapq.heappush(self._returning, entry)

    def take_rows(self) -> Rows:
        rows, self.maker.rows = self.maker.rows, Rows()
        rows.events.sort(key=operator.attrgetter("stored_at"))
        return rows
