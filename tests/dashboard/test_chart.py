"""The chart's geometry, and numbers and sentences as people read them: pure functions."""

from __future__ import annotations

import datetime as dt

import pytest

from flask_eventtrack.dashboard import figures, wording
from flask_eventtrack.dashboard.chart import draw, make_scale, write_tick
from flask_eventtrack.dashboard.names import name_country, name_language
from flask_eventtrack.money import Money
from flask_eventtrack.reports.period import Comparison, Period
from flask_eventtrack.reports.rows import Breakdown, Numbers, Overview, Row

SIZE = (360, 200)


def days(count: int) -> list[str]:
    return [f"{day} Nov" for day in range(1, count + 1)]


@pytest.mark.parametrize(
    ("most", "kind", "ticks"),
    [
        (0, "count", "0 1"),
        (1, "count", "0 1"),
        (3, "count", "0 1 2 3"),
        (7, "count", "0 2 4 6 8"),
        (2098, "count", "0 500 1k 1.5k 2k 2.5k"),
        (9_000_000, "count", "0 2M 4M 6M 8M 10M"),
        (0.412, "percent", "0% 10% 20% 30% 40% 50%"),
        (1, "percent", "0% 20% 40% 60% 80% 100%"),
        (3.75, "ratio", "0 1 2 3 4"),
        (168, "seconds", "0s 1m 2m 3m"),
        (9000, "seconds", "0s 30m 1h 90m 2h 150m"),
    ],
)
def test_the_axis_has_round_steps(most: float, kind: figures.Kind, ticks: str) -> None:
    """At most five steps, which the largest value fits below."""
    scale = make_scale(most, kind)
    assert " ".join(write_tick(value, kind) for value in scale.ticks) == ticks


def test_lines_are_straight_and_the_running_day_dashed() -> None:
    """The last line is from the last whole bucket to the running one; one point for each bucket."""
    chart = draw("wide", (410, 200), [0, 10, 5], [5, 5, 10], days(3), kind="count", runs=True)
    assert chart.left == 26.8
    assert [(line.path, line.is_running) for line in chart.lines] == [
        ("M26.8,174L213.4,12", False),
        ("M213.4,12L400,93", True),
    ]
    assert chart.before == "M26.8,93L213.4,93L400,12"
    assert chart.area == "M26.8,174L213.4,12L400,93V174H26.8Z"
    assert chart.places == "26.8,174 213.4,12 400,93"
    assert [(mark.at, mark.text) for mark in chart.ticks] == [
        (174, "0"), (141.6, "2"), (109.2, "4"), (76.8, "6"), (44.4, "8"), (12, "10"),
    ]  # fmt: skip


def test_a_value_that_is_missing_is_a_gap() -> None:
    """A ratio without sessions has no point; one between two gaps is a dot."""
    chart = draw("wide", SIZE, [1, None, 2, None, 3, 4], [], days(6), kind="ratio", runs=False)
    assert [line.path.count("L") for line in chart.lines] == [1]
    assert len(chart.dots) == 2
    assert chart.places.split()[1] == "-"


def test_one_bucket_is_a_dot() -> None:
    """A single hour is drawn although it makes no line."""
    chart = draw("wide", SIZE, [3], [], ["00:00"], kind="count", runs=True)
    assert (chart.lines, len(chart.dots)) == ((), 1)


def test_nothing_can_be_drawn() -> None:
    """A chart without points is empty."""
    chart = draw("wide", SIZE, [], [], [], kind="count", runs=False)
    assert (chart.lines, chart.labels, chart.places) == ((), (), "")


