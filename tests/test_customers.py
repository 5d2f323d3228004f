"""Who is a customer, who may say so, and for how long: DESIGN §5 and §8."""

from __future__ import annotations

import base64
import collections.abc as cabc
import datetime as dt
import json
import typing as t
import uuid as uuidlib

import jwt
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user
from werkzeug.test import TestResponse

from flask_eventtrack import current_visitor, identify, logout, signals, track
from flask_eventtrack.errors import ConfigError, InvalidEvent, InvalidToken, NotRegistered
from flask_eventtrack.identity import DeviceToken, SessionToken, TokenCodec, customer_uuid

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, START, Host
from .test_customer_tokens import public_pem, rsa_key, seal
from .test_origin import EVIL, FROM_SHOP, OLD_BROWSER, SHOP, problem_of, set_cookies

KEY = "0123456789abcdef0123456789abcdef"
CLICK: dict[str, t.Any] = {"action": "button.click"}
OPEN: dict[str, t.Any] = {"action": "account.open"}
IDENTITY = ("X-EventTrack-Device", "X-EventTrack-Session")
#: What says nothing of itself, which makes it an app.
APP = "okhttp/5.0"


@pytest.fixture
def shop(make: MakeHost) -> Host:
    """A host that takes tokens, with an event for customers only, and views to log in and out."""
    host = make(
        {
            "EVENTTRACK_JWT_KEYS": KEY,
            "EVENTTRACK_ALLOWED_ORIGINS": [SHOP],
            "EVENTTRACK_DASHBOARD_PERMISSION": lambda: request.headers.get("X-Staff") and "view",
        }
    )
    host.events.define("account.open")
    add_views(host.app)
    return host


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
    """Return what says something of somebody; counts of what came to nothing do not."""
    return {name: host.rows(name) for name in ("event", "session", "profile", "alias", "hourly")}


def refusals(host: Host) -> dict[str, int]:
    """Return how often a post was refused as a whole, by reason."""
    rows = [row for row in host.rows("quality") if not row["action"]]
    assert {row["outcome"] for row in rows} <= {"rejected"}
    return {row["reason"]: row["count"] for row in rows}


# Every route and every role


class Role(t.NamedTuple):
    """Who posts: headers, what the body has besides, who they were before, and what they get.

    ``statuses`` are those of an event for customers, one for all, /identify, /logout and /consent;
    ``logs_in`` and ``logs_out`` whether that is news; ``is_staff`` whether the host lets them see
    what is for its own people.
    """

    statuses: tuple[int, int, int, int, int]
    headers: cabc.Mapping[str, str]
    user_agent: str = CHROME
    before: str = ""
    in_body: str = ""
    in_header: str = ""
    logs_in: bool = False
    logs_out: bool = False
    is_staff: bool = False


ROLES = {
    "stranger": Role((403,) * 5, {"Sec-Fetch-Site": "none"}),
    "other site": Role((403,) * 5, {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}),
    "other site with a token": Role((403,) * 5, {"Origin": EVIL}, in_body="7"),
    "allowed origin": Role((422, 202, 401, 204, 204), FROM_SHOP),
    "allowed origin's customer": Role(
        (202, 202, 204, 204, 204), FROM_SHOP, in_header="7", logs_in=True
    ),
    "newcomer": Role((422, 202, 401, 204, 204), SAME_ORIGIN),
    "visitor": Role((422, 202, 401, 204, 204), SAME_ORIGIN, before="/"),
    "old browser without its token": Role(
        (403, 403, 403, 403, 204), OLD_BROWSER, before="/", in_body="7"
    ),
    "customer": Role((202, 202, 204, 204, 204), SAME_ORIGIN, before="/", in_body="7", logs_in=True),
    "customer by header": Role(
        (202, 202, 204, 204, 204), SAME_ORIGIN, before="/", in_header="7", logs_in=True
    ),
    "customer by session": Role(
        (202, 202, 401, 204, 204), SAME_ORIGIN, before="/login/7", logs_out=True
    ),
    "customer by session and token": Role(
        (202, 202, 204, 204, 204), SAME_ORIGIN, before="/login/7", in_body="7", logs_out=True
    ),
    "expired customer": Role((401, 401, 401, 401, 204), SAME_ORIGIN, before="/", in_body="expired"),
    "expired customer by header": Role((401, 401, 401, 401, 204), SAME_ORIGIN, in_header="expired"),
    "expired customer in their session": Role(
        (401, 401, 401, 401, 204), SAME_ORIGIN, before="/login/7", in_body="expired"
    ),
    "forger": Role((401, 401, 401, 401, 204), SAME_ORIGIN, before="/", in_body="forged"),
    "another customer's token": Role(
        (202, 202, 204, 204, 204), SAME_ORIGIN, before="/login/8", in_body="7", logs_in=True
    ),
    "app": Role((422, 202, 401, 204, 403), {}, APP),
    "app of a customer": Role((202, 202, 204, 204, 403), {}, APP, in_header="7", logs_in=True),
    "app of an expired customer": Role((401, 401, 401, 401, 403), {}, APP, in_header="expired"),
    "bot": Role((422, 422, 204, 204, 204), SAME_ORIGIN, "Googlebot/2.1", in_body="7"),
    "dashboard user": Role(
        (422, 202, 401, 204, 204), {**SAME_ORIGIN, "X-Staff": "yes"}, before="/", is_staff=True
    ),
    "customer who refused": Role(
        (422, 422, 204, 204, 204), {**SAME_ORIGIN, "Sec-GPC": "1"}, in_body="7"
    ),
}


