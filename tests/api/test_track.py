"""What `track` takes and refuses: actions, times and customers."""

from __future__ import annotations

import datetime as dt
import decimal
import time
import typing as t

import pytest

from flask_eventtrack import track
from flask_eventtrack.errors import InvalidEvent, NotRegistered, ReservedEvent, UndefinedEvent
from flask_eventtrack.request.checking import parse_time

from ..hosts import START, Host

HOUR_AGO = dt.datetime(2026, 11, 21, 11, 0, tzinfo=dt.UTC)
BERLIN = dt.timezone(dt.timedelta(hours=1))


@pytest.fixture
def shop(host: Host) -> Host:
    host.events.define("order.ship", label="Shipped order {order}")
    return host


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        ("order.shp", UndefinedEvent, r"^'order.shp' is not defined. Did you mean 'order.ship'\?$"),
        ("zzz.qqq", UndefinedEvent, r"^'zzz.qqq' is not defined.$"),
        ("transaction.charge", ReservedEvent, r"track_transaction\(\) records it"),
        ("transaction.cancel", ReservedEvent, r"cancel_transaction\(\) records it"),
        ("transaction.refund", ReservedEvent, r"reserved for track_transaction\(\)"),
        ("session.start", ReservedEvent, "recorded with the first event of a session"),
        ("session.end", ReservedEvent, "recorded when a session is over"),
        ("order.ship\n", InvalidEvent, "letters a-z"),
    ],
)
def test_track_refuses_an_action_it_may_not_send(
    shop: Host, action: str, error: type[InvalidEvent], message: str
) -> None:
    """Malformed, undefined and reserved actions say so to the developer."""
    with shop.app.app_context(), pytest.raises(error, match=message):
        track(action, customer=1)
    assert shop.actions() == {}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, START),
        (HOUR_AGO, HOUR_AGO),
        (HOUR_AGO.astimezone(BERLIN), HOUR_AGO),
        (HOUR_AGO.replace(microsecond=123_457), HOUR_AGO.replace(microsecond=123_457)),
        ("2026-11-21T11:00:00Z", HOUR_AGO),
        ("2026-11-21T12:00:00+01:00", HOUR_AGO),
        ("2026-11-21T11:00:00.000001+00:00", HOUR_AGO.replace(microsecond=1)),
        (1_795_258_800_000, HOUR_AGO),
        (1_795_258_800_000.5, HOUR_AGO.replace(microsecond=500)),
        (0, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        ("1999-12-31T23:59:59Z", dt.datetime(1999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)),
        (1_795_258_800, HOUR_AGO),
        (1_795_258_800.000001, HOUR_AGO.replace(microsecond=1)),
        (decimal.Decimal("1795258800.5"), HOUR_AGO.replace(microsecond=500_000)),
        (1_795_258_800_000_001, HOUR_AGO.replace(microsecond=1)),
        (1_795_258_800_000_001_999, HOUR_AGO.replace(microsecond=1)),
        (100_000_000, dt.datetime(1973, 3, 3, 9, 46, 40, tzinfo=dt.UTC)),
        (99_999_999, dt.datetime(1970, 1, 2, 3, 46, 39, 999_000, tzinfo=dt.UTC)),
        (-1_795_258_800, dt.datetime(1913, 2, 10, 13, 0, tzinfo=dt.UTC)),
    ],
)
def test_time_may_be_given_in_three_ways(shop: Host, given: t.Any, stored: dt.datetime) -> None:
    """An aware datetime, ISO 8601, or a number since the epoch, whose size tells its unit; from
    server code of any age."""
    with shop.app.app_context():
        track("order.ship", time=given, customer=1)
    [event] = shop.events_of("order.ship")
    assert (event["time"], event["received_at"]) == (stored, START)
    assert event["params"] == {}


@pytest.mark.parametrize(
    "given",
    [
        dt.datetime(2026, 11, 21, 11, 0),  # noqa: DTZ001 - naive on purpose
        "2026-11-21T11:00:00",
        "2026-11-21",
    ],
)
def test_time_without_a_zone_is_refused(shop: Host, given: t.Any) -> None:
    """A naive time has no certain meaning."""
    with shop.app.app_context(), pytest.raises(InvalidEvent, match="has no time zone") as caught:
        track("order.ship", time=given, customer=1)
    assert caught.value.code == "invalid_time"


