"""``flask eventtrack …``."""

from __future__ import annotations

import json
import sys
import time
import typing as t
import uuid

import click
import msgspec
from flask.cli import AppGroup
from sqlalchemy.exc import OperationalError, ProgrammingError

from . import data_rights
from .doctor import examine
from .errors import InvalidEvent
from .reports import FeedEvent, iter_new, read_latest
from .state import State, get_state, this_app
from .store import Pruned

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
@click.argument("anonymous", metavar="UUID", type=click.UUID)
def unmerge(*, anonymous: uuid.UUID) -> None:
    """Part the anonymous profile UUID from the customer whose it was taken for."""
    customer = data_rights.unmerge(get_state(), anonymous)
    if customer is None:
        raise click.ClickException(f"{anonymous} has not been merged with a customer.")
    click.echo(f"{anonymous} is not {customer} any more.")


@eventtrack_cli.command()
@click.argument("who", metavar="WHO")
@click.option("--dry-run", is_flag=True, help="Only say how much there is.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def forget(*, who: str, dry_run: bool, yes: bool) -> None:
    """Erase all that is stored of a person, for good.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    person = _parse_person(state, who)
    found = data_rights.count_person(state, person)
    click.echo(
        f"There are {found.events} events, {found.sessions} sessions and {found.aliases} aliases."
    )
    if dry_run:
        return
    if not yes:
        click.confirm("Erase them for good?", abort=True)
    erased = found
    with click.progressbar(length=found.events, label="Erasing", file=sys.stderr) as bar:
        for erased in data_rights.iter_forget(state, person):
            bar.update(erased.events - bar.pos)
    click.echo(
        f"{erased.events} events, {erased.sessions} sessions, {erased.aliases} aliases and "
        f"{erased.rejected} rejected records are erased."
    )


@eventtrack_cli.command()
@click.argument("who", metavar="WHO")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, allow_dash=True), default="-", help="A file."
)
def export(*, who: str, output: str) -> None:
    """Print all that is stored of a person, as JSON Lines.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    person = _parse_person(state, who)
    count = 0
    with click.open_file(output, "wb") as file:
        for count, item in enumerate(data_rights.iter_export(state, person), 1):  # noqa: B007
            file.write(msgspec.json.encode(item) + b"\n")
    click.echo(f"{count} lines.", err=True)


@eventtrack_cli.command()
@click.option("--dry-run", is_flag=True, help="Only say how much there is.")
def prune(*, dry_run: bool) -> None:
    """Remove what is older than it is kept."""
    state = get_state()
    if not (state.config.retention or state.catalogue.keeps()):
        click.echo("Everything is kept for ever: EVENTTRACK_RETENTION says otherwise.")
        return
    found = state.pipeline.writer.count_old()
    if dry_run:
        click.echo(f"{_describe(found)} are older than they are kept.")
        return
    removed = Pruned()
    with click.progressbar(length=found.events, label="Pruning", file=sys.stderr) as bar:
        for more in state.pipeline.prune():
            removed += more
            bar.update(more.events)
    click.echo(f"{_describe(removed)} were removed.")


def _describe(pruned: Pruned) -> str:
    return (
        f"{pruned.events} events, {pruned.sessions} sessions and {pruned.rejected} rejected records"
    )


def _parse_person(state: State, who: str) -> data_rights.Person:
    try:
        return data_rights.parse_person(state, who)
    except InvalidEvent as error:
        raise click.BadParameter(str(error)) from None


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
