"""The command that prints events as they are written."""

from __future__ import annotations

import itertools
import json
import time

import click
from flask.cli import with_appcontext

from .. import data_rights
from ..reports.feed import FeedEvent, Wanted, find_start, iter_new, read_latest
from ..reports.refused import Refused, iter_refused
from ..state import get_state
from ..text import escape, quantify

_FOLLOW_INTERVAL = 1.0


@click.command("tail")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, help="How many at first.")
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until Ctrl+C.")
@click.option("--action", "actions", multiple=True, help="Of these actions, such as 'product.*'.")
@click.option("--customer", metavar="WHO", help="Of a customer's id, or a profile's uuid.")
@click.option("--refused", is_flag=True, help="And what was refused: in this hour, then as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@with_appcontext
def tail(
    *,
    lines: int,
    follow: bool,
    actions: tuple[str, ...],
    customer: str | None,
    refused: bool,
    as_json: bool,
) -> None:
    """Print the events that were written last."""
    state = get_state()
    database, writer = state.pipeline.database, state.pipeline.writer
    person = None if customer is None else data_rights.parse_person(state, customer)
    wanted = Wanted(actions, None if person is None else person.profiles)
    start = find_start(database, wanted) if follow else None
    latest = read_latest(database, lines, wanted) if lines else []
    new = iter_new(database, start, latest, wanted) if start else ()
    pages = itertools.chain([latest], new)
    lost = iter_refused(database, lambda: writer.now) if refused else itertools.repeat([])
    for page in pages:
        for event in (stored.event for stored in page):
            click.echo(json.dumps(event._asdict(), default=str) if as_json else _as_text(event))
        for each in next(lost):
            click.echo(json.dumps(each._asdict()) if as_json else _as_refusal(each))
        if follow:
            time.sleep(_FOLLOW_INTERVAL)


def _as_text(event: FeedEvent) -> str:
    moment = click.style(event.time.strftime("%Y-%m-%d %H:%M:%S"), dim=True)
    who, source = str(event.uuid)[:8], f"{event.source:<7}"
    action = click.style(f"{escape(event.action):<24}", bold=True)
    return f"{moment}  {who}  {escape(source)}  {action}  {escape(event.label)}"


def _as_refusal(refused: Refused) -> str:
    outcome = click.style(f"{escape(refused.outcome):<19}", fg="red")
    what = f"{escape(refused.action):<24}  {escape(refused.reason)}"
    return f"{outcome}  {quantify(refused.number, 'event'):<17}  {what}"
