"""The quality page says what became of events, and what browsers did not tell."""

from __future__ import annotations

import collections
import datetime as dt
import pathlib
import random
import uuid as uuidlib
import zoneinfo

import pytest
import sqlalchemy as sa

from flask_eventtrack.reports.explore.counters import OUTCOMES

from ..conftest import MakeHost
from ..dashboard.pages import find_links, look, read_headline, read_table
from ..dashboard.test_hostile import HOSTILE, check
from ..hosts import FakeClock
from ..reports.visits import close_days, go_to
from .shop import JSON, do, open_shop, read_json
from .stored import Row, add_counters, add_visits

WEEK = "quality.json?period=7d"
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_outcomes_equal_a_plain_count(
    make: MakeHost, clock: FakeClock, database_url: str, zone: str
) -> None:
    """By day and in all, as random counters are added up in Python."""
    host = open_shop(make, clock, url=database_url, config={"EVENTTRACK_TIMEZONE": zone})
    rng = random.Random(7)
    start = clock.moment.replace(minute=0) - 12 * 24 * HOUR
    rows: list[Row] = [
        (start + n * HOUR, outcome, f"a.{n % 3}", "", rng.randrange(1, 9))
        for n in range(12 * 24)
        for outcome in rng.sample([*OUTCOMES, "pruned", "undefined"], 3)
    ]
    add_counters(host, *rows)
    today = clock.moment.astimezone(zoneinfo.ZoneInfo(zone)).date()
    plain = {outcome: [0] * 7 for outcome in OUTCOMES}
    reasons = collections.Counter[tuple[str, str]]()
    for hour, outcome, action, _, number in rows:
        age = (today - hour.astimezone(zoneinfo.ZoneInfo(zone)).date()).days
        if age < 7 and outcome in plain:
            plain[outcome][6 - age] += number
            reasons[outcome, action] += number
    found = read_json(host, WEEK)["quality"]["outcomes"]
    assert found["series"] == plain
    assert found["totals"] == {outcome: sum(days) for outcome, days in plain.items()}
    told = {(each["outcome"], each["action"]): each["count"] for each in found["reasons"]}
    faults = {key: number for key, number in reasons.items() if key[0] in {"rejected", "dropped"}}
    assert told == faults


def test_the_page_draws_the_outcome_that_is_chosen(make: MakeHost, clock: FakeClock) -> None:
    """A number of the head is a link to its chart, and the table beside it has the same numbers."""
    host = open_shop(make, clock)
    add_counters(
        host,
        (clock.moment - 24 * HOUR, "accepted", "a.b", "", 9),
        (clock.moment - 24 * HOUR, "rejected", "cart.put", "invalid_param", 2),
        (clock.moment - HOUR, "dropped", "page.visit", "no room", 3),
    )
    page = look(host, "/quality?period=7d&outcome=rejected")
    assert read_headline(page) == "9 events stored, 2 refused and 3 lost."
    assert read_table(page, "data")[-2:] == [
        ["Fri 20 November 2026", "2 events"],
        ["Sat 21 November 2026 (still running)", "0 events"],
    ]
    assert find_links(page, "cart.put") == ["/_et/catalogue/cart.put?period=7d"]
    assert find_links(page, "Lost 3") == ["/_et/quality?period=7d&outcome=dropped"]
    answer = host.client().get("/_et/quality?outcome=lost")
    assert answer.status_code == 400
    assert "accepted, duplicate, rejected, dropped" in answer.text


def test_all_is_well_is_said_too(make: MakeHost, clock: FakeClock) -> None:
    """Where nothing was refused or lost, each part of the page says so."""
    page = look(open_shop(make, clock), "/quality?period=7d")
    assert read_headline(page) == "0 events stored, and none was refused or lost."
    for sentence in (
        "No event was refused or lost in this period.",
        "There are no page visits with a session in this period.",
        "No refused records.",
    ):
        assert sentence in page


