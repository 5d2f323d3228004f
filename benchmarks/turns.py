"""A contestant in a process of its own, which measures itself when it is its turn.

Each process holds the bare app as well, and measures both in every turn, so that what differs from
one process to the next (imports, the layout of memory) is in both. ``python -m benchmarks.turns
<contestant> <folder> <sink>`` answers each line of its standard input with a line.
"""

from __future__ import annotations

import contextlib
import gc
import json
import pathlib
import subprocess
import sys
import time
import typing as t

from . import peers, wsgi
from .hosts import HELLO, Contestant, Place, make_bare
from .report import Unavailable
from .sink import child

VISITORS = 50


class Task(t.NamedTuple):
    """What to ask for: by how many visitors in turn, known ones or newcomers, how often.

    ``cold``: whether what is remembered of visitors is forgotten before each request.
    """

    path: str = HELLO
    visitors: int = VISITORS
    returning: bool = True
    cold: bool = False
    requests: int = 400


class Cpu(t.NamedTuple):
    """CPU seconds: of the thread of the requests, and of the process until all is written."""

    thread: float
    process: float

    def __add__(self, other: object) -> Cpu:
        assert isinstance(other, Cpu)
        return Cpu(self.thread + other.thread, self.process + other.process)

    def over(self, base: Cpu) -> Cpu:
        return Cpu(self.thread / base.thread, self.process / base.process)


class Turn(t.NamedTuple):
    """What both apps took, a request."""

    bare: Cpu
    contestant: Cpu

    @property
    def ratio(self) -> Cpu:
        return self.contestant.over(self.bare)

    @property
    def added(self) -> float:
        """Microseconds added to a request's thread."""
        return (self.contestant.thread - self.bare.thread) * 1e6


class Ended(Exception):
    """A contestant's process is no more."""


class Player:
    """A contestant's process, as the one that calls the turns sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.excuse = self._read().get("excuse", "")

    def take(self, task: Task) -> Turn:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        return Turn(Cpu(*answer["bare"]), Cpu(*answer["contestant"]))

    def _read(self) -> dict[str, t.Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Ended("its process has ended; what it said is above")
        return t.cast("dict[str, t.Any]", json.loads(line))


@contextlib.contextmanager
def player(name: str, place: Place) -> t.Iterator[Player]:
    with child("benchmarks.turns", name, str(place.folder), place.sink) as process:
        yield Player(process)


def _measure(contestant: Contestant, task: Task, environs: list[wsgi.Environ]) -> Cpu:
    gc.collect()
    app, forget = contestant.app, contestant.forget
    thread, process = time.thread_time(), time.process_time()
    for number in range(task.requests):
        if task.cold:
            forget()
        wsgi.call(app, environs[number % len(environs)])
    thread = time.thread_time() - thread
    contestant.finish()
    process = time.process_time() - process
    return Cpu(thread / task.requests, process / task.requests)


def _environs(contestant: Contestant, task: Task) -> list[wsgi.Environ]:
    """Return the requests of visitors whose last visit, if any, was just now."""
    environs = []
    for number in range(task.visitors):
        cookies = wsgi.regular(number) if task.returning else wsgi.NEWCOMER
        if task.returning:
            cookies = wsgi.visit(contestant.app, task.path, cookies, number)
        environs.append(wsgi.make_environ(task.path, cookies, number))
    contestant.finish()
    return environs


def play(bare: Contestant, contestant: Contestant, task: Task) -> Turn:
    """Measure both: the bare app before and after, so that a drift of the machine cancels out."""
    plain, environs = _environs(bare, task), _environs(contestant, task)
    half = task._replace(requests=(task.requests + 1) // 2)
    before = _measure(bare, half, plain)
    figure = _measure(contestant, task, environs)
    both = before + _measure(bare, half, plain)
    return Turn(Cpu(both.thread / 2, both.process / 2), figure)


def _answer(**values: t.Any) -> None:
    print(json.dumps(values), flush=True)


def main(name: str, folder: str, sink: str) -> None:
    place = Place(pathlib.Path(folder), sink)
    bare = make_bare(place)
    try:
        contestant = peers.build(name, place)
    except Unavailable as error:
        _answer(excuse=str(error))
        return
    _answer(excuse="")
    visits = 0
    for line in sys.stdin:
        task = Task(*json.loads(line))
        turn = play(bare, contestant, task)
        visits += task.requests + task.visitors * task.returning
        _check(contestant, visits)
        _answer(bare=turn.bare, contestant=turn.contestant)


def _check(contestant: Contestant, visits: int) -> None:
    """A contestant that loses what it should record would be measured at doing nothing."""
    if contestant.written is not None and contestant.written() != visits:
        raise RuntimeError(f"{contestant.written()} of {visits} visits were recorded")


if __name__ == "__main__":
    main(*sys.argv[1:])
