"""A shop's customers: their tokens, requests and events."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

from flask import Flask
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user
from werkzeug.test import TestResponse

from flask_eventtrack import current_visitor, identify, logout
from flask_eventtrack.identity.visitor import customer_uuid

from ..hosts import NAVIGATION, SAME_ORIGIN, Host

KEY = "0123456789abcdef0123456789abcdef"
HOST_TOKEN = "of-the-host-and-long-enough-for-one"
CLICK: dict[str, t.Any] = {"action": "button.click"}
OPEN: dict[str, t.Any] = {"action": "account.open"}
IDENTITY = ("X-EventTrack-Device", "X-EventTrack-Session")
#: What says nothing of itself, which makes it an app.
APP = "okhttp/5.0"


def add_views(app: Flask) -> None:
    @app.get("/login/<who>")
    def log_in(who: str) -> str:
        identify(who)
        return "<title>Hello</title>"

    @app.get("/logout")
    def leave() -> str:
        logout()
        return "<title>Bye</title>"

    @app.get("/me")
    def me() -> dict[str, t.Any]:
        return {"customer": current_visitor.customer_id, "uuid": current_visitor.uuid}


def token_of(host: Host, who: str, expires_in: float = 3600) -> str:
    with host.app.app_context():
        return host.events.issue_token(who, expires_in)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def profile_of(who: str) -> uuidlib.UUID:
    return customer_uuid("flask-eventtrack", who)


def send(
    client: FlaskClient,
    path: str = "in",
    headers: cabc.Mapping[str, str] = SAME_ORIGIN,
    **body: t.Any,
) -> TestResponse:
    return client.post(f"/_et/{path}", json=body, headers=dict(headers))


def visit(client: FlaskClient, path: str = "/") -> TestResponse:
    response = client.get(path, headers=NAVIGATION)
    assert response.status_code == 200
    return response


def identity_of(response: TestResponse) -> dict[str, str]:
    """Return what an app keeps of an answer and sends along next."""
    return {name: response.headers[name] for name in IDENTITY if name in response.headers}


def written(host: Host) -> dict[str, list[dict[str, t.Any]]]:
    """Return the rows that say something about a person; counts of refusals do not."""
    return {name: host.rows(name) for name in ("event", "session", "profile", "alias", "hourly")}


def refusals(host: Host) -> dict[str, int]:
    """Return how often a post was refused as a whole, by reason."""
    rows = [row for row in host.rows("quality") if not row["action"]]
    assert {row["outcome"] for row in rows} <= {"rejected"}
    return {row["reason"]: row["count"] for row in rows}


def may_open(client: FlaskClient) -> bool:
    return send(client, **OPEN).status_code == 202


def load_user(app: Flask, user_id: str) -> None:
    """Have Flask-Login know this user in each request, before any view."""

    class User(UserMixin):  # type: ignore[misc]
        id = user_id

    LoginManager(app).request_loader(lambda _: User())

    @app.before_request
    def look() -> None:
        assert current_user.is_authenticated


def jar_of(client: FlaskClient) -> dict[str, str]:
    names = ("eventtrack_device", "eventtrack_session")
    return {name: cookie.value for name in names if (cookie := client.get_cookie(name))}
