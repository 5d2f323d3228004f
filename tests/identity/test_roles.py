"""Every route by every role."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import jwt
import pytest

from flask_eventtrack.ids import uuid7

from ..collector.senders import EVIL, FROM_SHOP, OLD_BROWSER, problem_of
from ..hosts import CHROME, SAME_ORIGIN, Host
from .customers import (
    APP,
    CLICK,
    HOST_TOKEN,
    KEY,
    OPEN,
    bearer,
    send,
    token_of,
    visit,
    written,
)


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


def add_link(host: Host) -> str:
    """Store a link to the overview, and return the secret of its URL."""
    link, now = uuid7(host.clock()), host.clock.moment
    row = {"id": link, "name": "x", "created_at": now, "created_by": "x"}
    database = host.state.pipeline.database
    with database.begin() as connection:
        ends_at = now + dt.timedelta(days=1)
        connection.execute(database.tables.link.insert().values(**row, ends_at=ends_at))
    return host.state.tokens.write_link(link)


@pytest.mark.parametrize("name", ROLES)
def test_what_may_be_read_by_every_role(shop: Host, name: str) -> None:
    """The script, the API's description and a shared link by all, the catalogue and the dashboard
    by the host's own people; a 404 or 405 for the rest."""
    role, before = ROLES[name], written(shop)
    headers = dict(role.headers)
    client = shop.client(role.user_agent)
    script = f"/_et{shop.state.scripts.path('et.js')}"
    shared = f"/_et/shared/{add_link(shop)}/"
    for method, path, status in (
        ("GET", script, 200),
        ("GET", "/_et/openapi.json", 200),
        ("GET", "/_et/catalogue.json", 200 if role.is_staff else 404),
        ("POST", "/_et/catalogue.json", 404),
        ("GET", "/_et/privacy", 200),
        ("GET", "/_et/privacy.css", 200),
        ("PUT", "/_et/privacy", 404),
        ("GET", "/_et/nothing", 404),
        ("POST", "/_et/nothing", 404),
        ("GET", "/_et/", 200 if role.is_staff else 404),
        ("POST", "/_et/", 405 if role.is_staff else 404),
        ("GET", "/_et/links", 404),
        ("POST", "/_et/links", 404),
        *(("GET", shared + name, 200) for name in ("", "overview.json")),
        ("POST", shared, 405),
        ("GET", shared.replace("/shared/", "/shared/x"), 404),
        *((method, "/_et/transactions", 404) for method in ("GET", "PUT", "PATCH", "DELETE")),
        *(("GET", f"/_et/{name}", 405) for name in ("in", "identify", "logout", "consent")),
    ):
        response = client.open(path, method=method, headers=headers)
        assert (path, response.status_code) == (path, status)
        assert "Set-Cookie" not in response.headers
    assert written(shop) == before


ORDER = {"order_id": 1, "total": "9.90", "currency": "EUR"}


@pytest.mark.parametrize("name", ROLES)
def test_no_one_but_a_back_end_posts_transactions(shop: Host, name: str) -> None:
    """No role charges or cancels anything, by the back ends' door or by that of events."""
    role = ROLES[name]
    forged = jwt.encode({"sub": "7", "exp": 4e9}, KEY[::-1], "HS256")
    made = {"7": token_of(shop, "7"), "expired": token_of(shop, "7", 1), "forged": forged}
    shop.clock.advance(minutes=2)
    bearers = bearer(made[role.in_header]) if role.in_header else {}
    client = shop.client(role.user_agent)
    if role.before:
        visit(client, role.before)
    earlier = written(shop)
    token = made[role.in_body] if role.in_body else None
    for body in (ORDER, {"cancel": 1}, {"transactions": [ORDER]}):
        response = send(client, "transactions", {**role.headers, **bearers}, **body)
        is_browser = bool(role.headers or role.before)
        code = "token_unknown" if bearers else "token_missing"
        assert problem_of(response) == ((403, "foreign_origin") if is_browser else (401, code))
        assert is_browser or response.headers["WWW-Authenticate"].startswith("Bearer")
        assert not any(name.startswith("Access-Control") for name in dict(response.headers))
        if is_browser:
            response = send(client, "transactions", {**role.headers, **bearer(HOST_TOKEN)}, **body)
            assert problem_of(response) == (403, "foreign_origin")
    for action in ("transaction.charge", "transaction.cancel", "product.buy"):
        event = {"action": action, "params": {"sku": "A1", "order_id": "1"}, "token": token}
        response = send(client, "in", {**role.headers, **bearers}, **event)
        assert response.status_code in {401, 403, 422}
    seen = {row["id"] for row in earlier["event"]}
    new = {row["action"] for row in written(shop)["event"] if row["id"] not in seen}
    assert new <= {"customer.login", "session.start", "session.end"}
    assert shop.rows("transaction") == []


def test_back_end_posts_transactions_and_no_events(shop: Host) -> None:
    """Its token opens that one door: elsewhere it is no customer's."""
    client = shop.client(APP)
    assert send(client, "transactions", bearer(HOST_TOKEN), **ORDER).status_code == 202
    assert problem_of(send(client, "in", bearer(HOST_TOKEN), **CLICK)) == (401, "token_invalid")
    assert shop.actions()["transaction.charge"] == 1


@pytest.mark.parametrize("path", ["identify", "logout"])
def test_account_posts_pass_preflight_from_allowed_origins_only(shop: Host, path: str) -> None:
    """With the header that a bearer token comes in."""
    response = shop.client().options(f"/_et/{path}", headers=FROM_SHOP)
    assert response.status_code == 204
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"].split(", ")
    response = shop.client().options(f"/_et/{path}", headers={"Origin": EVIL})
    assert problem_of(response) == (403, "foreign_origin")
