"""The command that prints what happened in a period, or what a person did in it."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import click
from flask.cli import with_appcontext

from .. import data_rights
from ..reports.feed import FeedEvent
from ..state import get_state
from .asking import format_option, question_options, read_question
from .printing import print_csv, print_json, print_table


@click.command("feed")
@click.option("-n", "--lines", type=click.IntRange(min=1), default=20, help="How many events.")
@click.option("--action", "actions", multiple=True, help="Of these actions, such as 'product.*'.")
@click.option("--customer", metavar="WHO", help="Of a customer's id, or a profile's uuid.")
@question_options
@format_option
@with_appcontext
def feed(
    *, lines: int, actions: tuple[str, ...], customer: str | None, form: str, **asked: t.Any
) -> None:
    """Print the latest events of a period, newest first.

    They are in the order in which they happened. Use 'tail' to see events as they are stored.
    """
    state = get_state()
    query = read_question(state, **asked)
    person = None if customer is None else data_rights.parse_person(state, customer)
    found = state.reports.events(
        query.period,
        query.filter,
        actions=actions,
        profiles=None if person is None else person.profiles,
        sites=query.sites,
        limit=lines,
    )
    if form == "json":
        print_json([event._asdict() for event in found])
    elif form == "csv":
        print_csv([FeedEvent._fields, *map(_list_cells, found)])
    elif found:
        rows = [_describe(event, query.period.zone) for event in found]
        print_table(("Time", "Who", "Event", ""), rows, fill=3)
    else:
        click.echo("No event happened.")


def _list_cells(event: FeedEvent) -> list[object]:
    own = {"time": event.time.isoformat(), "params": json.dumps(event.params)}
    cells = {**event._asdict(), **own}.values()
    return [None if cell is None else str(cell) for cell in cells]


def _describe(event: FeedEvent, zone: dt.tzinfo) -> tuple[str, ...]:
    moment = event.time.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    return moment, str(event.uuid)[:8], event.action, event.label
