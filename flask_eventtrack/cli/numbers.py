"""Commands that print numbers of a period: the overview, a dimension, and how events arrived."""

from __future__ import annotations

import typing as t

import click
from flask.cli import with_appcontext

from ..dashboard.columns import get_growth, list_cells, list_columns
from ..dashboard.dimensions import DIMENSIONS, name_value
from ..dashboard.figures import (
    MISSING,
    quantify,
    write_count,
)
from ..dashboard.notes import add_notes
from ..dashboard.numbers import list_numbers, list_revenue, pair_revenue
from ..dashboard.overview import read_overview
from ..dashboard.query import Query
from ..dashboard.wording import write_headline
from ..reports.explore.counters import Counters
from ..reports.rows import MEASURES, Breakdown, Overview
from ..request.access import OPERATOR
from ..state import get_state
from ..text import escape
from .asking import format_option, period_options, question_options, read_question
from .printing import (
    WIDTH,
    colour_change,
    print_csv,
    print_json,
    print_notices,
    print_period,
    print_question,
    print_table,
)

# The columns of a dimension for which a line has room.
_SHOWN = ("count", "share", "people", "bounce_rate")
_MEANINGS = {
    "accepted": "stored",
    "duplicate": "sent again, and stored once",
    "rejected": "refused by a rule",
    "dropped": "lost or removed",
    "left_out": "stored without a value",
    "contradicted": "orders charged again with another amount",
    "cut": "cancellations of more than was left",
    "invalid": "wrong or missing parameters",
    "undefined": "parameters without a definition",
}
_WELL = frozenset({"accepted", "duplicate"})


@click.command("stats")
@question_options
@format_option
@with_appcontext
def stats(*, form: str, **asked: t.Any) -> None:
    """Print the numbers of a period, and how they changed.

    Days, numbers and filters are those of the dashboard's overview.
    """
    state = get_state()
    query = read_question(state, **asked)
    found = read_overview(state.reports, query)
    if form == "json":
        print_json(add_notes(state, OPERATOR, found))
    elif form == "csv":
        print_csv([("number", "value", "before"), *_list_values(found)])
    else:
        _print_overview(query, found)


def _print_overview(query: Query, found: Overview) -> None:
    print_question(query)
    is_by_source = any(each.field in {"source", "channel"} for each in query.filter.conditions)
    headline = write_headline(found, query.comparison, is_by_source=is_by_source)
    click.echo(click.wrap_text(escape(headline), WIDTH))
    print_notices(found.cut, found.recounting)
    click.echo()
    rows = [
        (each.name, each.value, colour_change(each.change), each.before)
        for each in (*list_numbers(found), *list_revenue(found))
    ]
    print_table(("", "Now", "Change", "Before"), rows)


def _list_values(found: Overview) -> list[tuple[object, ...]]:
    before = found.before
    return [
        *((m, found.numbers.get(m), None if before is None else before.get(m)) for m in MEASURES),
        *(
            (f"revenue_{now.currency}", now.amount, earlier and earlier.amount)
            for now, earlier in pair_revenue(found)
        ),
    ]


@click.command("top")
@click.argument("dimension", metavar="DIMENSION")
@click.option("-n", "--lines", type=click.IntRange(min=1), default=10, help="How many rows.")
@click.option("--route", help="With the dimension path: whose paths.")
@question_options
@format_option
@with_appcontext
def top(*, dimension: str, lines: int, route: str | None, form: str, **asked: t.Any) -> None:
    """Print the largest rows of a DIMENSION, such as source, page, country or action."""
    state = get_state()
    query = read_question(state, **asked)
    found = state.reports.breakdown(
        dimension,
        query.period,
        query.filter,
        comparison=query.comparison,
        limit=lines,
        with_people=True,
        route=route,
        sites=query.sites,
    )
    if form == "json":
        print_json(found)
    elif form == "csv":
        print_csv(list_cells(found))
    else:
        print_question(query)
        print_notices(found.cut)
        _print_rows(found)


def _print_rows(found: Breakdown) -> None:
    words = DIMENSIONS[found.dimension]
    if not found.rows:
        click.echo(words.empty)
        return
    columns = [each for each in list_columns(found) if each.sort in _SHOWN]
    is_compared = found.rows[0].before is not None
    rows = [
        [
            name_value(found.dimension, row.value),
            *(column.show(row) for column in columns),
            *([get_growth(row)] if is_compared else []),
        ]
        for row in found.rows
    ]
    head = [words.column, *(each.title for each in columns), *(["Change"] if is_compared else [])]
    print_table(head, rows)
    click.echo(f"{len(found.rows):,} of {quantify(found.rows_in_all, 'row')}.")


@click.command("quality")
@period_options
@format_option
@with_appcontext
def quality(*, form: str, **asked: t.Any) -> None:
    """Print how many events were stored, refused or lost, and why."""
    state = get_state()
    found = state.reports.quality(read_question(state, **asked).period)
    if form == "json":
        print_json(found)
    elif form == "csv":
        rows = ((each.outcome, each.action, each.reason, each.count) for each in found.rows)
        print_csv([("outcome", "action", "reason", "count"), *rows])
    else:
        _print_quality(found)


def _print_quality(found: Counters) -> None:
    print_period(found.period)
    if not found.rows:
        click.echo("No event arrived.")
        return
    print_table(
        ("Outcome", "", "Number"),
        [(name, _MEANINGS[name], write_count(total)) for name, total in found.totals.items()],
        fill=1,
    )
    rows = [each for each in found.rows if each.outcome not in _WELL]
    if not rows:
        return
    click.echo()
    print_table(
        ("Outcome", "Event", "Reason", "Number"),
        [
            (each.outcome, each.action or MISSING, each.reason, write_count(each.count))
            for each in rows
        ],
        fill=2,
    )
