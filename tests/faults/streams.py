"""Web processes, workers and Redis die at random instants, and frames come twice."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import random
import signal
import sys
import time
import typing as t

import redis
import sqlalchemy as sa

from flask_eventtrack.store.tables import Tables

from ..servers import unique_name
from ..stream.servers import OwnRedis
from .networks import FarHost
from .process import Program, wait_until
from .scenarios import PRELOADED, Figures, figures_of, kill_a_worker
from .trial import Trial, noted

_SETTLES = 90.0
_WEIGHTS = {"web": 3, "server": 1, "worker": 4, "redis": 2}
_WORKER = [sys.executable, "-m", "flask", "--app", "tests.faults.app:create_app"]


class StreamTrial(Trial):
    """A server whose events go through a Redis of its own to workers.

    :param appends: whether that Redis keeps its changes in a file.
    :param durability: ``EVENTTRACK_DURABILITY`` of the server.
    :param reaches_far: whether hosts in other networks may ask that Redis.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        database: str,
        *,
        appends: bool = True,
        durability: str = "journal",
        workers: int = 2,
        reaches_far: bool = False,
    ) -> None:
        options = ["--bind", "0.0.0.0", "--protected-mode", "no"] if reaches_far else []
        if durability == "stream":  # no journal has what Redis has not brought to its file
            options += ["--appendfsync", "always"]
        self.redis = OwnRedis(folder / "redis", *options, appends=appends)
        self.name = unique_name()
        self.settings = {
            "FLASK_EVENTTRACK_STREAM_URL": self.redis.url,
            "FLASK_EVENTTRACK_STREAM_NAME": self.name,
            "FLASK_EVENTTRACK_DURABILITY": durability,
        }
        super().__init__(PRELOADED, folder, database, **self.settings)
        self._number = workers
        self.workers: list[Program] = []

    def __enter__(self) -> t.Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.redis)
            super().__enter__()
            stack.push(super().__exit__)
            table = Tables.for_metadata(sa.MetaData(), has_stream=True).stream
            assert table is not None
            table.create(self.books.engine)
            for number in range(self._number):
                folder = self._folder / f"worker{number}"
                folder.mkdir()
                worker = Program(folder, self.switch.url, **self._settings)
                stack.enter_context(worker)
                self.workers.append(worker)
                self.launch(worker)
            self._all = stack.pop_all()
        return self

    def __exit__(self, *error: t.Any) -> None:
        self._all.__exit__(*error)

    def launch(self, worker: Program) -> None:
        worker.spawn([*_WORKER, "eventtrack", "worker"])

    def double(self, rng: random.Random) -> int:
        """Put some of the waiting frames into their streams once more; return how many."""
        doubled = 0
        with contextlib.suppress(redis.RedisError), self.redis.connect() as client:
            for number in range(16):
                key = f"eventtrack:{self.name}:{number}"
                for _, fields in client.xrange(key, count=10):
                    if rng.random() < 0.2:
                        client.xadd(key, fields)
                        doubled += 1
        return doubled


def stream_rounds(
    folder: pathlib.Path,
    database: str,
    *,
    rounds: int,
    seed: str,
    appends: bool = True,
    durability: str = "journal",
    kills: t.Collection[str] = tuple(_WEIGHTS),
) -> Figures:
    """Kill a web process, all of them, a worker or Redis at random instants under load.

    :param kills: which of these.
    """
    rng, started, doubled = random.Random(seed), time.monotonic(), 0
    killed, weights = dict.fromkeys(kills, 0), [_WEIGHTS[each] for each in kills]
    with StreamTrial(folder, database, appends=appends, durability=durability) as trial:
        trial.server.start()
        with trial.crowd(seed):
            for _ in range(rounds):
                time.sleep(rng.uniform(0, 0.7))
                doubled += trial.double(rng)
                what = rng.choices(list(killed), weights)[0]
                killed[what] += 1
                _kill(trial, what, rng)
            trial.server.wait_until_up()
            time.sleep(1)
        trial.settle_for_good(_SETTLES)
        assert not any("Traceback" in worker.log() for worker in trial.workers)
        return figures_of(trial, started, rounds=rounds, doubled=doubled, **killed)


def _kill(trial: StreamTrial, what: str, rng: random.Random) -> None:
    if what == "web":
        kill_a_worker(trial, rng)
    elif what == "server":
        trial.server.kill()
        trial.server.launch()
        trial.server.wait_until_up()
    elif what == "worker":
        worker = rng.choice(trial.workers)
        worker.kill()
        trial.launch(worker)
    else:
        trial.redis.kill()
        time.sleep(rng.uniform(0, 0.5))
        trial.redis.start()


def without_redis(folder: pathlib.Path, database: str, *, away: float, seed: str) -> Figures:
    """Take Redis away under load, kill everything half-way, and give it back empty."""
    started = time.monotonic()
    with StreamTrial(folder, database, appends=False) as trial:
        trial.server.start()
        with trial.crowd(seed, threads=2, pause=0.02):
            time.sleep(1)
            trial.redis.kill()
            time.sleep(away / 2)
            trial.server.kill()
            trial.server.start()
            time.sleep(away / 2)
            trial.redis.start()
            time.sleep(1)
        trial.settle_for_good(_SETTLES)
        return figures_of(trial, started, away=away)


def workers_end_in_order(folder: pathlib.Path, database: str) -> Figures:
    """SIGTERM lets a worker finish its transaction; the others take its streams over."""
    started = time.monotonic()
    with StreamTrial(folder, database) as trial:
        trial.server.start()
        for worker in trial.workers:
            with trial.crowd("end", threads=2, pause=0.02):
                wait_until(functools.partial(_has_started, worker), 60, "the worker runs")
                os.kill(worker.pid, signal.SIGTERM)
                assert worker.wait() == 0
            trial.launch(worker)
        trial.settle_for_good(_SETTLES)
        return figures_of(trial, started)


def hosts_apart(folder: pathlib.Path, database: str) -> Figures:
    """Two hosts without the database, with clocks ten minutes apart, are cut off in turn."""
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(FarHost()) for _ in range(2)]
        trial = stack.enter_context(StreamTrial(folder, database, reaches_far=True))
        programs = []
        for number, (host, seconds) in enumerate(zip(hosts, (300, -300), strict=True)):
            place = folder / f"host{number}"
            place.mkdir()
            (place / "clock").write_text(str(seconds))
            settings = {
                **trial.settings,
                "FAULTS_CLOCK": str(place / "clock"),
                "FLASK_EVENTTRACK_DURABILITY": "journal",
                "FLASK_EVENTTRACK_STREAM_URL": f"redis://{host.gateway}:{trial.redis.port}/0",
            }
            programs.append(stack.enter_context(Program(place, trial.books.url, **settings)))
        for cut in (None, *hosts, None):
            with cut.cut_off() if cut else contextlib.nullcontext():
                for host, program in zip(hosts, programs, strict=True):
                    command = [sys.executable, "-m", "tests.faults.script", "40", "return"]
                    program.spawn(host.command(*command))
                for program in programs:
                    program.wait(60)
            trial.workers[0].kill()
            trial.launch(trial.workers[0])
        wanted = {event_id for program in programs for event_id in noted(program)}
        wait_until(
            lambda: trial.books.ids("job.done") >= wanted, 60, f"{len(wanted)} events are stored"
        )
        assert trial.books.ids("job.done") == wanted
        assert trial.books.count_hourly("job.done") == len(wanted)
    return {"acknowledged": len(wanted), "seconds": round(time.monotonic() - started, 1)}


def _has_started(worker: Program) -> bool:
    return "has started" in worker.log()