@pytest.mark.parametrize("name", ROLES)
def test_every_route_by_every_role(shop: Host, name: str) -> None:
    """The statuses, and what is written: nothing where nothing may be."""
    role = ROLES[name]
    forged = jwt.encode({"sub": "7", "exp": 4e9}, KEY[::-1], "HS256")
    made = {"7": token_of(shop, "7"), "expired": token_of(shop, "7", 1), "forged": forged}
    shop.clock.advance(minutes=2)
    headers = {**role.headers, **(bearer(made[role.in_header]) if role.in_header else {})}
    token = {"token": made[role.in_body]} if role.in_body else {}
    routes: tuple[tuple[str, dict[str, t.Any], set[str]], ...] = (
        ("in", OPEN, {"account.open"}),
        ("in", CLICK, {"button.click"}),
        ("identify", {}, set()),
        ("logout", {}, {"customer.logout"} if role.logs_out else set()),
        ("consent", {"choice": "full"}, set()),
    )
    for (path, body, actions), status in zip(routes, role.statuses, strict=True):
        client = shop.client(role.user_agent)
        if role.before:
            visit(client, role.before)
        earlier = written(shop)
        seen = {row["id"] for row in earlier["event"]}
        response = send(client, path, headers, **body, **token)
        assert (path, response.status_code) == (path, status)
        now = written(shop)
        new = {row["action"] for row in now["event"] if row["id"] not in seen}
        expected = set(actions) if status < 300 else set()
        if role.logs_in and path in {"in", "identify"}:
            expected.add("customer.login")
        assert (path, {a for a in new if not a.startswith("session.")}) == (path, expected)
        assert expected or now == earlier, path
        assert (
            status < 400
            or status == 422
            or "Set-Cookie" not in response.headers
            or (problem_of(response) == (403, "csrf"))
        )


@pytest.mark.parametrize("name", ROLES)
def test_what_may_be_read_by_every_role(shop: Host, name: str) -> None:
    """The script and the API's description by all, the catalogue by the host's own people; a 404 or
    405 for the rest."""
    role, before = ROLES[name], written(shop)
    headers = dict(role.headers)
    client = shop.client(role.user_agent)
    script = f"/_et{shop.state.scripts.path('et.js')}"
    for method, path, status in (
        ("GET", script, 200),
        ("GET", "/_et/openapi.json", 200),
        ("GET", "/_et/catalogue.json", 200 if role.is_staff else 404),
        ("POST", "/_et/catalogue.json", 404),
        ("GET", "/_et/nothing", 404),
        ("POST", "/_et/nothing", 404),
        ("POST", "/_et/", 404),
        *(("GET", f"/_et/{name}", 405) for name in ("in", "identify", "logout", "consent")),
    ):
        response = client.open(path, method=method, headers=headers)
        assert (path, response.status_code) == (path, status)
        assert "Set-Cookie" not in response.headers
    assert written(shop) == before


@pytest.mark.parametrize("path", ["identify", "logout"])
def test_account_posts_pass_preflight_from_allowed_origins_only(shop: Host, path: str) -> None:
    """With the header that a bearer token comes in."""
    response = shop.client().options(f"/_et/{path}", headers=FROM_SHOP)
    assert response.status_code == 204
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"].split(", ")
    response = shop.client().options(f"/_et/{path}", headers={"Origin": EVIL})
    assert problem_of(response) == (403, "foreign_origin")


# Tokens that are refused


def unsigned(claims: dict[str, t.Any]) -> str:
    head, body = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (head, body)]
    return ".".join([*parts, ""])


GOOD = {"sub": "7", "exp": START.timestamp() + 3600}
REFUSED: dict[str, tuple[cabc.Callable[[], str], str]] = {
    "empty": (lambda: "", "token_invalid"),
    "no token": (lambda: "Bearer x", "token_invalid"),
    "a NUL": (lambda: "\0", "token_invalid"),
    "a lone surrogate": (lambda: "\ud800", "token_invalid"),
    "unsigned": (lambda: unsigned(GOOD), "token_invalid"),
    "too long": (lambda: "x" * 8193, "token_too_large"),
    "truncated": (lambda: jwt.encode(GOOD, KEY)[:-4], "token_signature"),
    "another's key": (lambda: jwt.encode(GOOD, KEY[::-1]), "token_signature"),
    "RSA": (lambda: jwt.encode(GOOD, rsa_key(), "RS256"), "token_key"),
    "kid of a path": (
        lambda: jwt.encode(GOOD, KEY, headers={"kid": "../../../dev/null"}),
        "token_key",
    ),
    "kid of SQL": (lambda: jwt.encode(GOOD, KEY, headers={"kid": "' OR '1'='1"}), "token_key"),
    "for others": (lambda: jwt.encode({**GOOD, "aud": "others"}, KEY), "token_audience"),
    "for nobody": (lambda: jwt.encode({**GOOD, "sub": "guest"}, KEY), "token_claims"),
    "for ever": (lambda: jwt.encode({"sub": "7"}, KEY), "token_claims"),
    "for later": (
        lambda: jwt.encode({**GOOD, "nbf": START.timestamp() + 61}, KEY),
        "token_not_yet_valid",
    ),
    "expired": (lambda: jwt.encode({**GOOD, "exp": START.timestamp() - 60}, KEY), "token_expired"),
}


