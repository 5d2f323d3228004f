"""The commands of ``flask eventtrack``."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import itertools
import json
import pathlib
import sys
import time
import typing as t
import uuid

import click
import msgspec
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import OperationalError, ProgrammingError

from . import data_rights
from .demo.command import demo_data
from .doctor import examine
from .errors import InvalidEvent
from .pipeline.health import examine as examine_health
from .privacy.report import SOURCES, compare
from .private_files import replace_private
from .reports.export import iter_person
from .reports.feed import FeedEvent, Wanted, find_newest, iter_new, read_latest
from .reports.refused import Refused, iter_refused
from .state import State, find_state, get_state, this_app
from .store.closed_days import count_closed
from .store.erasure import Erased, count_rows
from .store.retention import Pruned
from .store.schema import explain
from .store.tables import VERSION
from .store.undefined import clear_names
from .store.upgrade import upgrade, upgrade_data
from .text import escape, quantify
from .tracking_plan.command import catalogue_cli

_FOLLOW_INTERVAL = 1.0


class _Group(AppGroup):
    """Reports a wrong argument or a problem with the database in one line."""

    def invoke(self, ctx: click.Context) -> t.Any:
        try:
            return super().invoke(ctx)
        except InvalidEvent as error:
            raise click.BadParameter(escape(error), ctx) from None
        except (OperationalError, ProgrammingError) as error:
            raise click.ClickException(escape(_explain(ctx, error))) from None


def _explain(ctx: click.Context, error: OperationalError | ProgrammingError) -> str:
    state = find_state(ctx.ensure_object(ScriptInfo).load_app())
    found = state and explain(state.pipeline.database, error, state.pipeline.writer.now)
    return found or f"{error.orig}"


eventtrack_cli: AppGroup = _Group(
    "eventtrack", help="Look after the events of this app.", context_settings={"show_default": True}
)
eventtrack_cli.add_command(demo_data)
eventtrack_cli.add_command(catalogue_cli)
# What an erasure counts, in the order of Erased.
_ERASED = ("event", "session", "alias", "transaction", "rejected record")
_who = click.argument("who", metavar="WHO")
_path = click.Path(path_type=pathlib.Path)
_dry_run = click.option("--dry-run", is_flag=True, help="Change nothing; print the numbers only.")


@eventtrack_cli.command("init-db")
def init_db() -> None:
    """Create the tables; bring those of an earlier release up to date."""
    pipeline = get_state().pipeline
    for _ in upgrade(
        pipeline.database, pipeline.writer.now, find_channel=pipeline.writer.find_channel
    ):
        pass
    click.echo(f"All {len(pipeline.database.tables.all())} tables exist.")


@eventtrack_cli.command("upgrade")
@click.option("--data-only", is_flag=True, help="Leave tables, columns and indexes to migrations.")
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


@eventtrack_cli.command()
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, help="How many at first.")
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until Ctrl+C.")
@click.option("--action", "actions", multiple=True, help="Of these actions, such as 'product.*'.")
@click.option("--customer", metavar="WHO", help="Of a customer's id, or a profile's uuid.")
@click.option("--refused", is_flag=True, help="And what was refused: in this hour, then as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
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
    since = find_newest(database)
    latest = read_latest(database, lines, wanted) if lines else []
    new = iter_new(database, since, latest, wanted) if follow else ()
    pages = itertools.chain([latest], new)
    lost = iter_refused(database, lambda: writer.now) if refused else itertools.repeat([])
    for page in pages:
        for event in (stored.event for stored in page):
            click.echo(json.dumps(event._asdict(), default=str) if as_json else _as_text(event))
        for each in next(lost):
            click.echo(json.dumps(each._asdict()) if as_json else _as_refusal(each))
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
    click.echo(f"{anonymous} is no longer merged with {escape(customer)}.")


@eventtrack_cli.command()
@click.argument("who", metavar="WHO", required=False)
@_dry_run
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--replay", is_flag=True, help="Repeat earlier erasures, after restoring a backup.")
@click.option("--file", type=_path, help="Replay this file of erasures, not the app's own.")
def forget(
    *, who: str | None, dry_run: bool, yes: bool, replay: bool, file: pathlib.Path | None
) -> None:
    """Erase everything stored about a person, for good.

    WHO is a customer's id, or a profile's uuid. With --replay there is no WHO: everyone whose
    erasure was noted outside the database is erased again, and objections are put back.
    """
    state = get_state()
    if (who is not None) is replay or (file is not None and not replay):
        raise click.UsageError("Name either a person, or --replay and perhaps --file.")
    if who is None:
        _replay(state, file, dry_run=dry_run, yes=yes)
        return
    person = data_rights.parse_person(state, who)
    found = count_rows(state.pipeline.database, person.profiles)
    click.echo(f"Found {_describe(found, *_ERASED[:-1])}.")
    if dry_run:
        return
    if not yes:
        click.confirm("Erase them for good?", abort=True)
    erased = found
    with click.progressbar(length=found.events, label="Erasing", file=sys.stderr) as bar:
        for erased in data_rights.iter_forget(state, person):
            bar.update(erased.events - bar.pos)
    click.echo(f"Erased {_describe(erased, *_ERASED)}.")


def _replay(state: State, file: pathlib.Path | None, *, dry_run: bool, yes: bool) -> None:
    try:
        notes = data_rights.read_erasures(state, file)
    except OSError as error:
        raise click.ClickException(f"No erasures can be read: {error}.") from None
    click.echo("Searching all tables for erased profiles ...", err=True)
    found = data_rights.find_noted(state, notes)
    kinds = collections.Counter(note.kind for note in notes)
    click.echo(
        f"The file notes {quantify(kinds['erased'], 'erased profile')} and "
        f"{quantify(kinds['opted-out'], 'objection')}. "
        f"Found {quantify(len(found), 'profile')} to erase again."
    )
    if dry_run:
        return
    if not yes:
        click.confirm("Erase them for good?", abort=True)
    erased = Erased()
    with click.progressbar(length=len(found), label="Erasing", file=sys.stderr) as bar:
        for done, number, removed in data_rights.iter_replay(state, notes):
            erased, bar.length = removed, number
            bar.update(done - bar.pos)
    click.echo(f"Erased {_describe(erased, *_ERASED)}.")


@eventtrack_cli.command()
@_who
@click.option("-o", "--output", type=_path, help="The file to write to.  [default: -]")
def export(*, who: str, output: pathlib.Path | None) -> None:
    """Print everything stored about a person, as JSON Lines.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    person = data_rights.parse_person(state, who)
    state.pipeline.flush()
    items = iter_person(state.pipeline.database, person.profiles)
    try:
        with _open_output(output) as file:
            count = 0
            for item in items:
                file.write(escape(msgspec.json.encode(item).decode()).encode() + b"\n")
                count += 1
    except OSError as error:
        raise click.ClickException(f"The export cannot be written: {error}.") from None
    click.echo(f"{quantify(count, 'line')}.", err=True)


