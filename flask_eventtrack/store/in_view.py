"""How long a page was in view, and how far down it was read: two parameters of its visit's row."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

#: The parameters of a visit that engagement adds.
IN_VIEW: t.Final = ("visible_ms", "scroll")
# The browser's clock measures the time in view. Our clock tells how long ago the visit was, and may
# have been put back since then. So this much more is accepted.
_CLOCKS = dt.timedelta(minutes=10)
_LONGEST = 2**53  # milliseconds: what a number in JSON holds exactly
_MILLISECOND = dt.timedelta(milliseconds=1)


class InView(t.NamedTuple):
    """Milliseconds in view, and the deepest point seen in percent of the page's height."""

    visible_ms: int = 0
    scroll: int = 0

    def within(self, visited_at: dt.datetime, received_at: dt.datetime) -> InView:
        """Limit the time in view to what has passed between the visit and the arrival of this."""
        passed = max(received_at - visited_at, dt.timedelta()) + _CLOCKS
        return self._replace(visible_ms=min(self.visible_ms, passed // _MILLISECOND))

    def or_more(self, other: InView) -> InView:
        """Return the larger value of each."""
        return InView(*map(max, self, other))

    def as_params(self) -> dict[str, int]:
        """Return the values as parameters, without zeros."""
        return {name: value for name, value in self._asdict().items() if value}


def say_in_view(seen: InView) -> str:
    """Return a phrase for feeds, such as "18 s visible, 92 % read"; "" if nothing is known."""
    minutes, seconds = divmod(round(seen.visible_ms / 1000), 60)
    time = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    parts = [f"{time} visible"] if seen.visible_ms else []
    return ", ".join(parts + ([f"{seen.scroll} % read"] if seen.scroll else []))


def in_view_of(visit: cabc.Mapping[str, t.Any]) -> InView:
    """Return the values in the parameters of a visit's row; anything but a number counts as 0."""
    visible, scroll = (_number(visit.get(name)) or 0 for name in IN_VIEW)
    return InView(_round(visible, _LONGEST), _round(scroll, 100))


def read_in_view(engagement: cabc.Mapping[str, t.Any]) -> InView:
    """Return the values in the parameters of engagement.

    Scripts and apps of release 0.1 send ``visible_s``, in seconds. It is accepted until December
    2027.
    """
    if _number(engagement.get("visible_ms")) is None:
        visible_s = _number(engagement.get("visible_s")) or 0
        engagement = {**engagement, "visible_ms": visible_s * 1000}
    return in_view_of(engagement)


def _number(value: object) -> float | None:
    """Return a value if it is a number: no boolean, and not NaN, which is unequal to itself."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return t.cast("float", value) if is_number and value == value else None


def _round(value: float, most: int) -> int:
    return round(min(max(value, 0), most))