@pytest.mark.parametrize("path", ["in", "identify", "logout"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused_token_refuses_the_post(shop: Host, name: str, path: str) -> None:
    """401 with the reason, as RFC 6750 (section 3) has it; it is counted, and nothing written."""
    make_token, code = REFUSED[name]
    client = shop.client()
    visit(client, "/login/8")
    before = written(shop)
    response = send(client, path, token=make_token(), **(CLICK if path == "in" else {}))
    assert problem_of(response) == (401, code)
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert set_cookies(response) == {}
    assert written(shop) == before
    assert refusals(shop) == {code: 1}
    assert client.get("/me").get_json()["customer"] == "8"


def test_public_key_is_no_secret(make: MakeHost) -> None:
    """RFC 8725, section 2.1: a token that is signed with the RSA key's public text as a secret."""
    host = make({"EVENTTRACK_JWT_KEYS": public_pem(rsa_key()).decode()})
    text = public_pem(rsa_key())
    for secret in (text, text.strip(), public_pem(rsa_key(), "DER")):
        token = seal(b'{"alg":"HS256"}', json.dumps(GOOD).encode(), secret)
        response = send(host.client(), **CLICK, token=token)
        assert problem_of(response) == (401, "token_key")
    token = jwt.encode(GOOD, rsa_key(), "RS256")
    assert send(host.client(), **CLICK, token=token).status_code == 202


def test_no_token_is_another_401(shop: Host) -> None:
    """The challenge of RFC 6750 has no error where nothing was shown."""
    response = send(shop.client(), "identify")
    assert problem_of(response) == (401, "token_missing")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["in", "identify", "logout"])
def test_without_keys_no_token_is_taken(host: Host, path: str) -> None:
    """And none is passed over in silence."""
    response = send(host.client(), path, token=jwt.encode(GOOD, KEY), **CLICK)
    assert problem_of(response) == (401, "token_unsupported")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": "bearer {}"}, None, 204),
        ({"Authorization": "Bearer {}"}, "", 204),
        ({"Authorization": "Bearer  {}"}, "{{}}", 204),
        ({"Authorization": "Basic {}"}, "", 401),
        ({}, '{{"token": "{}"}}', 204),
        ({"Authorization": "Bearer x"}, '{{"token": "{}"}}', 204),
        ({"Authorization": "Bearer {}"}, '{{"token": "x"}}', 401),
        ({}, '{{"token": null}}', 401),
        ({}, '{{"token": 7}}', 400),
        ({}, "[]", 400),
        ({}, "{{", 400),
        ({"Authorization": "Bearer {}"}, "{{", 400),
    ],
)
def test_token_comes_in_the_header_or_the_body(
    shop: Host, headers: dict[str, str], body: str | None, status: int
) -> None:
    """The body's goes before the header's, and a post without a body is one without a type."""
    token = token_of(shop, "7")
    headers = {name: value.format(token) for name, value in headers.items()}
    data = None if body is None else body.format(token)
    response = shop.client().post(
        "/_et/identify",
        data=data,
        headers={**SAME_ORIGIN, **headers},
        content_type="text/plain" if body else None,
    )
    assert response.status_code == status
    assert len(shop.rows("profile")) == (status == 204)


def test_refused_post_may_come_again(shop: Host) -> None:
    """With a fresh token, or without one: its events are not lost, and count once."""
    client, event = shop.client(), {**CLICK, "event_id": str(uuidlib.uuid4())}
    assert send(client, **event, token="x").status_code == 401
    assert send(client, **event).get_json()["results"][0]["status"] == "accepted"
    assert send(client, **event, token=token_of(shop, "7")).get_json()["results"][0]["status"] == (
        "duplicate"
    )


def test_token_is_nowhere(shop: Host) -> None:
    """Neither in the tables, nor in a cookie."""
    client, token = shop.client(), token_of(shop, "7")
    send(client, "identify", token=token)
    send(client, **OPEN, token=token)
    signature = token.rpartition(".")[2]
    assert signature not in f"{written(shop)} {shop.rows('quality')}"
    assert not any(signature in value for value in jar_of(client).values())


# For how long a token vouches


def may_open(client: FlaskClient) -> bool:
    return send(client, **OPEN).status_code == 202


def test_token_vouches_until_it_expires(shop: Host) -> None:
    """With a minute's leeway; then the cookies attribute, and vouch no more."""
    client = shop.client()
    visit(client)
    assert not may_open(client)
    assert send(client, "identify", token=token_of(shop, "7", 600)).status_code == 204
    shop.clock.advance(minutes=10, seconds=59)
    assert may_open(client)
    assert visit(client, "/me").get_json()["customer"] == "7"
    shop.clock.advance(seconds=1)
    assert not may_open(client)
    me = visit(client, "/me").get_json()
    assert me == {"customer": None, "uuid": str(profile_of("7"))}
    assert send(client, **CLICK).status_code == 202
    assert shop.events_of("button.click")[0]["uuid"] == profile_of("7")
    assert len(shop.rows("session")) == 1


