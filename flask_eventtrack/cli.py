"""``flask eventtrack …``."""

from __future__ import annotations

import json
import sys
import time
import typing as t

import click
from flask.cli import AppGroup
from sqlalchemy.exc import OperationalError, ProgrammingError

from .doctor import examine
from .reports import FeedEvent, iter_new, read_latest
from .state import get_state, this_app

_FOLLOW_INTERVAL = 1.0


class _Group(AppGroup):
    """Says in one line what is wrong with the database."""

    def invoke(self, ctx: click.Context) -> t.Any:
        try:
            return super().invoke(ctx)
        except (OperationalError, ProgrammingError) as error:
            raise click.ClickException(
                f"{error.orig}. If tables are missing, run 'flask eventtrack init-db'."
            ) from None


eventtrack_cli = _Group("eventtrack", help="Look after the events of this app.")


@eventtrack_cli.command("init-db")
def init_db() -> None:
    """Create the tables that are missing."""
    database = get_state().pipeline.database
    with database.begin() as connection:
        tables = database.tables.all()
        tables[0].metadata.create_all(connection, tables=tables)
    click.echo(f"{len(tables)} tables are there.")


@eventtrack_cli.command()
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="How many events to start with.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with the events to come.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def tail(*, lines: int, follow: bool, as_json: bool) -> None:
    """Print the events that were written last."""
    database = get_state().pipeline.database
    render = _as_json if as_json else _as_text
    latest = read_latest(database, max(1, lines))  # one says where to go on
    for stored in latest[-lines:] if lines else []:
        click.echo(render(stored.event))
    if follow:
        for news in iter_new(database, latest):
            for stored in news:
                click.echo(render(stored.event))
            time.sleep(_FOLLOW_INTERVAL)


@eventtrack_cli.command()
def sweep() -> None:
    """End the sessions that have been silent for the timeout and five minutes."""
    ended = get_state().pipeline.sweep()
    click.echo(f"{len(ended)} sessions ended.")


@eventtrack_cli.command()
def definitions() -> None:
    """List the events that are defined, with their parameters."""
    for definition in get_state().catalogue:
        marks = [
            "server only"
            if definition.server_only
            else "anyone"
            if definition.anonymous
            else "customers"
        ]
        if definition.builtin:
            marks.append("built in")
        click.echo(f"{click.style(definition.action, bold=True)}  ({', '.join(marks)})")
        if definition.label:
            click.echo(f"    {definition.label}")
        for name, kind in definition.types.items():
            click.echo(f"    {name}: {kind}")


@eventtrack_cli.command()
def doctor() -> None:
    """Say what is misconfigured; exits with 1 if anything keeps events from being recorded."""
    findings = examine(this_app(), get_state())
    for finding in findings:
        colour = "red" if finding.level == "error" else "yellow"
        click.echo(f"{click.style(finding.id, fg=colour)} {finding.level}: {finding.sentence}")
        click.echo(f"      {finding.hint}")
    if not findings:
        click.echo("Everything is in order.")
    sys.exit(any(finding.level == "error" for finding in findings))


def _as_text(event: FeedEvent) -> str:
    moment = event.time.strftime("%Y-%m-%d %H:%M:%S")
    who = str(event.uuid)[:8]
    label = "".join(c if c.isprintable() else "\ufffd" for c in event.label or "")
    return f"{moment}  {who}  {event.source:<7}  {event.action:<24}  {label}"


def _as_json(event: FeedEvent) -> str:
    row: dict[str, t.Any] = event._asdict()
    return json.dumps(row, default=str)
