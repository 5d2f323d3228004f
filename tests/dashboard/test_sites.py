"""Who may see one site gets the reports of a host that has no other."""

from __future__ import annotations

import typing as t

import pytest
from werkzeug.test import TestResponse

from flask_eventtrack.dashboard.host_chart import eventtrack_chart

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.visits import Visitor, close_days, go_to, open_shop

MINE, OTHER = "shop.test", "blog.test"
#: Who came on which day of November, and what they did there: a customer on both sites.
VISITS = (
    (OTHER, 2, "/?utm_source=news", "/login/42"),
    (OTHER, 3, "/products/ink", "/cart/ink/3.00"),
    (MINE, 3, "/", "/login/42"),
    (MINE, 4, "/?utm_source=mail", "/cart/pen/12.50"),
    (OTHER, 3, "/", "/login/43"),
    (OTHER, 4, "/", "/login/44"),
    (OTHER, 4, "/", "/order/B-1/9.00"),
    (MINE, 4, "/products/pen", "/order/A-1/5.00"),
    (OTHER, 5, "/products/ink", "/cart/ink/3.00"),
    (MINE, 5, "/", "/login/42"),
    (MINE, 5, "/", "/login/43"),
    (MINE, 5, "/", "/login/44"),
    (OTHER, 5, "/?utm_source=news", "/order/B-2/9.00"),
)
SINCE_3 = "period=custom&from=2026-11-03&to=2026-11-05"
REPORTS = (
    *("overview.json?period=7d", "overview.json?period=all", "overview.json?period=today"),
    *("?period=7d", "details/source?period=7d", "revenue?period=7d"),
    *("overview.json?period=7d&f=is:customer:yes", "overview.json?period=7d&f=is:site:blog.test"),
    *(f"overview.json?{SINCE_3}{more}" for more in ("", "&f=is:customer:yes")),
    *(f"details/{each}.json?period=7d" for each in ("source", "page", "action", "site")),
    *("quality.json?period=7d", "routes.json?period=7d"),
    *("catalogue/usage.json?period=7d", "catalogue/cart.put.json?period=7d"),
    *("parameters.json?period=7d&event=cart.put", "revenue.json?period=7d"),
)


def open_visited(make: MakeHost, clock: FakeClock, *sites: str) -> Host:
    permission = {"EVENTTRACK_DASHBOARD_PERMISSION": lambda: {MINE}}
    host = open_shop(make, clock, config=permission)
    for site, day, path, act in VISITS:
        if day < 5:  # so that the fourth is not closed yet
            go_to(clock, f"2026-11-0{day} 06:00")
            close_days(host)
        if site in sites:
            Visitor(host, site).see(path, f"2026-11-0{day} 10:00").do(act)
    go_to(clock, "2026-11-05 10:30")  # an hour of the day before is counted in part
    host.flush()
    return host


def read(response: TestResponse) -> t.Any:
    assert response.status_code == 200, response.text
    return response.json if response.is_json else response.text


@pytest.fixture
def answers(make: MakeHost, clock: FakeClock) -> list[dict[str, t.Any]]:
    """What both hosts answer, the one with both sites first."""
    found = []
    for sites in ((MINE, OTHER), (MINE,)):
        host = open_visited(make, clock, *sites)
        client = host.client()
        answers = {each: read(client.get(f"/_et/{each}")) for each in REPORTS}
        with host.app.test_request_context():
            answers["chart"] = eventtrack_chart(period="7d")
        found.append(answers)
    return found


def test_no_report_tells_of_another_site(answers: list[dict[str, t.Any]]) -> None:
    """Neither of its visits and orders, nor that a visitor was there before."""
    seen, expected = answers
    assert expected["overview.json?period=7d"]["numbers"]["visitors"] == 5
    assert seen["overview.json?period=7d&f=is:site:blog.test"]["numbers"]["visitors"] == 0
    assert "eventtrack-chart" in seen["chart"]
    for path in (*REPORTS, "chart"):
        assert seen[path] == expected[path], path
