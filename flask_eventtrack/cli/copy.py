"""The command that copies events, sessions and orders to ClickHouse."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import os
import platform
import signal
import sys
import threading
import time
import typing as t

import click
from flask.cli import with_appcontext

from ..ids import uuid4
from ..state import get_state
from ..text import escape, quantify

if t.TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from ..clickhouse.copying import Copier, Wish
    from ..clickhouse.notes import Notes
    from ..clickhouse.server import Server
    from ..clickhouse.verifying import Difference, Verified
    from ..store.engine import Database

_T = t.TypeVar("_T")
_MOST_SHOWN = 40


@click.command("copy")
@click.option(
    "--to",
    "place",
    required=True,
    metavar="URL",
    help="The database: clickhousedb://user:password@host:8123/database.",
)
@click.option("--follow", is_flag=True, help="Go on until Ctrl+C or SIGTERM.")
@click.option("--verify", is_flag=True, help="Then compare it with the tables, day by day.")
@click.option("--moved", is_flag=True, help="The app's database is the same in another place.")
@click.option("--anew", is_flag=True, help="Copy all rows into new tables.")
@with_appcontext
def copy(*, place: str, follow: bool, verify: bool, moved: bool, anew: bool) -> None:
    """Copy events, sessions and orders to ClickHouse.

    The first run copies all rows, later ones what has changed, with EVENTTRACK_COMMIT_LOG.
    """
    # Not above: a list of all commands imports this module.
    from ..clickhouse.copying import Wish
    from ..clickhouse.problems import CopyProblem
    from ..clickhouse.server import name_place, parse_place

    if follow and verify:
        raise click.UsageError("--verify is a run of its own: it also works beside --follow.")
    shown = ""
    try:
        url = parse_place(place)
        shown = f" to {escape(name_place(url))}"
        run = _Run(get_state().pipeline.database, url, Wish(anew, moved))
        if follow:
            run.follow()
        elif verify:
            run.verify()
        else:
            run.once()
    except CopyProblem as problem:
        raise click.ClickException(f"Cannot copy{shown}. {escape(problem)}") from None


class _Bar(t.Protocol):
    def update(self, n_steps: int) -> None: ...


class _Stopped(Exception):
    """The command was told to stop."""


class _Run:
    """What the options have in common."""

    def __init__(self, database: Database, url: URL, wish: Wish) -> None:
        self._database = database
        self._url = url
        self._wish = wish
        self._owner = uuid4()
        self._stop = threading.Event()

    def once(self) -> None:
        with self._connect() as server, self._open(server) as copier:
            self._bring_up(copier)
            if copier.is_due:
                click.echo("Merging deleted rows away.", err=True)
                copier.merge()
            click.echo(f"The copy is at position {copier.position:,}.", err=True)

    def follow(self) -> None:
        from ..clickhouse.following import Follower

        follower = Follower(
            self._open_anew,
            self._bring_up,
            lambda text: click.echo(escape(text), err=True),
            self._stop.wait,
        )
        with self._stoppable(), contextlib.suppress(_Stopped):
            follower.run()
        click.echo("Stopped.", err=True)

    def verify(self) -> None:
        from ..clickhouse.copying import open_beside
        from ..clickhouse.problems import Busy
        from ..clickhouse.verifying import verify, verify_beside

        with self._connect() as server:
            try:
                with self._open(server) as copier:
                    self._bring_up(copier)
                    found = verify(copier)
            except Busy:
                with open_beside(self._database, server, self._notes_of(server)) as copier:
                    found = verify_beside(copier, time.sleep)
        _say_verified(found)

    @contextlib.contextmanager
    def _connect(self) -> cabc.Iterator[Server]:
        from ..clickhouse.server import connect

        server = connect(self._url)
        try:
            yield server
        finally:
            server.close()

    def _open(self, server: Server) -> contextlib.AbstractContextManager[Copier]:
        from ..clickhouse.copying import open_copy

        return open_copy(self._database, server, self._notes_of(server), self._wish)

    @contextlib.contextmanager
    def _open_anew(self) -> cabc.Iterator[Copier]:
        with self._connect() as server, self._open(server) as copier:
            yield copier

    def _notes_of(self, server: Server) -> Notes:
        from ..clickhouse.notes import Notes

        return Notes(server, self._owner, f"process {os.getpid()} on {platform.node()}")

    def _bring_up(self, copier: Copier) -> None:
        """Copy what there is, with its progress on standard error."""
        from ..store.changes import SnapshotNeeded

        copier.plan()
        self._wish = dataclasses.replace(self._wish, anew=False)  # not again, after a failure
        while True:
            if copier.is_filling:
                self._copy_tables(copier)
            try:
                self._catch_up(copier)
            except SnapshotNeeded as error:
                copier.start_anew(str(error))
            else:
                return

    def _copy_tables(self, copier: Copier) -> None:
        if copier.reason:
            click.echo(f"All rows are copied anew. {escape(copier.reason)}", err=True)
        written = 0
        with _progress("Copying rows", copier.count()) as bar:
            for rows in self._until_stopped(copier.copy_tables()):
                written += rows
                bar.update(rows)
        click.echo(f"{quantify(written, 'row')} copied.", err=True)

    def _catch_up(self, copier: Copier) -> None:
        rows = removed = 0
        with _progress("Following the commit log", copier.count_behind()) as bar:
            for step in self._until_stopped(copier.catch_up()):
                rows, removed = rows + step.rows, removed + step.removed
                bar.update(step.transactions)
        if rows or removed:
            said = f"{quantify(rows, 'changed row')} written, {removed:,} removed."
            click.echo(said, err=True)

    def _until_stopped(self, steps: cabc.Iterable[_T]) -> cabc.Iterator[_T]:
        for step in steps:
            yield step
            if self._stop.is_set():
                raise _Stopped

    @contextlib.contextmanager
    def _stoppable(self) -> cabc.Iterator[None]:
        """Have signals end the work behind the part that is being written."""

        def stop(number: int, frame: object) -> None:
            self._stop.set()

        names = (signal.SIGINT, signal.SIGTERM)
        former = {each: signal.signal(each, stop) for each in names}
        try:
            yield
        finally:
            for each, handler in former.items():
                signal.signal(each, handler)


def _progress(label: str, length: int) -> contextlib.AbstractContextManager[_Bar]:
    return click.progressbar(length=length, label=label, file=sys.stderr)


def _say_verified(found: Verified) -> None:
    compared = f"{quantify(found.rows, 'row')} of {quantify(found.days, 'day')}"
    for each in found.differences[:_MOST_SHOWN]:
        click.echo(_as_text(each))
    if len(found.differences) > _MOST_SHOWN:
        click.echo(f"And {len(found.differences) - _MOST_SHOWN:,} more.")
    if found.moving:
        said = f"{quantify(found.moving, 'day')} changed all the time, and could not be compared."
        click.echo(said, err=True)
    if found.differences:
        raise click.ClickException(f"The copy differs from the tables, which have {compared}.")
    click.echo(f"The copy equals the tables: {compared}.")


def _as_text(each: Difference) -> str:
    numbers = "; ".join(
        f"{name} {stored:,}, in the copy {copied:,}"
        for name, stored, copied in zip(each.names, each.stored, each.copied, strict=True)
        if stored != copied
    )
    return f"{each.day}  {each.kind}  {escape(each.group)}  {numbers}"
