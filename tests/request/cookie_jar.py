"""Visits by a browser, its cookies, and the sessions that they make."""

from __future__ import annotations

import collections.abc as cabc
import http.cookies
import typing as t

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_eventtrack import current_visitor, identify, logout

from ..hosts import NAVIGATION, Host

DEVICE, SESSION, CSRF = "eventtrack_device", "eventtrack_session", "eventtrack_csrf"
ALL = {DEVICE, SESSION, CSRF}


def cookies_of(answer: TestResponse) -> dict[str, http.cookies.Morsel[str]]:
    """Return the cookies that an answer sets."""
    jar: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
    for header in answer.headers.getlist("Set-Cookie"):
        jar.load(header)
    return dict(jar)


def visit(client: FlaskClient, path: str = "/") -> set[str]:
    """Open a page as a person does and return the names of the cookies that it sets."""
    answer = client.get(path, headers=NAVIGATION)
    assert answer.status_code == 200
    return set(cookies_of(answer))


def jar_of(client: FlaskClient) -> dict[str, str]:
    return {name: cookie.value for name in ALL if (cookie := client.get_cookie(name))}


def fill(client: FlaskClient, jar: cabc.Mapping[str, str]) -> FlaskClient:
    for name, value in jar.items():
        client.set_cookie(name, value)
    return client


def sessions_of(host: Host) -> list[dict[str, t.Any]]:
    return host.rows("session", "started_at")


def add_login(app: Flask) -> None:
    @app.get("/login/<who>")
    def login(who: str) -> str:
        identify(who)
        return "<title>Hello</title>"

    @app.get("/logout")
    def leave() -> str:
        logout()
        return "<title>Bye</title>"

    @app.get("/me")
    def me() -> dict[str, t.Any]:
        return {
            name: getattr(current_visitor, name)
            for name in ("device_id", "uuid", "session_id", "customer_id", "is_bot", "is_new")
        }