def test_token_vouches_no_longer_than_the_session(shop: Host) -> None:
    """A browser that comes back a day later shows it again."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7", 7 * 86_400))
    shop.clock.advance(minutes=31)
    assert not may_open(client)
    assert visit(client, "/me").get_json()["customer"] is None


@pytest.mark.parametrize("path", ["in", "identify"])
def test_fresh_token_vouches_on(shop: Host, path: str) -> None:
    """Before the old one expires or after: the customer has not logged in anew."""
    client, heard = shop.client(), []

    def hear(sender: object, customer_id: str, uuid: uuidlib.UUID) -> None:
        heard.append((customer_id, uuid))

    with signals.customer_identified.connected_to(hear, shop.app):
        for minutes in (0, 2, 20):
            shop.clock.advance(minutes=minutes)
            token = token_of(shop, "7", 600)
            response = send(client, path, token=token, **(CLICK if path == "in" else {}))
            assert response.status_code < 300
            shop.clock.advance(minutes=8)
            assert may_open(client)
    assert shop.actions()["customer.login"] == 1
    assert heard == [("7", profile_of("7"))] * 2  # again when the word of before had ended
    assert len(shop.rows("session")) == 1


def test_shorter_word_takes_nothing_from_a_longer_one(shop: Host) -> None:
    """Neither an old token from a fresh one, nor any token from a log-in."""
    first, second = shop.client(), shop.client()
    send(first, "identify", token=token_of(shop, "7", 1200))
    visit(second, "/login/7")
    for client in (first, second):
        send(client, **CLICK, token=token_of(shop, "7", 60))
    shop.clock.advance(minutes=15)
    assert [may_open(client) for client in (first, second)] == [True, True]
    shop.clock.advance(minutes=15)
    assert [may_open(client) for client in (first, second)] == [False, True]


def test_identify_in_a_view_vouches_longer_than_the_token_before(shop: Host) -> None:
    """Until the session ends, with no second log-in."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7", 60))
    visit(client, "/login/7")
    shop.clock.advance(minutes=15)
    assert may_open(client)
    assert shop.actions()["customer.login"] == 1


def test_log_in_by_token_is_an_event(shop: Host) -> None:
    """With the customer's id, in the session that goes on, and the history before it is theirs."""
    client = shop.client()
    visit(client)
    shop.clock.advance(seconds=1)
    send(client, "identify", token=token_of(shop, "7"))
    [login], [page] = shop.events_of("customer.login"), shop.events_of("page.visit")
    assert (login["params"], login["label"]) == ({"customer_id": "7"}, "Logged in")
    assert (login["uuid"], login["session_id"]) == (profile_of("7"), page["session_id"])
    [alias] = shop.rows("alias")
    assert (alias["anonymous_uuid"], alias["customer_uuid"]) == (page["uuid"], profile_of("7"))
    assert [row["customer_id"] for row in shop.rows("profile")] == ["7"]


def test_token_wins_over_whom_the_host_identifies(shop: Host) -> None:
    """DESIGN §5: a valid token comes first."""

    @shop.app.before_request
    def know() -> None:
        identify("8")

    client = shop.client()
    assert send(client, **OPEN, token=token_of(shop, "7")).status_code == 202
    assert shop.events_of("account.open")[0]["uuid"] == profile_of("7")


def test_token_wins_over_the_user_of_flask_login(shop: Host) -> None:
    """Also where a hook has loaded it, and in the host's views."""
    load_user(shop.app, "8")
    client = shop.client()
    assert send(client, **OPEN, token=token_of(shop, "7")).status_code == 202
    assert shop.events_of("account.open")[0]["uuid"] == profile_of("7")
    headers = bearer(token_of(shop, "7"))
    assert client.get("/me", headers=headers).get_json()["customer"] == "7"
    assert client.get("/me").get_json()["customer"] == "8"


def test_kept_events_are_not_the_tokens(shop: Host) -> None:
    """Whose they are is by their visit alone; a bad token is refused all the same."""
    client = shop.client()
    response = send(client, events=[OPEN, CLICK], by_visit=True, token=token_of(shop, "7"))
    assert [result["status"] for result in response.get_json()["results"]] == [
        "rejected",
        "accepted",
    ]
    assert shop.rows("profile") == []
    assert send(client, events=[CLICK], by_visit=True, token="x").status_code == 401


def test_old_browser_shows_its_csrf_token_to_log_in_and_out(shop: Host) -> None:
    """The script's posts: JSON as text, with the token of the readable cookie."""
    client = shop.client()
    visit(client)
    for path, token in (("identify", {"token": token_of(shop, "7")}), ("logout", {})):
        cookie = client.get_cookie("eventtrack_csrf")
        assert cookie is not None
        body = json.dumps({**token, "csrf_token": cookie.value})
        for content, status in (("{}", 403), (body, 204)):
            response = client.post(
                f"/_et/{path}", data=content, content_type="text/plain", headers=OLD_BROWSER
            )
            assert response.status_code == status
    assert shop.actions()["customer.logout"] == 1