@pytest.mark.parametrize("width", [360, 1120])
@pytest.mark.parametrize("count", [2, 7, 30, 92, 366])
def test_labels_never_overlap(width: int, count: int) -> None:
    """Labels are left out until there is room, and none is cut off."""
    labels = [f"{index} Nov" for index in range(count)]
    chart = draw("wide", (width, 200), [1.0] * count, [], labels, kind="count", runs=False)
    assert len(chart.labels) >= 2
    edges = [0.0]
    for mark in chart.labels:
        size = len(mark.text) * 6.4
        start = mark.at - {"start": 0, "middle": size / 2, "end": size}[mark.anchor]
        assert start >= edges[-1] - 1
        edges.append(start + size)
    assert edges[-1] <= width + 1


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (112, 100, "+12%"), (100, 100, "\u00b10%"), (1001, 1000, "+0.1%"), (99, 100, "\u22121.0%"),
        (0, 5, "\u2212100%"), (1, 1000, "\u2212>99%"), (1100, 100, "\u00d711"), (5, 0, None),
        (10_001, 10_000, "\u00b10%"), (0, 0, "\u00b10%"),
    ],
)  # fmt: skip
def test_growth(now: float, before: float, text: str | None) -> None:
    """Small changes have a digit more, and nothing is said where nothing was before."""
    assert figures.write_growth(now, before) == text


def test_less_can_be_better() -> None:
    """A bounce rate that falls is good, visitors that fall are not; rates change by points."""
    assert figures.find_change("bounce_rate", 0.4, 0.45) == ("\u22125.0 pts", True)
    assert figures.find_change("visitors", 90, 100) == ("\u221210%", False)
    assert figures.find_change("visitors", 100, 100) == ("\u00b10%", None)
    assert figures.find_change("visible_time", None, 3) is None


@pytest.mark.parametrize(
    ("part", "text"),
    [(0, "0%"), (0.0001, "<0.1%"), (0.412, "41.2%"), (0.9999, ">99.9%"), (1, "100%")],
)
def test_percent(part: float, text: str) -> None:
    """Only nothing is 0%, and only all is 100%."""
    assert figures.write_percent(part) == text


def test_other_figures() -> None:
    """Counts have thin groups, durations two units, money its currency."""
    assert figures.write("visitors", 1_048_291) == "1,048,291"
    assert figures.write("visible_time", 168) == "2m 48s"
    assert figures.write("duration", 11_520) == "3h 12m"
    assert figures.write("pages_per_session", 3.75) == "3.75"
    assert figures.write("bounce_rate", None) == "\u2013"
    assert figures.write_with_noun("visitors", 1) == "1 visitor"
    assert figures.write_with_noun("bounce_rate", 0.412) == "41.2% bounce rate"
    assert figures.write_money(Money("148210.40", "EUR")) == "EUR 148,210.40"
    assert figures.shorten("/a/very/long/path", 12) == "/a/very\u2026path"
    assert (name_country("DE"), name_country("ZZ")) == ("Germany", "ZZ")
    assert (name_language("de-AT"), name_language("xx")) == ("German (AT)", "xx")


NOW = dt.datetime(2026, 11, 27, 14, tzinfo=dt.UTC)


def period(name: str, first: str, last: str) -> Period:
    return Period(name, dt.date.fromisoformat(first), dt.date.fromisoformat(last), dt.UTC, NOW)


@pytest.mark.parametrize(
    ("shown", "steps", "wanted"),
    [
        (("7d", "2026-11-21", "2026-11-27"), -1, ("2026-11-14", "2026-11-20")),
        (("7d", "2026-11-21", "2026-11-27"), 1, None),
        (("month", "2026-11-01", "2026-11-30"), -1, ("2026-10-01", "2026-10-31")),
        (("custom", "2026-03-01", "2026-03-31"), -1, ("2026-02-01", "2026-02-28")),
        (("last_month", "2026-10-01", "2026-10-31"), 1, ("2026-11-01", "2026-11-27")),
        (("year", "2026-01-01", "2026-12-31"), -1, ("2025-01-01", "2025-12-31")),
        (("custom", "2025-01-01", "2025-12-31"), 1, ("2026-01-01", "2026-11-27")),
    ],
)
def test_periods_are_moved(
    shown: tuple[str, str, str], steps: int, wanted: tuple[str, str] | None
) -> None:
    """Months and years stay whole; nothing begins in the future."""
    found = wording.shift(period(*shown), steps)
    assert (found and tuple(day.isoformat() for day in found)) == wanted


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("2026-11-27", "2026-11-27", "27 November 2026"),
        ("2026-11-01", "2026-11-27", "1 \u2013 27 November 2026"),
        ("2026-10-29", "2026-11-27", "29 October \u2013 27 November 2026"),
        ("2025-12-30", "2026-01-02", "30 December 2025 \u2013 2 January 2026"),
    ],
)
def test_days_are_named(first: str, last: str, text: str) -> None:
    """Month and year are said once if they are the same."""
    assert wording.name_days(dt.date.fromisoformat(first), dt.date.fromisoformat(last)) == text


