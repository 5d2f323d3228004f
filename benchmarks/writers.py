"""Several processes that write to one database at the same time."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import typing as t

import msgspec
import sqlalchemy as sa

from flask_eventtrack.ids import uuid7
from flask_eventtrack.records import Claim, Record, decode_record, encode_record, to_ns

from . import us
from .databases import database
from .hosts import Place
from .traffic import ACTION, Traffic

_SITE = "several.example.com"
_START = "started\n"
# Records of a process that are written before: by then its statements are compiled.
_WARM_UP = 900


class Run(t.NamedTuple):
    """How many records a second the processes wrote together, and how many batches again."""

    speed: float
    rolled_back: int


def measure(kind: str, processes: int, number: int, frame: int) -> Run:
    """Have processes write records of the same devices, which begin to wait at the same time.

    :param frame: how many records in a row one process gets before the next one's turn. With 1, the
        halves of each visit are in two processes.
    """
    with tempfile.TemporaryDirectory() as folder, database(kind) as url:
        first, *payloads = map(encode_record, make_records(number))
        files = [pathlib.Path(folder, f"{at}.records") for at in range(processes)]
        frames = [payloads[at : at + frame] for at in range(0, len(payloads), frame)]
        for at, file in enumerate(files):
            theirs = list(itertools.chain.from_iterable(frames[at::processes]))
            file.write_bytes(msgspec.msgpack.encode(theirs))
        with contextlib.ExitStack() as stack:
            _begin(url, decode_record(first), stack)
            command = [sys.executable, "-m", "benchmarks.writers", url]
            children = [
                stack.enter_context(
                    subprocess.Popen(
                        [*command, str(file)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
                for file in files
            ]
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == _START
            for child in children:
                assert child.stdin is not None
                child.stdin.write("\n")
                child.stdin.flush()
            told = [json.loads(child.communicate(timeout=300)[0]) for child in children]
        _check(url, number)
    seconds = max(each["ended"] for each in told) - min(each["began"] for each in told)
    return Run((number - processes * _WARM_UP) / seconds, sum(each["rolled_back"] for each in told))


def make_records(number: int) -> cabc.Iterator[Record]:
    """Yield records in threes: both halves of a visit and an event of it."""
    for event in Traffic().events(number // 3, _SITE):
        visit = uuid7(to_ns(event.time))
        page = {"path": "/products/a-mug", "url": "https://shop.example.com/products/a-mug"}
        browser = {**page, "title": "A mug to drink from", "referrer": ""}
        half = msgspec.structs.replace(
            event, id=uuid7(to_ns(event.time)), action="page.visit", label="/products/a-mug"
        )
        server = {**browser, "status": 200, "url_rule": "/products/<slug>", "duration_ms": 3.5}
        yield msgspec.structs.replace(
            half, id=visit, half="server", source="server", params=server, client=event.client
        )
        yield msgspec.structs.replace(
            half, half="browser", params=browser, claim=Claim(visit), client=None
        )
        yield msgspec.structs.replace(event, page=half.id, claim=Claim(visit), client=None)


def _begin(url: str, first: Record, stack: contextlib.ExitStack) -> None:
    """Make the tables, and what only a first batch makes."""
    app, db, events = us.make_tracked(_place(stack), **_settings(url, 1))
    pipeline = app.extensions["eventtrack"].pipeline
    pipeline.put(first)
    us.flush(app, events)
    pipeline.close()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def _place(stack: contextlib.ExitStack) -> Place:
    return Place(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())))


def _settings(url: str, room: int) -> dict[str, t.Any]:
    return {
        "SQLALCHEMY_BINDS": {"events": url},
        "EVENTTRACK_BIND_KEY": "events",
        "EVENTTRACK_BUFFER_SIZE": room,
        **us.DURABILITIES[us.MEMORY],
    }


def _check(url: str, number: int) -> None:
    """Assert that each visit and each event is there once, and each visit has both halves."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    query = "SELECT count(*), count(claimed_by) FROM eventtrack_event WHERE action = :action"
    with engine.connect() as connection:
        found = {
            action: tuple(connection.execute(sa.text(query), {"action": action}).one())
            for action in ("page.visit", ACTION)
        }
    visits = number // 3
    assert found == {"page.visit": (visits, visits), ACTION: (visits, 0)}, found


def _write(url: str, file: str) -> None:
    records: list[Record] = [
        decode_record(each) for each in msgspec.msgpack.decode(pathlib.Path(file).read_bytes())
    ]
    rolled_back = 0

    def note(connection: sa.Connection) -> None:
        nonlocal rolled_back
        rolled_back += 1

    with contextlib.ExitStack() as stack:
        app, _, events = us.make_tracked(_place(stack), **_settings(url, len(records)))
        pipeline = app.extensions["eventtrack"].pipeline
        sa.event.listen(pipeline.database._engine, "rollback", note)
        assert pipeline.put(*records[:_WARM_UP]), "no room"
        us.flush(app, events)
        rolled_back = 0
        print(_START, end="", flush=True)
        sys.stdin.readline()
        began = time.time()
        assert pipeline.put(*records[_WARM_UP:]), "no room"
        us.flush(app, events)
        ended = time.time()
        pipeline.close()
    print(json.dumps({"began": began, "ended": ended, "rolled_back": rolled_back}))


if __name__ == "__main__":
    _write(*sys.argv[1:])
