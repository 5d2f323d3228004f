"""Retention by closed days: the same numbers as person by person."""

from __future__ import annotations

import datetime as dt
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.reports.explore import retention
from flask_eventtrack.reports.explore.retention_rows import By, Retention

from ...hosts import Host
from ..test_histories import SITES, STEPS, ZONES, Step, live_through
from ..visits import close_days, pending

BYS: st.SearchStrategy[By] = st.sampled_from(("day", "week", "month"))


@settings(max_examples=40, deadline=None)
@given(
    steps=STEPS,
    zone=st.sampled_from(ZONES),
    ends_closed=st.booleans(),
    by=BYS,
    sites=st.sampled_from((None, {"shop.test"}, set(SITES))),
)
def test_closed_days_tell_the_same(
    steps: list[Step], zone: str, ends_closed: bool, by: By, sites: set[str] | None
) -> None:
    """While some wait to be counted again, too."""
    with tempfile.TemporaryDirectory() as folder:
        host = live_through(steps, zone, folder)
        try:
            if ends_closed:
                close_days(host)
            period = host.state.reports.period("60d")
            found = host.state.reports.retention(period, by=by, sites=sites)
            assert found == count_one_by_one(host, by, sites)
            assert {row.first: row.people for row in found.rows} == count_first_days(
                host, found, sites
            )
        finally:
            host.close()


def count_one_by_one(host: Host, by: By, sites: set[str] | None) -> Retention:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "read_counted", lambda *_: False)
        return host.state.reports.retention(host.state.reports.period("60d"), by=by, sites=sites)


def count_first_days(
    host: Host, found: Retention, sites: set[str] | None
) -> dict[dt.date | None, int]:
    """Count plainly how many people first came between the days of each cohort."""
    first: dict[object, dt.date] = {}
    for row in host.rows("session"):
        if sites is None or row["site"] in sites:
            day = row["started_at"].astimezone(host.state.reports.zone).date()
            first[row["person"]] = min(day, first.get(row["person"], day))
    counts: dict[dt.date | None, int] = {}
    for each in found.rows:
        assert each.first is not None
        assert each.last is not None
        counts[each.first] = sum(each.first <= day <= each.last for day in first.values())
    return counts


def test_two_who_turn_out_to_be_one_have_come_back() -> None:
    """While that waits to be counted again, and after it."""
    steps = [
        Step(1, "visit", 0, 0, 0),
        Step(10_080, "visit", 1, 0, 0),
        Step(3000, "close", 0, 0, 0),
        Step(1, "login", 0, 0, 0),
        Step(1, "login", 1, 0, 0),
    ]
    with tempfile.TemporaryDirectory() as folder:
        host = live_through(steps, "UTC", folder)
        try:
            assert pending(host)[1]
            for _ in range(2):
                found = host.state.reports.retention(host.state.reports.period("60d"))
                assert found == count_one_by_one(host, "week", None)
                cells = [cell for row in found.rows for cell in row.cells if cell.count]
                assert (found.people, [cell.count for cell in cells]) == (1, [1])
                close_days(host)
            assert pending(host)[1] == set()
        finally:
            host.close()
