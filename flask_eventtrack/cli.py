"""``flask eventtrack …``."""

from __future__ import annotations

import dataclasses
import itertools
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
from .reports.export import iter_person
from .reports.feed import FeedEvent, iter_new, read_latest
from .state import get_state, this_app
from .store.erasure import Erased, count_rows
from .store.retention import Pruned
from .text import quantify

_FOLLOW_INTERVAL = 1.0


class _Group(AppGroup):
    """Reports a wrong argument or a problem with the database in one line."""

    def invoke(self, ctx: click.Context) -> t.Any:
        try:
            return super().invoke(ctx)
        except InvalidEvent as error:
            raise click.BadParameter(str(error), ctx) from None
        except (OperationalError, ProgrammingError) as error:
            raise click.ClickException(
                f"{error.orig}. If tables are missing, run 'flask eventtrack init-db'."
            ) from None


eventtrack_cli: AppGroup = _Group(
    "eventtrack", help="Look after the events of this app.", context_settings={"show_default": True}
)
_who = click.argument("who", metavar="WHO")
_dry_run = click.option("--dry-run", is_flag=True, help="Change nothing; print the numbers only.")


@eventtrack_cli.command("init-db")
def init_db() -> None:
    """Create the tables that are missing."""
    database = get_state().pipeline.database
    tables = database.tables.all()
    with database.begin() as connection:
        tables[0].metadata.create_all(connection, tables=tables)
    click.echo(f"All {len(tables)} tables exist.")


@eventtrack_cli.command()
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, help="How many at first.")
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until Ctrl+C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def tail(*, lines: int, follow: bool, as_json: bool) -> None:
    """Print the events that were written last."""
    database = get_state().pipeline.database
    latest = read_latest(database, max(1, lines))  # following begins after the last one
    pages = itertools.chain([latest[:lines]], iter_new(database, latest) if follow else ())
    for page in pages:
        for stored in page:
            event = stored.event
            click.echo(json.dumps(event._asdict(), default=str) if as_json else _as_text(event))
        if follow:
            time.sleep(_FOLLOW_INTERVAL)


@eventtrack_cli.command()
def sweep() -> None:
    """End sessions that were inactive for the session timeout and five more minutes."""
    ended = get_state().pipeline.sweep()
    click.echo(f"{quantify(len(ended), 'session')} ended.")


@eventtrack_cli.command()
@click.argument("anonymous", metavar="UUID", type=click.UUID)
def unmerge(*, anonymous: uuid.UUID) -> None:
    """Undo the merge of an anonymous profile with a customer.

    UUID is the anonymous profile's.
    """
    customer = data_rights.unmerge(get_state(), anonymous)
    if customer is None:
        raise click.ClickException(f"{anonymous} is not merged with a customer.")
    click.echo(f"{anonymous} is no longer merged with {customer}.")


@eventtrack_cli.command()
@_who
@_dry_run
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
def forget(*, who: str, dry_run: bool, yes: bool) -> None:
    """Erase everything stored about a person, for good.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    person = data_rights.parse_person(state, who)
    found = count_rows(state.pipeline.database, person.profiles)
    click.echo(f"Found {_describe(found, 'event', 'session', 'alias')}.")
    if dry_run:
        return
    if not yes:
        click.confirm("Erase them for good?", abort=True)
    erased = found
    with click.progressbar(length=found.events, label="Erasing", file=sys.stderr) as bar:
        for erased in data_rights.iter_forget(state, person):
            bar.update(erased.events - bar.pos)
    click.echo(f"Erased {_describe(erased, 'event', 'session', 'alias', 'rejected record')}.")


@eventtrack_cli.command()
@_who
@click.option("-o", "--output", type=click.File("wb"), default="-", help="The file to write to.")
def export(*, who: str, output: t.BinaryIO) -> None:
    """Print everything stored about a person, as JSON Lines.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    person = data_rights.parse_person(state, who)
    state.pipeline.flush()
    count = 0
    for count, item in enumerate(iter_person(state.pipeline.database, person.profiles), 1):  # noqa: B007
        output.write(msgspec.json.encode(item) + b"\n")
    click.echo(f"{quantify(count, 'line')}.", err=True)


@eventtrack_cli.command()
@_dry_run
def prune(*, dry_run: bool) -> None:
    """Remove events that are past their retention period."""
    state = get_state()
    if not (state.config.retention or state.catalogue.keeps()):
        click.echo("Nothing to prune: no retention is set (see EVENTTRACK_RETENTION).")
        return
    found = state.pipeline.writer.count_old()
    if not dry_run:
        length, found = found.events, Pruned()
        with click.progressbar(length=length, label="Pruning", file=sys.stderr) as bar:
            for removed in state.pipeline.prune():
                found += removed
                bar.update(removed.events)
    if found == Pruned():
        click.echo("Nothing is past its retention period.")
    else:
        verb = "Past their retention period:" if dry_run else "Removed"
        click.echo(f"{verb} {_describe(found, 'event', 'session', 'rejected record')}.")


def _describe(rows: Erased | Pruned, *nouns: str) -> str:
    """Return the first numbers of a record with their nouns: "3 events and 1 session"."""
    *first, last = map(quantify, dataclasses.astuple(rows), nouns)
    return f"{', '.join(first)} and {last}"


@eventtrack_cli.command()
def definitions() -> None:
    """List the events that are defined, with their parameters."""
    for definition in get_state().catalogue:
        sender = "anyone" if definition.anonymous else "customers"
        marks = "server only" if definition.server_only else sender
        marks += ", built in" if definition.builtin else ""
        click.echo(f"{click.style(definition.action, bold=True)}  ({marks})")
        if definition.label:
            click.echo(f"    {definition.label}")
        for name, kind in definition.types.items():
            click.echo(f"    {name}: {kind}")


@eventtrack_cli.command()
def doctor() -> None:
    """Report what is misconfigured; the exit status is 1 if there is an error."""
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
