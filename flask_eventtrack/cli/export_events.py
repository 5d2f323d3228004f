"""The command that writes all events, sessions or people to a file."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import hashlib
import pathlib
import sys
import typing as t

import click
import msgspec
from flask.cli import with_appcontext

from ..dashboard.plain import BOM, write_csv
from ..reports.bulk import Bulk, Place, What, find_end
from ..state import State, get_state
from ..store.local_days import start_of
from ..text import escape
from .part_file import open_part, read_last_line

_Rows = list[tuple[t.Any, ...]]
_Form = t.Literal["csv", "jsonl"]
_day = click.DateTime(["%Y-%m-%d"])
_STEPS = 1000


@click.command("export-events")
@click.option(
    "--what",
    type=click.Choice(["events", "sessions", "people"]),
    default="events",
    help="Which rows.",
)
@click.option("--since", type=_day, help="The first day.")
@click.option("--until", type=_day, help="The first day that is left out.")
@click.option("--action", "actions", multiple=True, help="Of these actions, such as 'product.*'.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    help="JSON Lines or CSV.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=pathlib.Path),
    help="The file to write to.  [default: -]",
)
@click.option("--resume", is_flag=True, help="Go on with a file that was interrupted.")
@with_appcontext
def export_events(
    *,
    what: What,
    since: dt.datetime | None,
    until: dt.datetime | None,
    actions: tuple[str, ...],
    form: _Form,
    output: pathlib.Path | None,
    resume: bool,
) -> None:
    """Write all events, sessions or people, a row a line.

    Events of the last 30 seconds are left out: a transaction may still hold others back.
    """
    state = get_state()
    is_file = output is not None and output != pathlib.Path("-")
    if resume and not is_file:
        raise click.UsageError("--resume needs the --output that was interrupted.")
    if actions and what != "events":
        raise click.UsageError("--action is for events alone.")
    bulk = Bulk(what, _begin(state, since), _begin(state, until), actions)
    try:
        with _open(output if is_file else None, bulk, form, resumes=resume) as file:
            _write(state, bulk, form, file, is_file=is_file)
    except OSError as error:
        raise click.ClickException(f"The export cannot be written: {error}.") from None


def _begin(state: State, day: dt.datetime | None) -> dt.datetime | None:
    return None if day is None else start_of(day.date(), state.reports.zone)


def _open(
    path: pathlib.Path | None, bulk: Bulk, form: _Form, *, resumes: bool
) -> contextlib.AbstractContextManager[t.BinaryIO]:
    if path is None:
        return contextlib.nullcontext(sys.stdout.buffer)
    mark = hashlib.sha256(f"{form} {bulk}".encode()).hexdigest()[:8]
    return open_part(path, mark, resumes=resumes)


def _write(state: State, bulk: Bulk, form: _Form, file: t.BinaryIO, *, is_file: bool) -> None:
    reader, now, count = state.reports.reader, state.reports.now, 0
    names = bulk.names(reader.tables)
    last = read_last_line(file) if is_file else b""
    if form == "csv" and not last:
        file.write((BOM + write_csv([names])).encode())
    place = _find_place(last, form, names, bulk.place_names)
    if place is not None:
        click.echo(f"Goes on behind {place.moment:%Y-%m-%d %H:%M:%S} UTC.", err=True)
    write = _write_lines if form == "jsonl" else _write_rows
    with click.progressbar(length=_STEPS, label="Exporting", file=sys.stderr) as bar:
        for chunk in bulk.iter_chunks(reader, now, place):
            file.write(write(names, chunk.rows).encode())
            count += len(chunk.rows)
            bar.update(int(chunk.done * _STEPS) - bar.pos)
    said = f"{count:,} {bulk.what}"
    if bulk.what == "events":
        said += f", stored until {find_end(bulk.what, now):%Y-%m-%d %H:%M:%S} UTC"
    click.echo(f"{said}.", err=True)


def _write_lines(names: list[str], rows: _Rows) -> str:
    encode = msgspec.json.Encoder().encode
    lines = (encode(dict(zip(names, row, strict=True))) for row in rows)
    return "".join(f"{escape(line.decode())}\n" for line in lines)


def _write_rows(names: list[str], rows: _Rows) -> str:
    return write_csv([_write_cell(cell) for cell in row] for row in rows)


def _write_cell(cell: object) -> object:
    if isinstance(cell, str):
        return escape(cell)
    return escape(bytes(cell).decode()) if isinstance(cell, msgspec.Raw) else cell


def _find_place(
    line: bytes, form: _Form, names: list[str], wanted: tuple[str, str]
) -> Place | None:
    """Return the place of the row in a line; None if it is no row."""
    if not line:
        return None
    if form == "jsonl":
        found = msgspec.json.decode(line)
    else:
        [cells] = csv.reader([line.decode().removeprefix(BOM)])
        if cells == names:
            return None
        found = dict(zip(names, cells, strict=True))
    return msgspec.convert([found[name] for name in wanted], Place)
