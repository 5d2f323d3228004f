"""What agents read in a made-up history: search engines every day, assistants more and more."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import math
import random
import typing as t

from ..records import AgentClaim, AgentKind
from ..store.local_days import day_of, iter_days
from ..store.rows import AgentRow
from . import world
from .site import Site

# How many reads there are for each event, and how much the assistants' reads grow.
_PART = 0.06
_GROWTH = 2.5


class Reader(t.NamedTuple):
    """An agent, its weight among all reads, and the routes that it prefers."""

    name: str
    kind: AgentKind
    weight: int
    likes: tuple[str, ...] = ()
    claim: AgentClaim = "user-agent"


READERS = (
    Reader("Googlebot", "search", 30),
    Reader("bingbot", "search", 14),
    Reader("Applebot", "search", 4),
    Reader("OAI-SearchBot", "search", 8),
    Reader("Claude-SearchBot", "search", 3),
    Reader("PerplexityBot", "search", 5),
    Reader("GPTBot", "training", 18),
    Reader("ClaudeBot", "training", 13),
    Reader("meta-externalagent", "training", 9),
    Reader("CCBot", "training", 4),
    Reader("ChatGPT-User", "live", 12, ("/products/<slug>", "/about")),
    Reader("Claude-User", "live", 4, ("/products/<slug>",)),
    Reader("Perplexity-User", "live", 3, ("/products/<slug>",)),
    Reader("ChatGPT agent", "live", 1, ("/basket", "/checkout"), "signature-agent"),
    Reader("UptimeRobot", "monitor", 20, ("/",)),
    Reader("facebookexternalhit", "other", 2, ("/products/<slug>",)),
    Reader("other", "other", 16),
)
_LIKES = 6


def iter_agent_rows(site: Site, events: int, days: int, seed: int = 0) -> cabc.Iterator[AgentRow]:
    """Yield the counts of a history. The same arguments give the same counts."""
    rng = random.Random(f"agents {seed}")  # noqa: S311 - it need not be secret
    last = day_of(site.now, site.zone)
    first = last - dt.timedelta(days=days)
    total = sum(reader.weight for reader in READERS)
    for number, day in enumerate(iter_days(first, last)):
        # The last day has only begun.
        part = _part_of_day(site) if day == last else 1.0
        for reader in READERS:
            growth = 1 + _GROWTH * number / (days + 1) if reader.kind == "live" else 1
            usual = events / (days + 1) * _PART * reader.weight / total * growth * part
            yield from _read(rng, site, day, reader, math.floor(usual + rng.random()))


def _part_of_day(site: Site) -> float:
    local = site.now.astimezone(site.zone)
    return (local.hour * 60 + local.minute) / (24 * 60)


def _read(
    rng: random.Random, site: Site, day: dt.date, reader: Reader, reads: int
) -> cabc.Iterator[AgentRow]:
    counts: collections.Counter[tuple[str, int]] = collections.Counter()
    for _ in range(reads):
        is_liked = bool(reader.likes) and rng.randrange(10) < _LIKES
        rule = rng.choice(reader.likes) if is_liked else _RULES(rng)
        counts[rule, _answer(rng, rule)] += 1
    for (rule, status), count in sorted(counts.items()):
        yield AgentRow(day, site.name, reader.name, reader.kind, reader.claim, rule, status, count)


def _answer(rng: random.Random, rule: str) -> int:
    if not rule:
        return 404
    number = rng.randrange(100)
    return 304 if number < 6 else 500 if number == 99 else 200


_RULES = world.Picker(
    {
        "/": 16,
        "/products/<slug>": 40,
        "/search": 3,
        "/lookbook": 4,
        "/lookbook/<slug>": 8,
        "/about": 5,
        "": 6,
    }
)