def _open_output(path: pathlib.Path | None) -> contextlib.AbstractContextManager[t.BinaryIO]:
    """Open what an export is written to; a file is for its owner only."""
    if path is None or path == pathlib.Path("-"):
        return contextlib.nullcontext(sys.stdout.buffer)
    return replace_private(path)


@eventtrack_cli.command("opt-out")
@_who
def opt_out(*, who: str) -> None:
    """Record nothing of a person from now on: they object.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    state.pipeline.opt_out(data_rights.parse_person(state, who).profiles)
    click.echo("From now on nothing is recorded of this person.")


@eventtrack_cli.command("opt-in")
@_who
def opt_in(*, who: str) -> None:
    """Record a person again: they withdraw their objection.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    if not state.pipeline.opt_in(data_rights.parse_person(state, who).profiles):
        raise click.ClickException("This person has not opted out.")
    click.echo("From now on this person is recorded again.")


@eventtrack_cli.command()
@_dry_run
@click.option("-y", "--yes", is_flag=True, help="The clock is right, whatever speaks against it.")
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
        click.echo(
            f"{verb} {_describe(found, 'event', 'session', 'transaction', 'rejected record')}."
        )
    if doubt and doubt.reason:
        raise click.ClickException(
            f"The clock may be wrong: {doubt.reason}. What is old by this clock only was not "
            "counted or removed. If it is right, run this command with --yes."
        )


