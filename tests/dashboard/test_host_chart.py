"""A number and its chart in the host's own pages."""

from __future__ import annotations

import re
import time
import typing as t

import pytest
import sqlalchemy as sa
from flask import render_template_string, request

from flask_eventtrack.errors import ReportError

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .pages import DAY, NOON, add_sessions, open_dashboard

A_SITE, OTHER = {"site": "a.test"}, {"site": "b.test"}


def make_host(
    make: MakeHost, clock: FakeClock, permit: object = "numbers", **config: t.Any
) -> Host:
    """Return a host with a page of a chart, three visitors today and one in the week before."""
    host = open_dashboard(make, clock, permit, **config)

    @host.app.get("/backoffice")
    def backoffice() -> str:
        options = request.args.to_dict()
        return render_template_string("<main>{{ eventtrack_chart(**o) }}</main>", o=options)

    add_sessions(host, A_SITE, A_SITE, OTHER)
    add_sessions(host, A_SITE, at=NOON - 8 * DAY)
    return host


def read(host: Host, **options: str) -> str:
    """Return the chart that the host's page shows, "" for none."""
    response = host.client().get("/backoffice", query_string=options)
    assert response.status_code == 200
    return response.text.removeprefix("<main>").removesuffix("</main>")


def say(chart: str) -> str:
    """Return its caption as text."""
    caption = chart.partition("<figcaption")[2].partition("</figcaption>")[0].partition(">")[2]
    return re.sub("<[^>]+>", "", caption)


@pytest.mark.parametrize(
    ("options", "caption"),
    [
        ({}, "Visitors, last 30 days 4"),
        ({"measure": "bounce_rate", "period": "all"}, "Bounce rate, all time 100%"),
        (
            {"period": "7d", "compare": "previous"},
            "Visitors, last 7 days 3 +200% 1 in the 7 days before",
        ),
        ({"period": "today", "site": "b.test"}, "Visitors, today, b.test 1"),
        ({"measure": "duration", "compare": "year", "site": "c.test"},
         "Duration, last 30 days, c.test \u2013"),
    ],
)  # fmt: skip
def test_a_chart_says_its_number(
    make: MakeHost, clock: FakeClock, options: dict[str, str], caption: str
) -> None:
    """In words, as the dashboard counts it; and no style or script is in it."""
    chart = read(make_host(make, clock), **options)
    assert say(chart) == caption
    assert chart.count("<svg") == 2
    assert not re.search(r"style|script|\son\w+=|http", chart)
    assert all(name.startswith("eventtrack-") for name in re.findall(r'class="([^"]*)', chart))


def test_its_table_has_each_bucket(make: MakeHost, clock: FakeClock) -> None:
    """The running one is said to run."""
    chart = read(make_host(make, clock), period="7d", compare="previous")
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td></tr>', chart)
    assert len(rows) == 7
    assert rows[-2:] == [
        ("Fri 20 November 2026", "0", "1"),
        ("Sat 21 November 2026 (still running)", "3", "0"),
    ]


@pytest.mark.parametrize(
    ("permit", "visitors"),
    [("manage", "4"), ("view", "4"), ("numbers", "4"), ({"b.test"}, "1"), ("", None)],
)
def test_only_who_may_see_the_numbers_sees_a_chart(
    make: MakeHost, clock: FakeClock, permit: object, visitors: str | None
) -> None:
    """A set of sites limits it. Everyone else gets the page without it, and no stylesheet."""
    host = make_host(make, clock, permit)
    css = host.client().get("/_et/embed.css")
    if visitors is None:
        assert (read(host), css.status_code) == ("", 404)
    else:
        assert say(read(host)) == f"Visitors, last 30 days {visitors}"
        assert (css.status_code, css.mimetype) == (200, "text/css")
    if permit == {"b.test"}:
        assert read(host, site="a.test") == ""


MISTAKES: dict[str, tuple[dict[str, str], str]] = {
    "measure": ({"measure": "visits"}, "'measure' is one of visitors, .*, not 'visits'"),
    "period": ({"period": "fortnight"}, "The periods are: today, "),
    "compare": ({"compare": "before"}, "'compare' is one of previous, year, none"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_raised_while_one_develops(
    make: MakeHost, clock: FakeClock, mistake: str
) -> None:
    """With the allowed values; in production the page goes on without the chart."""
    options, message = MISTAKES[mistake]
    host = make_host(make, clock)
    with pytest.raises(ReportError, match=message):
        read(host, **options)
    host.app.testing = False
    assert read(host, **options) == ""
    assert host.state.failures == {"rendering a chart: ReportError": 1}


def test_the_page_goes_on_without_the_database(make: MakeHost, clock: FakeClock) -> None:
    """What reports read is away: the page is there, without the chart."""
    host = make_host(make, clock, TESTING=False)
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.text("DROP TABLE eventtrack_closed"))
    assert read(host) == ""
    assert host.state.failures == {"rendering a chart: ReportUnavailable": 1}


def test_a_chart_beside_what_the_host_writes(make: MakeHost, clock: FakeClock) -> None:
    """It does not wait for the transaction of the page that shows it."""
    host = make_host(make, clock)

    @host.app.get("/writing")
    def writing() -> str:
        with host.db.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            page = render_template_string("{{ eventtrack_chart() }}")
            connection.rollback()
        return page

    began = time.monotonic()
    assert say(host.client().get("/writing").text) == "Visitors, last 30 days 4"
    assert time.monotonic() - began < 3
