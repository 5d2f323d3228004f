"""Events through Redis: how fast workers write them, and what a request waits for."""

from __future__ import annotations

import sys

if __name__ == "__main__" and "gevent" in sys.argv:
    from gevent import monkey

    monkey.patch_all()

import collections.abc as cabc
import contextlib
import gc
import itertools
import json
import pathlib
import statistics
import subprocess
import tempfile
import time
import typing as t
import uuid

from flask import Flask

from flask_eventtrack.pipeline.schedule import BATCH_SIZE
from flask_eventtrack.stream.redis_streams import RedisStreams, open_streams
from flask_eventtrack.stream.worker import Worker

from . import us, writers
from .databases import KINDS, database
from .hosts import Place
from .report import Table, Unavailable, at_least, at_most, ratio, rounds, versions, whole

TITLE = "Through Redis to workers"
_REDIS = "redis://127.0.0.1:6379/0"
_WORKERS = (1, 2, 4)
_TARGETS = {1: 0.8, 2: 1.6}
_START = "started\n"
_WARM_UP = 3000
_FRAME = bytes(500)


def run(*, quick: bool) -> cabc.Iterator[Table]:
    size, number = (6000, 1) if quick else (60_000, 5)
    table = Table(
        "Workers that write what waits in Redis, both halves of visits and their events, beside "
        "one process that writes as many from its memory.",
        ("database: workers", "records/s", "to the writer", "to one worker", "target"),
    )
    for kind in ("postgresql", "mariadb"):
        try:
            turns = [
                {0: writers.measure(kind, 1, size, BATCH_SIZE).speed}
                | {each: _measure(kind, each, size) for each in _WORKERS}
                for _ in rounds(number, f"workers, {KINDS[kind]}")
            ]
        except Unavailable as error:
            table.notes.append(f"{KINDS[kind]} {error}")
            continue
        for each in (0, *_WORKERS):
            table.add(
                f"{KINDS[kind]}: {each or 'the writer alone'}",
                whole(statistics.median(turn[each] for turn in turns)),
                ratio(turn[each] / turn[0] for turn in turns),
                ratio(turn[each] / turn[1] for turn in turns),
                at_least(_TARGETS[each]) if each in _TARGETS else "",
            )
    table.notes.append(f"{number} rounds of {size:,} records; {versions('redis')}.")
    yield table
    yield _compare_requests(*((50, 2) if quick else (400, 11)))


def _measure(kind: str, workers: int, number: int) -> float:
    """Return how many records a second the workers write together."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(database(kind))
        app = _make(url, name, stack)
        streams = _open(app, stack)
        sink = app.extensions["eventtrack"].pipeline.sink
        records = writers.make_records(number + _WARM_UP)
        sink.commit(list(itertools.islice(records, _WARM_UP)), {})
        children = [_start(url, name, stack) for _ in range(workers)]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == _START
        while batch := list(itertools.islice(records, sink.claim_size)):
            sink.commit(batch, {})
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        told = [json.loads(child.communicate(timeout=300)[0]) for child in children]
        assert streams.list_filled() == []
        writers._check(url, number + _WARM_UP)
        for partition in range(16):
            streams._redis.delete(f"eventtrack:{name}:{partition}")
    seconds: float = max(each["ended"] for each in told) - min(each["began"] for each in told)
    return number / seconds


def _make(url: str, name: str, stack: contextlib.ExitStack) -> Flask:
    place = Place(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())))
    settings: dict[str, t.Any] = {
        "SQLALCHEMY_BINDS": {"events": url},
        "EVENTTRACK_BIND_KEY": "events",
        "EVENTTRACK_STREAM_URL": _REDIS,
        "EVENTTRACK_STREAM_NAME": name,
        "EVENTTRACK_DURABILITY": "memory",
    }
    app, db, _ = us.make_tracked(place, **settings)

    def close() -> None:
        app.extensions["eventtrack"].pipeline.close()
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()

    stack.callback(close)
    return app


def _open(app: Flask, stack: contextlib.ExitStack) -> RedisStreams:
    state = app.extensions["eventtrack"]
    streams = open_streams(state.config, state.pipeline.database)
    stack.callback(streams.close)
    return streams


def _start(url: str, name: str, stack: contextlib.ExitStack) -> subprocess.Popen[str]:
    return stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.streams", "worker", url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )


def _work(url: str, name: str) -> None:
    """Write what is there, and then, when told to, the rest."""
    with contextlib.ExitStack() as stack:
        app = _make(url, name, stack)
        worker = Worker(app.extensions["eventtrack"].pipeline, _open(app, stack))
        worker.run(once=True)
        print(_START, end="", flush=True)
        sys.stdin.readline()
        began = time.time()
        worker.run(once=True)
        print(json.dumps({"began": began, "ended": time.time()}))


def _compare_requests(size: int, number: int) -> Table:
    table = Table(
        "A page of hello world: how long its request takes with `EVENTTRACK_DURABILITY` as "
        "`stream`, beside `journal` and a bare `XADD` of redis-py.",
        ("threads of", "journal, ms", "stream, ms", "more, ms", "target, ms", "XADD, ms"),
    )
    for kind in ("Python", "gevent"):
        command = [sys.executable, "-m", "benchmarks.streams", "requests", str(size), str(number)]
        told = json.loads(subprocess.check_output([*command, kind.lower()], text=True))
        more = statistics.median(after - before for before, after, _ in told)
        before, after, bare = (f"{statistics.median(each):.3f}" for each in zip(*told, strict=True))
        table.add(kind, before, after, f"{more:.3f}", at_most(0.3), bare)
    table.notes.append(
        f"Medians of {number} rounds of {size} requests in turn; `more` is that of the differences."
    )
    return table


def _request(size: int, number: int) -> None:
    """Print three times of each round in milliseconds: those of a request with the journal and
    with the stream, and that of a bare ``XADD``."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        apps = []
        for durability in ("journal", "stream"):
            place = Place(pathlib.Path(folder, durability))
            place.folder.mkdir()
            app, _, events = us.make_tracked(
                place,
                EVENTTRACK_STREAM_URL=_REDIS,
                EVENTTRACK_STREAM_NAME=name,
                EVENTTRACK_DURABILITY=durability,
            )
            stack.callback(app.extensions["eventtrack"].pipeline.close)
            apps.append((app, events))
        clients = [app.test_client() for app, _ in apps]
        headers = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        told, redis = [], _open(apps[0][0], stack)._redis
        for at in range(number + 1):
            took = {}
            for which in (0, 1) if at % 2 else (1, 0):
                gc.collect()
                began = time.perf_counter()
                for _ in range(size):
                    clients[which].get("/", headers=headers)
                took[which] = (time.perf_counter() - began) / size * 1000
                us.flush(*apps[which])
            began = time.perf_counter()
            for _ in range(size):
                redis.xadd(f"eventtrack:{name}:bare", {"frame": _FRAME})
            bare = (time.perf_counter() - began) / size * 1000
            told.append((took[0], took[1], bare))
        for partition in (*range(16), "bare"):
            redis.delete(f"eventtrack:{name}:{partition}")
    print(json.dumps(told[1:]))


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        _work(*sys.argv[2:4])
    else:
        _request(*map(int, sys.argv[2:4]))
