"""Where the lines and labels of a chart go. The template draws them; the script reads the table.

Lines are straight: a curve would show hills between two points that nobody counted.
"""

from __future__ import annotations

import collections.abc as cabc
import math
import typing as t

from .figures import Kind, write_count, write_seconds

_TOP, _BOTTOM, _RIGHT = 12.0, 26.0, 10.0
_STEPS = (1, 2, 2.5, 5, 10)
_SECOND_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MOST_TICKS = 5
_LETTER = 6.4
_FLAG = 10
_THOUSAND, _MILLION = 1000, 1_000_000

Value = float | None


class Mark(t.NamedTuple):
    """A label, where it is, and how it is anchored there."""

    at: float
    text: str
    anchor: str = "middle"


class Line(t.NamedTuple):
    """A path of SVG, and whether it is of a bucket that still runs."""

    path: str
    is_running: bool = False


class Flag(t.NamedTuple):
    """A flag on a pole, at a bucket with notes; ``text`` is how many, if there are several."""

    path: str
    at: float
    text: str
    anchor: str


class Chart(t.NamedTuple):
    """A chart of one width. ``places`` are the points as the script reads them: "x,y x,y …"."""

    name: str
    width: int
    height: int
    left: float
    base: float
    ticks: tuple[Mark, ...]
    labels: tuple[Mark, ...]
    lines: tuple[Line, ...]
    area: str
    before: str
    dots: tuple[tuple[float, float], ...]
    places: str
    flags: tuple[Flag, ...] = ()


class Scale(t.NamedTuple):
    """The values of the horizontal lines, from 0 on."""

    step: float
    top: float

    @property
    def ticks(self) -> list[float]:
        return [self.step * index for index in range(round(self.top / self.step) + 1)]


def make_scale(most: float, kind: Kind) -> Scale:
    """Return a scale of at most five round steps that the largest value fits below."""
    if kind == "percent":
        most *= 100
    step = _find_step(most, kind)
    top = step * max(1, math.ceil(round(most / step, 9)))
    return Scale(step / 100, top / 100) if kind == "percent" else Scale(step, top)


def _find_step(most: float, kind: Kind) -> float:
    if kind == "seconds":
        for step in _SECOND_STEPS:
            if most <= step * _MOST_TICKS:
                return step
    smallest = 0.1 if kind == "ratio" else 1
    power = 10.0 ** math.floor(math.log10(max(most / _MOST_TICKS, smallest)))
    steps = (factor * power for factor in _STEPS)
    fitting = [step for step in steps if step >= smallest and most <= step * _MOST_TICKS]
    whole = [step for step in fitting if kind == "ratio" or step == int(step)]
    return whole[0]


def write_tick(value: float, kind: Kind) -> str:
    """Return the label of a horizontal line, as short as it can be: "2.5k", "40%", "2m"."""
    if kind == "percent":
        return f"{value * 100:g}%"
    if kind == "seconds":
        return _write_round_seconds(value)
    if value >= _MILLION:
        return f"{value / _MILLION:g}M"
    return f"{value / _THOUSAND:g}k" if value >= _THOUSAND else f"{value:g}"


def _write_round_seconds(value: float) -> str:
    if value % 3600 == 0 and value:
        return f"{write_count(value / 3600)}h"
    return f"{value / 60:g}m" if value % 60 == 0 and value else write_seconds(value)


