"""How a visitor chooses, and what their browser then holds."""

from __future__ import annotations

import http.cookies
import typing as t

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..hosts import NAVIGATION, SAME_ORIGIN

CONSENT = "eventtrack_consent"
OURS = {"eventtrack_device", "eventtrack_session", "eventtrack_csrf"}
GPC, DNT = {"Sec-GPC": "1"}, {"DNT": "1"}
#: What an old browser says, which sends no ``Sec-Fetch-*``.
OLD_BROWSER = {"Origin": "http://localhost"}
CLICK = {"action": "button.click"}


def visit(client: FlaskClient, path: str = "/", **headers: str) -> TestResponse:
    response = client.get(path, headers=NAVIGATION | headers)
    assert response.status_code == 200
    return response


def choose(client: FlaskClient, choice: str, headers: t.Any = SAME_ORIGIN) -> TestResponse:
    return client.post("/_et/consent", json={"choice": choice}, headers=headers)


def post(client: FlaskClient, headers: t.Any = SAME_ORIGIN, **body: t.Any) -> TestResponse:
    return client.post("/_et/in", json={"events": [CLICK], **body}, headers=headers)


def cookies_of(response: TestResponse) -> dict[str, http.cookies.Morsel[str]]:
    jar: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
    for header in response.headers.getlist("Set-Cookie"):
        jar.load(header)
    return dict(jar)


def held(client: FlaskClient) -> set[str]:
    """Return the names of our cookies that a browser has."""
    return {name for name in OURS | {CONSENT} if client.get_cookie(name)}