def test_no_room_for_a_log_in_is_503(make: MakeHost) -> None:
    """What became known of a customer is kept, or the post is to come again."""
    settings = {"EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 1}
    host = make({**settings, "EVENTTRACK_JWT_KEYS": KEY}, create=False)
    client = host.client()
    send(client, **CLICK)
    for path in ("identify", "in"):
        response = send(client, path, token=token_of(host, "7"), **CLICK)
        assert problem_of(response) == (503, "no_room")
        assert set_cookies(response) == {}


# Log-out


def test_log_out_detaches_the_device(shop: Host) -> None:
    """A new profile, the session is over, and nobody is vouched for; the device stays."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7"))
    shop.clock.advance(seconds=5)
    response = send(client, "logout")
    assert (response.status_code, response.data) == (204, b"")
    assert "eventtrack_session" in set_cookies(response)
    [end] = shop.events_of("session.end")
    assert (end["params"]["reason"], shop.actions()["customer.logout"]) == ("logout", 1)
    shop.clock.advance(seconds=5)
    assert not may_open(client)
    assert send(client, **CLICK).status_code == 202
    [click] = shop.events_of("button.click")
    first, second = shop.rows("session", "started_at")
    assert first["device_id"] == second["device_id"]
    assert click["uuid"] not in {profile_of("7"), first["device_id"]}
    assert len(shop.rows("alias")) == 1


def test_log_out_by_token_names_the_customer_after_the_session(shop: Host) -> None:
    """The device is still theirs then, and the token says who has left."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7"))
    shop.clock.advance(hours=2)
    assert send(client, "logout", token=token_of(shop, "7")).status_code == 204
    [event] = shop.events_of("customer.logout")
    assert (event["uuid"], event["params"]) == (profile_of("7"), {"customer_id": "7"})


def load_user(app: Flask, user_id: str) -> None:
    """Have Flask-Login know this user in each request, before any view."""

    class User(UserMixin):  # type: ignore[misc]
        id = user_id

    LoginManager(app).request_loader(lambda _: User())

    @app.before_request
    def look() -> None:
        assert current_user.is_authenticated


def test_log_out_holds_for_the_request_in_which_the_host_still_has_the_user(shop: Host) -> None:
    """A hook of the host's may have loaded its user: the post is not undone by that."""
    load_user(shop.app, "7")
    client = shop.client()
    visit(client)
    assert send(client, "logout").status_code == 204
    assert shop.actions()["customer.logout"] == 1
    cookie = client.get_cookie("eventtrack_device")
    assert cookie is not None
    device = shop.state.tokens.read_device(cookie.value)
    assert device is not None
    assert device.uuid.version == 4


# Replayed and swapped values


def jar_of(client: FlaskClient) -> dict[str, str]:
    names = ("eventtrack_device", "eventtrack_session")
    return {name: cookie.value for name in names if (cookie := client.get_cookie(name))}


