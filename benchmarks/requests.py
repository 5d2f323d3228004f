"""CPU added to a request, in-process."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import pathlib
import statistics
import tempfile
import typing as t

from . import peers, turns, us
from .hosts import LISTED, TAGGED, Place
from .report import Table, at_most, progress, ratio, rounds, versions, whole
from .sink import sink
from .turns import Ended, Player, Task, Turn

TITLE = "CPU added to a request"
_PEERS = (
    "prometheus-flask-exporter",
    "posthog",
    "opentelemetry-instrumentation-flask",
    "Flask-MonitoringDashboard",
)
_KNOWN = Task()
_NEW = Task(returning=False)
_HELLO = {"returning": _KNOWN, "new": _NEW}
_LISTED = {name: task._replace(path=LISTED) for name, task in _HELLO.items()}
_OURS = {
    f"{turns.VISITORS} returning visitors in turn": _KNOWN,
    "one returning visitor": _KNOWN._replace(visitors=1),
    f"{turns.VISITORS} returning visitors, signatures not remembered": _KNOWN._replace(cold=True),
    "template and query": _KNOWN._replace(path=LISTED),
    "template and query, with the script's tag": _KNOWN._replace(path=TAGGED),
}
_HEAD = (
    "contestant",
    "returning: thread",
    "process",
    "µs added",
    "new: thread",
    "process",
    "µs added",
    "target",
)
_Figures = dict[tuple[str, Task], list[Turn]]


def run(*, quick: bool) -> cabc.Iterator[Table]:
    size, number = (60, 2) if quick else (400, 11)
    with contextlib.ExitStack() as stack:
        players = _gather(stack)
        figures = _compete(players, size, number)
    excuses = {name: player.excuse for name, player in players.items() if player.excuse}
    yield _tabulate(
        "A bare hello-world page: CPU of the request's thread, and of the whole process until all "
        "is written (or sent), as ratios to the same app with nothing added.",
        _HELLO,
        figures,
        excuses,
        {us.MEMORY: at_most(1.25), us.JOURNAL: "≤ 1.35, process ≤ 1.6, new ≤ 2.5"},
    )
    yield _tabulate(
        "A page of a template and one query of 20 rows, likewise.",
        _LISTED,
        figures,
        excuses,
        {us.JOURNAL: at_most(1.06)},
    )
    ours = _tabulate_ours(figures)
    ours.notes.append(f"{number} rounds of {size} requests; {versions(*_PEERS)}.")
    yield ours


def _gather(stack: contextlib.ExitStack) -> dict[str, Player]:
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    url = stack.enter_context(sink())
    players = {}
    for at, name in enumerate(peers.NAMES):
        progress(f"starting {name}")
        place = Place(folder / str(at), url)
        place.folder.mkdir()
        players[name] = stack.enter_context(turns.player(name, place))
    return players


def _compete(players: cabc.Mapping[str, Player], size: int, number: int) -> _Figures:
    figures: _Figures = {}
    for _ in rounds(number, "requests"):
        for name, player in players.items():
            if player.excuse:
                continue
            try:
                turns = {task: player.take(task._replace(requests=size)) for task in _tasks(name)}
            except Ended as error:
                if name in us.DURABILITIES:
                    raise
                player.excuse = f"skipped: {error}"
                continue
            for task, turn in turns.items():
                figures.setdefault((name, task), []).append(turn)
    return figures


def _tasks(name: str) -> list[Task]:
    tasks = [*_HELLO.values(), *_LISTED.values()]
    extra = _OURS.values() if name in us.DURABILITIES else ()
    return list(dict.fromkeys([*tasks, *extra]))


def _tabulate(
    explanation: str,
    tasks: cabc.Mapping[str, Task],
    figures: _Figures,
    excuses: cabc.Mapping[str, str],
    targets: cabc.Mapping[str, str],
) -> Table:
    table = Table(explanation, _HEAD)
    for name in peers.NAMES:
        if name in excuses:
            table.add(name, "skipped")
            table.notes.append(f"{name} {excuses[name]}")
            continue
        cells = [cell for task in tasks.values() for cell in _cells(figures[name, task])]
        table.add(name, *cells, targets.get(name, ""))
    table.add(peers.BARE, *("1.00", "1.00", "0") * len(tasks))
    return table


def _cells(turns: cabc.Sequence[Turn]) -> tuple[str, str, str]:
    return (
        ratio(turn.ratio.thread for turn in turns),
        ratio(turn.ratio.process for turn in turns),
        whole(statistics.median(turn.added for turn in turns)),
    )


def _tabulate_ours(figures: _Figures) -> Table:
    table = Table(
        "What moves our own figure: CPU of the request's thread, as ratios to the same page "
        "without us.",
        ("requests", *us.DURABILITIES),
    )
    for what, task in _OURS.items():
        ratios = ([turn.ratio.thread for turn in figures[name, task]] for name in us.DURABILITIES)
        table.add(what, *(f"{ratio(values)} {_spread(values)}" for values in ratios))
    table.notes.append("In brackets, the quartiles of the rounds.")
    return table


def _spread(values: t.Sequence[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"({low:.2f} to {high:.2f})"
