"""Made-up histories for tests."""

from __future__ import annotations

import datetime as dt
import functools
import typing as t
import zoneinfo

from flask_eventtrack.clients.channels import Channels
from flask_eventtrack.demo.history import iter_history
from flask_eventtrack.demo.site import Rows, Site

#: A Friday, 20:30 in Berlin.
NOW = dt.datetime(2026, 11, 27, 19, 30, tzinfo=dt.UTC)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def make_site(**changes: t.Any) -> Site:
    channels = Channels()
    values: dict[str, t.Any] = {
        "now": NOW,
        "zone": BERLIN,
        "salt": "a salt",
        "name": "127.0.0.1",
        "host": "127.0.0.1:5000",
        "find_channel": lambda source, medium, has: channels.channel_of(
            source, medium, has_campaign=has
        ),
        "records": lambda action: True,
    }
    return Site(**values | changes)


def make_history(events: int, days: int, seed: int = 0, **changes: t.Any) -> Rows:
    """Return all rows of a history at once."""
    whole = Rows()
    for rows in iter_history(make_site(**changes), events, days, seed):
        whole.events += rows.events
        whole.sessions += rows.sessions
        whole.transactions += rows.transactions
        whole.aliases += rows.aliases
        whole.profiles += rows.profiles
    return whole


@functools.cache
def four_weeks() -> Rows:
    """Return 12,000 events of four weeks; no test changes them."""
    return make_history(12_000, 28)