def _describe(rows: Erased | Pruned, *nouns: str) -> str:
    """Return the first numbers of a record with their nouns: "3 events and 1 session"."""
    *first, last = map(quantify, dataclasses.astuple(rows), nouns)
    return f"{', '.join(first)} and {last}"


@eventtrack_cli.command("rebuild-reports")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day; default: all.")
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


@eventtrack_cli.command("clear-names")
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


@eventtrack_cli.command()
def definitions() -> None:
    """List the events that are defined, with their parameters."""
    for definition in get_state().catalogue:
        sender = "anyone" if definition.anonymous else "customers"
        marks = "server only" if definition.server_only else sender
        marks += ", built in" if definition.builtin else ""
        click.echo(f"{click.style(definition.action, bold=True)}  ({marks})")
        if definition.label:
            click.echo(f"    {escape(definition.label)}")
        for name, kind in definition.types.items():
            click.echo(f"    {escape(name)}: {escape(kind)}")


@eventtrack_cli.command("privacy-report")
def privacy_report() -> None:
    """Compare the settings with what exemptions for audience measurement ask.

    These are exemptions from asking for consent, in France and in Britain.
    """
    state = get_state()
    own = [definition.action for definition in state.catalogue if not definition.builtin]
    criteria = compare(state.config, state.catalogue.keeps(), own)
    click.echo(f"EVENTTRACK_PRIVACY: {state.config.privacy or 'not set'}\n")
    colours = {"met": "green", "not met": "red", "not seen": "yellow"}
    for each in criteria:
        result = click.style(f"{each.result:<8}", fg=colours[each.result])
        click.echo(f"{result}  {each.title} ({', '.join(each.sources)})")
        click.echo(f"          {each.detail}")
    click.echo("\nSources:")
    for name, (title, *urls) in SOURCES.items():
        click.echo("\n".join([f"{name}  {title}", *(f"    {url}" for url in urls)]))
    click.echo(
        "\nThis compares settings, and is no legal advice. It does not see your pages, your "
        "privacy policy,\nwhat your own events record, or what is done with the data. Other "
        "countries have other rules."
    )


@eventtrack_cli.command()
def doctor() -> None:
    """Report what is misconfigured; the exit status is 1 if there is an error."""
    findings = examine(this_app(), get_state())
    for finding in findings:
        colour = {"error": "red", "warning": "yellow", "note": "green"}[finding.level]
        click.echo(
            f"{click.style(finding.id, fg=colour)} {finding.level}: {escape(finding.sentence)}"
        )
        click.echo(f"      {escape(finding.hint)}")
    if all(finding.level == "note" for finding in findings):
        click.echo("Everything is in order.")
    sys.exit(any(finding.level == "error" for finding in findings))


@eventtrack_cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def health(*, as_json: bool) -> None:
    """Report how writing events goes; the exit status is 1 if they wait for too long.

    It reads the journals of all processes on this machine, and asks no database.
    """
    state = get_state()
    journal = state.journal if state.pipeline.has_journal else None
    found = examine_health(state.pipeline, journal, state.config.flush_interval)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        oldest = "nothing waits" if found.oldest is None else f"{found.oldest:.0f} s"
        click.echo("Events are written." if found.is_well else "Events wait for too long.")
        click.echo(f"Bytes that wait:    {found.bytes}")
        click.echo(f"Oldest record:      {oldest}")
        click.echo(f"Last commit:        {found.last_commit or 'unknown'}")
        click.echo(f"Orphaned journals:  {found.orphans}")
    sys.exit(not found.is_well)


def _as_text(event: FeedEvent) -> str:
    moment = click.style(event.time.strftime("%Y-%m-%d %H:%M:%S"), dim=True)
    who, source = str(event.uuid)[:8], f"{event.source:<7}"
    action = click.style(f"{escape(event.action):<24}", bold=True)
    return f"{moment}  {who}  {escape(source)}  {action}  {escape(event.label)}"


def _as_refusal(refused: Refused) -> str:
    outcome = click.style(f"{escape(refused.outcome):<19}", fg="red")
    what = f"{escape(refused.action):<24}  {escape(refused.reason)}"
    return f"{outcome}  {quantify(refused.number, 'event'):<17}  {what}"
