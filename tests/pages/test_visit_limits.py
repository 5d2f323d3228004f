"""How many page visits are recorded: a limit that no page is refused by."""

from __future__ import annotations

import pytest

from ..collector.posts import quality
from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host

#: Limits are lifted in most tests; here those of pages count, and those of posts do not.
LIMITS = {"EVENTTRACK_DEVICE_LIMIT": (1e6, 10**6), "EVENTTRACK_ADDRESS_LIMIT": (1e6, 10**6)}


def test_flood_of_pages_is_served_and_not_all_recorded(make: MakeHost) -> None:
    """What is not recorded is counted, with a reason."""
    host = make(LIMITS)
    client = host.client()
    answers = [client.get("/", headers=NAVIGATION) for _ in range(300)]
    assert {answer.status_code for answer in answers} == {200}
    assert all("Welcome" in answer.text for answer in answers)
    assert host.actions()["page.visit"] == 201  # the first was a newcomer's
    assert quality(host)["dropped", "page.visit", "too many"] == 99
    host.clock.advance(seconds=10)
    client.get("/", headers=NAVIGATION)
    assert host.actions()["page.visit"] == 202


def test_flood_of_newcomers_is_its_networks(make: MakeHost) -> None:
    """They get no cookies, and open no sessions; another network is not concerned."""
    host = make({**LIMITS, "EVENTTRACK_ADDRESS_PAGES": 5})
    for number in range(20):
        environ = {"REMOTE_ADDR": f"2001:db8:7:{number:x}::1"}
        answer = host.client().get("/", headers=NAVIGATION, environ_overrides=environ)
        assert answer.status_code == 200
        assert ("Set-Cookie" in answer.headers) is (number < 5)
    assert len(host.rows("session")) == 5
    host.client().get("/", headers=NAVIGATION)
    assert host.actions()["page.visit"] == 6


@pytest.mark.parametrize("headers", [{"Sec-GPC": "1"}, {"User-Agent": "Googlebot/2.1"}])
def test_visits_of_anonymous_visitors_and_bots_are_limited(
    make: MakeHost, headers: dict[str, str]
) -> None:
    """They have no device: their network counts."""
    host = make({**LIMITS, "EVENTTRACK_ADDRESS_PAGES": 5, "EVENTTRACK_BOTS": "tag"})
    for _ in range(20):
        host.client().get("/", headers=NAVIGATION | headers)
    assert host.actions()["page.visit"] == 5


@pytest.mark.parametrize("limit", [{}, {"EVENTTRACK_DEVICE_PAGES": None}])
def test_limit_of_pages_may_be_lifted(make: MakeHost, limit: dict[str, None]) -> None:
    """By a setting of its own, or with all limits of a device."""
    host: Host = make({**(LIMITS if limit else {}), **limit})
    client = host.client()
    for _ in range(300):
        client.get("/", headers=NAVIGATION)
    assert host.actions()["page.visit"] == 300
