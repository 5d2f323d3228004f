"""The menu of sites is on each page of numbers, and keeps what the page is asked."""

from __future__ import annotations

import urllib.parse

import pytest

from ...conftest import MakeHost
from ...hosts import FakeClock, Host
from ...reports.visits import Visitor, open_shop
from ..pages import find_links, look

STEPS = "step=page:/&step=page:/products/<slug>"
PAGES = [
    "retention?period=90d&by=week",
    "paths?start=page:/",
    f"funnels?{STEPS}",
    f"funnels/lost?{STEPS}&after=1",
    "goals?period=7d",
    "goals/read?by=country",
    "agents?period=7d",
    "routes?period=7d",
    "catalogue?period=7d",
]


def open_sites(make: MakeHost, clock: FakeClock, permit: object = "manage") -> Host:
    host = open_shop(make, clock, config={"EVENTTRACK_DASHBOARD_PERMISSION": lambda: permit})
    host.events.goal("read", "page:/products/<slug>")
    for site in ("shop.test", "blog.test"):
        Visitor(host, site).see("/").see("/products/mug")
    host.flush()
    return host


@pytest.mark.parametrize("page", PAGES)
def test_a_site_can_be_chosen(make: MakeHost, clock: FakeClock, page: str) -> None:
    """The link of a site leads to the same question about it alone."""
    host = open_sites(make, clock)
    found = look(host, f"/{page}")
    assert find_links(found, "All sites")
    [href] = find_links(found, "blog.test")
    asked, kept = (set(urllib.parse.parse_qsl(url.partition("?")[2])) for url in (page, href))
    assert kept == {*asked, ("site", "blog.test")}
    chosen = look(host, href.removeprefix("/_et"))
    assert 'aria-current="true">blog.test</a>' in chosen
    assert find_links(chosen, "shop.test")


@pytest.mark.parametrize("page", [page for page in PAGES if "lost" not in page])
def test_nobody_is_offered_a_site_that_is_not_theirs(
    make: MakeHost, clock: FakeClock, page: str
) -> None:
    """Who may see one site needs no menu, and does not learn the names of the others."""
    own = look(open_sites(make, clock, {"shop.test"}), f"/{page}")
    assert "blog.test" not in own
    assert "All sites" not in own
    two = look(open_sites(make, clock, {"shop.test", "localhost"}), f"/{page}")
    assert find_links(two, "shop.test")
    assert "blog.test" not in two
