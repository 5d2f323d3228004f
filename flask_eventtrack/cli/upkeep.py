"""Commands that keep the tables in order."""

from __future__ import annotations

import datetime
import sys

import click
from flask.cli import with_appcontext

from ..state import get_state
from ..store.closed_days import count_closed
from ..store.retention import Pruned
from ..store.tables import VERSION
from ..store.undefined import clear_names
from ..store.upgrade import upgrade, upgrade_data
from ..text import quantify
from .shared import describe_rows, dry_run_option

_PRUNED = ("event", "session", "transaction", "rejected record", "agent count")


@click.command("init-db")
@with_appcontext
def init_db() -> None:
    """Create the tables; bring those of an earlier release up to date."""
    pipeline = get_state().pipeline
    for _ in upgrade(
        pipeline.database, pipeline.writer.now, find_channel=pipeline.writer.find_channel
    ):
        pass
    click.echo(f"All {len(pipeline.database.tables.all())} tables exist.")


@click.command("upgrade")
@click.option("--data-only", is_flag=True, help="Leave tables, columns and indexes to migrations.")
@with_appcontext
def upgrade_command(*, data_only: bool) -> None:
    """Bring the tables up to date: columns, indexes, and stored rows.

    It may run while the app does, and again after it was interrupted.
    """
    pipeline = get_state().pipeline
    run = upgrade_data if data_only else upgrade
    find_channel = pipeline.writer.find_channel
    for sentence in run(pipeline.database, pipeline.writer.now, find_channel=find_channel):
        click.echo(sentence)
    click.echo(f"The tables are up to date: version {VERSION}.")


@click.command("sweep")
@with_appcontext
def sweep() -> None:
    """End sessions that were inactive for the session timeout and five more minutes."""
    ended = get_state().pipeline.sweep()
    click.echo(f"{quantify(len(ended), 'session')} ended.")


@click.command("prune")
@dry_run_option
@click.option("-y", "--yes", is_flag=True, help="The clock is right, whatever speaks against it.")
@with_appcontext
def prune(*, dry_run: bool, yes: bool) -> None:
    """Remove events that are past their retention period.

    If the clock may be ahead, what is old by this clock only is kept, and the exit status is 1.
    """
    state = get_state()
    if not (state.config.retention or state.catalogue.keeps()):
        click.echo("Nothing to prune: no retention is set (see EVENTTRACK_RETENTION).")
        return
    writer = state.pipeline.writer
    doubt = None if yes else writer.doubt_clock()
    found = writer.count_old(is_sure=yes)
    if not dry_run:
        length, found = found.events, Pruned()
        with click.progressbar(length=length, label="Pruning", file=sys.stderr) as bar:
            for removed in state.pipeline.prune(is_sure=yes):
                found += removed
                bar.update(removed.events)
    if found == Pruned():
        click.echo("Nothing is past its retention period.")
    else:
        verb = "Past their retention period:" if dry_run else "Removed"
        click.echo(f"{verb} {describe_rows(found, *_PRUNED)}.")
    if doubt and doubt.reason:
        raise click.ClickException(
            f"The clock may be wrong: {doubt.reason}. What is old by this clock only was not "
            "counted or removed. If it is right, run this command with --yes."
        )


@click.command("rebuild-reports")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day; default: all.")
@with_appcontext
def rebuild_reports(*, since: datetime.datetime | None) -> None:
    """Count closed days anew, from sessions and events.

    Days whose sessions are pruned stay as they were counted. If this is interrupted, the app goes
    on with it.
    """
    pipeline = get_state().pipeline
    first = since.date() if since else datetime.date.min
    with pipeline.database.read() as connection:
        number = count_closed(connection, pipeline.database.tables, first)
    pipeline.writer.recount_days(first)
    # Each day is first removed, then counted.
    with click.progressbar(length=2 * number, label="Counting", file=sys.stderr) as bar:
        for step in pipeline.close_days():
            bar.update(1 if step.kind in {"reopened", "closed"} else 0)
    with pipeline.database.read() as connection:
        number = count_closed(connection, pipeline.database.tables, first)
    click.echo(f"{quantify(number, 'day')} counted.")


@click.command("clear-names")
@with_appcontext
def clear_undefined() -> None:
    """Remove the names of undefined actions and parameters from the quality counters.

    Clients choose these names, and may have put personal data into them. The counts stay.
    """
    state = get_state()
    state.pipeline.flush()
    cleared = clear_names(
        state.pipeline.database, lambda action: state.catalogue.find(action) is not None
    )
    click.echo(f"{quantify(cleared, 'name')} removed.")
