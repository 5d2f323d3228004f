"""What a capture has seen so far: events, mistakes, and which profiles are one person."""

from __future__ import annotations

import collections.abc as cabc
import threading
import typing as t
import uuid as uuidlib

import msgspec

from ..catalogue.definitions import Definition
from ..errors import InvalidEvent
from ..privacy.masking import Masker
from ..privacy.posts import PostCleaner
from ..privacy.urls import UrlCleaner
from ..records import PAGE_ENGAGE, Charge, Event, Identified, Outcome, PageView, Record
from ..state import State
from ..store.orders import expand
from ..store.visits import join_halves
from ..text import page_label

#: Visitors who may not be recorded. That is no mistake of the app's.
_REFUSALS = frozenset({"bot", "filtered", "opted_out"})


class Mistake(t.NamedTuple):
    """An event that was rejected, is undefined, or has lost a value.

    ``action`` is "" if the action is malformed. ``code`` is one of the codes of rejected events.
    """

    action: str
    code: str
    message: str = ""

    @classmethod
    def of_recorded(cls, event: Event) -> t.Self:
        """Return the mistake of an event that is undefined and was recorded nevertheless."""
        return cls(event.action, "undefined_event", "It was recorded.")

    def __str__(self) -> str:
        text = f"{self.action or 'an event'} ({self.code})"
        return f"{text}: {self.message}" if self.message else text


def is_mistake(outcome: Outcome) -> bool:
    """Whether an event was rejected, or has lost a value, by a mistake of the app's."""
    return outcome.outcome in {"rejected", "left_out"} and outcome.reason not in _REFUSALS


class Log:
    """What was captured, from any thread.

    ``changed`` is notified of each change, and its lock guards the rest. ``allowed`` are patterns:
    mistakes of the actions that match one are no failure. ``inner`` are the mistakes that a capture
    inside this one answers for. ``people`` leads from an anonymous profile to the customer's, and
    from an order to its buyer.
    """

    def __init__(self) -> None:
        self.changed: threading.Condition = threading.Condition()
        self.events: list[Event] = []
        self.mistakes: list[Mistake] = []
        self.inner: list[Mistake] = []
        self.allowed: list[str] = []
        self.people: dict[uuidlib.UUID, uuidlib.UUID] = {}
        #: The app of each event, and of each item of an order, by the event's id.
        self.states: dict[uuidlib.UUID, State] = {}

    def take(self, state: State, records: cabc.Iterable[Record], *, is_inner: bool = False) -> None:
        """Add what an app has recorded.

        :param is_inner: whether a capture inside this one answers for mistakes.
        """
        with self.changed:
            for record in records:
                if isinstance(record, Identified):
                    self.people.update(dict.fromkeys(record.others, record.uuid))
                elif isinstance(record, Event | PageView) and record.action != PAGE_ENGAGE:
                    self._add(state, state.expand(record), self._choose(is_inner=is_inner))
            self.changed.notify_all()

    def _choose(self, *, is_inner: bool) -> list[Mistake]:
        return self.inner if is_inner else self.mistakes

    def _add(self, state: State, event: Event, mistakes: list[Mistake]) -> None:
        if event.id in self.states:  # the writer drops a copy as well
            return
        self.states[event.id] = state
        if event.half == "browser" and self._join(event):
            return
        if isinstance(event.order, Charge):
            charge, *bought = expand(event)
            self.people[charge.id] = charge.uuid
            self.events += charge, *(b for b in bought if state.access.admits(b.action, b.site))
            self.states.update(dict.fromkeys((each.id for each in bought), state))
            return
        if state.catalogue.find(event.action) is None:
            mistakes.append(Mistake.of_recorded(event))
        self.events.append(event)

    def _join(self, half: Event) -> bool:
        """Add the browser's half of a page visit to the server's; False if that is not known."""
        if half.claim is None or half.claim.kind == "foreign":
            return False
        for number, event in enumerate(self.events):
            if event.id == half.claim.visit_id and event.half == "server":
                params = join_halves(event.params, half.params)
                # Any other half that claims it is a visit of its own.
                self.events[number] = msgspec.structs.replace(
                    event, params=params, label=page_label(params), half=""
                )
                return True
        return False

    def forget(self, event: Event) -> None:
        """Remove an event, and those of its items: the host has taken it back."""
        ids = {event.id, *(item.id for item in getattr(event.order, "items", None) or ())}
        with self.changed:
            self.events = [each for each in self.events if each.id not in ids]
            for each in ids:
                self.states.pop(each, None)

    def note(self, outcome: Outcome, *, is_inner: bool = False) -> None:
        """Add an event that was rejected, or that has lost a value.

        :param is_inner: whether a capture inside this one answers for it.
        """
        if is_mistake(outcome):
            with self.changed:
                mistakes = self._choose(is_inner=is_inner)
                mistakes.append(Mistake(outcome.action, outcome.reason))
                self.changed.notify_all()

    def explain(self, action: str, error: InvalidEvent) -> None:
        """Add the message to the mistake that was noted before."""
        with self.changed:
            noted = Mistake(action, error.code)
            for mistakes in (self.mistakes, self.inner):
                if noted in mistakes:
                    at = len(mistakes) - 1 - mistakes[::-1].index(noted)
                    mistakes[at] = noted._replace(message=error.message)

    def find_personal_data(self) -> list[str]:
        """Return a sentence for each parameter or label that has personal data or a secret."""
        with self.changed:
            events = [(event, self.states[event.id]) for event in self.events]
        return [problem for event, state in events for problem in _find_leaks(event, state)]


def _find_leaks(event: Event, state: State) -> cabc.Iterator[str]:
    masker = state.masker or Masker()
    urls = state.urls
    if state.masker is None:  # the app masks nothing
        urls = UrlCleaner(state.config.secret_parameters, mask=masker.mask_text)
    cleaner = PostCleaner(urls, masker)
    definition = state.catalogue.find(event.action) or Definition(action=event.action)
    masked = cleaner.mask_params(event.params, definition.types, definition.unmasked)
    for name in event.params:
        if masked.get(name) != event.params[name]:
            yield f"{event.action}, parameter {name!r}: would be masked as {masked.get(name)!r}"
    label = event.label or ""
    if not definition.unmasked and cleaner.clean_text(label) != label:
        yield f"{event.action}, label: would be masked as {cleaner.clean_text(label)!r}"
