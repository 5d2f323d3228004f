"""The command that writes events and sessions as Parquet files, a file a day."""

from __future__ import annotations

import datetime as dt
import re
import sys
import typing as t

import click
from flask.cli import with_appcontext

from ..state import get_state
from ..text import escape, quantify

if t.TYPE_CHECKING:
    from ..archive.run import Archiver, Wish


@click.command("archive")
@click.option("--to", "place", required=True, help="The folder, or a URL such as s3://bucket/path.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The first day, in UTC.  [default: as before, or all]",
)
@click.option(
    "--keep-pruned",
    is_flag=True,
    help="Keep what retention removes from the tables, unless erased.",
)
@click.option("--moved", is_flag=True, help="The database is the same one in another place.")
@click.option("--anew", is_flag=True, help="Write all days from the tables.")
@with_appcontext
def archive(
    *, place: str, since: dt.datetime | None, keep_pruned: bool, moved: bool, anew: bool
) -> None:
    """Write events and sessions as Parquet files, a file a day.

    Run it again to write the days that have changed, with EVENTTRACK_COMMIT_LOG; else all days.
    """
    # Not above: a list of all commands imports this module.
    from ..archive.manifest import ArchiveProblem
    from ..archive.run import Wish

    shown = escape(re.sub("//.*@", "//", place))  # without a password
    wish = Wish(since.date() if since else None, keep_pruned, anew, moved)
    try:
        _run(place, wish)
    except ArchiveProblem as problem:
        raise click.ClickException(f"Cannot archive to {shown}. {escape(problem)}") from None
    except OSError as error:
        raise click.ClickException(f"{shown} cannot be written: {escape(error)}.") from None


def _run(place: str, wish: Wish) -> None:
    from ..archive.folders import open_folder
    from ..archive.run import open_archive

    pipeline = get_state().pipeline
    writer = pipeline.writer
    folder = open_folder(place)
    with open_archive(
        pipeline.database, folder, wish, lambda: writer.now, writer.hash_of
    ) as archiver:
        number = archiver.plan()
        if archiver.reason:
            click.echo(f"All days are written anew. {archiver.reason}", err=True)
        rows, removed = 0, 0
        with click.progressbar(length=number, label="Archiving", file=sys.stderr) as bar:
            for step in archiver.write():
                rows += step.rows
                removed += not step.rows
                bar.update(1)
        _say(archiver, number - removed, rows, removed)


def _say(archiver: Archiver, files: int, rows: int, removed: int) -> None:
    said = f"{quantify(files, 'file')} written with {quantify(rows, 'row')}"
    if removed:
        said += f", {removed:,} removed"
    kept = [each for days in archiver.days.values() for each in days.values()]
    size = sum(each.bytes for each in kept) / 1e6
    click.echo(f"{said}; {len(kept):,} in all, {size:,.1f} MB.", err=True)
