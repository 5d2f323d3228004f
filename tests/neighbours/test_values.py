"""Values of other libraries as parameters, labels, times and customers' ids."""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid

import flask_babel
import numpy as np
import pytest
from flask import Flask, session
from flask_babel import Babel, lazy_gettext
from werkzeug.local import LocalProxy

from flask_eventtrack import identify, track
from flask_eventtrack.errors import InvalidEvent

from ..catalogue.events import ProductView, send
from ..hosts import START, Host

SECONDS = int(START.timestamp())


@pytest.fixture
def shop(host: Host) -> Host:
    host.events.define("a.b")
    host.events.define("product.view", label="Viewed {name}")(ProductView)
    return host


@pytest.fixture
def polish(shop: Host) -> Host:
    """A host whose texts Flask-Babel writes in Polish."""
    Babel(shop.app, locale_selector=lambda: "pl")
    return shop


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.int64(5), 5),
        (np.uint64(2**64 - 1), str(2**64 - 1)),
        (np.int8(-128), -128),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.bool_(True), True),
        (np.str_("Mug"), "Mug"),
        (np.complex128(1 + 2j), "(1+2j)"),
        (np.datetime64("2026-01-02T03:04:05.123456789"), "2026-01-02T03:04:05.123456"),
        (np.datetime64("2026-01-02"), "2026-01-02T00:00:00"),
        (np.datetime64("NaT"), None),
        (np.timedelta64(90, "s"), "PT90S"),
        (np.array([1, 2]), [1, 2]),
        (np.array([[1.5], [float("nan")]]), [[1.5], [None]]),
        (np.array(7), 7),
        (np.array(["2026-01-02"], "M8[ns]"), ["2026-01-02T00:00:00"]),
        ({np.int64(7): np.str_("x")}, {"7": "x"}),
    ],
    ids=repr,
)
def test_numpy_s_values_are_written_plain(shop: Host, value: t.Any, stored: t.Any) -> None:
    assert send(shop, "a.b", {"y": [value]})["params"] == {"y": [stored]}


def test_numpy_s_scalars_fit_the_types_that_they_are_like(shop: Host) -> None:
    """A defined parameter takes them as it takes Python's own, and its label formats them."""
    params = {
        "sku": np.str_("A1"),
        "name": "Mug",
        "price": np.float32(1.5),
        "quantity": np.int32(2),
    }
    view: t.Any = ProductView
    for row in (send(shop, "product.view", params), send(shop, view(**params))):
        assert row["params"] == {"sku": "A1", "name": "Mug", "price": 1.5, "quantity": 2}


def test_array_that_is_too_long_is_refused_before_it_is_copied(shop: Host) -> None:
    with pytest.raises(InvalidEvent, match=r"The parameter 'x' .* it has 1000000000 items"):
        send(shop, "a.b", {"x": np.broadcast_to(np.int8(1), 10**9)})


@pytest.mark.parametrize(
    "time", [np.int64(SECONDS), np.float64(SECONDS), np.uint64(SECONDS * 10**9)]
)
def test_time_may_be_a_number_of_numpy(shop: Host, time: t.Any) -> None:
    assert send(shop, "a.b", time=time)["time"] == START


@pytest.mark.parametrize(
    "time", [np.timedelta64(5, "s"), np.bool_(True), np.datetime64("2026-01-02"), np.float64("nan")]
)
def test_what_is_no_time_of_numpy_is_refused(shop: Host, time: t.Any) -> None:
    with pytest.raises(InvalidEvent, match="is not a time"):
        send(shop, "a.b", time=time)


def test_customer_s_id_may_be_an_integer_of_numpy_or_a_uuid(shop: Host) -> None:
    """It is the same customer as with Python's integer, or with the UUID's text."""
    someone = uuid.uuid4()
    with shop.app.app_context():
        for same in ((7, np.int64(7), "7"), (someone, str(someone))):
            for each in same:
                track("a.b", customer=t.cast("t.Any", each))
            feeds = [shop.events.feed(t.cast("t.Any", each)) for each in (same[0], str(same[0]))]
            assert [len(feed) for feed in feeds] == [0, 0]
            shop.events.flush()
            feeds = [shop.events.feed(t.cast("t.Any", each)) for each in (same[0], str(same[0]))]
            assert [len(feed) for feed in feeds] == [len(same)] * 2
        erased = shop.events.forget(someone)
    assert erased.events == 2


def test_feed_of_a_profile_s_uuid_is_the_profile_s(shop: Host) -> None:
    row = send(shop, "a.b")
    with shop.app.app_context():
        assert [event.id for event in shop.events.feed(row["uuid"])] == [row["id"]]


def test_lazy_text_is_written_in_the_language_of_the_request(polish: Host) -> None:
    """As a parameter, a name of one, an item, and a label; a defined field takes it as text."""
    day = flask_babel.LazyString(lambda: flask_babel.format_date(dt.date(2026, 1, 2), "EEEE"))
    with polish.app.test_request_context(headers={"User-Agent": "test"}):
        track("a.b", {"day": day, "days": [day], day: 1}, label=t.cast("str", day), customer=1)
        track("product.view", {"sku": "A1", "name": day}, customer=1)
        track("product.view", {"sku": "A1", "name": lazy_gettext("Mug")}, customer=1)
    [row] = polish.events_of("a.b")
    assert row["params"] == {"day": "piątek", "days": ["piątek"], "piątek": 1}
    assert row["label"] == "piątek"
    labels = {row["label"] for row in polish.events_of("product.view")}
    assert labels == {"Viewed piątek", "Viewed Mug"}


def test_lazy_text_that_fails_is_left_out_alone(shop: Host) -> None:
    """In production; Babel is not registered here."""

    def fail() -> str:
        raise LookupError("no translations")

    text: t.Any = flask_babel.LazyString(fail)
    shop.app.testing = False
    row = send(shop, "a.b", {"x": text, "y": 1}, label=text)
    assert (row["params"], row["label"]) == ({"y": 1}, None)


def test_proxies_of_the_host_are_written_as_what_they_stand_for(shop: Host) -> None:
    """Flask's own session is one, and so is a user id that waits for its request."""
    app: Flask = shop.app
    with app.test_request_context(headers={"User-Agent": "test"}):
        session["cart"] = [1]
        proxies = [LocalProxy(lambda: 5), LocalProxy(lambda: "x")]
        moment = LocalProxy(lambda: START)
        identify(3, {"plan": LocalProxy(lambda: "pro")})
        track("a.b", {"session": session, "at": moment, "more": proxies}, customer=1)
    [row] = shop.events_of("a.b")
    assert row["params"]["session"]["cart"] == [1]
    assert row["params"]["at"] == "2026-11-21T12:00:00Z"
    assert row["params"]["more"] == [5, "x"]
    assert [profile["traits"] for profile in shop.rows("profile")] == [{"plan": "pro"}]
