"""Events that a script sends late belong to the visitor and session of the moment they happened."""

from __future__ import annotations

import base64
import datetime as dt
import uuid as uuidlib

import pytest
from flask.testing import FlaskClient

from flask_eventtrack.ids import uuid7

from ..hosts import NAVIGATION, Host
from .posts import CLICK, set_cookies, statuses
from .test_kept_events import owners_of, post_kept


def token_of(client: FlaskClient) -> str:
    """Return what a script reads in the cookie."""
    cookie = client.get_cookie("eventtrack_csrf")
    assert cookie is not None
    return cookie.value


def soft_visit(host: Host) -> dict[str, object]:
    """Return the visit of a page that was opened without a load: it has no tag of its own."""
    page = str(uuid7(host.clock()))
    half = {"action": "page.visit", "event_id": page, "params": {"url": "http://localhost/soft"}}
    return {**half, "page": page}


def enter(host: Host) -> tuple[FlaskClient, tuple[uuidlib.UUID, uuidlib.UUID], str]:
    """Log in; return the client, the owner of its visit, and its token."""
    client = host.client()
    client.get("/login", headers=NAVIGATION)
    host.clock.advance(seconds=10)
    client.get("/", headers=NAVIGATION)
    [*_, owner] = owners_of(host, "page.visit")
    return client, owner, token_of(client)


def test_soft_visit_is_whose_token_it_shows(shop: Host) -> None:
    """The customer has logged out; the visit opens no session, and sets no cookie."""
    client, owner, token = enter(shop)
    client.get("/logout", headers=NAVIGATION)
    response = post_kept(client, soft_visit(shop), CLICK, owner=token)
    assert statuses(response) == ["accepted"] * 2
    assert set_cookies(response) == []
    [visit] = [row for row in shop.events_of("page.visit") if row["params"]["path"] == "/soft"]
    assert (visit["uuid"], visit["session_id"]) == owner
    assert owners_of(shop, "button.click") == [owner]
    assert len(shop.rows("session")) == 2


@pytest.mark.parametrize("how", ["forged", "another's epoch", "epoch alone", "expired", "empty"])
def test_token_that_proves_nothing_leaves_a_stranger(shop: Host, how: str) -> None:
    """As without one."""
    client, owner, token = enter(shop)
    client.get("/logout", headers=NAVIGATION)
    shown = {
        "forged": token[:-1] + ("A" if token[-1] != "A" else "Q"),
        "another's epoch": token_of(client)[:9] + token[9:],
        "epoch alone": token[:8],
        "expired": token,
        "empty": "",
    }[how]
    if how == "expired":
        shop.clock.advance(days=8)
    assert statuses(post_kept(client, soft_visit(shop), owner=shown)) == ["accepted"]
    [visit] = [row for row in shop.events_of("page.visit") if row["params"]["path"] == "/soft"]
    assert visit["uuid"] != owner[0]
    assert visit["session_id"] != owner[1]


def test_token_vouches_for_no_customer(shop: Host) -> None:
    """Only customers who are vouched for may send some events."""
    client, _, token = enter(shop)
    client.get("/logout", headers=NAVIGATION)
    [result] = post_kept(client, {"action": "account.open"}, owner=token).get_json()["results"]
    assert result["error"]["code"] == "customer_required"


@pytest.mark.parametrize("told", [{}, {"hours": 0}, {"hours": 30}], ids=["none", "now", "future"])
def test_token_proves_nothing_of_later_events(shop: Host, told: dict[str, int]) -> None:
    """A copy of the token, days later, does not make a session last until then."""
    good_until = shop.clock.moment + dt.timedelta(minutes=30)
    client, owner, token = enter(shop)
    client.get("/logout", headers=NAVIGATION)
    shop.clock.advance(days=2)
    time = (shop.clock.moment + dt.timedelta(**told)).isoformat() if told else None
    half = soft_visit(shop) | ({"time": time} if time else {})
    assert statuses(post_kept(client, half, owner=token)) == ["accepted"]
    [visit] = [row for row in shop.events_of("page.visit") if row["params"]["path"] == "/soft"]
    assert (visit["uuid"], visit["session_id"]) == owner
    assert visit["time"] == good_until
    [left] = [row for row in shop.rows("session") if row["id"] == owner[1]]
    assert left["last_seen_at"] <= good_until


def test_owner_counts_only_with_by_visit(shop: Host) -> None:
    """Else the cookies say who sends."""
    client, owner, token = enter(shop)
    client.get("/logout", headers=NAVIGATION)
    post_kept(client, CLICK, owner=token, by_visit=False)
    assert owners_of(shop, "button.click") != [owner]


def test_token_does_not_show_the_profile(shop: Host) -> None:
    """It is the same on all devices of a customer, and scripts may read the token."""
    _, (profile, _), token = enter(shop)
    payload = token.split(".")[1]
    shown = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert profile.bytes not in shown
