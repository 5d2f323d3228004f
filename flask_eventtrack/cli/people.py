"""Commands about a person: export, erasure, objection, merges."""

from __future__ import annotations

import collections
import contextlib
import pathlib
import sys
import typing as t
import uuid

import click
import msgspec
from flask.cli import with_appcontext

from .. import data_rights
from ..private_files import replace_private
from ..reports.export import iter_person
from ..state import State, get_state
from ..store.erasure import Erased, count_rows
from ..text import escape, quantify
from .shared import describe_rows, dry_run_option

# What an erasure counts, in the order of Erased.
_ERASED = ("event", "session", "alias", "transaction", "rejected record")
_who = click.argument("who", metavar="WHO")
_path = click.Path(path_type=pathlib.Path)


@click.command("unmerge")
@click.argument("anonymous", metavar="UUID", type=click.UUID)
@with_appcontext
def unmerge(*, anonymous: uuid.UUID) -> None:
    """Undo the merge of an anonymous profile with a customer.

    UUID is the anonymous profile's.
    """
    customer = data_rights.unmerge(get_state(), anonymous)
    if customer is None:
        raise click.ClickException(f"{anonymous} is not merged with a customer.")
    click.echo(f"{anonymous} is no longer merged with {escape(customer)}.")


@click.command("forget")
@click.argument("who", metavar="WHO", required=False)
@dry_run_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--replay", is_flag=True, help="Repeat earlier erasures, after restoring a backup.")
@click.option("--file", type=_path, help="Replay this file of erasures, not the app's own.")
@with_appcontext
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
    click.echo(f"Found {describe_rows(found, *_ERASED[:-1])}.")
    if dry_run:
        return
    if not yes:
        click.confirm("Erase them for good?", abort=True)
    erased = found
    with click.progressbar(length=found.events, label="Erasing", file=sys.stderr) as bar:
        for erased in data_rights.iter_forget(state, person):
            bar.update(erased.events - bar.pos)
    click.echo(f"Erased {describe_rows(erased, *_ERASED)}.")


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
    click.echo(f"Erased {describe_rows(erased, *_ERASED)}.")


@click.command("export")
@_who
@click.option("-o", "--output", type=_path, help="The file to write to.  [default: -]")
@with_appcontext
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


@click.command("opt-out")
@_who
@with_appcontext
def opt_out(*, who: str) -> None:
    """Record nothing of a person from now on: they object.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    state.pipeline.opt_out(data_rights.parse_person(state, who).profiles)
    click.echo("From now on nothing is recorded of this person.")


@click.command("opt-in")
@_who
@with_appcontext
def opt_in(*, who: str) -> None:
    """Record a person again: they withdraw their objection.

    WHO is a customer's id, or a profile's uuid.
    """
    state = get_state()
    if not state.pipeline.opt_in(data_rights.parse_person(state, who).profiles):
        raise click.ClickException("This person has not opted out.")
    click.echo("From now on this person is recorded again.")
