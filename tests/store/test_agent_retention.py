"""What agents have read is kept as long as page visits, by whole days."""

from __future__ import annotations

import datetime as dt

from flask_eventtrack.store.retention import Pruned

from ..conftest import MakeHost
from ..hosts import FakeClock
from .test_retention import DAY, prune

GPTBOT = "GPTBot/1.2 (+https://openai.com/gptbot)"


def test_old_days_are_removed(make: MakeHost, database_url: str, clock: FakeClock) -> None:
    """A day stays until all of it is old. Events have nothing to do with it."""
    host = make({"EVENTTRACK_RETENTION": {"page.*": 3 * DAY}}, url=database_url)
    for _ in range(6):
        host.client(GPTBOT).get("/")
        host.client(GPTBOT).get("/data.json")
        host.flush()
        clock.advance(days=1)
    with host.app.app_context():
        assert host.state.pipeline.writer.count_old() == Pruned(agent_counts=6)
    assert prune(host) == Pruned(agent_counts=6)
    days = {row["day"] for row in host.rows("agent_daily")}
    assert days == {dt.date(2026, 11, 24), dt.date(2026, 11, 25), dt.date(2026, 11, 26)}
    assert prune(host) == Pruned()


def test_other_retention_keeps_them(make: MakeHost, clock: FakeClock) -> None:
    """The pattern has to match ``page.visit``."""
    host = make({"EVENTTRACK_RETENTION": {"order.*": DAY}})
    host.client(GPTBOT).get("/")
    clock.advance(days=400)
    assert prune(host) == Pruned()
    assert len(host.rows("agent_daily")) == 1


def test_a_doubted_clock_removes_nothing(make: MakeHost, clock: FakeClock) -> None:
    """A process whose clock is years ahead must not remove what agents read yesterday."""
    clock.now = int(dt.datetime.now(dt.UTC).timestamp()) * 1_000_000_000
    host = make({"EVENTTRACK_RETENTION": 30 * DAY})
    host.client(GPTBOT).get("/")
    host.flush()
    clock.advance(days=3650)
    assert prune(host) == Pruned()
    with host.app.app_context():
        assert sum((each.agent_counts for each in host.state.pipeline.prune(is_sure=True)), 0) == 1