def test_session_of_before_the_log_out_vouches_no_more(shop: Host) -> None:
    """The device's cookie knows that the session was ended."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7"))
    old = jar_of(client)["eventtrack_session"]
    send(client, "logout")
    client.set_cookie("eventtrack_session", old)
    assert not may_open(client)
    assert visit(client, "/me").get_json()["customer"] is None


def test_both_cookies_of_before_the_log_out_vouch_as_long_as_the_token(shop: Host) -> None:
    """A copy of both is the browser of before: no longer than the token or a gap; it reads nothing,
    and the session that has ended stays so."""
    client, thief = shop.client(), shop.client()
    send(client, "identify", token=token_of(shop, "7", 600))
    for name, value in jar_of(client).items():
        thief.set_cookie(name, value)
    send(client, "logout")
    assert may_open(thief)
    assert len(shop.events_of("session.end")) == 1
    shop.clock.advance(minutes=11)
    assert not may_open(thief)


def test_session_does_not_vouch_beside_a_device_cookie_of_before(shop: Host) -> None:
    """As a late answer may put it back: no event of a customer's is a stranger's."""
    client = shop.client()
    visit(client)
    before = jar_of(client)["eventtrack_device"]
    token = token_of(shop, "7")
    send(client, "identify", token=token)
    client.set_cookie("eventtrack_device", before)
    assert not may_open(client)
    assert send(client, token=token, **OPEN).status_code == 202
    assert may_open(client)
    assert {row["uuid"] for row in shop.events_of("account.open")} == {profile_of("7")}


def test_session_of_a_customer_does_not_vouch_on_another_device(shop: Host) -> None:
    """By cookies and by headers: it is bound to its device."""
    known, other = shop.client(), shop.client()
    send(known, "identify", token=token_of(shop, "7"))
    visit(other)
    other.set_cookie("eventtrack_session", jar_of(known)["eventtrack_session"])
    assert not may_open(other)
    app = shop.client(APP)
    customers = identity_of(send(app, headers=bearer(token_of(shop, "8")), **CLICK))
    strangers = identity_of(send(app, headers={}, **CLICK))
    swapped = {**strangers, "X-EventTrack-Session": customers["X-EventTrack-Session"]}
    assert send(app, headers=customers, **OPEN).status_code == 202
    assert send(app, headers=swapped, **OPEN).status_code == 422


@pytest.mark.parametrize("spoil", ["{}x", "x{}", "{:.20}", "", "\x00"])
def test_forged_headers_vouch_for_nobody(shop: Host, spoil: str) -> None:
    """A fresh start, never an error."""
    app = shop.client(APP)
    known = identity_of(send(app, headers=bearer(token_of(shop, "7")), **CLICK))
    shop.clock.advance(seconds=1)
    forged = {f"HTTP_{k.upper().replace('-', '_')}": spoil.format(v) for k, v in known.items()}
    response = app.post("/_et/in", json=OPEN, environ_overrides=forged)
    assert response.status_code == 422
    assert app.post("/_et/in", json=CLICK, environ_overrides=forged).status_code == 202
    assert shop.events_of("button.click")[-1]["uuid"] != profile_of("7")


@pytest.mark.parametrize(
    ("text", "voucher", "customer"),
    [
        (
            "AQucj25dOk4hnwCqu8zd7v8AAAADAAZgyBmhcAAABmDIHTT3AAA."
            "qqFaVwbDb2z5d3c8Xvv408T7vIQQmMoNK5dtKyAaMBw",
            "",
            None,
        ),
        (
            "AQucj25dOk4hnwCqu8zd7v8AAAADAAZgyBmhcAAABmDIHTT3AAE3."
            "nChO_KcFBQYrv3rQpPsTALgP5GtBrA9qQO_-4lv9Hlk",
            "login",
            "7",
        ),
        (
            "AQucj25dOk4hnwCqu8zd7v8AAAADAAZgyBmhcAAABmDIHTT3AALDqXTDqQ."
            "D76fsqQoIknUutU0uoh-rmw3XDleHkjyuuV5dm1Z7h8",
            "identify",
            "été",
        ),
    ],
)
def test_cookies_without_tokens_are_read_as_ever(
    text: str, voucher: t.Any, customer: str | None
) -> None:
    """Their layout is fixed: browsers have them."""
    device = uuidlib.UUID("0b9c8f6e-5d3a-4e21-9f00-aabbccddeeff")
    times = (1795262400000000, 1795262460000000)
    token = SessionToken(device, 3, *times, voucher, customer)
    codec = TokenCodec(["a secret for tests only"])
    assert codec.read_session(text) == token
    assert codec.write_session(token) == text


@pytest.mark.parametrize("customer", ["7", "x" * 255, "😀" * 255])
def test_cookie_of_a_token_comes_back(customer: str) -> None:
    """With the moment at which it vouches no more, in microseconds up to the year 9999."""
    codec = TokenCodec(["secret"])
    for until in (1, 253_402_300_859_000_000):
        token = SessionToken(uuidlib.uuid4(), 1, 2, 3, "token", customer, until)
        assert codec.read_session(codec.write_session(token)) == token


# Whose events they are

Step = tuple[str, str, str]
#: Who does what: a browser's name, what it does, and as whom; then the profile of each click, and
#: in whose feed it is. "a", "b": browsers; a1: the profile that a has at first.
JOURNEYS: dict[str, tuple[list[Step], list[str], dict[str, list[int]], int]] = {
    "two devices of one customer": (
        [
            ("a", "click", ""),
            ("a", "identify", "7"),
            ("b", "click", ""),
            ("b", "identify", "7"),
            ("a", "click", ""),
            ("b", "click", ""),
        ],
        ["a1", "b1", "7", "7"],
        {"7": [0, 1, 2, 3]},
        2,
    ),
    "log-in in the middle of a session": (
        [("a", "click", ""), ("a", "identify", "7"), ("a", "click", "")],
        ["a1", "7"],
        {"7": [0, 1]},
        1,
    ),
    "log-in with the events themselves": (
        [("a", "click", ""), ("a", "click", "7"), ("a", "click", "")],
        ["a1", "7", "7"],
        {"7": [0, 1, 2]},
        1,
    ),
    "log-out and in as another": (
        [
            ("a", "identify", "7"),
            ("a", "click", ""),
            ("a", "logout", ""),
            ("a", "click", ""),
            ("a", "identify", "8"),
            ("a", "click", ""),
        ],
        ["7", "a2", "8"],
        {"7": [0], "8": [1, 2]},
        2,
    ),
    "shared computer": (
        [
            ("a", "click", "7"),
            ("a", "logout", ""),
            ("a", "click", ""),
            ("a", "gap", ""),
            ("a", "click", ""),
            ("a", "click", "7"),
        ],
        ["7", "a2", "a2", "7"],
        {"7": [0, 1, 2, 3]},
        3,
    ),
    "token of 7 in the browser of 8": (
        [
            ("a", "click", ""),
            ("a", "identify", "8"),
            ("a", "click", ""),
            ("a", "click", "7"),
            ("a", "click", ""),
        ],
        ["a1", "8", "7", "7"],
        {"8": [0, 1], "7": [2, 3]},
        2,
    ),
    "and 8 comes back": (
        [
            ("a", "identify", "8"),
            ("a", "click", ""),
            ("a", "identify", "7"),
            ("a", "click", ""),
            ("a", "identify", "8"),
            ("a", "click", ""),
        ],
        ["8", "7", "8"],
        {"8": [0, 2], "7": [1]},
        3,
    ),
    "the device of 8 after a gap": (
        [
            ("a", "click", "8"),
            ("a", "gap", ""),
            ("a", "click", ""),
            ("a", "identify", "7"),
            ("a", "click", ""),
        ],
        ["8", "8", "7"],
        {"8": [0, 1], "7": [2]},
        3,
    ),
}


@pytest.mark.parametrize("name", JOURNEYS)
@pytest.mark.parametrize("is_app", [False, True], ids=["browser", "app"])
def test_whose_events_they_are(shop: Host, name: str, *, is_app: bool) -> None:
    """Which uuid each event carries, whose feed shows it, and how many sessions there are: a log-in
    keeps a stranger's session, another customer begins one, and none is merged with another."""
    steps, owners, feeds, sessions = JOURNEYS[name]
    clients = {who: shop.client(APP if is_app else CHROME) for who in "ab"}
    known: dict[str, dict[str, str]] = {"a": {}, "b": {}}
    ids: list[str] = []
    for who, what, customer in steps:
        shop.clock.advance(**({"hours": 1} if what == "gap" else {"seconds": 1}))
        if what == "gap":
            continue
        headers = dict(known[who]) if is_app else SAME_ORIGIN
        token = {"token": token_of(shop, customer)} if customer else {}
        path, body = ("in", CLICK) if what == "click" else (what, {})
        response = send(clients[who], path, headers, **body, **token)
        assert response.status_code < 300
        known[who] |= identity_of(response)
        if what == "click":
            ids.append(response.get_json()["results"][0]["event_id"])
    rows = {str(row["id"]): row for row in shop.events_of("button.click")}
    found = [rows[event_id]["uuid"] for event_id in ids]
    names: dict[uuidlib.UUID, str] = {}
    for uuid, owner in zip(found, owners, strict=True):
        assert names.setdefault(uuid, owner) == owner
        assert (uuid == profile_of(owner)) == owner.isdigit()
    assert len(names) == len(set(owners))
    assert len(shop.rows("session")) == sessions
    with shop.app.app_context():
        for customer, expected in feeds.items():
            shown = {str(event.id) for event in shop.events.feed(customer)}
            assert [i for i, event_id in enumerate(ids) if event_id in shown] == expected
    between = {row["anonymous_uuid"].version for row in shop.rows("alias")}
    assert between <= {4}