@pytest.mark.parametrize(
    "given",
    [
        "yesterday",
        "",
        "2026-11-21T11:00:00Z\n",
        "2026-02-30T11:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "\ud800",
        True,
        float("nan"),
        float("inf"),
        1e300,
        10**30,
        2**63,
        "1795258800",
        b"1795258800",
        5j,
        dt.timedelta(seconds=5),
        dt.date(2026, 11, 21),
        ["2026-11-21T11:00:00Z"],
        pytest.param(10**5000, id="more digits than Python writes"),
    ],
)
def test_what_is_no_time_is_refused(shop: Host, given: t.Any) -> None:
    """The error says which three forms are taken."""
    message = "is not a time: an aware datetime, ISO 8601 with a zone, or milliseconds"
    with shop.app.app_context(), pytest.raises(InvalidEvent, match=message):
        track("order.ship", time=given, customer=1)


def test_time_of_the_server_s_clock_is_in_seconds(shop: Host) -> None:
    """As ``time.time()`` and ``time.time_ns()`` say it."""
    for given in (time.time(), time.time_ns(), time.time() * 1000):
        before = dt.datetime.now(dt.UTC)
        assert abs(parse_time(given) - before) < dt.timedelta(minutes=1)


def test_number_as_text_is_no_time(shop: Host) -> None:
    """Its unit would be a guess: digits without a sign between may be a date as well."""
    message = r"^'1795258800' is not a time: .* since the epoch\. A number must not be text\.$"
    with shop.app.app_context(), pytest.raises(InvalidEvent, match=message):
        track("order.ship", time="1795258800", customer=1)


def test_time_in_the_future_becomes_now_and_is_kept(shop: Host) -> None:
    """The time that was given stands in params["original_time"]."""
    with shop.app.app_context():
        track("order.ship", time="2026-11-21T13:00:00+00:00", customer=1)
    [event] = shop.events_of("order.ship")
    assert event["time"] == START
    assert event["params"] == {"original_time": "2026-11-21T13:00:00+00:00"}
    assert event["undefined"] is None


def test_times_keep_their_microseconds_in_each_database(db_host: Host) -> None:
    """A zone of the caller's is converted, nothing is cut."""
    moment = dt.datetime(2026, 11, 21, 12, 0, 0, 654_321, tzinfo=dt.timezone(dt.timedelta(hours=5)))
    db_host.events.define("order.ship")
    with db_host.app.app_context():
        track("order.ship", time=moment, customer=1)
    [event] = db_host.events_of("order.ship")
    assert event["time"] == dt.datetime(2026, 11, 21, 7, 0, 0, 654_321, tzinfo=dt.UTC)


def test_track_returns_the_id_of_the_row(shop: Host) -> None:
    """It is a UUID version 7 of the moment."""
    with shop.app.app_context():
        event_id = track("order.ship", customer=1)
    [event] = shop.events_of("order.ship")
    assert event["id"] == event_id
    assert event_id is not None
    assert event_id.version == 7
    assert event_id.int >> 80 == shop.clock() // 1_000_000


@pytest.mark.parametrize("customer", ["", "x" * 256, "a\nb", "\x00", "\ud800", True, 1.5, b"x"])
def test_what_is_no_customer_id_is_refused(shop: Host, customer: t.Any) -> None:
    """A str or int of 1 to 255 printable characters."""
    message = "is not a customer's id: a str, integer or UUID of 1 to 255"
    with shop.app.app_context(), pytest.raises(InvalidEvent, match=message):
        track("order.ship", customer=customer)


def test_customer_id_of_more_digits_than_python_writes_is_refused(shop: Host) -> None:
    """The error is ours, so that in production it stays out of the host's request."""
    with shop.app.app_context(), pytest.raises(InvalidEvent, match="is not a customer's id"):
        track("order.ship", customer=10**5000)


@pytest.mark.parametrize("visitor", [None, "", "not ours", 5])
def test_without_anyone_to_record_for_nothing_is_raised_in_production(
    shop: Host, visitor: t.Any, caplog: pytest.LogCaptureFixture
) -> None:
    """``customer=order.user_id`` is None for a guest: in a job the log says so, and a count."""
    with shop.app.app_context():
        if visitor is None:
            with pytest.raises(NotRegistered, match="There is no request: name a customer"):
                track("order.ship", customer=None)
        shop.app.testing = False
        caplog.clear()
        assert track("order.ship", customer=None, visitor=visitor) is None
    reasons = [row["reason"] for row in shop.rows("quality") if row["outcome"] == "rejected"]
    assert len(caplog.messages) == len(reasons) == (visitor != "")
    assert reasons == {None: ["invalid_customer"], "": []}.get(visitor, ["invalid_visitor"])
