"""Counts over time: as a chart with its table, and as a line beside a row."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from ...reports.period import Bucket, Period
from ..chart import Chart, draw
from ..figures import quantify
from ..wording import label_bucket, name_bucket

_SIZES = {"wide": (1120, 200), "narrow": (360, 160)}
_WIDTH, _HEIGHT, _EDGE = 120, 28, 2


class Series(t.NamedTuple):
    """A chart in two widths, and its table: a label, a number with its noun, whether it runs."""

    charts: list[Chart]
    entries: list[tuple[str, str, bool]]


def draw_series(period: Period, bucket: Bucket, numbers: cabc.Sequence[int], noun: str) -> Series:
    """Draw counts over time.

    :param noun: what is counted, in the singular.
    """
    spans = period.spans(bucket)
    starts = [span.start.astimezone(period.zone) for span in spans]
    runs = [span.start <= period.now < span.end for span in spans]
    labels = [label_bucket(start, bucket, is_one_day=False) for start in starts]
    charts = [
        draw(name, size, numbers, [], labels, kind="count", runs=any(runs))
        for name, size in _SIZES.items()
    ]
    rows = zip(starts, numbers, runs, strict=True)
    entries = [(name_bucket(start, bucket), quantify(n, noun), is_on) for start, n, is_on in rows]
    return Series(charts, entries)


def draw_spark(numbers: cabc.Sequence[int]) -> str:
    """Return the path of a line that shows how counts went; "" if there is no line to draw."""
    most = max(numbers, default=0)
    if len(numbers) < 2 or not most:
        return ""
    step, reach = _WIDTH / (len(numbers) - 1), _HEIGHT - 2 * _EDGE
    places = (
        f"{index * step:.4g},{_HEIGHT - _EDGE - reach * number / most:.4g}"
        for index, number in enumerate(numbers)
    )
    return "M" + "L".join(places)
