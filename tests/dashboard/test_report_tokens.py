"""Programs read reports with a token; it opens no page, and nothing beyond its scope."""

from __future__ import annotations

import typing as t

import pytest

from flask_eventtrack.dashboard.routes import ROUTES

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from ..store.people import ADA_UUID
from . import staff
from .test_access import VALUES, fill

NUMBERS, VIEW, MANAGE = (name * 4 for name in ("numbers-", "viewing-", "manager-"))
TOKENS = {"numbers": NUMBERS, "view": [VIEW], "manage": MANAGE}


@pytest.fixture
def host(make: MakeHost) -> Host:
    host = make({**PATIENT, "EVENTTRACK_REPORT_TOKENS": TOKENS})
    staff.fill(host)
    host.events.goal("x", "product.buy")
    host.flush()
    return host


def read(host: Host, path: str, token: str | None = NUMBERS, method: str = "GET") -> t.Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return host.client().open(path, method=method, headers=headers)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.endpoint)
@pytest.mark.parametrize("token", [NUMBERS, VIEW, MANAGE])
def test_token_opens_what_programs_read_within_its_scope(
    host: Host, route: t.Any, token: str
) -> None:
    is_in_scope = route.need == "numbers" or (route.need == "people" and token != NUMBERS)
    is_file = route.is_for_programs and not route.is_shared
    path = fill(route.path).replace(VALUES["person"], str(ADA_UUID))
    funnel = "?step=product.view&step=product.buy" if "funnel" in route.endpoint else ""
    response = read(host, f"/_et{path}{funnel}", token)
    if is_in_scope and is_file:
        names_no_event = route.endpoint == "parameters_json"
        assert response.status_code == (400 if names_no_event else 200), response.text
    else:
        assert response.status_code == 404
        assert response.json["code"] == "not_found"


@pytest.mark.parametrize("token", [None, "", NUMBERS[:-1], NUMBERS + "x", "é" * 32, "\udcff" * 32])
def test_without_a_token_there_is_nothing(host: Host, token: str | None) -> None:
    assert read(host, "/_et/overview.json", token).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_token_only_reads(host: Host, method: str) -> None:
    assert read(host, "/_et/overview.json", MANAGE, method).status_code == 405
    assert read(host, f"{staff.ADA_PAGE}/erase", MANAGE, method).status_code == 404


def test_a_look_at_a_person_is_noted(host: Host) -> None:
    read(host, f"{staff.ADA_PAGE}.json", VIEW)
    rows = host.rows("audit")
    assert [(row["actor"], row["action"]) for row in rows] == [("report token", "view")]


def test_scope_says_whether_traits_are_whole(host: Host) -> None:
    veiled, whole = (read(host, f"{staff.ADA_PAGE}.json", token).text for token in (VIEW, MANAGE))
    assert "ada@example.com" in whole
    assert "ada@example.com" not in veiled


def test_token_of_two_scopes_has_the_larger_one(make: MakeHost) -> None:
    tokens = {"numbers": NUMBERS, "view": [NUMBERS]}
    host = make({"EVENTTRACK_REPORT_TOKENS": tokens})
    assert read(host, "/_et/people.json").status_code == 200


def test_token_is_read_where_the_host_permits_nothing(make: MakeHost) -> None:
    host = make(
        {"EVENTTRACK_REPORT_TOKENS": NUMBERS, "EVENTTRACK_DASHBOARD_PERMISSION": lambda: False}
    )
    assert read(host, "/_et/overview.json").status_code == 200
    assert read(host, "/_et/catalogue.json").status_code == 200
    assert read(host, "/_et/overview.json", None).status_code == 404
    assert read(host, "/_et/").status_code == 404


def test_a_log_in_wall_lets_programs_through_by_their_endpoints() -> None:
    """As the docs say: what a token opens has an endpoint with one of two ends."""
    for route in ROUTES:
        if not route.is_shared:
            assert route.is_for_programs == route.endpoint.endswith(("_json", "_csv"))