def test_session_has_one_customer(shop: Host) -> None:
    """Where another's token comes, the session of before is over."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "8"))
    shop.clock.advance(seconds=9)
    send(client, **CLICK, token=token_of(shop, "7"))
    first, second = shop.rows("session", "started_at")
    assert (first["uuid"], second["uuid"]) == (profile_of("8"), profile_of("7"))
    assert first["device_id"] == second["device_id"]
    [end] = shop.events_of("session.end")
    assert (end["session_id"], end["params"]["reason"]) == (first["id"], "logout")
    assert shop.actions()["customer.login"] == 2
    assert shop.actions()["customer.logout"] == 0


# Apps


def test_app_of_a_customer(shop: Host) -> None:
    """Case 4 of DESIGN §8: no cookies; headers carry the device, a bearer token the customer."""
    app, token = shop.client(APP), token_of(shop, "7", 600)
    screen: dict[str, t.Any] = {"action": "screen.view", "params": {"name": "Home"}}
    stranger = send(app, headers={}, **screen)
    assert "Set-Cookie" not in stranger.headers
    shop.clock.advance(seconds=1)
    known = send(app, headers={**identity_of(stranger), **bearer(token)}, **screen)
    assert send(app, headers=identity_of(known), **OPEN).status_code == 202
    screens = shop.events_of("screen.view")
    assert [row["source"] for row in screens] == ["app", "app"]
    assert screens[1]["uuid"] == profile_of("7")
    [session] = shop.rows("session")
    assert (session["pages"], session["entry"], session["exit"]) == (2, "Home", "Home")
    shop.clock.advance(minutes=12)
    assert send(app, headers=identity_of(known), **OPEN).status_code == 422
    with shop.app.app_context():
        assert [event.action for event in shop.events.feed("7")].count("screen.view") == 2


def test_app_logs_out_without_its_token(shop: Host) -> None:
    """One that has expired is left out: the device says who leaves."""
    app = shop.client(APP)
    known = identity_of(send(app, headers=bearer(token_of(shop, "7", 60)), **CLICK))
    shop.clock.advance(minutes=5)
    response = send(app, "logout", known)
    assert (response.status_code, set(identity_of(response))) == (204, {"X-EventTrack-Device"})
    assert shop.actions()["customer.logout"] == 1
    known |= identity_of(response)
    assert send(app, headers=known, **OPEN).status_code == 422
    send(app, headers=known, **CLICK)
    assert shop.events_of("button.click")[-1]["uuid"] != profile_of("7")


# In the host's own views


def test_bearer_token_is_heard_in_views(shop: Host) -> None:
    """A back end's API that takes the same tokens needs no ``identify()``."""
    shop.app.add_url_rule("/api", view_func=lambda: {"id": track("account.open")})
    client = shop.client()
    headers = bearer(token_of(shop, "7"))
    response = client.get("/api", headers=headers)
    assert "Vary" not in response.headers
    assert shop.events_of("account.open")[0]["uuid"] == profile_of("7")
    assert shop.actions()["customer.login"] == 0
    assert client.get("/me").get_json()["customer"] == "7"


@pytest.mark.parametrize("value", ["Bearer x", "Bearer", "Basic x", "Bearer {}x", ""])
def test_other_credentials_are_the_hosts(shop: Host, value: str) -> None:
    """What we cannot verify may be good for the host: it is not refused, and says nothing to us."""
    headers = {"Authorization": value.format(token_of(shop, "7"))}
    response = shop.client().get("/me", headers=headers)
    assert (response.status_code, response.get_json()["customer"]) == (200, None)
    assert refusals(shop) == {}


# Making tokens


