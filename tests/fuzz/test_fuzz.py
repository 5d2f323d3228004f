"""Whatever is posted to the collector, in whatever order: no failure, and nothing is stored that
breaks a rule."""

from __future__ import annotations

import collections
import itertools
import logging
import math
import os
import typing as t

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from msgspec import Meta

from flask_eventtrack import EventTrack

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .answers import Described, Ledger
from .plans import HISTORIES, HOSTS, History
from .rules import Stored
from .tokens import jwt_keys
from .values import PARTNER, SIBLING
from .world import World

#: A case is one request to a posting route: so many on each database, and 20,000 on all three.
CASES = math.ceil(int(os.environ.get("EVENTTRACK_TEST_EXAMPLES", "100")) * 200 / 3)
SEED = os.environ.get("EVENTTRACK_TEST_SEED", "fuzz")
DAY_NS = 86_400 * 1_000_000_000
UNDEFINED_LIMIT = 3
CONFIG: dict[str, t.Any] = {
    "EVENTTRACK_ALLOWED_ORIGINS": [PARTNER, SIBLING],
    "EVENTTRACK_COUNTRY_HEADER": "X-Country",
    "EVENTTRACK_DENY": ["denied.*"],
    "EVENTTRACK_DEVICE_LIMIT": (0.1, 8),
    "EVENTTRACK_FLUSH_INTERVAL": 3600,  # a history says when
    "EVENTTRACK_UNDEFINED_LIMIT": UNDEFINED_LIMIT,
}
#: The engine remembers each example of a round, so a long run is many rounds.
ROUND = settings(
    max_examples=20,
    phases=[Phase.generate, Phase.shrink],
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
#: Some of what so many cases are answered: each check is reached.
MET = frozenset(
    {
        *("accepted", "bot", "customer_required", "denied_event", "duplicate", "invalid_action"),
        *("invalid_event", "invalid_id", "invalid_param", "invalid_param_name", "invalid_time"),
        *("opted_out", "params_too_deep", "params_too_large", "reserved_event", "server_only"),
        *("too_many_params", "too_old", "undefined_event", "in 202 ", "in 400 malformed"),
        *("in 401 token_claims", "in 401 token_invalid", "in 401 token_key", "in 403 csrf"),
        *("in 401 token_signature", "in 403 foreign_origin", "in 413 too_large", "in 415 encoded"),
        *("in 415 unsupported_type", "in 422 ", "in 429 too_many_posts", "identify 204 "),
        *("identify 401 token_missing", "logout 204 ", "consent 204 ", "consent 400 malformed"),
    }
)


def define(events: EventTrack) -> EventTrack:
    """Define events of each kind."""

    @events.define("shop.view", label="Viewed {name} for {price:.2f}", anonymous=True)
    class View:
        sku: t.Annotated[str, Meta(max_length=20)]
        name: str
        price: t.Annotated[float, Meta(ge=0)] | None = None
        count: t.Annotated[int, Meta(ge=1, le=10)] = 1
        tags: list[str] | None = None

    @events.define("account.note", label="Noted {text}")
    class Note:
        text: str

    events.define("account.close")
    events.define("server.only", server_only=True)
    events.define("denied.event", anonymous=True)
    return events


@pytest.fixture
def hosts(make: MakeHost, database_url: str, clock: FakeClock) -> list[Host]:
    """Two processes' apps on one database, of which the other also takes what is not defined."""
    rejects = {**CONFIG, "EVENTTRACK_JWT_KEYS": jwt_keys()}
    stores = {**rejects, "EVENTTRACK_UNDEFINED_EVENTS": "store"}
    made = [
        make(config, url=database_url, events=define(EventTrack(clock=clock)), create=is_first)
        for config, is_first in ((rejects, True), (stores, False))
    ]
    assert len(made) == HOSTS
    return made


def settle(hosts: list[Host]) -> None:
    """Leave the writers' threads nothing to do."""
    for host in hosts:
        host.flush()
    for host in hosts:  # which waits for its own thread, and passes over what another's has locked
        host.state.pipeline.sweep()


def empty(host: Host) -> None:
    """Delete all rows."""
    with host.app.app_context(), host.db.engine.begin() as connection:
        for table in host.state.pipeline.database.tables.all():
            connection.execute(table.delete())


def test_no_history_is_an_error(
    hosts: list[Host], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """On each database: no exception, no answer that is not described, no word in the log, and
    rows, counters and answers that agree. Each history begins with an empty database."""
    host = hosts[0]
    described = Described.of(host.client().get("/_et/openapi.json").get_json())
    seen: collections.Counter[str] = collections.Counter()
    # Each on a day of its own: names that nothing defines are counted by the hour.
    mornings = itertools.cycle(range(clock.now, clock.now + 10_000 * DAY_NS, 10 * DAY_NS))
    sent = rounds = 0

    def live(history: History) -> None:
        nonlocal sent
        settle(hosts)  # what a history that has failed may have left
        empty(host)
        caplog.clear()
        clock.now = next(mornings)
        world = World(hosts, clock, Ledger(described))
        for step in history:
            world.take(step)
        settle(hosts)
        Stored(host, world.ledger, HOSTS * UNDEFINED_LIMIT * world.hours).check()
        assert [record for record in caplog.records if record.levelno > logging.INFO] == []
        sent += world.ledger.sent
        seen.update(world.ledger.seen)

    kind = host.app.config["SQLALCHEMY_DATABASE_URI"].partition(":")[0]
    while sent < CASES:
        rounds += 1
        seed(f"{SEED} {kind} {rounds}")(ROUND(given(HISTORIES)(live)))()
    print(f"{sent} cases on {kind} in {rounds} rounds: {dict(sorted(seen.items()))}")
    assert seen.keys() >= MET or CASES < 6_000
