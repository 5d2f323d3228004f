"""When an event happened: by its browser's clock, and by ours."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest

from ..conftest import MakeHost
from ..hosts import START, Host
from .posts import CLICK, error_of, post, post_one, statuses

NOON = START
TIMES: list[tuple[dict[str, t.Any], t.Any, dt.datetime, str | None]] = [
    ({}, None, NOON, None),
    ({}, 1, NOON, None),
    ({"time": "2026-11-21T11:59:00Z"}, None, NOON - dt.timedelta(minutes=1), None),
    ({"time": "2026-11-21T13:59:00.25+02:00"}, None, NOON - dt.timedelta(seconds=59.75), None),
    ({"time": 1795262340000}, None, NOON - dt.timedelta(minutes=1), None),
    ({"time": 1795262340000.5}, None, NOON - dt.timedelta(seconds=59.9995), None),
    ({"time": "2026-11-21T12:00:00Z"}, None, NOON, None),
    # A clock an hour fast, a year slow, and a thousand years fast.
    (
        {"time": "2026-11-21T13:00:00Z"},
        "2026-11-21T13:00:10Z",
        NOON - dt.timedelta(seconds=10),
        None,
    ),
    (
        {"time": "2025-11-21T12:00:00Z"},
        "2025-11-21T12:00:10Z",
        NOON - dt.timedelta(seconds=10),
        None,
    ),
    (
        {"time": "3026-11-21T12:00:00Z"},
        "3026-11-21T12:00:10Z",
        NOON - dt.timedelta(seconds=10),
        None,
    ),
    ({"time": 0}, 10_000, NOON - dt.timedelta(seconds=10), None),
    # A post that was up to 30 s on its way says nothing of the clock; one from the future does.
    (
        {"time": "2026-11-21T11:59:50Z"},
        "2026-11-21T11:59:55Z",
        NOON - dt.timedelta(seconds=10),
        None,
    ),
    (
        {"time": "2026-11-21T11:59:20Z"},
        "2026-11-21T11:59:30Z",
        NOON - dt.timedelta(seconds=40),
        None,
    ),
    (
        {"time": "2026-11-21T11:59:20Z"},
        "2026-11-21T11:59:29.999Z",
        NOON - dt.timedelta(seconds=9.999),
        None,
    ),
    (
        {"time": "2026-11-21T12:00:00Z"},
        "2026-11-21T12:00:01Z",
        NOON - dt.timedelta(seconds=1),
        None,
    ),
    # The future becomes the present, and what was said is kept.
    ({"time": "2026-11-21T12:00:00.000001Z"}, None, NOON, "2026-11-21T12:00:00.000001+00:00"),
    ({"time": "2026-11-21T14:05:00+02:00"}, None, NOON, "2026-11-21T12:05:00+00:00"),
    ({"time": "9999-12-31T23:59:59Z"}, None, NOON, "9999-12-31T23:59:59+00:00"),
    ({"time": "2026-11-21T10:00:10Z"}, "2026-11-21T10:00:00Z", NOON, "2026-11-21T10:00:10+00:00"),
    # As old as may be.
    ({"time": "2026-11-14T12:00:00Z"}, None, NOON - dt.timedelta(days=7), None),
]


@pytest.mark.parametrize(("event", "sent_at", "time", "original"), TIMES)
def test_a_time_is_set_right(
    host: Host, event: dict[str, t.Any], sent_at: t.Any, time: dt.datetime, original: str | None
) -> None:
    """A browser's clock is corrected by its ``sent_at``; nothing lies in the future."""
    response = post(host.client(), {**CLICK, **event}, sent_at=sent_at)
    assert statuses(response) == ["accepted"]
    [row] = host.events_of("button.click")
    assert (row["time"], row["received_at"]) == (time, NOON)
    assert row["params"].get("original_time") == original


@pytest.mark.parametrize(
    ("event", "sent_at", "code"),
    [
        ({"time": "2026-11-14T11:59:59.999Z"}, None, "too_old"),
        ({"time": "1970-01-01T00:00:00Z"}, None, "too_old"),
        ({"time": 0}, None, "too_old"),
        ({"time": "0001-01-01T00:00:00Z"}, None, "too_old"),
        ({"time": "2026-11-21T12:00:00Z"}, "2026-11-28T12:00:01Z", "too_old"),
        ({"time": "2026-11-21T12:00:00"}, None, "invalid_time"),
        ({"time": "yesterday"}, None, "invalid_time"),
        ({"time": ""}, None, "invalid_time"),
        ({"time": 1e20}, None, "invalid_time"),
        ({"time": -1e20}, None, "invalid_time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, None, "invalid_time"),
        ({"time": "9999-12-31T23:59:59-14:00"}, None, "invalid_time"),
        ({"time": -62135596800000}, 253402300799999, "invalid_time"),
    ],
)
def test_a_time_that_cannot_be_is_rejected(
    host: Host, event: dict[str, t.Any], sent_at: t.Any, code: str
) -> None:
    """Ancient, without a zone, or no time at all."""
    response = post(host.client(), {**CLICK, **event}, sent_at=sent_at)
    assert statuses(response) == ["rejected"]
    assert response.get_json()["results"][0]["error"]["code"] == code
    assert host.rows("event") == []


def test_a_time_without_a_zone_is_named(host: Host) -> None:
    """The message says what is missing."""
    error = error_of(post_one(host.client(), {**CLICK, "time": "2026-11-21T12:00:00"}))
    assert error["message"] == "'2026-11-21T12:00:00' has no time zone."


def test_max_age_is_a_setting(make: MakeHost) -> None:
    """The message names the limit."""
    client = make({"EVENTTRACK_MAX_AGE": dt.timedelta(hours=12)}).client()
    assert statuses(post(client, {**CLICK, "time": "2026-11-21T00:00:00Z"})) == ["accepted"]
    error = error_of(post_one(client, {**CLICK, "time": "2026-11-20T23:59:59Z"}))
    assert error["message"] == "Events are accepted for 0.5 days after they happen."


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000, 1_000_000_000])
def test_a_time_may_be_in_another_unit(host: Host, unit: int) -> None:
    """``time`` and ``sent_at`` alike, each by its size: not every client is a browser."""
    seconds = int(NOON.timestamp())
    event = {**CLICK, "time": (seconds - 60) * unit}
    for sent_at in (None, seconds, seconds * 1_000_000_000):
        assert statuses(post(host.client(), event, sent_at=sent_at)) == ["accepted"]
    minute_ago = NOON - dt.timedelta(minutes=1)
    assert [row["time"] for row in host.events_of("button.click")] == [minute_ago] * 3
