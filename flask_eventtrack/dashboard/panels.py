"""The rows of a panel, ready to be drawn."""

from __future__ import annotations

import re
import typing as t

from ..reports.rows import Breakdown, Row
from ..store.session_counts import OTHERS
from .dimensions import DIMENSIONS, PANELS, Dimension, name_value
from .figures import quantify, shorten
from .query import Query

_LABEL = 44
_CODE = re.compile("[A-Za-z]{2}")


class Tab(t.NamedTuple):
    """A tab of a panel."""

    title: str
    href: str
    is_current: bool


class PanelRow(t.NamedTuple):
    """A row: what it is called, and where its link leads (None if there is nothing to filter by).

    ``whole`` is the label if it had to be cut; ``code`` the country's. ``number`` is what was
    counted. ``bar`` is a percentage.
    """

    label: str
    whole: str | None
    code: str | None
    number: int
    share: float
    bar: float
    href: str | None
    is_active: bool


class DrawnPanel(t.NamedTuple):
    """A panel as the template draws it."""

    name: str
    title: str
    dimension: Dimension
    counted: str
    tabs: tuple[Tab, ...]
    rows: tuple[PanelRow, ...]
    total: str
    details: str


def draw_panels(query: Query, breakdowns: dict[str, Breakdown]) -> tuple[DrawnPanel, ...]:
    """Return the panels with the tabs that the URL opens."""
    return tuple(_draw(query, panel.name, panel.title, panel.tabs, breakdowns) for panel in PANELS)


def _draw(
    query: Query,
    name: str,
    title: str,
    tabs: dict[str, str],
    breakdowns: dict[str, Breakdown],
) -> DrawnPanel:
    opened = query.tabs[name]
    found = breakdowns[opened]
    first = next(iter(tabs))
    return DrawnPanel(
        name,
        title,
        DIMENSIONS[opened],
        found.counted,
        tuple(
            Tab(
                text,
                f"{query.link(**{name: None if each == first else each})}#{name}",
                each == opened,
            )
            for each, text in tabs.items()
        )
        if len(tabs) > 1
        else (),
        draw_rows(query, found),
        quantify(found.rows_in_all, "row"),
        query.link(f"details/{opened}"),
    )


def draw_rows(query: Query, found: Breakdown, length: int = _LABEL) -> tuple[PanelRow, ...]:
    """Return the rows of a breakdown, each with a bar that is relative to the largest."""
    most = max((row.count for row in found.rows), default=0)
    return tuple(_draw_row(query, found.dimension, row, most, length) for row in found.rows)


def _draw_row(query: Query, dimension: str, row: Row, most: int, length: int) -> PanelRow:
    field = DIMENSIONS[dimension].field
    label = name_value(dimension, row.value)
    cut = shorten(label, length)
    can_filter = row.value != OTHERS and dimension != "path"
    return PanelRow(
        cut,
        None if cut == label else label,
        row.value if dimension == "country" and _CODE.fullmatch(row.value) else None,
        row.count,
        row.share,
        round(row.count / most * 100, 1) if most else 0,
        query.link_filter(field, row.value) if can_filter else None,
        query.is_filtered(field, row.value),
    )
