"""A made-up history is believable, and the same for the same seed."""

from __future__ import annotations

import collections
import datetime as dt

import pytest

from flask_eventtrack.demo.history import iter_history
from flask_eventtrack.demo.people import FIRST_CUSTOMER
from flask_eventtrack.ids import is_customer

from .histories import BERLIN, NOW, four_weeks, make_history, make_site


def test_same_seed_makes_the_same_rows() -> None:
    """Another seed makes others."""
    assert make_history(800, 5, seed=3) == make_history(800, 5, seed=3)
    assert make_history(800, 5, seed=3).events != make_history(800, 5, seed=4).events


def test_number_of_events_is_about_what_was_asked_for() -> None:
    """It is exceeded by the people who are here now, and by the session that reaches it."""
    assert 12_000 <= len(four_weeks().events) <= 12_100


def test_history_begins_at_midnight_in_the_zone_of_the_site_and_ends_now() -> None:
    """Nothing is later than now, nor stored later."""
    history = four_weeks()
    begin = dt.datetime(2026, 10, 30, tzinfo=BERLIN)
    assert begin <= min(row.started_at for row in history.sessions) < begin + dt.timedelta(hours=8)
    for row in history.events:
        assert row.time <= row.stored_at <= NOW
        assert row.received_at <= row.stored_at


def test_some_people_are_here_now() -> None:
    """Their sessions are open; those that were silent for long enough have ended."""
    sessions = four_weeks().sessions
    here = [row for row in sessions if row.last_seen_at > NOW - dt.timedelta(minutes=5)]
    assert len(here) >= 5
    assert all(row.ended_at is None for row in here)
    for row in sessions:
        is_silent = row.last_seen_at <= NOW - dt.timedelta(minutes=36)
        assert row.ended_at == (row.last_seen_at if is_silent else row.ended_at)


def test_people_come_by_day_and_in_the_evening_and_less_on_saturdays() -> None:
    """In the zone of the site."""
    begins = [row.started_at.astimezone(BERLIN) for row in four_weeks().sessions]
    hours = collections.Counter(each.hour for each in begins)
    assert hours[21] > 1.2 * hours[15] > 5 * hours[3]
    assert hours[23] > hours[3]
    whole = [each for each in begins if each.date() < NOW.date()]
    days = collections.Counter(each.weekday() for each in whole)
    assert days[3] > days[5]


def test_sessions_look_like_those_of_a_shop() -> None:
    """Nearly half of them bounce, some people come again, some of them as customers."""
    history = four_weeks()
    number = len(history.sessions)
    bounces = sum(row.pages == row.events == 1 for row in history.sessions)
    assert 0.4 < bounces / number < 0.52
    visits = collections.Counter(row.person for row in history.sessions)
    assert 0.1 < sum(count > 1 for count in visits.values()) / len(visits) < 0.3
    customers = [person for person in visits if person and is_customer(person)]
    assert 0.02 < len(customers) / len(visits) < 0.2
    channels = {row.channel for row in history.sessions}
    names = {"direct", "search", "social", "mail", "paid", "ai", "referral", "affiliate"}
    assert channels == names | {"campaign"}
    assert {row.device_type for row in history.sessions} == {"desktop", "mobile", "tablet"}


def test_fewer_people_get_through_each_step_of_a_purchase() -> None:
    """Of those who look at a product, few buy it."""
    people: dict[str, set[object]] = collections.defaultdict(set)
    for row in four_weeks().events:
        people[row.action].add(row.session_id)
        people[row.url_rule].add(row.session_id)
    steps = ("/products/<slug>", "product.addToCart", "/checkout", "transaction.charge")
    numbers = [len(people[step]) for step in steps]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] > 5 * numbers[1] > 10 * numbers[3] > 100


def test_banners_and_forms_are_used() -> None:
    """Whoever rests the pointer on the banner of the home page clicks it more often."""
    found: dict[tuple[str, str], set[object]] = collections.defaultdict(set)
    for row in four_weeks().events:
        name = row.params.get("form") or row.params.get("id")
        if name and row.source == "browser":
            found[row.action, name].add(row.session_id)
    seen, hovered, clicked = (
        found[action, "spring"] for action in ("element.view", "element.hover", "link.click")
    )
    assert len(hovered & clicked) / len(hovered) > 1.2 * len(clicked) / len(seen) > 0
    assert {id_ for action, id_ in found if action == "link.click"} >= {"spring", "lamps"}
    for form in ("checkout", "newsletter"):
        begun, sent, left = (found[f"form.{what}", form] for what in ("start", "submit", "abandon"))
        assert len(begun) >= len(sent) > len(left) > 5
        assert sent | left == begun


def test_customers_are_numbered_from_42() -> None:
    """An app's own first customers have lower numbers."""
    ids = {int(person.customer_id) for person in four_weeks().profiles}
    assert FIRST_CUSTOMER == 42
    assert ids == set(range(42, 42 + len(ids)))


def test_first_minute_of_a_day_has_a_history_too() -> None:
    """All but the people who are here came before."""
    now = dt.datetime(2026, 11, 27, 23, 0, 30, tzinfo=dt.UTC)
    history = make_history(200, 1, now=now)
    assert 200 <= len(history.events) <= 300


def test_very_busy_history_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the memory that it takes does not grow with it, also if all of it is of one day."""
    monkeypatch.setattr("flask_eventtrack.demo.history._CHUNK", 500)
    monkeypatch.setattr("flask_eventtrack.demo.history._SLOT", 10)
    sizes = [len(rows.events) for rows in iter_history(make_site(), 3000, 1)]
    assert len(sizes) >= 5
    assert max(sizes) < 650


def test_actions_that_the_app_does_not_record_are_left_out() -> None:
    """Without them, everything else is there."""
    no = {"customer.signup", "product.buy", "newsletter.signup"}
    history = make_history(3000, 3, records=lambda action: action not in no)
    actions = {row.action for row in history.events}
    assert not no & actions
    assert "transaction.charge" in actions