def draw(
    name: str,
    size: tuple[int, int],
    now: cabc.Sequence[Value],
    before: cabc.Sequence[Value],
    labels: cabc.Sequence[str],
    *,
    kind: Kind,
    runs: bool,
    notes: cabc.Mapping[int, int] | None = None,
) -> Chart:
    """Draw a chart.

    :param before: the values compared with, as many as there are of ``now``; empty if none are.
    :param labels: of each point, for the axis; those that would overlap are left out.
    :param runs: whether the last bucket has not ended yet.
    :param notes: how many notes there are on each bucket that has some, by its place.
    """
    width, height = size
    scale = make_scale(max([v for v in (*now, *before) if v is not None], default=0), kind)
    ticks = [write_tick(value, kind) for value in scale.ticks]
    left = 14 + _LETTER * max(map(len, ticks))
    base = height - _BOTTOM
    reach = width - left - _RIGHT

    def place(index: int, value: float) -> tuple[float, float]:
        x = left + (reach * index / (len(now) - 1) if len(now) > 1 else reach / 2)
        return round(x, 1), round(base - (base - _TOP) * value / scale.top, 1)

    points = [None if v is None else place(i, v) for i, v in enumerate(now)]
    others = [None if v is None else place(i, v) for i, v in enumerate(before)]
    done = points[:-1] if runs else points
    lines = [Line(path) for path in [_join(done)] if path]
    if runs and (path := _join(points[-2:])):
        lines.append(Line(path, is_running=True))
    return Chart(
        name,
        width,
        height,
        round(left, 1),
        base,
        tuple(Mark(place(0, v)[1], text) for v, text in zip(scale.ticks, ticks, strict=True)),
        tuple(_find_labels(labels, [place(i, 0)[0] for i in range(len(now))], width)),
        tuple(lines),
        _fill(points, base),
        _join(others),
        tuple(_find_lonely(points)),
        " ".join("-" if point is None else f"{point[0]:g},{point[1]:g}" for point in points),
        tuple(
            _draw_flag(place(index, 0), number, width) for index, number in (notes or {}).items()
        ),
    )


def _draw_flag(foot: tuple[float, float], number: int, width: int) -> Flag:
    """Draw a flag that flies to the right, or to the left where there is no room."""
    x, base = foot
    way = 1 if x + _FLAG + 2 * _LETTER < width else -1
    flag = f"V2h{way * _FLAG}l{way * -3} 3.5l{way * 3} 3.5h{way * -_FLAG}"
    text = str(number) if number > 1 else ""
    return Flag(
        f"M{x:g} {base:g}{flag}", x + way * (_FLAG + 3), text, "start" if way > 0 else "end"
    )


def _iter_runs(
    points: cabc.Sequence[tuple[float, float] | None],
) -> cabc.Iterator[list[tuple[float, float]]]:
    """Yield the points that follow each other without a gap."""
    run: list[tuple[float, float]] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
        elif run:
            yield run
            run = []


def _join(points: cabc.Sequence[tuple[float, float] | None]) -> str:
    return "".join(_path(run) for run in _iter_runs(points) if len(run) > 1)


def _path(run: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in run)


def _fill(points: cabc.Sequence[tuple[float, float] | None], base: float) -> str:
    return "".join(
        f"{_path(run)}V{base:g}H{run[0][0]:g}Z" for run in _iter_runs(points) if len(run) > 1
    )


def _find_lonely(
    points: cabc.Sequence[tuple[float, float] | None],
) -> cabc.Iterator[tuple[float, float]]:
    """Yield the points without a neighbour: a line would not show them."""
    return (run[0] for run in _iter_runs(points) if len(run) == 1)


def _find_labels(
    labels: cabc.Sequence[str], places: list[float], width: int
) -> cabc.Iterator[Mark]:
    """Yield as many labels as there is room for, evenly spaced, the last one among them."""
    if not labels:
        return
    room = (max(map(len, labels)) + 3) * _LETTER
    gap = (places[-1] - places[0]) / max(1, len(places) - 1)
    every = max(1, math.ceil(room / gap)) if gap else 1
    for index in range((len(labels) - 1) % every, len(labels), every):
        half = len(labels[index]) * _LETTER / 2
        if places[index] + half > width:
            yield Mark(width, labels[index], "end")
        elif places[index] - half < 0:
            yield Mark(0, labels[index], "start")
        else:
            yield Mark(places[index], labels[index])
