"""The columns of a page of details, and of its file."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from ..reports.rows import Breakdown, Row
from .dimensions import DIMENSIONS
from .figures import MISSING, write_count, write_growth, write_percent, write_ratio, write_seconds

Number = int | float | None


class Column(t.NamedTuple):
    """A column: what it is sorted by (None if by nothing), its title and meaning, and its values.

    ``get`` returns a value as a file has it, ``write`` as people read it.
    """

    sort: str | None
    title: str
    meaning: str
    get: cabc.Callable[[Row], Number]
    write: cabc.Callable[[float], str]

    def show(self, row: Row) -> str:
        value = self.get(row)
        return MISSING if value is None else self.write(value)


def list_columns(found: Breakdown) -> list[Column]:
    """Return the columns that have a value in at least one row."""
    counted = found.counted
    own = Column("count", counted.capitalize(), f"The {counted}.", _get_count, write_count)
    return [
        own,
        *(each for each in _OTHERS if any(each.get(row) is not None for row in found.rows)),
    ]


def list_cells(found: Breakdown) -> list[list[object]]:
    """Return the rows of a file, its head first."""
    columns = list_columns(found)
    rows: list[list[object]] = [
        [row.value, *(column.get(row) for column in columns)] for row in found.rows
    ]
    return [[DIMENSIONS[found.dimension].column, *(column.title for column in columns)], *rows]


def get_growth(row: Row) -> str:
    """Return how a row has changed: "" without a comparison, "new" if it was not there before."""
    if row.before is None:
        return ""
    return write_growth(row.count, row.before) or "new"


def _get_count(row: Row) -> Number:
    return row.count


def _get_share(row: Row) -> Number:
    return round(row.share, 6)


def _get_people(row: Row) -> Number:
    return row.people


def _get_before(row: Row) -> Number:
    return row.before


def _get_pages(row: Row) -> Number:
    return _divide(row.pages, row)


def _get_bounces(row: Row) -> Number:
    return _divide(row.bounces, row)


def _get_visible(row: Row) -> Number:
    return _divide(row.visible_ms, row, 1000)


def _get_seconds(row: Row) -> Number:
    return _divide(row.seconds, row)


def _divide(number: int | None, row: Row, unit: int = 1) -> Number:
    """Return the mean of a session."""
    return None if number is None or not row.count else round(number / unit / row.count, 4)


_OTHERS: t.Final = (
    Column("share", "Share", "Part of all that was counted.", _get_share, write_percent),
    Column("before", "Before", "The same in the time compared with.", _get_before, write_count),
    Column("people", "People", "Different people among them.", _get_people, write_count),
    Column("pages_per_session", "Pages a session", "Mean of a session.", _get_pages, write_ratio),
    Column(
        "bounce_rate",
        "Bounce rate",
        "Sessions of a single page and no other event.",
        _get_bounces,
        write_percent,
    ),
    Column(
        "visible_time",
        "Visible time",
        "How long a session's pages were in view, on average.",
        _get_visible,
        write_seconds,
    ),
    Column(
        "duration",
        "Duration",
        "From the first to the last event of a session, on average.",
        _get_seconds,
        write_seconds,
    ),
)
