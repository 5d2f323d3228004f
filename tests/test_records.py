"""Records come back as they were written, to the microsecond."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid as uuidlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.records import (
    Claim,
    Client,
    Event,
    Identified,
    PageView,
    Record,
    SessionEnd,
    SessionRef,
    decode_record,
    encode_record,
    from_ns,
    to_ns,
)


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


MOMENTS = st.datetimes(timezones=st.just(dt.UTC))
TEXTS = st.text()
INT64 = st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
PARAMS = st.dictionaries(TEXTS, VALUES, max_size=5)
UUIDS = st.uuids()
CLIENTS = st.builds(Client, TEXTS, TEXTS, TEXTS, TEXTS)
EVENTS = st.builds(
    Event,
    id=UUIDS,
    action=TEXTS,
    time=MOMENTS,
    uuid=UUIDS,
    params=PARAMS,
    label=st.none() | TEXTS,
    received_at=MOMENTS,
    source=st.sampled_from(["server", "browser", "app"]),
    site=TEXTS,
    url_rule=TEXTS,
    undefined=st.lists(TEXTS, max_size=3).map(tuple),
    session=st.none() | st.builds(SessionRef, UUIDS, UUIDS, MOMENTS),
    client=st.none() | CLIENTS,
    half=st.sampled_from(["", "server", "browser"]),
    page=st.none() | UUIDS,
    claim=st.none() | st.builds(Claim, UUIDS, st.booleans(), st.booleans()),
)
PAGE_VIEWS = st.builds(
    PageView,
    *(UUIDS, INT64, UUIDS, UUIDS, INT64, INT64),
    *[TEXTS] * 9,
    *(INT64, INT64, CLIENTS),
)
SESSION_ENDS = st.builds(
    SessionEnd, session_id=UUIDS, reason=st.sampled_from(["timeout", "logout"])
)
IDENTIFIED = st.builds(
    Identified,
    uuid=UUIDS,
    customer_id=TEXTS,
    time=MOMENTS,
    anonymous=st.none() | UUIDS,
    traits=PARAMS,
)


@given(EVENTS | PAGE_VIEWS | SESSION_ENDS | IDENTIFIED)
@settings(max_examples=80, deadline=None)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    """Of every kind, with every JSON value, of the years 1 to 9999."""
    assert decode_record(encode_record(record)) == record


MOMENTS_AT_THE_ENDS = [
    dt.datetime(1, 1, 1, tzinfo=dt.UTC),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
]


@pytest.mark.parametrize("moment", MOMENTS_AT_THE_ENDS)
@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 2**64 - 1, 5e-324, -0.0, "\U0010ffff"])
def test_the_ends_of_what_is_stored_come_back(moment: dt.datetime, value: object) -> None:
    """The first and the last moment, the greatest numbers, the last character."""
    record = Identified(
        uuid=uuidlib.UUID(int=2**128 - 1),
        customer_id="\U0010ffff",
        time=moment,
        anonymous=uuidlib.UUID(int=0),
        traits={"": {"deep": [[[[[[value]]]]]]}},
    )
    assert decode_record(encode_record(record)) == record


@given(st.binary())
@settings(deadline=None)
def test_bytes_are_a_record_or_none(data: bytes) -> None:
    """Nothing that stands in a journal stops the writer: there is one error to expect."""
    with contextlib.suppress(ValueError):  # msgspec's own, and that of text that is no UTF-8
        assert isinstance(decode_record(data), Record)


@given(EVENTS, st.data())
@settings(max_examples=50, deadline=None)
def test_a_changed_record_is_a_record_or_none(event: Event, data: st.DataObject) -> None:
    """As above, for bytes that nearly are one."""
    payload = bytearray(encode_record(event))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        assert isinstance(decode_record(bytes(payload)), Record)
