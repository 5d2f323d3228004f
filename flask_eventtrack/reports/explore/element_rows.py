"""What the report of elements and forms returns: frozen rows with typed fields."""

from __future__ import annotations

import dataclasses

from ..rows import Cut


@dataclasses.dataclass(frozen=True, slots=True)
class ElementRow:
    """An element by its id.

    ``views`` are events. All other numbers are sessions. ``hovered_long`` are those whose longest
    hover was longer than ``median_dwell_ms``, and ``hovered_long_clicked`` those of them that
    clicked. ``hover_rate`` and ``click_rate`` are shares of the sessions that saw the element, and
    ``long_click_rate`` is a share of those that hovered longer (0 to 1; None if there are none).
    """

    id: str
    views: int
    seen: int
    hovered: int
    median_dwell_ms: int | None
    clicked: int
    hover_rate: float | None
    click_rate: float | None
    hovered_long: int
    hovered_long_clicked: int
    long_click_rate: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class FieldRow:
    """A field at which a form was abandoned; "" if it is not known.

    ``sessions`` is how many abandoned the form there, and ``share`` their share of all that
    abandoned it (0 to 1).
    """

    field: str
    sessions: int
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class FormRow:
    """A form by its name; "" if it has none.

    All numbers are sessions. ``begin_rate`` is the share of those that opened the form, and
    ``send_rate`` and ``abandon_rate`` are shares of those that began it (0 to 1; None if there are
    none). ``fields`` are the five most frequent fields at which it was abandoned, of
    ``fields_in_all``.
    """

    form: str
    opened: int
    begun: int
    sent: int
    abandoned: int
    begin_rate: float | None
    send_rate: float | None
    abandon_rate: float | None
    fields: tuple[FieldRow, ...]
    fields_in_all: int


@dataclasses.dataclass(frozen=True, slots=True)
class Elements:
    """Elements, the most seen first, and forms, the most begun first: a hundred of each at most.

    ``elements_in_all`` and ``forms_in_all`` are how many there are, returned or not. ``cut`` says
    which part a limit has cut.
    """

    elements: tuple[ElementRow, ...]
    elements_in_all: int
    forms: tuple[FormRow, ...]
    forms_in_all: int
    cut: Cut | None = None
