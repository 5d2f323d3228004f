"""What a post costs counts against its sender: bytes, events, look-ups."""

from __future__ import annotations

import gzip
import json
import time
import typing as t

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import BaseConverter
from werkzeug.test import TestResponse

from flask_eventtrack.request.rules import RuleFinder

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from .posts import CLICK, error_of, post, post_one, quality, statuses

#: As many posts as one likes: bytes decide.
MANY = {"EVENTTRACK_DEVICE_LIMIT": (1e6, 10**6), "EVENTTRACK_ADDRESS_LIMIT": (1e6, 10**6)}
KEY = "a key of customers' tokens, for tests only"


def known_client(host: Host) -> FlaskClient:
    """Return a client whose device is known."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    return client


def post_large(client: FlaskClient, size: int = 200_000, **headers: str) -> TestResponse:
    """Post a body of this size, with one small event in it."""
    body = json.dumps({"events": [CLICK], "padding": ""})
    body = body.replace('""', f'"{"x" * (size - len(body))}"')
    assert len(body) == size
    return client.post(
        "/_et/in", data=body, content_type="application/json", headers={**SAME_ORIGIN, **headers}
    )


def count_posts(client: FlaskClient, *events: dict[str, t.Any], **body: t.Any) -> int:
    """Return how many posts are taken before the first is refused."""
    taken = 0
    while (answer := post(client, *events, **body)).status_code == 202:
        taken += 1
    assert answer.status_code == 429
    return taken


def test_device_stores_a_megabyte_and_then_500_bytes_a_second(make: MakeHost) -> None:
    """Nothing of a refused post is stored, and the answer says when to come again."""
    host = make(MANY)
    client = known_client(host)
    answers = [post_large(client) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 3
    assert answers[-1].headers["Retry-After"] == "400"
    assert answers[-1].get_json()["code"] == "too_many_posts"
    assert host.actions()["button.click"] == 5
    host.clock.advance(seconds=399)
    assert post_large(client).status_code == 429
    host.clock.advance(seconds=2)
    assert post_large(client).status_code == 202


def test_client_without_cookies_has_its_networks_bytes(make: MakeHost) -> None:
    """Throwing the cookie away helps only as far as that."""
    host = make({**MANY, "EVENTTRACK_ADDRESS_BYTES": (500, 1_000_000)})
    codes = []
    for _ in range(8):
        client = host.client()
        codes.append(post_large(client).status_code)
    assert codes == [202] * 5 + [429] * 3


@pytest.mark.parametrize(
    "event", [{"action": "a.b"}, {"action": "made.up"}, {"action": ""}, {"action": "page.visit"}]
)
def test_event_counts_as_250_bytes(make: MakeHost, event: dict[str, t.Any]) -> None:
    """Whether it is stored or refused: a body of 2 KB may have a hundred."""
    host = make(MANY)
    host.events.define("a.b", anonymous=True)
    assert count_posts(known_client(host), *[event] * 100) == 40


def test_unpacked_bytes_count(make: MakeHost) -> None:
    """A compressed body is small only on its way."""
    host = make({**MANY, "EVENTTRACK_GZIP_POSTS": True})
    client = known_client(host)
    body = gzip.compress(json.dumps({"events": [CLICK], "padding": "x" * 199_900}).encode())
    headers = {**SAME_ORIGIN, "Content-Encoding": "gzip"}
    codes = [
        client.post("/_et/in", data=body, headers=headers, content_type="text/plain").status_code
        for _ in range(8)
    ]
    assert codes == [202] * 5 + [429] * 3


def test_losses_that_a_browser_reports_count(make: MakeHost) -> None:
    """As events do, so that nobody can distort the totals at will."""
    host = make(MANY)
    assert count_posts(known_client(host), CLICK, dropped=1000) <= 4
    assert quality(host)["dropped", "", "browser"] <= 4000


@pytest.mark.parametrize("path", ["identify", "logout", "consent"])
def test_each_route_takes_bytes(make: MakeHost, path: str) -> None:
    """Also for a post without events."""
    host = make(MANY)
    client = known_client(host)
    body = {"choice": "full", "padding": "x" * 199_900}
    codes = {
        client.post(f"/_et/{path}", json=body, headers=SAME_ORIGIN).status_code for _ in range(8)
    }
    assert 429 in codes


def token_of(host: Host) -> str:
    with host.app.app_context():
        return host.events.issue_token("ada")


def test_bytes_of_a_token_are_not_the_devices(make: MakeHost) -> None:
    """A server or an app sends large batches for many."""
    host = make({**MANY, "EVENTTRACK_JWT_KEYS": KEY})
    client, token = known_client(host), token_of(host)
    for _ in range(10):
        assert post_large(client, Authorization=f"Bearer {token}").status_code == 202
    assert host.actions()["button.click"] == 10
    assert [post_large(client).status_code for _ in range(6)] == [202] * 5 + [429]


def test_bytes_of_a_token_are_its_networks(make: MakeHost) -> None:
    """Each customer may hold one, and post with it from anywhere."""
    limit = {"EVENTTRACK_ADDRESS_BYTES": (500, 1_000_000)}
    host = make({**MANY, **limit, "EVENTTRACK_JWT_KEYS": KEY})
    bearer = f"Bearer {token_of(host)}"
    codes = [post_large(host.client(), Authorization=bearer).status_code for _ in range(8)]
    assert codes == [202] * 5 + [429] * 3


@pytest.mark.parametrize("keys", [None, KEY])
def test_bytes_of_a_forged_token_are_the_devices(make: MakeHost, keys: str | None) -> None:
    """Its body is read before it is refused."""
    client = known_client(make({**MANY, "EVENTTRACK_JWT_KEYS": keys}))
    codes = [post_large(client, Authorization="Bearer x.y.z").status_code for _ in range(8)]
    assert codes == [401] * 5 + [429] * 3


# Hints


@pytest.mark.parametrize("setting", ["TESTING", "DEBUG", ""])
def test_hint_is_for_developers(make: MakeHost, setting: str) -> None:
    """In production the nearest action is not looked for: it takes a millisecond for each name."""
    host = make({"TESTING": False, "DEBUG": False, **({setting: True} if setting else {})})
    message = error_of(post_one(host.client(), {"action": "button.clik"}))["message"]
    hint = " Did you mean 'button.click'?" if setting else ""
    assert message == f"'button.clik' is not defined.{hint}"


def test_undefined_actions_take_no_time_in_production(make: MakeHost) -> None:
    """With 300 definitions, a post of 100 of them took 400 ms."""
    host = make({"TESTING": False})
    for number in range(300):
        host.events.define(f"context{number}.activity{number}", anonymous=True)
    events = [{"action": f"contxt{number}.actvity{number}"} for number in range(100)]
    client = known_client(host)
    began = time.thread_time()
    assert set(statuses(post(client, *events))) == {"rejected"}
    assert time.thread_time() - began < 0.1


# Names that nothing defines


def test_one_sender_leaves_new_names_to_others(make: MakeHost) -> None:
    """Of 1,000 in an hour, a device uses up 50."""
    host = make()
    greedy = known_client(host)
    for batch in range(4):
        params = {f"made_up_{batch}_{number}": 1 for number in range(250)}
        post(greedy, {"action": "button.click", "params": {"text": "a", **params}})
    post(known_client(host), {"action": "button.click", "params": {"text": "b", "news": 1}})
    names = [name for row in host.events_of("button.click") for name in row["params"]]
    assert sum(name.startswith("made_up") for name in names) == 50
    assert names.count("news") == 1


# Rules of URLs


@pytest.fixture
def matched(make: MakeHost) -> tuple[Host, list[str]]:
    """A host whose own converter notes what it is asked."""
    host, asked = make(), list[str]()

    class Slug(BaseConverter):
        def to_python(self, value: str) -> str:
            asked.append(value)
            if value.startswith("broken"):
                raise ZeroDivisionError
            return value

    host.app.url_map.converters["slug"] = Slug
    host.app.add_url_rule("/items/<slug:name>", "item", lambda name: f"<title>{name}</title>")
    return host, asked


def visit_of(path: str) -> dict[str, t.Any]:
    return {"action": "page.visit", "params": {"url": f"http://localhost/items/{path}"}}


def test_page_is_matched_once(matched: tuple[Host, list[str]]) -> None:
    """In a post and in later ones, whether its rule was found or the host's converter failed."""
    host, asked = matched
    events = [visit_of(f"{path}?n={number}") for path in ("mug", "broken") for number in range(50)]
    for _ in range(3):
        assert set(statuses(post(host.client(), *events))) == {"accepted"}
    assert asked == ["mug", "broken"]
    rules = {row["params"]["path"]: row["url_rule"] for row in host.events_of("page.visit")}
    assert rules == {"/items/mug": "/items/<slug:name>", "/items/broken": ""}


def test_match_is_remembered_for_a_minute(matched: tuple[Host, list[str]]) -> None:
    """A page that was not there before may be there now."""
    host, asked = matched
    for _ in range(2):
        post(host.client(), visit_of("mug"))
        host.clock.advance(seconds=61)
    assert asked == ["mug", "mug"]


def test_post_asks_the_hosts_converters_ten_times(matched: tuple[Host, list[str]]) -> None:
    """Any more pages have no rule, and are stored all the same."""
    host, asked = matched
    events = [visit_of(f"mug{number}") for number in range(100)]
    assert set(statuses(post(host.client(), *events))) == {"accepted"}
    assert len(asked) == 10
    rules = [row["url_rule"] for row in host.events_of("page.visit")]
    assert len(rules) - rules.count("") == 10


def test_rules_are_those_of_the_host_that_was_asked(host: Host) -> None:
    """An app that matches hosts has other rules on each."""
    for base_url in ("http://a.example", "http://b.example"):
        with host.app.test_request_context("/", base_url=base_url):
            assert RuleFinder(host.state).find("http://x/products/mug") == "/products/<slug>"
    assert len(host.state.url_rules) == 2
