"""How long a page was in view, as values."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest

from flask_eventtrack.store.in_view import InView, read_in_view, say_in_view

from .records import at


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (InView(18_000, 92), "18 s visible, 92 % read"),
        (InView(17_600, 0), "18 s visible"),
        (InView(0, 100), "100 % read"),
        (InView(59_999, 1), "1 min 0 s visible, 1 % read"),
        (InView(3_725_000, 5), "62 min 5 s visible, 5 % read"),
        (InView(0, 0), ""),
    ],
)
def test_a_feed_says_it_in_words(seen: InView, said: str) -> None:
    """Seconds below a minute, then minutes too; what is not known is left out."""
    assert say_in_view(seen) == said


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"visible_ms": 1500.4, "scroll": 33.5}, InView(1500, 34)),
        ({"visible_s": 1.5}, InView(1500, 0)),
        ({"visible_ms": 0, "visible_s": 9}, InView(0, 0)),
        ({"visible_ms": None, "visible_s": 9}, InView(9000, 0)),
        ({"visible_s": float("-inf"), "scroll": float("nan")}, InView(0, 0)),
        ({"visible_s": 10**400}, InView(2**53, 0)),
        ({"visible_ms": {}, "visible_s": []}, InView(0, 0)),
    ],
)
def test_what_is_told_is_read(params: dict[str, t.Any], expected: InView) -> None:
    """Milliseconds, else seconds of release 0.1; what is no number tells nothing."""
    assert read_in_view(params) == expected


def test_no_more_than_has_passed_is_believed() -> None:
    """And ten minutes more, since our own clock may have been put back."""
    seen = InView(10**9, 50)
    assert seen.within(at(0), at(60)) == InView(660_000, 50)
    assert seen.within(at(60), at(0)) == InView(600_000, 50)
    assert InView(59_000, 50).within(at(0), at(60)) == InView(59_000, 50)
    assert seen.within(at(0), at(0) + dt.timedelta(days=30)) == seen
