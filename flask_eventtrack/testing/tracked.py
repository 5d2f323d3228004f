"""What a test asserts of the events that were captured."""

from __future__ import annotations

import collections.abc as cabc
import fnmatch
import time
import typing as t
import uuid as uuidlib

from flask import has_app_context

from ..identity.visitor import CustomerId
from ..records import Event
from ..state import State, find_state, this_app
from ..text import quantify
from .log import Log, Mistake
from .matching import Wanted, find_nearest, find_steps, write_difference, write_events
from .servers import servers
from .stored import Source, read_stored

_R = t.TypeVar("_R")
#: An action and parameters.
Pair = tuple[str, cabc.Mapping[str, t.Any]]
# Seconds to wait for a server in another process.
_PATIENCE = 5.0
# Seconds between two looks into the database.
_PAUSE = 0.1


class Tracked:
    """The events that a test has captured: the fixture ``tracked``, and what ``events.capture()``
    gives.

    An event is there as soon as it is recorded. An order has its ``product.buy`` events with it,
    and a page visit is one event, even if both the server and a browser report it. The events that
    only the writer makes are not captured: ``session.start`` and ``session.end``.

    Each assertion takes a ``visitor``: a customer's id, or the UUID of a profile or device. The
    events of a customer include those from before the log-in. ``within`` is how many seconds to
    wait for the events: 0, or 5 if a server writes them in another process.
    """

    def __init__(self, log: Log, sources: cabc.Sequence[Source], *, waits: bool) -> None:
        self._log = log
        self._sources = sources
        self._waits = waits

    def __repr__(self) -> str:
        return f"<Tracked {quantify(len(self.events), 'event')}>"

    @property
    def events(self) -> list[Event]:
        """The events so far, in the order in which they were recorded."""
        return self._read()[0]

    @property
    def actions(self) -> list[str]:
        """The actions of these events."""
        return [event.action for event in self.events]

    @property
    def mistakes(self) -> list[Mistake]:
        """The undefined and rejected events that the test has not allowed yet."""
        with self._log.changed:
            if self._waits:
                servers.flush()
                for source in self._sources:
                    self._log.mistakes += source.find_mistakes(self._log.states)
            return list(self._log.mistakes)

    def of(self, visitor: CustomerId) -> list[Event]:
        """Return the events of one visitor, oldest first.

        :param visitor: a customer's id, or the UUID of a profile or device.
        """
        return self._read(visitor)[0]

    def assert_event(
        self,
        action: str,
        params: cabc.Mapping[str, t.Any] | None = None,
        /,
        *,
        visitor: CustomerId | None = None,
        times: int | None = None,
        within: float | None = None,
        **expected: t.Any,
    ) -> Event:
        """Assert that an event was recorded, and return it: the first one, if there are more.

        ::

            tracked.assert_event("order.pay", amount="9.99")

        :param params: parameters that it has, like the keyword arguments. It may have others too.
            A value is compared as it would be recorded, so a ``Decimal`` or a UUID will do.
        :param visitor: whose event it is.
        :param times: how often it was recorded exactly; at least once by default.
        :param within: seconds to wait for it.
        :raises AssertionError: saying how the nearest event differs.
        """
        __tracebackhide__ = True
        wanted = Wanted(action, {**(params or {}), **expected})
        if times == 0:
            raise ValueError("times is at least 1: use assert_no_event() instead.")

        def find() -> list[Event]:
            return [event for event in self._read(visitor)[0] if wanted.fits(event)]

        found = self._await(find, lambda found: len(found) >= (times or 1), within)
        if not found:
            raise AssertionError(self._explain(wanted, visitor))
        if times is not None and len(found) != times:
            events = self._read(visitor)[0]
            often = quantify(len(found), "time")
            raise AssertionError(
                f"{wanted} was recorded {often}, not {times}.\n\n{_write_all(events, found)}"
            )
        return found[0]

    def assert_no_event(
        self,
        action: str | None = None,
        params: cabc.Mapping[str, t.Any] | None = None,
        /,
        *,
        visitor: CustomerId | None = None,
        **expected: t.Any,
    ) -> None:
        """Assert that no such event was recorded; without an action, none at all.

        It does not wait. If a server runs in another process, first wait for an event that comes
        after the one that must not be there.

        :raises AssertionError: listing the events; or the action is not defined, so that no test
            could ever find it.
        """
        __tracebackhide__ = True
        if action is not None:
            self._refuse_undefined(action)
        events = self._read(visitor)[0]
        wanted = Wanted(action or "", {**(params or {}), **expected})
        found = [event for event in events if action is None or wanted.fits(event)]
        if found:
            what = "An event" if action is None else str(wanted)
            raise AssertionError(f"{what} was recorded.\n\n{_write_all(events, found)}")

    def _refuse_undefined(self, action: str) -> None:
        __tracebackhide__ = True
        states = set(self._log.states.values())
        if has_app_context() and (state := find_state(this_app())) is not None:
            states.add(state)
        if not states or any(_may_record(each, action) for each in states):
            return
        hint = next(iter(states)).catalogue.suggest(action)
        raise AssertionError(f"{action!r} is not defined, so it is never recorded.{hint}")

    def assert_sequence(
        self, *steps: str | Pair, visitor: CustomerId | None = None, within: float | None = None
    ) -> list[Event]:
        """Assert that events were recorded in this order, and return them.

        ::

            tracked.assert_sequence("product.view", ("product.addToCart", {"quantity": 2}))

        Other events may lie between them.

        :param steps: actions, or pairs of an action and parameters.
        :param within: seconds to wait for the last one.
        :raises AssertionError: naming the first step that is missing, with the events.
        """
        __tracebackhide__ = True
        wanted = [Wanted(s, {}) if isinstance(s, str) else Wanted(s[0], s[1]) for s in steps]

        def find() -> tuple[list[Event], Wanted | None]:
            return find_steps(wanted, self._read(visitor)[0])

        found, missing = self._await(find, lambda result: result[1] is None, within)
        if missing is None:
            return found
        place = f"step {len(found) + 1} of {len(wanted)}"
        after = f", after {found[-1].action}" if found else ""
        events = self._read(visitor)[0]
        raise AssertionError(
            f"{missing} ({place}) was not recorded{after}.\n\n{_write_all(events, found)}"
        )

    def assert_rejected(
        self, action: str, code: str | None = None, *, within: float | None = None
    ) -> None:
        """Assert that an event was rejected. It then does not fail the test.

        :param code: why, such as ``"customer_required"``: one of the codes of rejected events.
        :param within: seconds to wait for it.
        :raises AssertionError: listing what was rejected.
        """
        __tracebackhide__ = True

        def find() -> list[Mistake]:
            every = [*self.mistakes, *self._log.inner]
            return [m for m in every if m.action == action and code in {None, m.code}]

        found = self._await(find, bool, within)
        with self._log.changed:
            self._log.mistakes = [m for m in self._log.mistakes if m not in found]
        if not found:
            text = f"{action} ({code})" if code else action
            raise AssertionError(f"{text} was not rejected.\n\n{_write_rejected(self.mistakes)}")

    def allow_mistakes(self, *patterns: str) -> None:
        """Allow undefined and rejected events: they do not fail the test.

        :param patterns: which actions, such as ``"product.*"``; all by default.
        """
        self._log.allowed += patterns or ("*",)

    def assert_no_mistakes(self) -> None:
        """Assert that no event was rejected, was undefined or has lost a value.

        Those that the test expects do not count. It is called at the end as well.

        :raises AssertionError: listing them.
        """
        __tracebackhide__ = True
        left = [m for m in self.mistakes if not _matches(m.action, self._log.allowed)]
        if left:
            raise AssertionError(
                f"{quantify(len(left), 'event')} rejected or undefined:\n"
                f"{_write_mistakes(left)}\n\n"
                "Define the event, correct the call, or say that the test expects it: "
                "tracked.assert_rejected(action)."
            )

    def assert_no_personal_data(self) -> None:
        """Assert that no parameter and no label has an e-mail address, a card number, a token or a
        secret: what ``EVENTTRACK_MASK`` masks in the events that browsers send.

        :raises AssertionError: naming the parameters.
        """
        __tracebackhide__ = True
        found = self._log.find_personal_data()
        if found:
            raise AssertionError(
                "Personal data was recorded:\n" + "\n".join(f"  {each}" for each in found)
            )

    def _read(self, visitor: CustomerId | None = None) -> tuple[list[Event], int]:
        """Return a visitor's events, and how many others have."""
        with self._log.changed:
            events, people = list(self._log.events), dict(self._log.people)
        if self._waits:
            servers.flush()
            self._add_stored(events, people)
        if visitor is None:
            return events, 0
        wanted = self._profiles_of(visitor)
        theirs = [event for event in events if wanted & _owners_of(event, people)]
        return theirs, len(events) - len(theirs)

    def _add_stored(self, events: list[Event], people: dict[uuidlib.UUID, uuidlib.UUID]) -> None:
        known = {event.id for event in events}
        for source in self._sources:
            stored, aliases = read_stored(source.state.pipeline.database, source.since)
            events += [event for event in stored if event.id not in known]
            people.update(aliases)
        events.sort(key=lambda event: event.time)

    def _profiles_of(self, visitor: CustomerId) -> set[uuidlib.UUID]:
        profiles = {visitor} if isinstance(visitor, uuidlib.UUID) else set[uuidlib.UUID]()
        return profiles | {source.state.profile_of(visitor) for source in self._sources}

    def _await(
        self,
        find: cabc.Callable[[], _R],
        is_enough: cabc.Callable[[_R], bool],
        within: float | None,
    ) -> _R:
        """Return what is found, once it is enough or the time is over."""
        if within is None:
            within = _PATIENCE if self._waits else 0.0
        deadline = time.monotonic() + within
        with self._log.changed:
            while not is_enough(found := find()) and (left := deadline - time.monotonic()) > 0:
                self._log.changed.wait(min(left, _PAUSE) if self._waits else left)
        return found

    def _explain(self, wanted: Wanted, visitor: CustomerId | None) -> str:
        events, others = self._read(visitor)
        whose = "" if visitor is None else f" by visitor {visitor!r}"
        parts = [f"{wanted} was not recorded{whose}."]
        nearest = find_nearest(wanted, events)
        if nearest is not None:
            place = f"{events.index(nearest) + 1} of {len(events)}"
            difference = write_difference(wanted, nearest)
            parts.append(f"The nearest is event {place} (- expected, + recorded):\n{difference}")
        parts.append(_write_all(events, [nearest] if nearest else []))
        if others:
            parts.append(f"Other visitors have {quantify(others, 'event')}.")
        if self.mistakes:
            parts.append(_write_rejected(self.mistakes))
        return "\n\n".join(parts)


def _owners_of(event: Event, people: cabc.Mapping[uuidlib.UUID, uuidlib.UUID]) -> set[uuidlib.UUID]:
    owners = {event.uuid}
    if event.session is not None:
        owners.add(event.session.device_id)
    owner = event.uuid
    while (owner := people.get(owner, owner)) not in owners:
        owners.add(owner)
    return owners


def _matches(action: str, patterns: cabc.Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)


def _write_all(events: cabc.Sequence[Event], marked: cabc.Collection[Event]) -> str:
    return f"Recorded:\n{write_events(events, marked)}"


def _write_rejected(mistakes: cabc.Iterable[Mistake]) -> str:
    lines = _write_mistakes(mistakes)
    return f"Rejected or undefined:\n{lines}" if lines else "No event was rejected."


def _write_mistakes(mistakes: cabc.Iterable[Mistake]) -> str:
    return "\n".join(f"  {mistake}" for mistake in mistakes)


def _may_record(state: State, action: str) -> bool:
    return state.catalogue.find(action) is not None or state.config.undefined_events == "store"
