"""Posts as the script sends them, and what their answers say."""

from __future__ import annotations

import typing as t

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..hosts import SAME_ORIGIN, Host

CLICK = {"action": "button.click"}
ID = "018f2b1e-7c1a-7def-8a5b-0123456789ab"


def post(client: FlaskClient, *events: t.Any, **body: t.Any) -> TestResponse:
    """Post a batch as the script does from a page of the site."""
    return client.post("/_et/in", json={"events": events, **body}, headers=SAME_ORIGIN)


def post_one(client: FlaskClient, event: dict[str, t.Any]) -> TestResponse:
    return client.post("/_et/in", json=event, headers=SAME_ORIGIN)


def statuses(response: TestResponse) -> list[str]:
    assert response.status_code == 202
    return [result["status"] for result in response.get_json()["results"]]


def error_of(response: TestResponse) -> dict[str, t.Any]:
    """Return the error of a single event that was rejected."""
    assert response.status_code == 422
    [result] = response.get_json()["results"]
    assert result["status"] == "rejected"
    error: dict[str, t.Any] = result["error"]
    return error


def set_cookies(response: TestResponse) -> list[str]:
    return [line.partition("=")[0] for line in response.headers.getlist("Set-Cookie")]


def quality(host: Host) -> dict[tuple[str, str, str], int]:
    rows = host.rows("quality")
    return {(row["outcome"], row["action"], row["reason"]): row["count"] for row in rows}
