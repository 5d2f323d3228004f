"""Random input to the collector is answered, never with a 500."""

from __future__ import annotations

import json
import typing as t
import uuid as uuidlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..hosts import Host
from .bad_input import CLICK, ID, JSON_TYPE, post

NASTY = ["\ud800", "\udc00\ud800", "\0", "", "%00", "{x}", "a.b", "x" * 300, "💚" * 100]
TEXTS = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(NASTY)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
ACTIONS = st.sampled_from(
    ["button.click", "page.visit", "link.click", "page.engage", "screen.view", "session.end", "a.b"]
)
IDS = st.uuids().map(str) | st.just(ID)
URLS = st.builds("http://localhost/{}?{}#{}".format, TEXTS, TEXTS, TEXTS) | TEXTS
PARAMS = st.fixed_dictionaries(
    {"href": TEXTS, "name": TEXTS, "visible_s": st.floats(), "url": URLS},
    optional={"referrer": URLS | VALUES, "title": TEXTS | VALUES, "text": VALUES},
)
TIMES = (
    st.integers() | st.floats() | st.datetimes().map(lambda time: f"{time.isoformat()}Z") | TEXTS
)
#: Events that are nearly right, so that every check is reached.
EVENTS = st.fixed_dictionaries(
    {
        "action": ACTIONS | TEXTS,
        "params": PARAMS | st.dictionaries(TEXTS, VALUES, max_size=5) | VALUES,
    },
    optional={
        "event_id": IDS | TEXTS | VALUES,
        "label": TEXTS | VALUES,
        "time": TIMES | VALUES,
        "visit": TEXTS | VALUES,
        "page": IDS | VALUES,
        "\ud800": VALUES,
    },
)
POSTS = st.one_of(
    st.fixed_dictionaries(
        {"events": st.lists(EVENTS, min_size=1, max_size=8)}, optional={"csrf_token": VALUES}
    ),
    st.fixed_dictionaries(
        {"events": st.lists(EVENTS | VALUES, max_size=4)}, optional={"sent_at": TIMES | VALUES}
    ),
    EVENTS,
    VALUES,
)
FUZZ = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_no_value_is_an_error(db_host: Host) -> None:
    """Any JSON at all: an answer, and what was accepted can be written."""
    client = db_host.client()
    accepted: set[str] = set()

    @FUZZ
    @given(POSTS)
    def send(value: t.Any) -> None:
        response = post(client, json.dumps(value))
        assert response.status_code in {202, 400, 422}
        results = response.get_json().get("results", [])
        events = value.get("events", [value]) if isinstance(value, dict) else []
        accepted.update(
            result["event_id"]
            for event, result in zip(events, results, strict=False)
            # Engagement becomes a part of its visit, and no row.
            if result["status"] == "accepted" and event["action"] != "page.engage"
        )

    send()
    rows = db_host.rows("event")
    assert db_host.rows("rejected") == []
    stored = {row["id"] for row in rows} | {row["claimed_by"] for row in rows}
    assert {uuidlib.UUID(event_id) for event_id in accepted} <= stored


@st.composite
def spoiled_bytes(draw: st.DrawFn) -> bytes:
    """Good posts with some bytes changed, cut or put in."""
    body = bytearray(
        json.dumps({"events": [draw(EVENTS)]}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


def test_no_bytes_are_an_error(host: Host) -> None:
    """Any bytes at all, with any content type."""
    client = host.client()

    @FUZZ
    @given(
        st.binary(max_size=200) | spoiled_bytes(), st.sampled_from([JSON_TYPE, "text/plain", "x/y"])
    )
    def send(body: bytes, content_type: str) -> None:
        assert post(client, body, content_type).status_code in {202, 400, 415, 422}

    send()
    assert host.rows("rejected") == []


def test_no_headers_are_an_error(host: Host) -> None:
    """Any values of the headers that are read, as a server passes them on."""
    names = (
        "ORIGIN",
        "REFERER",
        "COOKIE",
        "SEC_FETCH_SITE",
        "USER_AGENT",
        "HOST",
        "X_EVENTTRACK_DEVICE",
        "X_EVENTTRACK_SESSION",
        "CONTENT_ENCODING",
        "ACCEPT_LANGUAGE",
    )
    values = st.text(st.characters(max_codepoint=255), max_size=40)
    headers = st.dictionaries(st.sampled_from([f"HTTP_{name}" for name in names]), values)
    client = host.app.test_client(use_cookies=False)

    @FUZZ
    @given(headers)
    def send(overrides: dict[str, str]) -> None:
        response = client.post("/_et/in", json=CLICK, environ_overrides=overrides)
        assert response.status_code in {202, 400, 403, 415, 422}

    send()
    assert host.rows("rejected") == []
