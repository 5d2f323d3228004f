"""How commands print what they report: tables for people, JSON for programs, CSV for spreadsheets.

Visitors choose many of the texts. None of them clears a terminal, forges a line or is a formula.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import unicodedata

import click

from ..dashboard.dimensions import describe
from ..dashboard.figures import Change, shorten
from ..dashboard.plain import BOM, write_csv, write_json
from ..dashboard.query import Query
from ..dashboard.wording import name_days, name_period, write_cut, write_recounting
from ..reports.period import Period
from ..reports.rows import Cut
from ..text import escape

#: How many columns a line has at most.
WIDTH: t.Final = 80
_GAP = "  "
_LEAST = 12
_HEAD = "bold"

#: A text, perhaps with its colour.
Cell = str | tuple[str, str]


def print_table(
    head: cabc.Sequence[str], rows: cabc.Iterable[cabc.Sequence[Cell]], fill: int = 0
) -> None:
    """Print rows below their head.

    :param fill: the column that is cut where a row would be too wide. It and those before it are
        texts, on the left; those after it are numbers, on the right.
    """
    lines = [[_read(cell) for cell in row] for row in ([(each, _HEAD) for each in head], *rows)]
    columns = zip(*lines, strict=True)
    widths = [max(measure(text) for text, _ in column) for column in columns]
    others = sum(widths) - widths[fill] + len(_GAP) * (len(widths) - 1)
    widths[fill] = min(widths[fill], max(_LEAST, WIDTH - others))
    for line in lines:
        cells = [
            _place(text, style, width, is_number=place > fill)
            for place, ((text, style), width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo(_GAP.join(cells).rstrip())


def _read(cell: Cell) -> tuple[str, str]:
    text, style = (cell, "") if isinstance(cell, str) else cell
    return escape(text), style


def _place(text: str, style: str, width: int, *, is_number: bool) -> str:
    shown = _cut(text, width)
    space = " " * (width - measure(shown))
    if style:
        shown = click.style(shown, bold=True) if style == _HEAD else click.style(shown, fg=style)
    return space + shown if is_number else shown + space


def _cut(text: str, width: int) -> str:
    shown, length = text, width
    while measure(shown) > width:
        shown, length = shorten(text, length), length - 1
    return shown


def measure(text: str) -> int:
    """Return how many columns a text takes: some characters take two, some none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(bool(unicodedata.combining(each)) for each in text)


def colour_change(change: Change | None) -> Cell:
    """Return a change in green or red; "" if there is none."""
    if change is None:
        return ""
    colours = {None: "", True: "green", False: "red"}
    return change.text, colours[change.is_good]


def print_json(report: object) -> None:
    """Print what the page's URL answers with ``.json``."""
    click.echo(escape(write_json(report).decode()))


def print_csv(rows: cabc.Iterable[cabc.Sequence[object]]) -> None:
    """Print rows for a spreadsheet, a line each."""
    shown = ([escape(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    click.echo(BOM + write_csv(shown), nl=False)


def print_question(query: Query) -> None:
    """Print which days, sessions and site the numbers are of."""
    print_period(query.period)
    for condition in query.filter.conditions:
        click.echo(f"Only: {escape(' '.join(describe(condition)))}")
    if query.site is not None:
        click.echo(f"Only: Site is {escape(query.site)}")


def print_period(period: Period) -> None:
    """Print which days the numbers are of."""
    name, days = name_period(period), name_days(period.first, period.last)
    said = name if name == days else f"{name}, {days}"
    click.echo(click.style(f"{said} ({period.zone})", dim=True))


def print_notices(cut: Cut | None, recounting: int = 0) -> None:
    """Print what a limit has cut, and how many days are being counted again."""
    if cut is not None:
        click.echo(click.wrap_text(write_cut(cut), WIDTH))
    if recounting:
        click.echo(click.wrap_text(write_recounting(recounting), WIDTH))