def test_visits_that_no_browser_told_of(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """By route and by browser, without those that a browser may still report."""
    host = open_shop(make, clock, url=database_url)
    add_visits(host, *[("/a", "Firefox", True)] * 3, ("/a", "Chrome", False))
    add_visits(host, *[("/b", "Chrome", False)] * 2)
    add_visits(host, ("/c", "Chrome", False), ago=5)
    add_visits(host, ("/c", "Chrome", False), ago=9 * 24 * 60)
    add_visits(host, ("/d", "Chrome", False), session_id=None)
    add_visits(host, ("/d", "Chrome", False), source="browser")
    add_visits(host, ("/d", "Chrome", False), source="bot")
    add_visits(host, ("/d", "Chrome", False), action="cart.put")
    found = read_json(host, WEEK)["quality"]["silence"]
    assert (found["visits"], found["silent"]) == (6, 3)
    assert [tuple(row.values()) for row in found["by_route"]] == [("/b", 2, 2), ("/a", 4, 1)]
    assert [tuple(row.values()) for row in found["by_browser"]] == [
        ("Chrome", 3, 3),
        ("Firefox", 3, 0),
    ]
    page = look(host, "/quality?period=7d")
    assert "3 of the latest 6 page visits of this period (50.0%)." in page


def test_only_the_latest_visits_are_looked_at(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the page is as fast with a million visits."""
    monkeypatch.setattr("flask_eventtrack.reports.explore.quality.LATEST", 2)
    host = open_shop(make, clock)
    add_visits(host, *[("/old", "Chrome", False)] * 3, ago=120)
    add_visits(host, *[("/new", "Chrome", True)] * 2)
    found = read_json(host, WEEK)["quality"]["silence"]
    assert (found["visits"], found["silent"], len(found["by_route"])) == (2, 0, 1)


def test_clocks_that_are_ahead_are_counted(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Of events that browsers and apps have sent: those whose time was still to come."""
    host = open_shop(make, clock, url=database_url)
    late = {"original_time": "2027-01-01T00:00:00+00:00"}
    add_visits(host, ("", "", True), action="cart.put", source="browser", params=late)
    add_visits(host, ("", "", True), action="cart.put", source="app", params={})
    add_visits(host, ("", "", True), action="cart.put", source="server", params=late)
    found = read_json(host, WEEK)["quality"]["clocks"]
    assert found == {"events": 3, "sent": 2, "ahead": 1}


def test_room_and_what_a_retention_would_free(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Of closed days: events of 100 days ago, and those of each day since yesterday."""
    host = open_shop(make, clock, url=database_url)
    for moment, number in (("2026-08-10 10:00", 6), ("2026-11-20 10:00", 2)):
        go_to(clock, moment)
        for _ in range(number):
            do(host, "cart.put", sku="pen")
    go_to(clock, "2026-11-21 12:00")
    close_days(host)
    found = read_json(host, "quality.json?period=7d")["storage"]
    stored = len(host.rows("event"))
    assert (found["events"], found["since"]) == (stored, "2026-08-10")
    [freed] = found["freed"]
    assert (freed["days"], freed["events"]) == (90, stored * 3 // 4)
    assert freed["bytes"] == pytest.approx(found["bytes"] * 3 / 4, rel=0.2)
    if database_url.startswith("sqlite"):
        assert found["tables"] == []
        assert found["bytes"] == pytest.approx(
            pathlib.Path(database_url[10:]).stat().st_size, rel=0.2
        )
    else:
        names = {each["name"] for each in found["tables"]}
        assert names == {table.name for table in host.state.pipeline.database.tables.all()}
        assert sum(each["bytes"] for each in found["tables"]) == found["bytes"] > 100_000
    page = look(host, "/quality")
    assert '<th scope="row" class="name">90 days</th>' in page


def test_sizes_and_findings_are_remembered_for_a_minute(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The doctor takes longer than a page may."""
    calls: list[object] = []
    module = "flask_eventtrack.dashboard.explore.upkeep"

    def note(*args: object) -> list[object]:
        calls.append(args)
        return []

    monkeypatch.setattr(f"{module}.examine", note)
    host = open_shop(make, clock)
    for _ in range(2):
        read_json(host, WEEK)
    clock.advance(seconds=59)
    read_json(host, WEEK)
    assert len(calls) == 1
    clock.advance(seconds=1)
    read_json(host, WEEK)
    assert len(calls) == 2


def test_findings_and_the_writers_state_are_shown(make: MakeHost, clock: FakeClock) -> None:
    """As the doctor and ``events.health()`` say them."""
    host = open_shop(make, clock, config={"SECRET_KEY": "short"})
    do(host, "cart.put", sku="pen")
    found = read_json(host, WEEK)
    assert "ET007" in [finding["id"] for finding in found["findings"]]
    assert (found["writer"]["is_well"], found["writer"]["records"]) == (True, 0)
    page = look(host, "/quality")
    assert "<b>ET007</b>" in page
    assert "all is well" in page


@pytest.mark.parametrize("permit", ["view", "numbers"])
def test_only_managers_see_how_the_app_is_run(
    make: MakeHost, clock: FakeClock, permit: str
) -> None:
    """Others see what became of events, and nothing of tables, journals and refused records."""
    host = open_shop(make, clock, permit=permit)
    found = read_json(host, WEEK)
    assert found["quality"]["outcomes"] is not None
    assert [found[name] for name in ("writer", "storage", "findings", "refused")] == [None] * 4
    page = look(host, "/quality")
    for title in ("refused-title", "writer-title", "size-title", "doctor-title", 'name="token"'):
        assert title not in page


def test_a_single_site_gets_its_own_visits(make: MakeHost, clock: FakeClock) -> None:
    """Counters have no site, so they are left out, and the page says so."""
    host = open_shop(make, clock, permit={"blog.test"})
    add_counters(host, (clock.moment - HOUR, "rejected", "cart.put", "invalid_param", 2))
    add_visits(host, ("/mine", "Chrome", False), site="blog.test")
    add_visits(host, ("/other", "Chrome", False))
    found = read_json(host, WEEK)["quality"]
    assert (found["outcomes"], found["silence"]["visits"]) == (None, 1)
    page = look(host, "/quality?period=7d")
    assert "They are not shown for single sites." in page
    assert "/mine" in page
    assert "/other" not in page


def test_nothing_of_hostile_texts_runs(make: MakeHost, clock: FakeClock) -> None:
    """Reasons, actions, routes, browsers and records are shown as text."""
    host = open_shop(make, clock)
    hour = clock.moment - HOUR
    add_counters(host, *((hour, "rejected", text[:32], text[:64], 3) for text in HOSTILE))
    add_visits(host, *((text, text[:64], False) for text in HOSTILE))
    rows: list[JSON] = [
        {
            "id": uuidlib.uuid4(),
            "rejected_at": hour,
            "action": text[:32],
            "reason": text,
            "payload": text,
        }
        for text in HOSTILE
    ]
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.insert(host.state.pipeline.database.tables.rejected), rows)
    page = look(host, "/quality?period=7d")
    check(page)
    assert page.count("{{7*7}}") >= 4
