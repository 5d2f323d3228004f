"""The made-up people: with which devices they come, how often, and who becomes a customer."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import random
import typing as t
import uuid as uuidlib

from ..store.touches import Touch, is_direct
from . import world

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
# Whoever logs in has done so before the history ends.
_SURE = 2 * HOUR
#: The id of the first customer. The ids of an app's first own customers are lower.
FIRST_CUSTOMER = 42


@dataclasses.dataclass(slots=True)
class Browser:
    """A person's browser. ``number`` counts its sessions; ``is_known``: it has logged in."""

    id: uuidlib.UUID
    device: world.Device
    number: int = 0
    is_known: bool = False


@dataclasses.dataclass(slots=True)
class Person:
    """A visitor. Times are microseconds since the epoch.

    ``visits`` are the starts of all their sessions. A ``customer_id`` is of those who log in, which
    is in their session ``login``.
    """

    place: world.Place
    browsers: list[Browser]
    visits: list[int]
    customer_id: str = ""
    profile: uuidlib.UUID | None = None
    login: int = -1
    done: int = 0
    first_known: int = 0
    last_known: int = 0
    traits: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    first: Touch | None = None
    latest: Touch | None = None
    latest_named: Touch | None = None

    @property
    def uuid(self) -> uuidlib.UUID:
        """Whose sessions these are, aliases resolved."""
        return self.profile or self.browsers[0].id

    @property
    def has_come_often(self) -> bool:
        return self.done > 1

    def is_over(self) -> bool:
        return self.done >= len(self.visits)

    def add_touch(self, touch: Touch) -> None:
        self.first = self.first or touch
        self.latest = touch
        if not is_direct(touch):
            self.latest_named = touch


class People:
    """Makes people, each with a plan of all their sessions.

    :param now: when the history ends.
    :param weigh: says how usual it is to come at a moment, from 0 to 1.
    :param prefix: what the ids of customers begin with.
    :param profile_of: the profile of a customer's id.
    """

    def __init__(
        self,
        rng: random.Random,
        now: int,
        weigh: cabc.Callable[[int], float],
        prefix: str,
        profile_of: cabc.Callable[[str], uuidlib.UUID],
    ) -> None:
        self._rng, self._now, self._weigh = rng, now, weigh
        self._prefix, self._profile_of = prefix, profile_of
        self._customers = 0

    def make(self, start: int) -> Person:
        """Make a person whose first session begins at ``start``."""
        rng = self._rng
        person = Person(world.PLACES(rng), [self._make_browser()], [start])
        if rng.random() < 0.24:
            self._plan_returns(person.visits)
        becomes_customer = rng.random() < (0.4 if len(person.visits) > 1 else 0.03)
        sure = sum(visit < self._now - _SURE for visit in person.visits)
        if becomes_customer and sure:
            self._make_customer(person, sure)
        return person

    def _make_browser(self) -> Browser:
        rng = self._rng
        return Browser(uuidlib.UUID(int=rng.getrandbits(128), version=4), world.DEVICES(rng))

    def _plan_returns(self, visits: list[int]) -> None:
        rng, now = self._rng, self._now
        pace = rng.lognormvariate(1.4, 0.8)  # days
        while rng.random() < 0.74:
            earliest = visits[-1] + 4 * HOUR
            at = earliest + int(rng.expovariate(1 / pace) * DAY)
            while at < now and rng.random() > self._weigh(at):
                at += int(rng.random() * 3 * HOUR)
            if at >= now:
                return
            visits.append(at)

    def _make_customer(self, person: Person, sure: int) -> None:
        rng = self._rng
        number = FIRST_CUSTOMER + self._customers
        self._customers += 1
        person.customer_id = f"{self._prefix}{number}"
        person.profile = self._profile_of(person.customer_id)
        person.login = int(rng.random() * min(sure, 3))
        first, last = world.FIRST_NAMES(rng), world.LAST_NAMES(rng)
        address = f"{first}.{last}{number}@example.com".lower()
        person.traits = {"name": f"{first} {last}", "email": address}
        if rng.random() < 0.3:
            person.browsers.append(self._make_browser())

    def choose_browser(self, person: Person, start: int) -> Browser:
        """Return the browser of a person's next session: their second one only once they have an
        account, and if there is time to log in."""
        if person.done <= person.login or len(person.browsers) == 1:
            return person.browsers[0]
        second = person.browsers[1]
        may_be = second.is_known or start < self._now - _SURE
        return second if may_be and self._rng.random() < 0.45 else person.browsers[0]
