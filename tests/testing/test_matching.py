"""Which events fit, which is the nearest, and how they are shown. Pure."""

from __future__ import annotations

import datetime as dt
import decimal
import re
import typing as t
import unittest.mock
import uuid

import pytest

from flask_eventtrack.testing.matching import (
    Wanted,
    find_nearest,
    find_steps,
    is_same,
    write_difference,
    write_events,
)

from ..store.records import an_event

UUID = uuid.UUID("018f0000-0000-7000-8000-000000000000")


@pytest.mark.parametrize(
    ("expected", "value", "is_it"),
    [
        ("9.99", "9.99", True),
        ("9.99", 9.99, False),
        (decimal.Decimal("9.99"), "9.99", True),
        (decimal.Decimal("9.99"), 9.99, True),
        (decimal.Decimal("9.90"), "9.99", False),
        (UUID, str(UUID), True),
        (dt.date(2026, 1, 2), "2026-01-02", True),
        (("a", "b"), ["a", "b"], True),
        ({"sku": UUID}, {"sku": str(UUID)}, True),
        (1, 1.0, True),
        (1, True, False),
        (True, True, True),
        (None, "", False),
        (unittest.mock.ANY, ["anything"], True),
        (pytest.approx(9.99, abs=0.1), 9.95, True),
        (re.compile("9.*"), "9.99", False),
    ],
    ids=repr,
)
def test_a_value_is_compared_as_it_is_recorded(expected: t.Any, value: t.Any, is_it: bool) -> None:
    """Matchers of other libraries compare themselves."""
    assert is_same(expected, value) is is_it


def test_an_event_may_have_more_parameters() -> None:
    """Those that are expected must be there, even if the value is None."""
    event = an_event(action="order.pay", params={"amount": "9.99", "currency": "EUR"})
    assert Wanted("order.pay", {"amount": "9.99"}).fits(event)
    assert not Wanted("order.pay", {"amount": "9.99", "coupon": None}).fits(event)
    assert not Wanted("order.buy", {}).fits(event)


def test_the_nearest_event_has_the_action_and_most_values() -> None:
    """An action that is nothing like it is not near."""
    wanted = Wanted("order.pay", {"amount": "9.99", "currency": "EUR"})
    other = an_event(action="page.visit", params={"amount": "9.99", "currency": "EUR"})
    misspelt = an_event(action="order.pya", params={"amount": "9.99", "currency": "EUR"})
    far = an_event(action="order.pay", params={"amount": "100", "currency": "USD"})
    near = an_event(action="order.pay", params={"amount": "9.90", "currency": "EUR"})
    assert find_nearest(wanted, [other]) is None
    assert find_nearest(wanted, [other, misspelt]) is misspelt
    assert find_nearest(wanted, [other, misspelt, far]) is far
    assert find_nearest(wanted, [other, misspelt, far, near]) is near


def test_a_difference_is_read_line_by_line() -> None:
    """Minus is what was expected, plus what was recorded."""
    event = an_event(
        action="order.pya", params={"amount": "9.90", "currency": "EUR", "visit": "v" * 100}
    )
    wanted = Wanted("order.pay", {"amount": "9.99", "currency": "EUR", "coupon": "SPRING"})
    assert write_difference(wanted, event).splitlines() == [
        "  - order.pay",
        "  + order.pya",
        "  - amount: '9.99'",
        "  + amount: '9.90'",
        "    currency: 'EUR'",
        "  - coupon: 'SPRING'",
        f"    visit: '{'v' * 68}… (not compared)",
    ]


def test_steps_are_found_with_others_between_them() -> None:
    """The first one that is missing is named."""
    first, between, last = (an_event(action=f"a.{name}") for name in "xyz")
    x, y, z = (Wanted(f"a.{name}", {}) for name in "xyz")
    events = [first, between, last]
    assert find_steps([x, z], events) == ([first, last], None)
    assert find_steps([z, x], events) == ([last], x)
    assert find_steps([x, x], events) == ([first], x)
    assert find_steps([y], []) == ([], y)


def test_many_events_are_cut() -> None:
    """The latest are shown, each with its number."""
    events = [
        an_event(action="a.b", params={"n": number, "long": "x" * 100}) for number in range(40)
    ]
    lines = write_events(events, [events[-1]]).splitlines()
    assert lines[0] == "  … and 10 before"
    assert lines[1].startswith("  11 a.b  n=10, long='x")
    assert lines[-1].startswith("> 40 a.b  n=39")
    assert max(map(len, lines)) <= 106
    assert write_events([]) == "  No event was recorded."
