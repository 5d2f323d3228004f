"""Who posts to the collector: the headers of pages, browsers and apps."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..hosts import NAVIGATION

EVENT = {"action": "button.click"}
OWN = "http://localhost"
SHOP = "https://shop.example.com"
EVIL = "https://evil.example"
#: What an old browser says, which sends no ``Sec-Fetch-*``.
OLD_BROWSER = {"Origin": OWN}
#: What a browser says of a page on another site.
FROM_SHOP = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


def post(client: FlaskClient, headers: cabc.Mapping[str, str], **body: t.Any) -> TestResponse:
    return client.post("/_et/in", json={"events": [EVENT], **body}, headers=dict(headers))


def problem_of(response: TestResponse) -> tuple[int, str]:
    """Return status and code of a problem document, which is never cached."""
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    body = response.get_json()
    assert (body["type"], body["status"]) == ("about:blank", response.status_code)
    return response.status_code, body["code"]


def set_cookies(response: TestResponse) -> dict[str, str]:
    """Return the cookies that a response sets, by name."""
    pairs = (line.split(";")[0].partition("=") for line in response.headers.getlist("Set-Cookie"))
    return {name: value for name, _, value in pairs}


def script_of(client: FlaskClient) -> str:
    """Return the address of the script in the home page's tag."""
    page = client.get("/", headers=NAVIGATION).text
    [address] = re.findall(r'<script async="" src="([^"]+)"', page)
    return str(address)
