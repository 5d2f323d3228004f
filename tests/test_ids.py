"""Ids: version 7 in the order of time, and those derived from a session."""

from __future__ import annotations

import uuid

from flask_eventtrack.ids import session_end_id, session_start_id, uuid5, uuid7


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


def test_uuid5_is_that_of_the_standard_library() -> None:
    """Ids that are stored already were made by it."""
    for number in range(2000):
        namespace, name = uuid.UUID(int=number << 64 | number, version=4), f"Zoë {number}"
        assert uuid5(namespace, name) == uuid.uuid5(namespace, name)


def test_ids_of_session_start_and_end_are_derived_from_the_session() -> None:
    """Whoever writes them agrees on them; clients cannot send version 5."""
    session = uuid.UUID("6fd6b9cc-9f9d-4f5e-8a5c-5c7d1f0a2b3c")
    assert session_start_id(session) == uuid.uuid5(session, "session.start")
    assert session_end_id(session) == uuid.uuid5(session, "session.end")
    assert session_start_id(session).version == 5