def test_issued_token_is_taken(make: MakeHost) -> None:
    """By an app with the same settings."""
    settings = {
        "EVENTTRACK_JWT_KEYS": {"k1": KEY},
        "EVENTTRACK_JWT_AUDIENCE": "shop",
        "EVENTTRACK_JWT_ISSUER": "us",
        "EVENTTRACK_JWT_TYPE": "at+jwt",
    }
    one, two = make(settings), make(settings)
    with one.app.app_context():
        token = one.events.issue_token(7, expires_in=dt.timedelta(minutes=5))
    assert send(two.client(), "identify", token=token).status_code == 204
    claims = {"verify_signature": False, "verify_exp": False}
    found = jwt.decode(token, options=t.cast("t.Any", claims))
    assert found["exp"] - found["iat"] == 300


def test_errors_of_issuing(shop: Host, host: Host) -> None:
    """Each says what is wrong."""
    with pytest.raises(NotRegistered):
        shop.events.issue_token("7")
    with host.app.app_context(), pytest.raises(ConfigError, match="no key that can sign"):
        host.events.issue_token("7")
    with shop.app.app_context():
        with pytest.raises(InvalidEvent, match="a placeholder"):
            shop.events.issue_token("null")
        with pytest.raises(InvalidToken, match="expires_in"):
            shop.events.issue_token("7", 0)


def test_wrong_key_is_an_error_at_start_up(make: MakeHost) -> None:
    """And not with the first token."""
    with pytest.raises(ConfigError, match="HS256 needs 32"):
        make({"EVENTTRACK_JWT_KEYS": "short"})


# Ids that are nobody's


@pytest.mark.parametrize(
    "customer",
    [
        *("", " ", "null", "NULL", "undefined", "None", "nil", "nan", "NaN", "true", "False"),
        *("guest", " Guest ", "anonymous", "AnonymousUser", "unknown", "n/a", "0", 0, -1, "-1"),
        *("[object Object]", '"undefined"', "'null'", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_word_for_nobody_is_no_customer(shop: Host, customer: str | int) -> None:
    """It would make one person of all who have none."""
    with shop.app.test_request_context(environ_base={"HTTP_USER_AGENT": CHROME}):
        for call in (identify, lambda who: track("account.open", customer=who), shop.events.feed):
            with pytest.raises(InvalidEvent) as caught:
                call(customer)
            assert caught.value.code == "invalid_customer"
    assert shop.rows("profile") == shop.rows("event") == []


@pytest.mark.parametrize("customer", [1, "00", "10", "nullable", "guest7", "O", -7, "none@x.org"])
def test_what_looks_like_a_word_for_nobody_may_be_a_customer(
    shop: Host, customer: str | int
) -> None:
    """Only the whole word counts."""
    with shop.app.test_request_context(environ_base={"HTTP_USER_AGENT": CHROME}):
        assert identify(customer) == profile_of(str(customer))


def test_nothing_of_this_makes_answers_vary(shop: Host) -> None:
    """A token, a log-out, a loader that reads no session: no ``Vary: Cookie``, no host session."""
    shop.events.customer_loader(lambda: "7")
    client = shop.client()
    answers = [
        visit(client),
        send(client, **CLICK, token=token_of(shop, "7")),
        send(client, "identify", token=token_of(shop, "7")),
        visit(client),
        send(client, "logout"),
        visit(client),
    ]
    assert [answer.headers.get("Vary") for answer in answers] == [None] * 6
    assert client.get_cookie("session") is None


def test_device_cookie_of_a_bot_is_none(shop: Host) -> None:
    """What is refused because it is a bot's is answered without cookies."""
    client = shop.client("Googlebot/2.1")
    for path in ("in", "identify", "logout"):
        response = send(client, path, token=token_of(shop, "7"), **CLICK)
        assert set_cookies(response) == identity_of(response) == {}


def test_device_of_a_token_is_a_device_token(shop: Host) -> None:
    """What an app is given is what a browser's cookie would hold."""
    response = send(shop.client(APP), "identify", bearer(token_of(shop, "7")))
    device = shop.state.tokens.read_device(response.headers["X-EventTrack-Device"])
    assert device is not None
    assert device == DeviceToken(device.device_id, profile_of("7"), 1)


def test_customer_without_our_cookies_is_not_the_stranger_of_the_page(shop: Host) -> None:
    """What a token says weighs more than whose page it was: nothing is merged or given away."""
    client = shop.app.test_client(use_cookies=False)
    client.environ_base["HTTP_USER_AGENT"] = CHROME
    page = visit(client).text
    tag = page.partition('data-visit="')[2].partition('"')[0]
    assert tag
    half = str(uuidlib.uuid4())
    event = {"action": "page.visit", "event_id": half, "page": half, "visit": tag}
    answer = send(
        client,
        token=token_of(shop, "carol"),
        events=[event | {"params": {"url": "http://localhost/"}}],
    )
    assert answer.status_code == 202
    hers = [row for row in shop.rows("event") if row["uuid"] == profile_of("carol")]
    assert {row["action"] for row in hers} == {"page.visit", "session.start", "customer.login"}
    strangers = [row for row in shop.rows("event") if row["uuid"] != profile_of("carol")]
    assert {row["action"] for row in strangers} == {"page.visit", "session.start"}
    assert all("customer_id" not in row["params"] for row in strangers)
