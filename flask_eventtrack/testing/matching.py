"""Which events fit what a test expects, and which is the nearest if none does. Pure."""

from __future__ import annotations

import collections.abc as cabc
import difflib
import typing as t

from ..catalogue.params import normalise
from ..errors import InvalidEvent
from ..money import Money, show_money
from ..records import Event
from ..text import shorten

_MAX_LISTED = 30
_LENGTH = 70  # of a value in a message
_LINE = 100


class Wanted(t.NamedTuple):
    """An expected event: its action, and the parameters that it has at least."""

    action: str
    params: cabc.Mapping[str, t.Any]

    def __str__(self) -> str:
        return f"{self.action} with {write_params(self.params)}" if self.params else self.action

    def fits(self, event: Event) -> bool:
        """Whether an event is the expected one."""
        return event.action == self.action and not self.find_misfits(event)

    def find_misfits(self, event: Event) -> list[str]:
        """Return the names of the parameters that the event does not have as expected."""
        return [name for name, value in self.params.items() if not _has(event, name, value)]


def _has(event: Event, name: str, expected: t.Any) -> bool:
    return name in event.params and is_same(expected, event.params[name])


def is_same(expected: t.Any, value: t.Any) -> bool:
    """Whether a recorded value is the expected one, as given or as it would be recorded."""
    forms = [expected]
    for writes_decimals in (False, True):
        try:
            plain = normalise({"value": expected}, writes_decimals=writes_decimals)
        except InvalidEvent:  # such as a matcher of another library
            continue
        forms.append(plain["value"])
    return any(isinstance(f, bool) == isinstance(value, bool) and f == value for f in forms)


def find_nearest(wanted: Wanted, events: cabc.Iterable[Event]) -> Event | None:
    """Return the event that is most like the expected one; None if no event is like it."""
    best, highest = None, 0.0
    for event in events:
        likeness = _measure(wanted, event)
        if likeness > highest:
            best, highest = event, likeness
    return best


def _measure(wanted: Wanted, event: Event) -> float:
    """Return how like an event is, above 0 if its action is: the action first, then values."""
    action = _compare(wanted.action, event.action)
    if action < 0.6:
        return 0.0
    misfits = wanted.find_misfits(event)
    like = sum(_compare(str(wanted.params[n]), str(event.params.get(n, ""))) for n in misfits)
    return 1000 * action + (len(wanted.params) - len(misfits)) + 0.9 * like


def _compare(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first[:200], second[:200]).ratio()


def find_steps(
    wanted: cabc.Sequence[Wanted], events: cabc.Iterable[Event]
) -> tuple[list[Event], Wanted | None]:
    """Return the events of the steps that were taken in this order, and the first one missing.

    Other events may lie between.
    """
    found: list[Event] = []
    for event in events:
        if len(found) < len(wanted) and wanted[len(found)].fits(event):
            found.append(event)
    return found, wanted[len(found)] if len(found) < len(wanted) else None


def write_difference(wanted: Wanted, event: Event) -> str:
    """Return lines that compare an event with the expected one: ``-`` expected, ``+`` recorded."""
    same = f"    {event.action}"
    lines = (
        [same] if event.action == wanted.action else [f"  - {wanted.action}", f"  + {event.action}"]
    )
    for name, expected in wanted.params.items():
        is_met = _has(event, name, expected)
        if not is_met:
            lines.append(f"  - {name}: {_write(expected)}")
        if name in event.params:
            lines.append(f"  {' ' if is_met else '+'} {name}: {_write(event.params[name])}")
    further = [name for name in event.params if name not in wanted.params]
    lines += [f"    {name}: {_write(event.params[name])} (not compared)" for name in further]
    return "\n".join(lines)


def write_events(events: cabc.Sequence[Event], marked: cabc.Collection[Event] = ()) -> str:
    """Return a line for each event, the latest ones if there are many; marked ones have a ``>``."""
    if not events:
        return "  No event was recorded."
    numbered = list(enumerate(events, 1))[-_MAX_LISTED:]
    first = [f"  … and {len(events) - _MAX_LISTED} before"] if len(events) > _MAX_LISTED else []
    ids = {event.id for event in marked}
    lines = [f"{'>' if e.id in ids else ' '} {n:2} {_write_event(e)}" for n, e in numbered]
    return "\n".join(first + lines)


def _write_event(event: Event) -> str:
    text = f"{event.action}  {write_params(event.params)}".rstrip()
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"


def write_params(params: cabc.Mapping[str, t.Any]) -> str:
    """Return parameters as they stand in a call."""
    return ", ".join(f"{name}={_write(value)}" for name, value in params.items())


def _write(value: object) -> str:
    money = str(value) if isinstance(value, Money) else show_money(value)
    return money or shorten(value, _LENGTH)
