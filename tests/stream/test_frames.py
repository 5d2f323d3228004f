"""Frames lie in Redis while releases change."""

from __future__ import annotations

import datetime as dt
import zlib

import pytest

from flask_eventtrack.records import AgentRead, Outcome
from flask_eventtrack.stream.frames import (
    Frame,
    NewerFrame,
    UnknownFrame,
    decode_frame,
    encode_frame,
)

# What this release has written.
SHORT = bytes.fromhex(
    "45544652414d30322d95a361626391c40172919293a764726f70706564aa706167652e7669736974a76e6f20726f6f6d"
    "02919297aa323032362d31312d3239ac73686f702e6578616d706c65a6475054426f74a8747261696e696e67aa757365"
    "722d6167656e74a12fccc803c3"
)
LONG = bytes.fromhex(
    "45544652414d30327a78010164009bff95a361626391c40172919293a764726f70706564aa706167652e7669736974a7"
    "6e6f20726f6f6d02919297aa323032362d31312d3239ac73686f702e6578616d706c65a6475054426f74a8747261696e"
    "696e67aa757365722d6167656e74a12fccc803c351dc29d7"
)
FRAME = Frame(
    id="abc",
    records=[b"r"],
    outcomes=[(Outcome("dropped", "page.visit", "no room"), 2)],
    reads=[
        (
            AgentRead(
                dt.date(2026, 11, 29), "shop.example", "GPTBot", "training", "user-agent", "/", 200
            ),
            3,
        )
    ],
    is_again=True,
)


@pytest.mark.parametrize("data", [SHORT, LONG])
def test_golden_bytes(data: bytes) -> None:
    assert decode_frame(data) == FRAME


@pytest.mark.parametrize("number", [1, 500])
def test_frames_are_read_as_they_were_written(number: int) -> None:
    frame = Frame(id="abc", records=[b"record"] * number)
    assert decode_frame(encode_frame(frame)) == frame


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"x",
            b"ETFRAM",
            b"ETFRAMxx",
            b"ETFRAM02",
            LONG[:-1],
            LONG[:9],
            SHORT[:-1],
            SHORT[:9],
        ),
        b"ETFRAM02z" + zlib.compress(b"x"),
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UnknownFrame):
        decode_frame(data)


def test_a_bomb_is_refused() -> None:
    """A small entry that would take gigabytes."""
    with pytest.raises(UnknownFrame, match="too large"):
        decode_frame(b"ETFRAM02z" + zlib.compress(bytes(100_000_000)))


def test_newer_frames_are_told_apart() -> None:
    with pytest.raises(NewerFrame, match="format 3"):
        decode_frame(b"ETFRAM03" + LONG[8:])
