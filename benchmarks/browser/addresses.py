"""What the site's addresses mean, and what it tells of those who came."""

from __future__ import annotations

import typing as t

#: Pages with the tracker, and with its tag twice.
PAGE, TWICE = "/page", "/twice"
#: Pages without: an empty one, and one that has ``PAGE`` prerendered.
EMPTY, PRERENDERING = "/empty", "/prerendering"
#: What may happen to the first posts of an origin.
UNAVAILABLE, THROTTLED, SLOW, WELL = "unavailable", "throttled", "slow", "well"
DELAY = 2.0  # s, of a slow answer
RETRY_AFTER = 1  # s
#: The file below the site's folder that has our rows.
DATABASE = "ours.db"


class Arrival(t.NamedTuple):
    """A request, and whether a fault met it; the body as Latin-1."""

    method: str
    path: str
    spoilt: bool
    body: str


class Origin(t.NamedTuple):
    """A page's host name without the tracker: ``slow-2-life17``."""

    name: str
    fault: str = WELL
    posts: int = 0

    def __str__(self) -> str:
        return f"{self.fault}-{self.posts}-{self.name}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        fault, posts, name = text.split("-")
        return cls(name, fault, int(posts))
