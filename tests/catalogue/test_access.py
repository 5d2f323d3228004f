"""Allow and deny lists, and who may read the catalogue."""

from __future__ import annotations

import typing as t

import jsonschema_rs
import pytest
from werkzeug.exceptions import Forbidden

from flask_eventtrack import track
from flask_eventtrack.errors import InvalidEvent, UndefinedEvent

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, Host
from .events import OrderPay, send


@pytest.mark.parametrize(
    ("lists", "recorded"),
    [
        ({}, {"a.x", "a.y", "b.x"}),
        ({"DENY": ["a.*"]}, {"b.x"}),
        ({"DENY": ["*.x"]}, {"a.y"}),
        ({"DENY": ["A.*"]}, {"a.x", "a.y", "b.x"}),
        ({"DENY": ["a.?"]}, {"b.x"}),
        ({"DENY": ["a"]}, {"a.x", "a.y", "b.x"}),
        ({"ALLOW": ["a.*"]}, {"a.x", "a.y"}),
        ({"ALLOW": ["a.*"], "DENY": ["a.x"]}, {"a.y"}),
        ({"ALLOW": ["a.x", "b.x"]}, {"a.x", "b.x"}),
        ({"DENY": {"shop.example": ["a.*"]}}, {"b.x"}),
        ({"DENY": {"SHOP.example": ["a.*"]}}, {"b.x"}),
        ({"DENY": {"other.example": ["a.*"]}}, {"a.x", "a.y", "b.x"}),
        ({"DENY": {"shop.example": ["a.x"], "*": ["b.*"]}}, {"a.y"}),
        ({"ALLOW": {"shop.example": ["a.x"], "*": ["b.*"]}}, {"a.x", "b.x"}),
        ({"ALLOW": {"other.example": ["a.x"]}}, {"a.x", "a.y", "b.x"}),
    ],
    ids=lambda value: repr(value) if isinstance(value, dict) else ",".join(sorted(value)),
)
def test_lists_say_what_a_site_records(
    make: MakeHost, lists: dict[str, t.Any], recorded: set[str]
) -> None:
    """Deny wins; an allow list, where given, admits only what it names."""
    host = make({f"EVENTTRACK_{name}": value for name, value in lists.items()})
    for action in ("a.x", "a.y", "b.x"):
        host.events.define(action, anonymous=True)
    posts = {"events": [{"action": action} for action in ("a.x", "a.y", "b.x")]}
    url = "http://Shop.Example:8000/_et/in"
    answer = host.client().post(url, json=posts, headers=SAME_ORIGIN)
    codes = {(result["error"] or {}).get("code") for result in answer.get_json()["results"]}
    assert {action for action in host.actions() if "." in action[:2]} == recorded
    assert codes <= {None, "denied_event"}


def test_denied_event_says_on_which_site(make: MakeHost) -> None:
    """Server code is told too."""
    host = make({"EVENTTRACK_DENY": ["a.*"]})
    host.events.define("a.x")
    with pytest.raises(InvalidEvent, match=r"^'a.x' is not recorded on 'this site'.$") as caught:
        send(host, "a.x")
    assert caught.value.code == "denied_event"


def test_denied_page_visit_is_not_recorded(make: MakeHost) -> None:
    """The page goes out without a cookie."""
    host = make({"EVENTTRACK_DENY": ["page.visit"]})
    answer = host.client().get("/")
    assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (200, [])
    assert host.rows("session") == []


def test_undefined_event_is_a_lookup_error_and_a_value_error(shop: Host) -> None:
    """Ours subclass the built-in error that they are."""
    with pytest.raises(UndefinedEvent) as caught:
        send(shop, "signup.clik")
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        *((True, 200), ("view", 200), ("manage", 200)),
        *((False, 404), (None, 404), ("no", 404), ("", 404), ([], 404)),
        *((ZeroDivisionError(), 404), (Forbidden(), 404)),
    ],
)
def test_catalogue_is_for_whom_the_host_lets_see_it(
    make: MakeHost, answer: object, status: int
) -> None:
    """Anybody else, and everybody where the host's own answer fails, is told of nothing."""

    def permit() -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    host = make({"EVENTTRACK_DASHBOARD_PERMISSION": permit, "TESTING": False})
    response = host.client().get("/_et/catalogue.json")
    assert response.status_code == status
    assert len(host.state.failures) == isinstance(answer, ZeroDivisionError)
    assert response.headers["Cache-Control"] == "no-store"


def test_catalogue_is_closed_by_default(host: Host) -> None:
    nothing, closed = (host.client().get(f"/_et/{path}") for path in ("nothing", "catalogue.json"))
    assert (closed.status_code, closed.data) == (404, nothing.data)


def test_catalogue_has_the_schema_of_each_event(make: MakeHost) -> None:
    """What a schema admits is what ``track()`` takes."""
    host = make({"EVENTTRACK_DASHBOARD_PERMISSION": lambda: "view"})
    host.events.define("order.pay", label="Paid {total}", server_only=True)(OrderPay)
    host.events.define("a.b", anonymous=True)
    document = host.client().get("/_et/catalogue.json").get_json()
    assert list(document) == sorted(each.action for each in host.state.catalogue)
    for entry in document.values():
        jsonschema_rs.meta.validate(entry["params"])
    entry = document["order.pay"]
    assert {name: entry[name] for name in ("label", "anonymous", "server_only", "builtin")} == {
        "label": "Paid {total}",
        "anonymous": False,
        "server_only": True,
        "builtin": False,
    }
    assert document["a.b"]["params"] == {"type": "object"}
    schema = jsonschema_rs.validator_for(entry["params"])
    for params in (
        *({"total": "1.5"}, {"total": "1", "size": "l", "lines": [{"sku": "A"}], "more": 1}),
        *(
            {},
            {"total": "1", "quantity": 10},
            {"total": "1", "code": "a"},
            {"total": "1", "size": 1},
        ),
        {"total": "1", "lines": [{"count": 1}]},
    ):
        with host.app.app_context():
            try:
                is_taken = track("order.pay", params, customer="7") is not None
            except InvalidEvent:
                is_taken = False
        assert (params, schema.is_valid(params)) == (params, is_taken)


def test_catalogue_tells_what_json_can_of_odd_definitions(make: MakeHost) -> None:
    """Two classes of one name, a type that is the host's own, a default that is no JSON."""

    def make_params(**types: object) -> type:
        class Params:
            __annotations__ = types

        return Params

    host = make({"EVENTTRACK_DASHBOARD_PERMISSION": lambda: True})
    host.events.define("a.b")(make_params(size=int))
    host.events.define("a.c")(make_params(name=str))
    host.events.define("a.d")(make_params(made=Host))
    odd = make_params(kind=t.Any)
    odd.kind = object  # type: ignore[attr-defined]
    host.events.define("a.e")(odd)
    document = host.client().get("/_et/catalogue.json").get_json()
    found = {action: str(document[action]["params"]) for action in ("a.b", "a.c", "a.d", "a.e")}
    assert "size" in found["a.b"]
    assert "name" in found["a.c"]
    assert found["a.d"] == found["a.e"] == str({"type": "object"})
