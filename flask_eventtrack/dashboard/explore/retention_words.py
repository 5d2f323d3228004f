"""Retention in words, and its table."""

from __future__ import annotations

import datetime as dt
import math
import typing as t

from ...reports.explore.retention_rows import By, Retention, RetentionCell
from ..chart import Chart, draw
from ..dimensions import name_field, name_value
from ..figures import count_people, name_month, quantify, shorten, write_percent
from ..query import Query

_LABEL = 60
_SHADES = 6
_COLUMNS: dict[By, str] = {"day": "Day", "week": "Week from", "month": "Month"}
_SIZES = {"wide": (1128, 220), "narrow": (460, 200)}


class DrawnCell(t.NamedTuple):
    """A cell of the table. ``shade`` is how dark it is, from 0 to 6; empty if it has no share."""

    share: str
    number: int
    shade: str
    is_running: bool


class DrawnRow(t.NamedTuple):
    """A row of the table; ``href`` leads to the rows of a value alone."""

    label: str
    href: str | None
    people: int
    cells: list[DrawnCell]


def write_lead(found: Retention) -> str:
    """Return what the report says, in a sentence or two."""
    if not found.people:
        return "Nobody came for the first time in this period."
    said = f"{count_people(found.people)} first came in this period."
    shares = [cell.share for cell in found.mean]
    if not shares or shares[0] is None:
        return f"{said} It is too early to say who came back."
    said += f" {write_percent(shares[0])} of them came back {_name_later(1, found.by)}"
    last = max(place for place, share in enumerate(shares, 1) if share is not None)
    share = shares[last - 1]
    if last == 1 or share is None:
        return f"{said}."
    return f"{said}, and {write_percent(share)} {_name_later(last, found.by)}."


def _name_later(number: int, unit: str) -> str:
    return f"after {quantify(number, unit)}"


def draw_rows(query: Query, found: Retention) -> list[DrawnRow]:
    """Return the rows: that of all people together first."""
    cells = [*found.mean, *(cell for row in found.rows for cell in row.cells)]
    most = max((cell.share or 0.0 for cell in cells), default=0.0)

    def shade(cell: RetentionCell) -> DrawnCell:
        if cell.share is None:
            return DrawnCell("", cell.count, "", cell.is_running)
        depth = math.ceil(cell.share / most * _SHADES) if most else 0
        return DrawnCell(write_percent(cell.share), cell.count, str(depth), cell.is_running)

    rows = [DrawnRow("Mean", None, found.people, list(map(shade, found.mean)))]
    for row in found.rows:
        if row.first is not None:
            label, href = _name_cohort(row.first, found.by), None
        else:
            by = found.dimension or ""
            label = shorten(name_value(by, row.value), _LABEL)
            href = query.link_filter(by, row.value, "retention")
        rows.append(DrawnRow(label, href, row.people, list(map(shade, row.cells))))
    return rows


def _name_cohort(day: dt.date, by: By) -> str:
    month = name_month(day)
    return f"{month} {day.year}" if by == "month" else f"{day.day} {month[:3]} {day.year}"


def draw_curves(found: Retention) -> list[Chart]:
    """Draw the mean, once in each size; nothing if there is none."""
    shares = [cell.share for cell in found.mean]
    if all(share is None for share in shares):
        return []
    labels = [str(number) for number in range(1, len(shares) + 1)]
    return [
        draw(name, size, shares, [], labels, kind="percent", runs=False)
        for name, size in _SIZES.items()
    ]


def list_lines(found: Retention) -> list[tuple[object, ...]]:
    """Return the lines of a file, with their head: how many people there were, and came back.

    For a value of a dimension, each number is followed by that of the people it is of.
    """
    longest = max((len(row.cells) for row in found.rows), default=0)
    numbers = range(1, longest + 1)
    if found.dimension is None:
        head = ("first_day", "last_day", "people", *(f"{found.by}_{each}" for each in numbers))
        rows = [(r.first, r.last, r.people, *(c.count for c in r.cells)) for r in found.rows]
        return [head, *(_pad(row, len(head)) for row in rows)]
    names = (f"{found.by}_{each}{end}" for each in numbers for end in ("", "_of"))
    values = [
        (row.value, row.people, *(n for cell in row.cells for n in (cell.count, cell.people)))
        for row in found.rows
    ]
    return [(found.dimension, "people", *names), *values]


def _pad(row: tuple[object, ...], length: int) -> tuple[object, ...]:
    return (*row, *[None] * (length - len(row)))


def name_column(found: Retention) -> str:
    """Return what the rows are of."""
    return _COLUMNS[found.by] if found.dimension is None else (name_field(found.dimension))
