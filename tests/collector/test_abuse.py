"""What one sender can do to the collector: not too much of anything."""

from __future__ import annotations

import typing as t
import uuid

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host

LIMITS = {"EVENTTRACK_DEVICE_LIMIT": (2, 5), "EVENTTRACK_ADDRESS_LIMIT": (4, 8)}


def post(
    client: FlaskClient, *events: dict[str, t.Any], path: str = "in", **environ: str
) -> TestResponse:
    body = {"events": list(events) or [{"action": "button.click", "params": {"text": "Go"}}]}
    return client.post(
        f"/_et/{path}",
        json=body if path == "in" else {"choice": "full"},
        headers=SAME_ORIGIN,
        environ_overrides=environ,
    )


def statuses(client: FlaskClient, count: int, **environ: str) -> list[int]:
    return [post(client, **environ).status_code for _ in range(count)]


def test_post_beyond_the_limit_is_429(make: MakeHost) -> None:
    """It says when to come again, nothing of it is recorded, and then it is taken."""
    host = make(LIMITS)
    client = host.client()
    client.get("/", headers=NAVIGATION)
    assert statuses(client, 5) == [202] * 5
    response = post(client)
    assert (response.status_code, response.json and response.json["code"]) == (
        429,
        "too_many_posts",
    )
    assert response.headers["Retry-After"] == "1"
    assert host.actions()["button.click"] == 5
    host.clock.advance(seconds=1)
    assert statuses(client, 3) == [202, 202, 429]


def test_network_has_a_limit_of_its_own(make: MakeHost) -> None:
    """Newcomers without cookies, from one /24; another network is not concerned."""
    host = make(LIMITS)
    client = host.app.test_client(use_cookies=False)
    client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 Firefox/150.0"
    taken = [post(client, REMOTE_ADDR=f"203.0.113.{at}").status_code for at in range(9)]
    assert taken == [202] * 8 + [429]
    assert statuses(client, 1, REMOTE_ADDR="198.51.100.1") == [202]


def test_choices_are_limited_too(make: MakeHost) -> None:
    """Each posting route takes from the same buckets."""
    client = make(LIMITS).client()
    answers = [post(client, path="consent").status_code for _ in range(9)]
    assert answers == [204] * 8 + [429]


def test_pages_take_nothing_from_the_limits_of_posts(make: MakeHost) -> None:
    """They have their own."""
    host = make(LIMITS)
    client = host.client()
    for _ in range(20):
        assert client.get("/", headers=NAVIGATION).status_code == 200
    assert host.actions()["page.visit"] == 20
    assert statuses(client, 5) == [202] * 5


@pytest.mark.parametrize("setting", ["reject", "store"])
def test_names_that_nothing_defines_are_bounded(make: MakeHost, setting: str) -> None:
    """Each would be a row of the counters: beyond the limit they are one."""
    host = make({"EVENTTRACK_UNDEFINED_LIMIT": 3, "EVENTTRACK_UNDEFINED_EVENTS": setting})
    post(host.client(), *({"action": f"made.up{at}"} for at in range(10)))
    actions = {row["action"] for row in host.rows("quality")}
    assert len({name for name in actions if name.startswith("made.")}) == 3
    assert host.actions().total() == (4 if setting == "store" else 0)  # with session.start


def test_parameters_that_nothing_defines_are_bounded(make: MakeHost) -> None:
    """Parameters beyond the limit are not stored; the event is."""
    host = make({"EVENTTRACK_UNDEFINED_LIMIT": 3})
    params = {"text": "Go"} | {f"made_up{at}": at for at in range(10)}
    post(host.client(), {"action": "button.click", "params": params})
    [row] = host.events_of("button.click")
    assert sum(name.startswith("made_up") for name in row["params"]) == 3


def test_what_browsers_send_is_masked(make: MakeHost) -> None:
    """In params, labels and addresses, but not in events that the server records itself."""
    host = make()
    page = "http://localhost/users/ada@example.com?card=4111111111111111"
    event = {
        "action": "button.click",
        "params": {"text": "Mail ada@example.com", "url": page, "n": 7},
        "label": "Wrote to ada@example.com",
    }
    post(host.client(), event)
    [row] = host.events_of("button.click")
    assert row["params"]["text"] == "Mail [email]"
    assert row["params"]["n"] == 7
    assert row["label"] == "Wrote to [email]"
    assert "ada" not in row["params"]["url"]
    assert "4111" not in row["params"]["url"]


def test_halves_of_a_visit_agree_on_a_masked_address(host: Host) -> None:
    """A path that holds an address is the same in both."""
    client = host.client()
    client.get("/products/ada@example.com", headers=NAVIGATION)
    post(
        client,
        {
            "action": "page.visit",
            "event_id": str(uuid.uuid4()),
            "params": {"url": "http://localhost/products/ada@example.com"},
        },
    )
    rows = host.events_of("page.visit")
    assert {row["source"] for row in rows} == {"server", "browser"}
    for row in rows:
        assert row["params"]["path"] == "/products/[email]"
        assert row["params"]["url_rule"] == "/products/<slug>"


def test_masking_can_be_turned_off(make: MakeHost) -> None:
    """And then everything is stored as it comes."""
    host = make({"EVENTTRACK_MASK": False})
    post(host.client(), {"action": "button.click", "params": {"text": "ada@example.com"}})
    assert host.events_of("button.click")[0]["params"]["text"] == "ada@example.com"


def test_masking_makes_nothing_larger_than_it_may_be(host: Host) -> None:
    """An event that is too large once it is masked is refused."""
    event = {"action": "button.click", "params": {"text": "token=a&" * 4000}}
    response = post(host.client(), event)
    assert response.json is not None
    assert response.json["results"][0]["status"] == "rejected"
    assert host.events_of("button.click") == []


def test_number_stays_what_the_definition_wants(host: Host) -> None:
    """A tenth of all ids of this length would pass for a card's."""
    host.events.define("order.view", anonymous=True)(
        type("Order", (), {"__annotations__": {"id": int}})
    )
    post(host.client(), {"action": "order.view", "params": {"id": 4539578763621486}})
    assert host.events_of("order.view")[0]["params"]["id"] == 4539578763621486
