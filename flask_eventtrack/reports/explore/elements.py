"""Elements and forms: in how many sessions each was seen, hovered over, clicked, begun, sent."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import time
import typing as t

import sqlalchemy as sa

from ...store.dialects import id_as_text
from ...store.reading import give_up
from ...store.types import NAIVE
from ..conditions import Conditions
from ..counting import Counter
from ..filters import Filter, parse_number
from ..period import Period
from ..ranks import find_percentile
from ..scan import AT_ONCE, Bounds
from .element_rows import ElementRow, Elements, FieldRow, FormRow
from .event_conditions import EventConditions

_VIEW, _HOVER = "element.view", "element.hover"
_CLICKS = ("button.click", "link.click")
_START, _SUBMIT, _ABANDON = "form.start", "form.submit", "form.abandon"
_OF_FORMS = (_START, _SUBMIT, _ABANDON)
#: The actions of which elements and forms are counted.
COUNTED: t.Final = (_VIEW, _HOVER, *_CLICKS, *_OF_FORMS)
_MOST_ROWS = 100
_MOST_FIELDS = 5

#: Session, action, name, dwell, field, and when.
_Row = cabc.Sequence[t.Any]


def read_elements(
    counter: Counter, period: Period, limits: Filter, sites: frozenset[str] | None
) -> Elements:
    """Count the elements and forms of a period."""
    reading = _Reading(counter, counter.conditions(limits, sites))
    found = _Found()
    since = counter.by_parts(period, reading.read, found.merge)
    forms = [_make_form(name, form, found.elements) for name, form in found.forms.items()]
    elements = [
        _make_element(name, element)
        for name, element in found.elements.items()
        if element.hovered or element.clicked or name not in found.forms
    ]
    elements.sort(key=lambda row: (-row.seen, -row.clicked, -row.hovered, row.id))
    forms.sort(key=lambda row: (-row.begun, -row.sent, row.form))
    return Elements(
        tuple(elements[:_MOST_ROWS]),
        len(elements),
        tuple(forms[:_MOST_ROWS]),
        len(forms),
        counter.make_cut(period, since),
    )


@dataclasses.dataclass
class _Element:
    """The sessions of an element. ``dwells`` has the longest hover of each one, in milliseconds."""

    views: int = 0
    seen: set[str] = dataclasses.field(default_factory=set)
    hovered: set[str] = dataclasses.field(default_factory=set)
    dwells: dict[str, float] = dataclasses.field(default_factory=dict)
    clicked: set[str] = dataclasses.field(default_factory=set)

    def add(self, session: str, action: str, dwell: str | None) -> None:
        if action == _VIEW:
            self.views += 1
            self.seen.add(session)
        elif action == _HOVER:
            self.hovered.add(session)
            self._add_dwell(session, parse_number(dwell or ""))
        else:
            self.clicked.add(session)

    def merge(self, other: _Element) -> None:
        self.views += other.views
        self.seen |= other.seen
        self.hovered |= other.hovered
        self.clicked |= other.clicked
        for session, dwell in other.dwells.items():
            self._add_dwell(session, dwell)

    def _add_dwell(self, session: str, dwell: float | None) -> None:
        if dwell is not None:
            self.dwells[session] = max(dwell, self.dwells.get(session, dwell))


@dataclasses.dataclass
class _Form:
    """The sessions of a form. ``left`` has when a session left it last, and at which field."""

    begun: set[str] = dataclasses.field(default_factory=set)
    sent: set[str] = dataclasses.field(default_factory=set)
    left: dict[str, tuple[t.Any, str]] = dataclasses.field(default_factory=dict)

    def add(self, session: str, action: str, field: str | None, at: object) -> None:
        if action == _START:
            self.begun.add(session)
        elif action == _SUBMIT:
            self.sent.add(session)
        else:
            self._add_left(session, (at, field or ""))

    def merge(self, other: _Form) -> None:
        self.begun |= other.begun
        self.sent |= other.sent
        for session, left in other.left.items():
            self._add_left(session, left)

    def _add_left(self, session: str, left: tuple[t.Any, str]) -> None:
        self.left[session] = max(left, self.left.get(session, left))


class _Found:
    """Elements and forms by name."""

    def __init__(self) -> None:
        self.elements = collections.defaultdict[str, _Element](_Element)
        self.forms = collections.defaultdict[str, _Form](_Form)

    def add(self, rows: cabc.Iterable[_Row]) -> None:
        for session, action, name, dwell, field, at in rows:
            if action in _OF_FORMS:
                self.forms[name or ""].add(session, action, field, at)
            elif name:
                self.elements[name].add(session, action, dwell)

    def merge(self, other: _Found) -> None:
        """Add another part of the period."""
        for name, element in other.elements.items():
            self.elements[name].merge(element)
        for name, form in other.forms.items():
            self.forms[name].merge(form)


class _Reading:
    """Reads a part of the period."""

    def __init__(self, counter: Counter, conditions: Conditions) -> None:
        self._counter = counter
        self._conditions = conditions
        self._name = counter.connection.dialect.name
        self._on_events = EventConditions(self._name, counter.catalogue)

    def read(self, bounds: Bounds) -> _Found:
        """Read the events between two moments.

        :raises TimeUp: it took too long.
        """
        connection, options = self._counter.connection, {"yield_per": AT_ONCE}
        found = _Found()
        with connection.execute(self._make_query(bounds), execution_options=options) as result:
            for rows in result.partitions():
                found.add(rows)
                if time.monotonic() > self._counter.due:
                    give_up(connection)
        return found

    def _make_query(self, bounds: Bounds) -> sa.Select[t.Any]:
        """Return the query. It takes only those parameters of an event that its action defines."""
        tables = self._counter.tables
        event, session = tables.event.c, tables.session.c
        query = sa.select(
            id_as_text(self._name, event.session_id),
            event.action,
            sa.case(
                (event.action.in_(_OF_FORMS), self._value(_START, "form")),
                else_=self._value(_VIEW, "id"),
            ),
            sa.case((event.action == _HOVER, self._value(_HOVER, "dwell_ms"))),
            sa.case((event.action == _ABANDON, self._value(_ABANDON, "field"))),
            sa.type_coerce(event.time, sa.Text() if self._name == "sqlite" else NAIVE),
        ).where(
            event.time >= bounds[0],
            event.time < bounds[1],
            event.action.in_(COUNTED),
            event.session_id.is_not(None),
        )
        if self._conditions:
            query = query.join_from(tables.event, tables.session, event.session_id == session.id)
            query = query.where(*self._conditions.of(*bounds, any_start=True))
        if self._conditions.sites is not None:
            query = query.where(event.site.in_(sorted(self._conditions.sites)))
        return query

    def _value(self, action: str, name: str) -> sa.ColumnElement[str]:
        return self._on_events.value_of(action, name, self._counter.tables.event.c)


def _make_element(name: str, found: _Element) -> ElementRow:
    dwells = sorted(found.dwells.values())
    median = find_percentile(dwells, 50) if dwells else None
    long = {s for s, dwell in found.dwells.items() if median is not None and dwell > median}
    return ElementRow(
        id=name,
        views=found.views,
        seen=len(found.seen),
        hovered=len(found.hovered),
        median_dwell_ms=None if median is None else int(median),
        clicked=len(found.clicked),
        hover_rate=_rate(found.hovered, found.seen),
        click_rate=_rate(found.clicked, found.seen),
        hovered_long=len(long),
        hovered_long_clicked=len(long & found.clicked),
        long_click_rate=_rate(found.clicked, long),
    )


def _make_form(name: str, found: _Form, elements: cabc.Mapping[str, _Element]) -> FormRow:
    opened = elements[name].seen if name in elements else set[str]()
    left = {
        session: field for session, (_, field) in found.left.items() if session not in found.sent
    }
    counts = collections.Counter(left.values())
    order = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return FormRow(
        form=name,
        opened=len(opened),
        begun=len(found.begun),
        sent=len(found.sent),
        abandoned=len(left),
        begin_rate=_rate(found.begun, opened),
        send_rate=_rate(found.sent, found.begun),
        abandon_rate=_rate(left.keys(), found.begun),
        fields=tuple(FieldRow(f, count, count / len(left)) for f, count in order[:_MOST_FIELDS]),
        fields_in_all=len(order),
    )


def _rate(part: cabc.Set[str], whole: cabc.Set[str]) -> float | None:
    """Return the share of some sessions that are also in another set; None if there are none."""
    return len(part & whole) / len(whole) if whole else None
