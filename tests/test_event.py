"""The rules for an action, ids, labels and times."""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid

import pytest

from flask_eventtrack import track
from flask_eventtrack.errors import InvalidEvent, ReservedEvent, UndefinedEvent
from flask_eventtrack.ids import session_end_id, session_start_id, uuid7
from flask_eventtrack.records import from_ns, to_ns
from flask_eventtrack.text import check_action, clip_label, page_label

from .hosts import START, Host

HOUR_AGO = dt.datetime(2026, 11, 21, 11, 0, tzinfo=dt.UTC)
BERLIN = dt.timezone(dt.timedelta(hours=1))


@pytest.fixture
def shop(host: Host) -> Host:
    host.events.define("order.ship", label="Shipped order {order}")
    return host


@pytest.mark.parametrize(
    "action",
    ["a.b", "page.visit", "product.addToCart", "A-1_2.b", "a.b.c", "x.-", f"{'a' * 30}.b"],
)
def test_well_formed_action_is_returned_as_it_is(action: str) -> None:
    """1 to 32 letters, digits and ".-_", with a dot inside."""
    assert check_action(action) == action


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ("", "1 to 32 characters, this has 0"),
        (f"{'a' * 31}.b", "1 to 32 characters, this has 33"),
        ("a." + "b" * 100_000, "1 to 32 characters, this has 100002"),
        ("page", "'context.activity', with a dot inside"),
        (".", "'context.activity', with a dot inside"),
        ("..", "'context.activity', with a dot inside"),
        (".visit", "'context.activity', with a dot inside"),
        ("page.", "'context.activity', with a dot inside"),
        ("page.visit\n", "letters a-z and A-Z"),
        ("page.visit\r\n", "letters a-z and A-Z"),
        ("\npage.visit", "letters a-z and A-Z"),
        ("page .visit", "letters a-z and A-Z"),
        ("page.visit\x00", "letters a-z and A-Z"),
        ("pаge.visit", "letters a-z and A-Z"),  # noqa: RUF001 - a Cyrillic letter
        ("page․visit", "letters a-z and A-Z"),  # noqa: RUF001 - a one dot leader
        ("page。visit", "letters a-z and A-Z"),
        ("page.vısit", "letters a-z and A-Z"),  # noqa: RUF001 - a dotless i
        ("page.visit１", "letters a-z and A-Z"),  # noqa: RUF001 - a fullwidth digit
        ("page.vi\u0301sit", "letters a-z and A-Z"),
        ("page.\u200bvisit", "letters a-z and A-Z"),
        ("page.\ud800", "letters a-z and A-Z"),
        ("page/visit", "letters a-z and A-Z"),
        ("page.*", "letters a-z and A-Z"),
        (b"page.visit", "an action is a str, not bytes"),
        (None, "an action is a str, not NoneType"),
        (7, "an action is a str, not int"),
        (True, "an action is a str, not bool"),
        (["page.visit"], "an action is a str, not list"),
    ],
)
def test_malformed_action_is_refused_with_the_rule_it_breaks(action: object, problem: str) -> None:
    """The whole text is matched, and look-alikes are not letters."""
    with pytest.raises(InvalidEvent, match=problem) as caught:
        check_action(action)
    assert (caught.value.code, caught.value.param) == ("invalid_action", None)
    assert len(caught.value.message) < 700


def test_message_can_be_encoded_whatever_came() -> None:
    """A lone surrogate is quoted as an escape, so that logs and answers take it."""
    with pytest.raises(InvalidEvent, match=r"'page\.\\ud800': ") as caught:
        check_action("page.\ud800")
    assert caught.value.message.encode()


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        ("order.shp", UndefinedEvent, r"^'order.shp' is not defined. Did you mean 'order.ship'\?$"),
        ("zzz.qqq", UndefinedEvent, r"^'zzz.qqq' is not defined.$"),
        ("transaction.charge", ReservedEvent, "reserved for transactions"),
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


def test_uuid7_is_a_version_7_uuid_of_its_millisecond() -> None:
    """RFC 9562: 48 bits of milliseconds, the version, the variant."""
    value = uuid7(1_795_262_400_123_456_789)
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert value.int >> 80 == 1_795_262_400_123


def test_uuid7_orders_by_the_nanosecond_within_a_millisecond() -> None:
    """The 12 bits after the version hold the fraction of the millisecond."""
    start = 1_795_262_400_000_000_000
    values = [uuid7(start + step * 1000) for step in range(2000)]
    assert values == sorted(values)


def test_uuid7_never_repeats_at_a_standing_clock() -> None:
    """The rest is random."""
    assert len({uuid7(1) for _ in range(10_000)}) == 10_000


def test_ids_of_session_start_and_end_are_derived_from_the_session() -> None:
    """Whoever writes them agrees on them; clients cannot send version 5."""
    session = uuid.UUID("6fd6b9cc-9f9d-4f5e-8a5c-5c7d1f0a2b3c")
    assert session_start_id(session) == uuid.uuid5(session, "session.start")
    assert session_end_id(session) == uuid.uuid5(session, "session.end")
    assert session_start_id(session).version == 5


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 21, 12, 0, 0, 123_457, tzinfo=dt.UTC),
        dt.datetime(1, 1, 1, tzinfo=dt.UTC),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
    ],
)
def test_moments_survive_the_way_to_nanoseconds_and_back(moment: dt.datetime) -> None:
    """No microsecond is rounded off, on either side of the epoch."""
    assert from_ns(to_ns(moment)) == moment
    assert from_ns(to_ns(moment) + 999) == moment


@pytest.mark.parametrize(
    ("label", "clipped"),
    [
        ("", ""),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 254 + "…"),
        ("😀" * 300, "😀" * 254 + "…"),
    ],
)
def test_label_has_at_most_255_characters(label: str, clipped: str) -> None:
    """A longer one is cut, and shows it."""
    assert clip_label(label) == clipped


@pytest.mark.parametrize(
    ("params", "label"),
    [
        ({"title": "Pricing", "path": "/p", "url": "http://h/p"}, "Visited page Pricing"),
        ({"title": "", "path": "/p", "url": "http://h/p"}, "Visited page /p"),
        ({"url": "http://h/p"}, "Visited page http://h/p"),
        ({}, "Visited page "),
    ],
)
def test_page_label_falls_back_to_the_path_and_the_url(params: dict[str, str], label: str) -> None:
    """A page without a title is named by where it is."""
    assert page_label(params) == label


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
    ],
)
def test_time_may_be_given_in_three_ways(shop: Host, given: t.Any, stored: dt.datetime) -> None:
    """An aware datetime, ISO 8601, or milliseconds since the epoch; from server code of any age."""
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
    """Nobody guesses what a naive time means."""
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
    message = "is not a customer's id: a str or int of 1 to 255 printable characters"
    with shop.app.app_context(), pytest.raises(InvalidEvent, match=message):
        track("order.ship", customer=customer)


def test_customer_id_of_more_digits_than_python_writes_is_refused(shop: Host) -> None:
    """The error is ours, so that in production it stays out of the host's request."""
    with shop.app.app_context(), pytest.raises(InvalidEvent, match="is not a customer's id"):
        track("order.ship", customer=10**5000)
