"""The page on which visitors object: it needs no script, and only its own form may post to it."""

from __future__ import annotations

import typing as t

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host

PAGE = "/_et/privacy"
MEASURED, COUNTED, REFUSED = (
    "Your visits are measured.",
    "Your visits are counted, but you are not recognised.",
    "Your visits are not measured.",
)
FORM = {**NAVIGATION, "Origin": "http://localhost"}


def choose(client: FlaskClient, choice: str, **headers: str) -> TestResponse:
    return client.post(PAGE, data={"choice": choice}, headers={**FORM, **headers})


def test_a_visitor_objects_and_allows_it_again(host: Host) -> None:
    """The page says what holds, and pages are recorded accordingly."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    assert MEASURED in client.get(PAGE, headers=NAVIGATION).text
    answer = choose(client, "none")
    assert answer.status_code == 200
    assert REFUSED in answer.text
    assert "Your choice is saved for this browser." in answer.text
    assert client.get_cookie("eventtrack_device") is None
    client.get("/", headers=NAVIGATION)
    assert REFUSED in client.get(PAGE, headers=NAVIGATION).text
    assert MEASURED in choose(client, "full").text
    client.get("/", headers=NAVIGATION)
    assert host.actions()["page.visit"] == 2


def test_the_page_is_no_visit(host: Host) -> None:
    """It records nothing, and sets no cookie before a choice."""
    client = host.client()
    answer = client.get(PAGE, headers=NAVIGATION)
    assert "Set-Cookie" not in answer.headers
    assert host.rows("event") == []


@pytest.mark.parametrize(
    ("settings", "headers", "cookies", "state", "reason"),
    [
        ({}, {}, {}, MEASURED, "You can change this at any time."),
        ({}, {"Sec-GPC": "1"}, {}, COUNTED, "Your browser asks websites for privacy"),
        ({"EVENTTRACK_GPC": "none"}, {"DNT": "1"}, {}, REFUSED, "Your browser asks websites"),
        (
            {"EVENTTRACK_DEFAULT_POLICY": "none"},
            {},
            {},
            REFUSED,
            "You can change this at any time.",
        ),
        ({}, {}, {"eventtrack_consent": "anonymous"}, COUNTED, "You chose this"),
    ],
)
def test_the_page_says_what_holds_and_why(
    make: MakeHost,
    settings: dict[str, t.Any],
    headers: dict[str, str],
    cookies: dict[str, str],
    state: str,
    reason: str,
) -> None:
    """The choice, the browser's signal or the app's default."""
    client = make(settings).client()
    for name, value in cookies.items():
        client.set_cookie(name, value)
    text = client.get(PAGE, headers={**NAVIGATION, **headers}).text
    assert state in text
    assert reason in text


def test_the_page_says_what_the_settings_are(make: MakeHost) -> None:
    """Lifetimes and identity are the live ones."""
    plain = make().client().get(PAGE).text
    for words in ("connected with your account", "as long as it comes back", "until we delete"):
        assert words in plain
    audience = make({"EVENTTRACK_PRIVACY": "audience"}).client().get(PAGE).text
    for words in ("for 13 months at most, and is not renewed", "deleted after 25 months at most"):
        assert words in audience
    assert "not connected with your name or account" in audience


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://shop.example"},
        {},
    ],
)
def test_only_the_pages_own_form_may_post(make: MakeHost, headers: dict[str, str]) -> None:
    """Neither another site's, nor that of an origin which may post events."""
    host = make({"EVENTTRACK_ALLOWED_ORIGINS": ["https://shop.example"]})
    answer = host.client().post(PAGE, data={"choice": "none"}, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (403, "foreign_origin")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("headers", [SAME_ORIGIN, {"Origin": "http://localhost"}])
def test_old_and_new_browsers_may_post(host: Host, headers: dict[str, str]) -> None:
    """A visitor who refuses has no device that a token could be bound to: the origin is enough."""
    assert host.client().post(PAGE, data={"choice": "none"}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/x-www-form-urlencoded", 400),
        (b"choice=all", "application/x-www-form-urlencoded", 400),
        (b"choice=\xff%ff%00", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a=1"] * 99), "application/x-www-form-urlencoded", 400),
        (b'{"choice": "none"}', "application/json", 415),
        (b"x" * 300_000, "application/x-www-form-urlencoded", 413),
    ],
)
def test_what_is_no_such_form_is_refused(host: Host, body: bytes, kind: str, status: int) -> None:
    """With a problem, and without a cookie."""
    answer = host.client().post(PAGE, data=body, content_type=kind, headers=FORM)
    assert answer.status_code == status
    assert "Set-Cookie" not in answer.headers


def test_the_forms_posts_are_limited(make: MakeHost) -> None:
    """As those of scripts are."""
    client = make({"EVENTTRACK_ADDRESS_LIMIT": (1, 1)}).client()
    assert [choose(client, "none").status_code for _ in range(2)] == [200, 429]


def test_the_page_is_closed_to_frames_scripts_and_caches(host: Host) -> None:
    """A strict policy, which its own stylesheet meets."""
    answer = host.client().get(PAGE)
    policy = answer.headers["Content-Security-Policy"]
    assert policy == (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not {"<script", "style=", "onclick", "//"} & {
        word for word in ("<script", "style=", "onclick", "//") if word in answer.text
    }
    style = host.client().get("/_et/privacy.css")
    assert (style.status_code, style.mimetype) == (200, "text/css")


def test_the_host_name_is_nothing_but_text(host: Host) -> None:
    """The one value of the page that a client sends."""
    answer = host.client().get(PAGE, headers={"Host": "<b>x</b>"})
    assert "<b>" not in answer.text


def test_a_host_may_have_a_template_of_its_own(
    host: Host, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In its own words and language."""
    folder = tmp_path_factory.mktemp("templates")
    (folder / "eventtrack").mkdir()
    (folder / "eventtrack" / "privacy.html").write_text("Chez nous: {{ policy }} {{ action }}")
    host.app.template_folder = str(folder)
    assert host.client().get(PAGE).text == f"Chez nous: full {PAGE}"


def test_a_template_that_fails_is_no_error_page_of_the_host(
    make: MakeHost, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is logged, and answered as when the collector fails."""
    host = make({"TESTING": False})
    folder = tmp_path_factory.mktemp("templates")
    (folder / "eventtrack").mkdir()
    (folder / "eventtrack" / "privacy.html").write_text("{{ 1 / 0 }}")
    host.app.template_folder = str(folder)
    assert host.client().get(PAGE).status_code == 503