def say(
    now: int,
    before: int | None,
    sources: tuple[tuple[str, int], ...] = (),
    shown: Period | None = None,
    comparison: Comparison = "previous",
) -> str:
    """Return the headline of some visitors, of those before, and of sessions by source."""
    shown = shown or period("30d", "2026-10-29", "2026-11-27")
    total = sum(count for _, count in sources)
    rows = tuple(Row(value, count, count / total) for value, count in sources)
    overview = Overview(
        shown,
        shown.compared(comparison),
        Numbers(visitors=now),
        None if before is None else Numbers(visitors=before),
        (),
        (),
        (),
        {"source": Breakdown("source", "sessions", rows, total, len(rows))},
        (),
    )
    return wording.write_headline(overview, comparison, is_by_source=False)


def test_headlines_are_true() -> None:
    """Each case has a sentence of its own."""
    before = "in the 30 days before"
    assert say(4863, 4342, (("newsletter", 60), ("google", 40))) == (
        f"4,863 people visited, 12% more than {before}; most sessions came from newsletter."
    )
    assert say(90, 100, (("direct", 30), ("google", 29), ("bing", 11))) == (
        f"90 people visited, 10% fewer than {before}; "
        "43% of the sessions came directly, more than from anywhere else."
    )
    assert say(1, None, (("direct", 1),)) == "1 person visited; all sessions came directly."
    assert say(5, 5, (("a", 2), ("b", 2))) == f"5 people visited, as many as {before}."
    assert say(10_001, 10_000) == f"10,001 people visited, slightly more than {before}."
    assert say(2200, 100) == f"2,200 people visited, 22 times as many as {before}."
    assert say(3, 0) == f"3 people visited, and nobody did {before}."
    assert say(0, 1) == f"Nobody has visited yet, and 1 person did {before}."
    assert say(0, 0) == "Nobody has visited yet."
    over = period("custom", "2026-11-01", "2026-11-02")
    assert say(0, 7, shown=over) == "Nobody visited, and 7 people did in the 2 days before."


def test_headlines_name_what_they_compare_with() -> None:
    """The day before, the days of a month, the same days a year before."""
    today = period("today", "2026-11-27", "2026-11-27")
    assert say(2, 1, shown=today).endswith("100% more than by the same time yesterday.")
    yesterday = period("yesterday", "2026-11-26", "2026-11-26")
    assert say(2, 1, shown=yesterday).endswith("100% more than on the day before.")
    october = period("last_month", "2026-10-01", "2026-10-31")
    assert say(2, 1, shown=october).endswith("100% more than in September 2026.")
    assert say(2, 1, comparison="year").endswith(
        "100% more than in 29 October \u2013 27 November 2025."
    )


def test_a_flag_flies_where_there_is_room() -> None:
    """To the right of its point, but to the left at the end; a number says that there are more."""
    chart = draw(
        "wide",
        (410, 200),
        [0, 10, 5],
        [],
        days(3),
        kind="count",
        runs=False,
        notes={0: 1, 2: 3},
    )
    assert chart.flags == (
        ("M26.8 174V2h10l-3 3.5l3 3.5h-10", 39.8, "", "start"),
        ("M400 174V2h-10l3 3.5l-3 3.5h10", 387, "3", "end"),
    )
