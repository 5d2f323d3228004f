"""Histories of visits: what closed days tell is what a plain count of the rows tells."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import itertools
import tempfile
import typing as t

from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.reports.period import Bucket
from flask_eventtrack.reports.rows import Numbers, Overview

from ..conftest import create_tables
from ..hosts import FakeClock, Host, make_host
from .visits import Visitor, close_days

ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo")
SITES = ("shop.test", "blog.test")
FIRST = dt.datetime(2026, 10, 22, tzinfo=dt.UTC)
PATHS = ("/", "/products/pen", "/?utm_source=news", "/products/ink?utm_campaign=spring")

QUESTIONS: tuple[tuple[str, Bucket], ...] = (
    ("30d", "day"),
    ("30d", "week"),
    ("7d", "hour"),
    ("yesterday", "hour"),
)


@dataclasses.dataclass(frozen=True)
class Step:
    """After some minutes, a visitor of a site sees a page or logs in, or the days are closed."""

    minutes: int
    kind: t.Literal["visit", "login", "close"]
    visitor: int
    site: int
    path: int


STEPS = st.lists(
    st.builds(
        Step,
        minutes=st.sampled_from((1, 10, 40, 400, 1500, 3000)),
        kind=st.sampled_from(("visit", "visit", "visit", "visit", "login", "close")),
        visitor=st.integers(0, 3),
        site=st.integers(0, 1),
        path=st.integers(0, 3),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=12, deadline=None)
@given(
    steps=STEPS,
    zone=st.sampled_from(ZONES),
    ends_closed=st.booleans(),
    question=st.sampled_from(QUESTIONS),
    sites=st.sampled_from((None, {"shop.test"}, set(SITES))),
)
def test_every_number_is_that_of_a_plain_count(
    steps: list[Step],
    zone: str,
    ends_closed: bool,
    question: tuple[str, Bucket],
    sites: set[str] | None,
) -> None:
    """With closed days, without them, and while some wait to be counted again."""
    with tempfile.TemporaryDirectory() as folder:
        host = live_through(steps, zone, folder)
        try:
            if ends_closed:
                close_days(host)
            compare(host, *question, sites)
        finally:
            host.close()


def live_through(steps: list[Step], zone: str, folder: str) -> Host:
    clock = FakeClock(FIRST)
    config = {"EVENTTRACK_TIMEZONE": zone, "EVENTTRACK_SITES": [*SITES]}
    host = make_host(f"sqlite:///{folder}/host.db", config, clock=clock, create=False)

    @host.app.post("/login")
    def login() -> str:
        host.events.identify("7")
        return ""

    create_tables(host)
    visitors = [[Visitor(host, site) for site in SITES] for _ in range(4)]
    for step in steps:
        clock.advance(minutes=step.minutes)
        visitor = visitors[step.visitor][step.site]
        if step.kind == "close":
            close_days(host)
        elif step.kind == "login":
            visitor.do("/login")
        else:
            visitor.see(PATHS[step.path])
    host.flush()
    while host.state.pipeline.writer.apply_aliases():
        pass
    return host


def compare(host: Host, name: str, bucket: Bucket, sites: set[str] | None) -> None:
    reports = host.state.reports
    period = reports.period(name)
    rows = Rows.read(host, sites)
    found = reports.overview(period, bucket=bucket, sites=sites)
    assert found.numbers == rows.count(period.start, period.end)
    compared = found.compared
    assert compared is not None
    assert found.before == rows.count(compared.start, compared.end)
    for point, span in zip(found.series, period.spans(bucket), strict=True):
        assert point.numbers == rows.count(span.start, span.end)
    check_panels(rows, found)


@dataclasses.dataclass(frozen=True)
class Rows:
    """The sessions and page visits of some sites, as they are stored."""

    sessions: list[dict[str, t.Any]]
    visits: list[dict[str, t.Any]]

    @classmethod
    def read(cls, host: Host, sites: set[str] | None) -> Rows:
        sessions, events = (
            [row for row in host.rows(table) if not sites or row["site"] in sites]
            for table in ("session", "event")
        )
        return cls(sessions, [row for row in events if row["action"] == "page.visit"])

    def between(self, start: dt.datetime, end: dt.datetime) -> list[dict[str, t.Any]]:
        return [row for row in self.sessions if start <= row["started_at"] < end]

    def count(self, start: dt.datetime, end: dt.datetime) -> Numbers:
        """Count plainly what happened between two moments."""
        within = self.between(start, end)
        people = {row["person"] for row in within}
        earlier = {row["person"] for row in self.sessions if row["started_at"] < start}
        return Numbers(
            visitors=len(people),
            new_visitors=len(people - earlier),
            sessions=len(within),
            page_visits=sum(start <= row["time"] < end for row in self.visits),
            pages=sum(row["pages"] for row in within),
            bounces=sum(row["pages"] == row["events"] == 1 for row in within),
            visible_ms=sum(row["visible_ms"] for row in within),
            seconds=sum((row["last_seen_at"] - row["started_at"]).seconds for row in within),
        )


def check_panels(rows: Rows, found: Overview) -> None:
    within = rows.between(found.period.start, found.period.end)
    for dimension in ("source", "utm_campaign", "entry_rule", "exit_rule", "browser"):
        expected = collections.Counter(row[dimension] or "" for row in within)
        panel = found.breakdowns[dimension]
        assert {row.value: row.count for row in panel.rows} == expected
    assert sum(map(sum, found.heatmap)) == len(within)
    local = [row["started_at"].astimezone(found.period.zone) for row in within]
    heat = collections.Counter((moment.weekday(), moment.hour) for moment in local)
    assert {
        (day, hour): found.heatmap[day][hour]
        for day, hour in itertools.product(range(7), range(24))
        if found.heatmap[day][hour]
    } == heat
