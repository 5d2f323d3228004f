"""Whoever may not see the dashboard sees that there is none."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from flask import abort

from flask_eventtrack.dashboard.routes import ROUTES

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .pages import DAY, NOON, add_sessions, look, open_dashboard, read_headline, read_numbers

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
VALUES = {
    "dimension": "source",
    "action": "page.visit",
    "digest": "0123456789ab",
    "name": "dashboard.css",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "person": "00000000-0000-4000-8000-000000000001",
}


def fill(path: str) -> str:
    """Return a path with values in place of its variables."""
    parts = path.replace("<uuid:", "<").split("<")
    return parts[0] + "".join(
        VALUES.get(name, "x") + rest for name, _, rest in (p.partition(">") for p in parts[1:])
    )


PATHS = [f"/_et{fill(route.path)}" for route in ROUTES]


def refuse() -> t.NoReturn:
    abort(403)


def say_false() -> bool:
    return False


def say_nothing() -> None:
    return None


def say_other() -> str:
    return "admin"


def say_no_site() -> set[str]:
    return set()


def say_one() -> int:
    return 1


def say_numbers() -> set[int]:
    return {7}


def say_bytes() -> bytes:
    return b"manage"


def say_empty_site() -> list[str]:
    return [""]


def answer(host: Host, path: str, method: str) -> tuple[t.Any, ...]:
    response = host.client().open(path, method=method)
    return response.status_code, response.data, sorted(response.headers)


@pytest.mark.parametrize("method", METHODS)
def test_without_a_permission_there_is_nothing(make: MakeHost, method: str) -> None:
    """Every page answers like a path that does not exist, by every method, byte by byte."""
    host = make()
    wanted = answer(host, "/_et/no/such/page", method)
    assert wanted[0] == (405 if method in {"TRACE", "PROPFIND"} else 404)
    more = ["/_et/", "/_et/overview.json/", "/_et/details/", "/_et/details//source"]
    found = {path: answer(host, path, method) for path in (*PATHS, *more)}
    assert {path for path, each in found.items() if each != wanted} == set()


def test_two_slashes_lead_to_the_same_nothing(host: Host) -> None:
    """Werkzeug's redirect to one slash does not tell whether there is a page."""
    one, other = (host.client().get(f"/_et//{name}") for name in ("overview.json", "nothing.json"))
    assert (one.status_code, one.text.replace("overview", "nothing")) == (308, other.text)


REFUSALS = (
    refuse,
    say_false,
    say_nothing,
    say_other,
    say_no_site,
    say_empty_site,
    say_one,
    say_numbers,
    say_bytes,
)


@pytest.mark.parametrize("ask", REFUSALS)
def test_who_is_refused_sees_nothing(make: MakeHost, ask: cabc.Callable[[], object]) -> None:
    """Refusals of every kind are the same 404, also where a page would answer with an error."""
    host = make({"EVENTTRACK_DASHBOARD_PERMISSION": ask})
    wanted = answer(host, "/_et/no/such/page", "GET")
    for path in [*PATHS, "/_et", "/_et/?period=wrong", "/_et/overview.json?f=wrong"]:
        assert answer(host, path, "GET") == wanted


def test_a_function_that_fails_permits_nothing(make: MakeHost) -> None:
    """In production, an exception of the host's function is a 404."""

    def fail() -> bool:
        raise LookupError("no user")

    host = make({"EVENTTRACK_DASHBOARD_PERMISSION": fail, "TESTING": False})
    assert host.client().get("/_et/").status_code == 404
    assert host.state.failures == {"asking for EVENTTRACK_DASHBOARD_PERMISSION: LookupError": 1}


@pytest.mark.parametrize("permit", ["view", "manage", True])
def test_who_is_permitted_sees_every_page(make: MakeHost, clock: FakeClock, permit: object) -> None:
    """Readers see the overview; its methods are told."""
    host = open_dashboard(make, clock, permit)
    assert host.client().get("/_et/").status_code == 200
    assert host.client().get("/_et").status_code == 200
    refused = host.client().post("/_et/overview.json")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


DEBUG = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:5000"}


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, 200),
        ({"HTTP_HOST": "127.0.0.1:5000"}, 200),
        ({"HTTP_HOST": "[::1]:5000", "REMOTE_ADDR": "::1"}, 200),
        ({"HTTP_HOST": "[::1]", "REMOTE_ADDR": "::1"}, 200),
        ({"HTTP_HOST": "localhost"}, 200),
        ({"REMOTE_ADDR": "10.0.0.7"}, 404),
        ({"REMOTE_ADDR": ""}, 404),
        ({"HTTP_HOST": "evil.test"}, 404),
        ({"HTTP_HOST": "localhost.evil.test"}, 404),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 404),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, 404),
        ({"HTTP_VIA": "1.1 proxy"}, 404),
        ({"HTTP_X_REAL_IP": "127.0.0.1"}, 404),
        ({"HTTP_X_FORWARDED_HOST": "localhost"}, 404),
    ],
)
def test_debug_mode_opens_for_the_same_machine(
    make: MakeHost, environ: dict[str, str], status: int
) -> None:
    """Without a permission set, only the developer's own browser is let in, and told why."""
    host = make({"DEBUG": True})
    response = host.client().get("/_et/", environ_overrides=DEBUG | environ)
    assert response.status_code == status
    assert ("because the app is in debug mode" in response.text) == (status == 200)


def test_debug_mode_does_not_widen_a_permission(make: MakeHost) -> None:
    """A permission that is set counts in debug mode too; without debug, nothing opens."""
    host = make({"DEBUG": True, "EVENTTRACK_DASHBOARD_PERMISSION": say_false})
    assert host.client().get("/_et/", environ_overrides=DEBUG).status_code == 404
    assert make().client().get("/_et/", environ_overrides=DEBUG).status_code == 404


def test_a_set_of_sites_limits_the_numbers(make: MakeHost, clock: FakeClock) -> None:
    """Who may see two of three sites sees their visitors alone, and cannot ask for the third."""
    host = open_dashboard(make, clock, {"a.test", "b.test"})
    add_sessions(host, *({"site": f"{name}.test"} for name in "aabccc"))
    assert read_numbers(look(host, "/?period=today"))["Visitors"][0] == "3"
    assert read_numbers(look(host, "/?period=today&site=a.test"))["Visitors"][0] == "2"
    assert "c.test" not in look(host, "/?period=today")
    refused = host.client().get("/_et/?site=c.test")
    assert (refused.status_code, "You may not see the site" in refused.text) == (400, True)


def test_a_set_of_sites_hides_when_others_began(make: MakeHost, clock: FakeClock) -> None:
    """The period of all days begins with their own first day, and no other site makes them new."""
    host = open_dashboard(make, clock, {"a.test"})
    assert read_headline(look(host)) != "Waiting for the first visit"
    add_sessions(host, {"site": "a.test"}, at=NOON - 3 * DAY)
    add_sessions(host, {"site": "c.test"}, at=NOON - 9 * DAY)
    answer = host.client().get("/_et/overview.json?period=all").get_json()
    assert answer["period"]["first"] == str((NOON - 3 * DAY).date())
