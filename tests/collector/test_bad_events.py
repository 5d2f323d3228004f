"""Bad events: each is refused or mended by itself, and none keeps the others out."""

from __future__ import annotations

import json
import typing as t

import pytest

from ..hosts import Host
from .bad_input import CLICK, GOOD, ID, batch_of, nested, post

# One event among others

REJECTED: dict[str, tuple[str, str, str | None]] = {
    "null": ("null", "invalid_event", None),
    "a number": ("5", "invalid_event", None),
    "text": ('"button.click"', "invalid_event", None),
    "a list": ("[]", "invalid_event", None),
    "true": ("true", "invalid_event", None),
    "nothing": ("{}", "invalid_action", None),
    "no action": ('{"params": {}}', "invalid_action", None),
    "action is null": ('{"action": null}', "invalid_action", None),
    "action is a number": ('{"action": 5}', "invalid_event", None),
    "action is a list": ('{"action": ["button.click"]}', "invalid_event", None),
    "action is empty": ('{"action": ""}', "invalid_action", None),
    "action has no dot": ('{"action": "click"}', "invalid_action", None),
    "action is a dot": ('{"action": "."}', "invalid_action", None),
    "nothing before the dot": ('{"action": ".click"}', "invalid_action", None),
    "nothing behind the dot": ('{"action": "button."}', "invalid_action", None),
    "a line break behind": ('{"action": "button.click\\n"}', "invalid_action", None),
    "a space behind": ('{"action": "button.click "}', "invalid_action", None),
    "33 characters": ('{"action": "button.' + "x" * 26 + '"}', "invalid_action", None),
    "100,000 characters": ('{"action": "b.' + "x" * 100_000 + '"}', "invalid_action", None),
    "a look-alike": ('{"action": "button.сlick"}', "invalid_action", None),  # noqa: RUF001
    "full-width": ('{"action": "button．click"}', "invalid_action", None),  # noqa: RUF001
    "an emoji": ('{"action": "button.💚"}', "invalid_action", None),
    "NUL": (r'{"action": "button.\u0000"}', "invalid_action", None),
    "a surrogate": (r'{"action": "button.\ud800"}', "invalid_action", None),
    "SQL": ('{"action": "a.b\'; DROP TABLE eventtrack_event;--"}', "invalid_action", None),
    "HTML": ('{"action": "<b>.</b>"}', "invalid_action", None),
    "unknown": ('{"action": "who.knows"}', "undefined_event", None),
    "event_id is a number": ('{"action": "button.click", "event_id": 5}', "invalid_event", None),
    "event_id is no UUID": ('{"action": "button.click", "event_id": "x"}', "invalid_id", None),
    "event_id is a surrogate": (
        r'{"action": "button.click", "event_id": "\ud800"}',
        "invalid_id",
        None,
    ),
    "event_id is NUL": (r'{"action": "button.click", "event_id": "\u0000"}', "invalid_id", None),
    "event_id is long": (
        '{"action": "button.click", "event_id": "' + "x" * 9000 + '"}',
        "invalid_id",
        None,
    ),
    "params are a list": ('{"action": "button.click", "params": []}', "invalid_event", None),
    "params are a surrogate": (
        r'{"action": "button.click", "params": "\ud800"}',
        "invalid_event",
        None,
    ),
    "params are text": ('{"action": "button.click", "params": "x"}', "invalid_event", None),
    "label is a number": ('{"action": "button.click", "label": 5}', "invalid_event", None),
    "label is an object": ('{"action": "button.click", "label": {}}', "invalid_event", None),
    "time is true": ('{"action": "button.click", "time": true}', "invalid_event", None),
    "time is a list": ('{"action": "button.click", "time": []}', "invalid_event", None),
    "time is NaN": ('{"action": "button.click", "time": NaN}', "invalid_time", None),
    "time is endless": ('{"action": "button.click", "time": 1e400}', "invalid_time", None),
    "time is huge": ('{"action": "button.click", "time": ' + "9" * 400 + "}", "invalid_time", None),
    "time is a surrogate": (r'{"action": "button.click", "time": "\ud800"}', "invalid_time", None),
    "time is ancient": ('{"action": "button.click", "time": 0}', "too_old", None),
    "visit is a number": ('{"action": "button.click", "visit": 5}', "invalid_event", None),
    "page is a list": ('{"action": "button.click", "page": []}', "invalid_event", None),
    "a missing parameter": ('{"action": "link.click"}', "invalid_param", "href"),
    "a null parameter": (
        '{"action": "link.click", "params": {"href": null}}',
        "invalid_param",
        "href",
    ),
    "a wrong parameter": (
        '{"action": "link.click", "params": {"href": {}}}',
        "invalid_param",
        "href",
    ),
    "NaN for a number": (
        '{"action": "page.engage", "params": {"visible_s": NaN}}',
        "invalid_param",
        "visible_s",
    ),
    "a huge number": (
        '{"action": "product.addToCart", "params": {"sku": "1", "quantity": ' + "9" * 40 + "}}",
        "invalid_param",
        "quantity",
    ),
    "no address": ('{"action": "page.visit"}', "invalid_param", "url"),
    "nine levels": (
        f'{{"action": "button.click", "params": {{"a": {nested(8)}}}}}',
        "params_too_deep",
        None,
    ),
    "900 levels": (
        f'{{"action": "button.click", "params": {{"a": {nested(900)}}}}}',
        "params_too_deep",
        None,
    ),
    "257 names": (
        json.dumps({**CLICK, "params": {f"n{n}": n for n in range(257)}}),
        "too_many_params",
        None,
    ),
    "257 names below": (
        json.dumps({**CLICK, "params": {"a": [{f"n{n}": n} for n in range(256)]}}),
        "too_many_params",
        None,
    ),
    "an empty name": ('{"action": "button.click", "params": {"": 1}}', "invalid_param_name", ""),
    "a name of 65": (
        json.dumps({**CLICK, "params": {"x" * 65: 1}}),
        "invalid_param_name",
        "x" * 64,
    ),
    "a surrogate in a long name": (
        '{"action": "button.click", "params": {"' + r"\ud800" * 65 + '": 1}}',
        "invalid_param_name",
        "\ufffd" * 64,
    ),
    "33 KiB": (json.dumps({**CLICK, "params": {"a": "x" * 33 * 1024}}), "params_too_large", None),
    "reserved": ('{"action": "session.start"}', "reserved_event", None),
    "server only": ('{"action": "customer.login"}', "server_only", None),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_bad_event_is_422(host: Host, name: str) -> None:
    """On its own it is refused with its code and its parameter, and nothing is stored."""
    event, code, param = REJECTED[name]
    if not event.startswith("{"):  # no event at all: as a body of its own it is malformed
        event = batch_of(event)
    response = post(host.client(), event)
    assert response.status_code == (202 if event.startswith('{"events"') else 422)
    [result] = response.get_json()["results"]
    assert (result["status"], result["error"]["code"]) == ("rejected", code)
    assert result["error"]["param"] == param
    assert host.rows("event") == []


@pytest.mark.parametrize("name", REJECTED)
def test_good_events_land_beside_a_bad_one(host: Host, name: str) -> None:
    """Partial success, and the writer is well."""
    client = host.client()
    response = post(client, batch_of(GOOD, REJECTED[name][0], GOOD))
    assert response.status_code == 202
    found = [result["status"] for result in response.get_json()["results"]]
    assert found == ["accepted", "rejected", "accepted"]
    assert host.actions() == {"button.click": 2, "session.start": 1}
    assert host.rows("rejected") == []


def test_every_refusal_can_be_counted(db_host: Host) -> None:
    """The quality counters can store every refused action, on each database."""
    client = db_host.client()
    for event, _, _ in REJECTED.values():
        if "event_id" not in event:  # a test of its own
            assert post(client, batch_of(event, GOOD)).status_code == 202
    assert db_host.rows("rejected") == []
    counted = sum(row["count"] for row in db_host.rows("quality") if row["outcome"] == "rejected")
    assert counted == sum("event_id" not in event for event, _, _ in REJECTED.values())


# What is mended, and stored

MENDED: dict[str, tuple[str, dict[str, t.Any], str | None]] = {
    "NUL": (r'"params": {"a": "x\u0000y"}', {"a": "x\ufffdy"}, None),
    "NUL in a name": (r'"params": {"x\u0000": 1}', {"x\ufffd": 1}, None),
    "a lone surrogate": (r'"params": {"a": "\ud800"}', {"a": "\ufffd"}, None),
    "a lone low surrogate": (r'"params": {"a": "\udc00x"}', {"a": "\ufffdx"}, None),
    "a surrogate in a name": (r'"params": {"\ud800": 1}', {"\ufffd": 1}, None),
    "a surrogate far below": (
        r'"params": {"a": [{"b": "\ud800"}]}',
        {"a": [{"b": "\ufffd"}]},
        None,
    ),
    "a pair of surrogates": (r'"params": {"a": "\ud83d\udc9a"}', {"a": "💚"}, None),
    "a surrogate for a field": (r'"\ud800": 1, "params": {"a": 1}', {"a": 1}, None),
    "NaN": ('"params": {"a": NaN, "b": 1}', {"b": 1}, None),
    "NaN far below": ('"params": {"a": [NaN, {"b": -Infinity}]}', {"a": [None, {"b": None}]}, None),
    "1e400": ('"params": {"a": 1e400, "b": -1e400}', {}, None),
    "64 bits": ('"params": {"a": 9223372036854775807}', {"a": 2**63 - 1}, None),
    "65 bits": ('"params": {"a": 9223372036854775808}', {"a": str(2**63)}, None),
    "minus 64 bits": ('"params": {"a": -9223372036854775808}', {"a": -(2**63)}, None),
    "400 digits": ('"params": {"a": ' + "9" * 400 + "}", {"a": "9" * 400}, None),
    "the smallest float": ('"params": {"a": 5e-324}', {"a": 5e-324}, None),
    "minus nothing": ('"params": {"a": -0.0}', {"a": 0.0}, None),
    "eight levels": (f'"params": {{"a": {nested(7)}}}', {"a": json.loads(nested(7))}, None),
    "a name twice": ('"params": {"a": 1, "a": 2}', {"a": 2}, None),
    "a field twice": ('"params": {"a": 1}, "params": {"b": 2}', {"b": 2}, None),
    "two names that become one": (r'"params": {"\u0000": 1, "\ud800": 2}', {"\ufffd": 2}, None),
    "30 KiB": ('"params": {"a": "' + "x" * 30_000 + '"}', {"a": "x" * 30_000}, None),
    "four-byte text": ('"params": {"💚": "💚𐍈"}', {"💚": "💚𐍈"}, None),
    "SQL": ('"params": {"a": "\'); DROP TABLE x;--"}', {"a": "'); DROP TABLE x;--"}, None),
    "percent": ('"params": {"a": "%s %(id)s :id {x}"}', {"a": "%s %(id)s :id {x}"}, None),
    "a label with NUL": (r'"label": "x\u0000y"', {}, "x\ufffdy"),
    "a label with a surrogate": (r'"label": "\ud800"', {}, "\ufffd"),
    "a label with line breaks": (r'"label": "a\r\nSet-Cookie: b=c"', {}, "a\r\nSet-Cookie: b=c"),
    "a long label": ('"label": "' + "💚" * 300 + '"', {}, "💚" * 254 + "…"),
    "a label's parameter": (
        r'"params": {"text": "\u0000"}',
        {"text": "\ufffd"},
        "Clicked button \ufffd",
    ),
    "an address with NUL": (
        r'"params": {"url": "http://localhost/\u0000"}',
        {"url": "http://localhost/%EF%BF%BD"},
        None,
    ),
    "an address with a surrogate": (
        r'"params": {"url": "http://localhost/\ud800", "a": 1}',
        {"a": 1},
        None,
    ),
    "a query with a surrogate": (
        r'"params": {"url": "http://localhost/?a=\ud800", "a": 1}',
        {"a": 1},
        None,
    ),
    "a referrer with a surrogate": (
        r'"params": {"referrer": "http://localhost/\ud800", "a": 1}',
        {"a": 1},
        None,
    ),
    "a campaign with NUL": (
        '"params": {"url": "http://localhost/?utm_source=%00"}',
        {"url": "http://localhost/?utm_source=%00"},
        None,
    ),
    "a campaign that is no UTF-8": (
        '"params": {"url": "http://localhost/?utm_source=%ff%ed%a0%80"}',
        {"url": "http://localhost/?utm_source=%ff%ed%a0%80"},
        None,
    ),
    "a campaign without an end": (
        '"params": {"url": "http://localhost/?utm_source=' + "%F0%9F%92%9A" * 100 + '"}',
        {"url": "http://localhost/?utm_source=" + "%F0%9F%92%9A" * 100},
        None,
    ),
    "a forged visit": ('"visit": "x.y"', {}, None),
    "a surrogate for a visit": (r'"visit": "\ud800"', {}, None),
    "a page that is no id": (r'"page": "\u0000"', {}, None),
}
# A half that a mended address leaves open: the rest of the event has to be there, the address
# either scrubbed of what cannot be stored or left out.
_ADDRESSES = ("url", "referrer")


@pytest.mark.parametrize("name", MENDED)
def test_what_can_be_mended_is_stored(db_host: Host, name: str) -> None:
    """On each database, beside the good events of the same batch, and with a session."""
    fields, params, label = MENDED[name]
    event = f'{{"action": "button.click", {fields}}}'
    response = post(
        db_host.client(), batch_of('{"action": "screen.view", "params": {"name": "a"}}', event)
    )
    assert [result["status"] for result in response.get_json()["results"]] == ["accepted"] * 2
    assert db_host.actions() == {"button.click": 1, "screen.view": 1, "session.start": 1}
    [row] = db_host.events_of("button.click")
    addresses = () if any(key in params for key in _ADDRESSES) else _ADDRESSES
    assert {k: v for k, v in row["params"].items() if k not in addresses} == params
    assert row["label"] == (label or "Clicked button ")
    assert db_host.rows("rejected") == []


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/?utm_source=%00&utm_campaign=a%00b",
        "http://localhost/a%00b",
        "http://localhost/%ff%fe",
        "http://localhost/\\u0000",
        "http://\\u0000/",
        "http://%00/",
        "http://" + "x" * 3000 + "/",
        "http://localhost/?" + "&".join(["a=b"] * 1000),
        "http://localhost/?utm_source=" + "x" * 1900,
        "http://xn--/",
        "http://[::1]:80/",
        "http://[v1.x]/",
        "http://①②③/",
        "http://localhost//evil.example/",
        "http://localhost/products/%2e%2e/x",
        "http://localhost/products/|",
    ],
)
def test_a_visit_with_a_strange_address_is_stored_or_refused(db_host: Host, address: str) -> None:
    """Every accepted visit is in the table, on each database."""
    visit = f'{{"action": "page.visit", "params": {{"url": "{address}", "referrer": "{address}"}}}}'
    response = post(db_host.client(), batch_of(visit, GOOD))
    statuses = [result["status"] for result in response.get_json()["results"]]
    assert statuses[1] == "accepted"
    assert db_host.actions()["page.visit"] == (statuses[0] == "accepted")
    assert db_host.actions()["button.click"] == 1
    assert db_host.rows("rejected") == []


@pytest.mark.parametrize(
    "action", [r"\u0000.a", r"\ud800.a", r"\ud83d\udc9a", "", "x" * 3000, "a.b%", "button.click"]
)
def test_a_duplicate_with_a_bad_action_stops_nothing(db_host: Host, action: str) -> None:
    """A known id may come with any action: later events are still written."""
    client = db_host.client()
    known = f'{{"action": "button.click", "event_id": "{ID}"}}'
    for event in (known, f'{{"action": "{action}", "event_id": "{ID}"}}', GOOD):
        assert post(client, event).status_code < 500
    assert db_host.actions() == {"button.click": 2, "session.start": 1}
    assert db_host.rows("rejected") == []
