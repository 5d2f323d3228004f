"""The command that fills a database with a made-up history."""

from __future__ import annotations

import collections
import dataclasses
import sys

import click
from flask.cli import with_appcontext

from ..state import get_state
from ..text import quantify
from .filling import AlreadyMadeError, fill
from .writing import count_events, has_closed_days


@click.command("demo-data")
@click.option("--events", type=click.IntRange(1, 10**9), default=30_000, help="About how many.")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=28, help="From so long ago until now."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Another one, another history.")
@click.option("--force", is_flag=True, help="Add it to the events that there are.")
@with_appcontext
def demo_data(*, events: int, days: int, seed: int, force: bool) -> None:
    """Fill an empty database with the made-up history of a shop, to try the reports on.

    It ends now, with people who are in the shop.
    """
    state = get_state()
    state.pipeline.flush()
    found = count_events(state.pipeline.database)
    if found and not force:
        raise click.ClickException(
            f"The database holds {quantify(found, 'event')}, and made-up ones cannot be told from "
            "them later. Choose an empty database, or add them all the same with --force."
        )
    done = collections.Counter[str]()
    try:
        with click.progressbar(length=events, label="Making events", file=sys.stderr) as bar:
            for filled in fill(state, events, days, seed):
                done.update(dataclasses.asdict(filled))
                bar.update(filled.events)
    except AlreadyMadeError as error:
        raise click.ClickException(f"{error}") from None
    numbers = (quantify(done[f"{noun}s"], noun) for noun in ("event", "session", "order"))
    click.echo("Made {} in {} and {}.".format(*numbers))
    if has_closed_days(state.pipeline.database):
        click.echo("Reports have counted some days before: run 'flask eventtrack rebuild-reports'.")
