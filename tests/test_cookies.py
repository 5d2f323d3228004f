"""The device and session cookies, and the sessions that they make, by an injected clock."""

from __future__ import annotations

import base64
import collections.abc as cabc
import datetime as dt
import http.cookies
import re
import typing as t
import uuid

import pytest
from flask import Flask, redirect, request
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from flask_eventtrack import current_visitor, identify, logout, track
from flask_eventtrack.ids import session_end_id, session_start_id

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, START, Host

DEVICE, SESSION, CSRF = "eventtrack_device", "eventtrack_session", "eventtrack_csrf"
ALL = {DEVICE, SESSION, CSRF}
TEN_YEARS = 315_360_000
MICROSECOND = dt.timedelta(microseconds=1)


def cookies_of(answer: TestResponse) -> dict[str, http.cookies.Morsel[str]]:
    """Return the cookies that an answer sets."""
    jar: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
    for header in answer.headers.getlist("Set-Cookie"):
        jar.load(header)
    return dict(jar)


def visit(client: FlaskClient, path: str = "/") -> set[str]:
    """Open a page as a person does and return the names of the cookies that it sets."""
    answer = client.get(path, headers=NAVIGATION)
    assert answer.status_code == 200
    return set(cookies_of(answer))


def jar_of(client: FlaskClient) -> dict[str, str]:
    return {name: cookie.value for name in ALL if (cookie := client.get_cookie(name))}


def fill(client: FlaskClient, jar: cabc.Mapping[str, str]) -> FlaskClient:
    for name, value in jar.items():
        client.set_cookie(name, value)
    return client


def sessions_of(host: Host) -> list[dict[str, t.Any]]:
    return host.rows("session", "started_at")


def add_login(app: Flask) -> None:
    @app.get("/login/<who>")
    def login(who: str) -> str:
        identify(who)
        return "<title>Hello</title>"

    @app.get("/logout")
    def leave() -> str:
        logout()
        return "<title>Bye</title>"

    @app.get("/me")
    def me() -> dict[str, t.Any]:
        return {
            name: getattr(current_visitor, name)
            for name in ("device_id", "uuid", "session_id", "customer_id", "is_bot", "is_new")
        }


# What the cookies look like


def test_first_visit_sets_the_three_cookies(host: Host) -> None:
    """DESIGN §5: their attributes, on plain HTTP."""
    cookies = cookies_of(host.client().get("/", headers=NAVIGATION))
    found = {
        name: (morsel["max-age"], morsel["path"], morsel["samesite"], morsel["httponly"])
        for name, morsel in cookies.items()
    }
    assert found == {
        DEVICE: (str(TEN_YEARS), "/", "Lax", True),
        SESSION: ("1800", "/", "Lax", True),
        CSRF: ("1800", "/", "Lax", ""),
    }
    assert {(morsel["secure"], morsel["domain"]) for morsel in cookies.values()} == {("", "")}


def test_device_is_a_uuid_version_4_and_the_profile_at_first(host: Host) -> None:
    """The session's id is uuid5(device, number of the session)."""
    visit(host.client())
    [session] = sessions_of(host)
    assert session["device_id"].version == 4
    assert session["uuid"] == session["device_id"]
    assert session["id"] == uuid.uuid5(session["device_id"], "1")


def test_two_visitors_are_two_devices(host: Host) -> None:
    """Nothing else tells them apart."""
    for client in (host.client(), host.client()):
        visit(client)
        visit(client)
    assert len({row["device_id"] for row in sessions_of(host)}) == 2
    assert host.actions() == {"page.visit": 4, "session.start": 2}


@pytest.mark.parametrize(
    ("setting", "scheme", "secure"),
    [
        ("auto", "http", False),
        ("auto", "https", True),
        (True, "http", True),
        (True, "https", True),
        (False, "http", False),
        (False, "https", False),
    ],
)
def test_secure_follows_the_request_or_the_setting(
    make: MakeHost, setting: object, scheme: str, *, secure: bool
) -> None:
    """EVENTTRACK_COOKIE_SECURE."""
    host = make({"EVENTTRACK_COOKIE_SECURE": setting})
    cookies = cookies_of(host.client().get("/", base_url=f"{scheme}://localhost"))
    assert {bool(morsel["secure"]) for morsel in cookies.values()} == {secure}


@pytest.mark.parametrize(
    ("is_trusted", "said", "secure"),
    [(True, "https", True), (True, "http", False), (False, "https", False)],
)
def test_secure_behind_a_proxy_is_by_proxy_fix(
    host: Host, said: str, *, is_trusted: bool, secure: bool
) -> None:
    """X-Forwarded-Proto counts where the host says that a proxy sets it, and only there."""
    if is_trusted:
        host.app.wsgi_app = ProxyFix(host.app.wsgi_app, x_proto=1)  # type: ignore[method-assign]
    answer = host.client().get("/", headers={**NAVIGATION, "X-Forwarded-Proto": said})
    assert {bool(morsel["secure"]) for morsel in cookies_of(answer).values()} == {secure}


def test_domain_and_path_are_settings(make: MakeHost) -> None:
    """EVENTTRACK_COOKIE_DOMAIN and EVENTTRACK_COOKIE_PATH."""
    host = make({"EVENTTRACK_COOKIE_DOMAIN": "shop.example", "EVENTTRACK_COOKIE_PATH": "/products"})
    answer = host.client().get("/products/mug", base_url="http://www.shop.example")
    found = {(morsel["domain"], morsel["path"]) for morsel in cookies_of(answer).values()}
    assert found == {("shop.example", "/products")}


def test_lifetime_of_the_session_cookie_is_the_timeout(make: MakeHost) -> None:
    """EVENTTRACK_SESSION_TIMEOUT."""
    host = make({"EVENTTRACK_SESSION_TIMEOUT": dt.timedelta(hours=2)})
    cookies = cookies_of(host.client().get("/"))
    assert {name: morsel["max-age"] for name, morsel in cookies.items()} == {
        DEVICE: str(TEN_YEARS),
        SESSION: "7200",
        CSRF: "7200",
    }


# When they are sent


@pytest.mark.parametrize(
    ("seconds", "sent"),
    [(0, set()), (59.999, set()), (60, set()), (60.001, {SESSION, CSRF}), (1799, {SESSION, CSRF})],
)
def test_session_cookie_is_sent_again_when_over_a_minute_old(
    host: Host, seconds: float, sent: set[str]
) -> None:
    """Most answers carry no cookie."""
    client = host.client()
    assert visit(client) == ALL
    host.clock.advance(seconds=seconds)
    assert visit(client) == sent


def test_device_cookie_is_issued_again_with_each_session(host: Host) -> None:
    """Browsers cap ten years at 400 days: it is renewed while it is in use."""
    client = host.client()
    assert visit(client) == ALL
    host.clock.advance(days=399)
    assert visit(client) == ALL


@pytest.mark.parametrize("path", ["/data.json", "/away", "/missing", "/static/none.css"])
def test_answer_that_records_nothing_sets_no_cookie(host: Host, path: str) -> None:
    """Only a request whose event is recorded does."""
    assert host.client().get(path, headers=NAVIGATION).headers.getlist("Set-Cookie") == []
    assert host.rows("session") == []


def test_json_answer_that_tracks_sets_the_cookies(host: Host) -> None:
    """The event has a session, and the session has to be known again."""
    host.events.define("a.b")
    host.app.add_url_rule("/api", "api", lambda: {"id": str(track("a.b"))})
    client = host.client()
    assert visit(client, "/api") == ALL
    assert visit(client, "/api") == set()
    assert host.actions() == {"a.b": 2, "session.start": 1}


@pytest.mark.parametrize(
    "header", ["public", "public, max-age=60", "s-maxage=60", "Public", "max-age=1, S-MaxAge=2"]
)
def test_answer_that_a_cache_shares_sets_no_cookie(host: Host, header: str) -> None:
    """A CDN would hand one visitor's device to all."""
    cached = ("<title>Cached</title>", 200, {"Cache-Control": header})
    host.app.add_url_rule("/cached", "cached", lambda: cached)
    client = host.client()
    assert visit(client, "/cached") == set()
    assert host.rows("event") == []
    visit(client)
    host.clock.advance(minutes=2)
    assert visit(client, "/cached") == set()
    assert host.actions() == {"page.visit": 2, "session.start": 1}


@pytest.mark.parametrize("header", ["private", "no-store", "max-age=0, must-revalidate"])
def test_answer_that_no_cache_shares_sets_the_cookies(host: Host, header: str) -> None:
    """A private cache is the visitor's own."""
    cached = ("<title>Private</title>", 200, {"Cache-Control": header})
    host.app.add_url_rule("/private", "private", lambda: cached)
    assert visit(host.client(), "/private") == ALL


def test_collector_sets_the_cookies_of_a_newcomer(host: Host) -> None:
    """A page out of a cache has no other way to them."""
    client = host.client()
    answer = client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
    assert set(cookies_of(answer)) == ALL
    assert visit(client) == set()
    assert len(sessions_of(host)) == 1


def test_current_visitor_sees_what_the_cookies_say(host: Host) -> None:
    """Reading it records nothing and sets nothing."""
    add_login(host.app)
    client = host.client()
    before = client.get("/me")
    assert (before.get_json()["is_new"], before.headers.getlist("Set-Cookie")) == (True, [])
    visit(client)
    seen, [session] = client.get("/me").get_json(), sessions_of(host)
    assert seen == {
        "device_id": str(session["device_id"]),
        "uuid": str(session["uuid"]),
        "session_id": str(session["id"]),
        "customer_id": None,
        "is_bot": False,
        "is_new": False,
    }


# Sessions


@pytest.mark.parametrize(
    ("minutes", "sessions"), [(0, 1), (29.999, 1), (30, 2), (30.001, 2), (60 * 24 * 365, 2)]
)
def test_gap_of_thirty_minutes_makes_a_new_session(
    host: Host, minutes: float, sessions: int
) -> None:
    """A shorter one does not."""
    client = host.client()
    visit(client)
    host.clock.advance(minutes=minutes)
    visit(client)
    rows = sessions_of(host)
    assert len(rows) == sessions
    assert {row["device_id"] for row in rows} == {rows[0]["device_id"]}
    assert [row["id"] for row in rows] == [
        uuid.uuid5(rows[0]["device_id"], str(number + 1)) for number in range(sessions)
    ]


def test_session_slides_for_as_long_as_there_is_no_gap(host: Host) -> None:
    """Ten hours of a page every 29 minutes are one session."""
    client = host.client()
    for _ in range(20):
        visit(client)
        host.clock.advance(minutes=29)
    [session] = sessions_of(host)
    assert (session["pages"], session["started_at"]) == (20, START)
    assert session["last_seen_at"] == START + dt.timedelta(minutes=19 * 29)


def test_session_start_comes_one_microsecond_before_the_first_event(host: Host) -> None:
    """Its id is derived from the session's."""
    client = host.client()
    visit(client)
    host.clock.advance(minutes=5)
    visit(client)
    [start], [session] = host.events_of("session.start"), sessions_of(host)
    assert (start["time"], session["started_at"]) == (START - MICROSECOND, START)
    assert (start["id"], start["session_id"]) == (session_start_id(session["id"]), session["id"])
    assert (start["label"], start["params"], start["source"]) == ("Started session", {}, "server")
    assert host.rows("event", "time")[0]["id"] == start["id"]


def test_session_starts_with_the_page_and_not_with_what_its_view_tracks(host: Host) -> None:
    """A visit's time is the request's arrival."""
    host.events.define("a.b")

    @host.app.get("/slow")
    def slow() -> str:
        host.clock.advance(seconds=2)
        track("a.b")
        return "<title>Slow</title>"

    visit(host.client(), "/slow")
    [session] = sessions_of(host)
    assert session["started_at"] == START
    assert [(row["action"], row["time"]) for row in host.rows("event", "time")] == [
        ("session.start", START - MICROSECOND),
        ("page.visit", START),
        ("a.b", START + dt.timedelta(seconds=2)),
    ]


def test_session_end_comes_when_the_device_returns(host: Host) -> None:
    """At the time of the last activity, with what happened."""
    client = host.client()
    visit(client)
    host.clock.advance(minutes=10)
    client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
    host.clock.advance(hours=1)
    visit(client)
    [end], [first, _] = host.events_of("session.end"), sessions_of(host)
    last = START + dt.timedelta(minutes=10)
    assert (end["time"], first["ended_at"], first["last_seen_at"]) == (last, last, last)
    assert (end["id"], end["session_id"]) == (session_end_id(first["id"]), first["id"])
    assert end["params"] == {"duration": 600.0, "pages": 1, "events": 2, "reason": "timeout"}
    assert (end["label"], end["uuid"]) == ("Session end", first["uuid"])


def sweep(host: Host) -> str:
    host.flush()
    answer = host.app.test_cli_runner().invoke(args=["eventtrack", "sweep"])
    assert answer.exit_code == 0
    return answer.output


@pytest.mark.parametrize(("minutes", "ended"), [(0, 0), (34.9, 0), (35, 0), (35.1, 1), (9999, 1)])
def test_sweep_ends_sessions_silent_for_the_timeout_and_five_minutes(
    host: Host, minutes: float, ended: int
) -> None:
    """`flask eventtrack sweep`."""
    visit(host.client())
    host.flush()
    host.clock.advance(minutes=minutes)
    assert sweep(host) == f"{ended} session{'' if ended == 1 else 's'} ended.\n"
    assert host.actions()["session.end"] == ended


def test_swept_session_is_not_ended_again_when_the_device_returns(host: Host) -> None:
    """Exactly once."""
    client = host.client()
    visit(client)
    host.flush()
    host.clock.advance(hours=1)
    assert (sweep(host), sweep(host)) == ("1 session ended.\n", "0 sessions ended.\n")
    visit(client)
    assert host.actions() == {"page.visit": 2, "session.start": 2, "session.end": 1}
    [end] = host.events_of("session.end")
    assert (end["time"], end["params"]["duration"]) == (START, 0.0)


def test_logout_ends_the_session_and_makes_another_profile(host: Host) -> None:
    """The device stays; the next person at a shared computer is nobody's alias."""
    add_login(host.app)
    client = host.client()
    for path in ("/", "/login/7", "/logout", "/"):
        host.clock.advance(seconds=10)
        visit(client, path)
    first, second = sessions_of(host)
    assert [end["params"]["reason"] for end in host.events_of("session.end")] == ["logout"]
    assert (second["device_id"], second["ended_at"]) == (first["device_id"], None)
    assert (first["uuid"].version, second["uuid"].version) == (5, 4)
    assert second["uuid"] != first["device_id"]


# The epoch: what a script may know of the profile


def epoch_of(client: FlaskClient) -> str:
    """Return what stands before the token in the readable cookie."""
    epoch, *token = jar_of(client)[CSRF].split(".")
    assert len(token) == 2
    return epoch


def test_epoch_is_eight_characters_that_say_nothing(host: Host) -> None:
    """Neither the device nor the profile can be read in it, and no two visitors share it."""
    clients = [host.client() for _ in range(2)]
    for client in clients:
        visit(client)
    first, second = map(epoch_of, clients)
    assert re.fullmatch(r"[\w-]{8}", first)
    assert first != second
    for row in sessions_of(host):
        packed = base64.urlsafe_b64encode(row["uuid"].bytes).decode()
        assert not any(epoch in packed for epoch in (first, second))


def test_epoch_stays_while_the_profile_does(host: Host) -> None:
    """Through pages, posts and sessions."""
    client = host.client()
    visit(client)
    before = epoch_of(client)
    for minutes in (2, 20, 60):
        host.clock.advance(minutes=minutes)
        assert CSRF in visit(client)
        assert epoch_of(client) == before
        host.clock.advance(minutes=2)
        client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
        assert epoch_of(client) == before


def test_epoch_changes_at_log_in_and_log_out(host: Host) -> None:
    """With the answer of that very request; a customer's is the same again, a stranger's is not."""
    add_login(host.app)
    client = host.client()
    epochs = []
    for path in ("/", "/login/7", "/", "/logout", "/", "/login/8", "/logout", "/login/7"):
        visit(client, path)
        epochs.append(epoch_of(client))
    anonymous, seven, still_seven, nobody, still_nobody, eight, again_nobody, seven_again = epochs
    assert (seven, still_nobody) == (still_seven, nobody) == (seven_again, nobody)
    assert len({anonymous, seven, nobody, eight, again_nobody}) == 5


@pytest.mark.parametrize("path", ["/out", "/out.json"])
def test_epoch_changes_with_an_answer_that_is_no_page(host: Host, path: str) -> None:
    """A log-out mostly answers with a redirect: the session's cookie goes, the epoch is new."""
    add_login(host.app)

    @host.app.get("/out")
    @host.app.get("/out.json")
    def log_out() -> t.Any:
        logout()
        return {} if request.path.endswith(".json") else redirect("/")

    client = host.client()
    visit(client, "/login/7")
    before = epoch_of(client)
    answer = client.get(path, headers=NAVIGATION)
    assert SESSION not in jar_of(client)
    assert CSRF in cookies_of(answer)
    assert epoch_of(client) != before


def test_epochs_of_two_apps_differ(make: MakeHost) -> None:
    """It is derived with the secret key: who knows a customer's id cannot compute it."""
    hosts = [make({"SECRET_KEY": key}) for key in ("one", "another")]
    epochs = set()
    for host in hosts:
        add_login(host.app)
        client = host.client()
        visit(client, "/login/7")
        epochs.add(epoch_of(client))
    assert len(epochs) == 2


# Whose cookie it is


def test_cookie_of_somebody_elses_that_is_no_text_is_no_obstacle(host: Host) -> None:
    """Bytes that are not UTF-8, as an old script of the host's may set."""
    client = host.client()
    visit(client)
    cookies = "; ".join(f"{name}={value}" for name, value in jar_of(client).items())
    again = host.app.test_client(use_cookies=False)
    again.environ_base["HTTP_USER_AGENT"] = CHROME
    answer = again.get("/", headers=NAVIGATION | {"Cookie": f"city=K\xf6ln; {cookies}"})
    assert answer.status_code == 200
    [session] = sessions_of(host)
    assert session["pages"] == 2


def tamper(value: str) -> str:
    """Change a character in the middle, whose bits all count."""
    middle = len(value) // 2
    return value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]


BROKEN: dict[str, cabc.Callable[[str], str]] = {
    "tampered": tamper,
    "first character changed": lambda value: ("B" if value[0] == "A" else "A") + value[1:],
    "truncated": lambda value: value[:-5],
    "halved": lambda value: value[: len(value) // 2],
    "without signature": lambda value: value.rpartition(".")[0],
    "signature alone": lambda value: value.rpartition(".")[2],
    "doubled": lambda value: value + value,
    "empty": lambda value: "",
    "a dot": lambda value: ".",
    "dots": lambda value: "." * 100,
    "long": lambda value: value + "A" * 4000,
    "long and deep": lambda value: "." * 60_000,
    "not ASCII": lambda value: "é" + value,
    "a NUL": lambda value: value + "\x00",
    "quoted": lambda value: f'"{value}x"',
    "upper case": str.upper,
}


@pytest.mark.parametrize("name", [DEVICE, SESSION])
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_cookie_is_a_fresh_start_and_never_an_error(
    host: Host, name: str, kind: str
) -> None:
    """A new device, or a new session of the same device."""
    client = host.client()
    visit(client)
    jar = jar_of(client)
    jar[name] = BROKEN[kind](jar[name])
    raw = "; ".join(f"{name}={value}" for name, value in jar.items())
    headers = {**NAVIGATION, "Cookie": raw.encode().decode("latin-1")}
    answer = host.app.test_client(use_cookies=False).get(
        "/", headers={**headers, "User-Agent": client.environ_base["HTTP_USER_AGENT"]}
    )
    assert (answer.status_code, set(cookies_of(answer))) == (200, ALL)
    rows = sessions_of(host)
    assert (len(rows), len({row["device_id"] for row in rows})) == (2, 2 if name == DEVICE else 1)


def test_session_cookie_of_another_device_opens_a_session_of_ones_own(host: Host) -> None:
    """Swapped between two visitors."""
    mine, theirs = host.client(), host.client()
    visit(mine)
    visit(theirs)
    stolen = jar_of(theirs)[SESSION]
    visit(fill(mine, {SESSION: stolen}))
    rows = sessions_of(host)
    assert sorted(row["pages"] for row in rows) == [1, 1, 1]
    assert len({row["device_id"] for row in rows}) == 2


@pytest.mark.parametrize(("name", "other"), [(DEVICE, SESSION), (SESSION, DEVICE), (DEVICE, CSRF)])
def test_value_of_one_cookie_is_not_taken_for_another(host: Host, name: str, other: str) -> None:
    """Each has a salt of its own."""
    client = host.client()
    visit(client)
    jar = jar_of(client)
    assert visit(fill(client, {name: jar[other]})) == ALL
    devices = {row["device_id"] for row in sessions_of(host)}
    assert len(devices) == (2 if name == DEVICE else 1)


def test_cookie_value_of_the_customers_does_not_vouch_on_another_device(host: Host) -> None:
    """The session cookie vouches, and it is bound to its device."""
    add_login(host.app)
    known, other = host.client(), host.client()
    visit(known, "/login/7")
    visit(other)
    fill(other, {SESSION: jar_of(known)[SESSION]})
    assert known.get("/me").get_json()["customer_id"] == "7"
    assert other.get("/me").get_json()["customer_id"] is None


def test_device_alone_attributes_and_does_not_vouch(host: Host) -> None:
    """A 10-year cookie that carries a customer's uuid is no log-in."""
    add_login(host.app)
    client = host.client()
    visit(client, "/login/7")
    known = client.get("/me").get_json()
    host.clock.advance(hours=1)
    later = client.get("/me").get_json()
    assert (known["customer_id"], later["customer_id"]) == ("7", None)
    assert later["uuid"] == known["uuid"]


@pytest.mark.parametrize(
    "customer",
    ["7", "x" * 255, "é" * 255, "日" * 255, "😀" * 255],
    ids=["short", "1 byte", "2 bytes", "3 bytes", "4 bytes"],
)
def test_customer_of_any_id_stays_in_their_session(host: Host, customer: str) -> None:
    """255 characters take up to 1,020 bytes, and the cookie has to hold them."""
    add_login(host.app)
    client = host.client()
    visit(client, f"/login/{customer}")
    visit(client)
    assert client.get("/me").get_json()["customer_id"] == customer
    assert [row["pages"] for row in sessions_of(host)] == [2]
    assert all(len(value) < 4096 - 256 for value in jar_of(client).values())


def test_rotated_key_keeps_devices_and_sessions(make: MakeHost) -> None:
    """SECRET_KEY_FALLBACKS: the old key verifies, the new one signs."""
    before = make({"SECRET_KEY": "the old key of the host"})
    client = before.client()
    visit(client)
    after = make(
        {
            "SECRET_KEY": "the new key of the host",
            "SECRET_KEY_FALLBACKS": ["the old key of the host"],
        }
    )
    returning = fill(after.client(), jar_of(client))
    assert visit(returning) == set()
    before.clock.advance(minutes=2)
    assert visit(returning) == {SESSION, CSRF}
    assert sessions_of(after)[0]["id"] == sessions_of(before)[0]["id"]


def test_key_that_is_gone_makes_new_devices(make: MakeHost) -> None:
    """A cookie of the old key is a bad signature."""
    before, after = make({"SECRET_KEY": "the old key"}), make({"SECRET_KEY": "the new key"})
    client = before.client()
    visit(client)
    assert visit(fill(after.client(), jar_of(client))) == ALL
    assert sessions_of(after)[0]["device_id"] != sessions_of(before)[0]["device_id"]


def test_renewed_cookie_outlives_the_old_key(make: MakeHost) -> None:
    """It was signed with the current key, which need not be the first of the list."""
    keys = ["the oldest key of all", "the old key of the host"]
    middle = make({"SECRET_KEY": "the new key of the host", "SECRET_KEY_FALLBACKS": keys})
    after = make({"SECRET_KEY": "the new key of the host"})
    client = middle.client()
    visit(client)
    assert visit(fill(after.client(), jar_of(client))) == set()


def test_key_of_bytes_is_taken(make: MakeHost) -> None:
    """As Flask takes it."""
    host = make({"SECRET_KEY": b"\xff\x00 a secret", "SECRET_KEY_FALLBACKS": [b"\xfe", "old"]})
    client = host.client()
    assert (visit(client), visit(client)) == (ALL, set())


# The clock


def test_clock_that_goes_back_an_hour_keeps_the_session(host: Host) -> None:
    """A last activity in the future counts as now; the early event moves nothing."""
    client = host.client()
    visit(client)
    host.clock.advance(hours=-1)
    visit(client)
    [session] = sessions_of(host)
    assert (session["pages"], session["started_at"], session["entry"]) == (2, START, "/")
    assert session["last_seen_at"] == START
    assert host.actions() == {"page.visit": 2, "session.start": 1}
    times = [row["time"] for row in host.events_of("page.visit")]
    assert times == [START - dt.timedelta(hours=1), START]


def test_active_visitor_keeps_the_cookie_after_the_clock_has_gone_back(host: Host) -> None:
    """Browsers drop it after its Max-Age: it is renewed although its last activity is to come."""
    client = host.client()
    visit(client)
    host.clock.advance(hours=-1)
    sent = set()
    for _ in range(5):
        host.clock.advance(minutes=5)
        sent |= visit(client)
    assert SESSION in sent


def test_clock_that_goes_forward_a_day_ends_the_session(host: Host) -> None:
    """And back again, the device goes on in the session it has now."""
    client = host.client()
    visit(client)
    host.clock.advance(days=1)
    visit(client)
    host.clock.advance(days=-1)
    visit(client)
    first, second = sessions_of(host)
    assert (first["pages"], first["ended_at"]) == (1, START)
    assert (second["pages"], second["started_at"]) == (2, START + dt.timedelta(days=1))
    assert host.actions() == {"page.visit": 3, "session.start": 2, "session.end": 1}


def test_times_keep_the_microsecond_through_the_cookie(host: Host) -> None:
    """The session that a cookie names starts when the row says."""
    host.clock.now += 123_457_999
    client = host.client()
    visit(client)
    visit(client)
    [session] = sessions_of(host)
    assert session["started_at"] == START.replace(microsecond=123_457)


# Several requests at once


def test_two_requests_at_once_after_the_gap_agree_on_the_session(db_host: Host) -> None:
    """Both carry the old cookies; the earlier one's start stands, and one end is written."""
    first = db_host.client()
    visit(first)
    second = fill(db_host.client(), jar_of(first))
    db_host.clock.advance(hours=1)
    visit(second)
    db_host.flush()
    db_host.clock.advance(seconds=-1)
    visit(first)
    old, new = sessions_of(db_host)
    start = START + dt.timedelta(hours=1, seconds=-1)
    assert (old["pages"], new["pages"], new["started_at"]) == (1, 2, start)
    assert db_host.actions() == {"page.visit": 3, "session.start": 2, "session.end": 1}
    assert db_host.events_of("session.start")[1]["time"] == start - MICROSECOND


def test_two_requests_at_once_after_a_sweep_agree_too(host: Host) -> None:
    """The old session is ended by then."""
    first = host.client()
    visit(first)
    second = fill(host.client(), jar_of(first))
    host.flush()
    host.clock.advance(hours=1)
    sweep(host)
    visit(first)
    visit(second)
    assert [row["pages"] for row in sessions_of(host)] == [1, 2]
    assert host.actions()["session.end"] == 1


def test_two_tabs_share_a_session(host: Host) -> None:
    """Whichever is used keeps it alive."""
    client = host.client()
    for path in ("/", "/products/mug") * 4:
        visit(client, path)
        host.clock.advance(minutes=20)
    [session] = sessions_of(host)
    assert (session["pages"], session["entry"], session["exit"]) == (8, "/", "/products/mug")


def test_answer_that_comes_late_does_not_undo_the_session(host: Host) -> None:
    """Two tabs after the gap: the second answer's cookies replace the first's, and fit."""
    tab = host.client()
    visit(tab)
    other = fill(host.client(), jar_of(tab))
    host.clock.advance(hours=1)
    visit(tab)
    visit(other)
    visit(fill(tab, {DEVICE: jar_of(other)[DEVICE]}))
    visit(fill(other, {SESSION: jar_of(tab)[SESSION]}))
    assert [row["pages"] for row in sessions_of(host)] == [1, 4]


def test_visitors_token_goes_on_in_the_session(host: Host) -> None:
    """track(visitor=current_visitor.token) in a job that the request started."""
    host.events.define("a.b")
    host.app.add_url_rule("/token", "token", lambda: current_visitor.token)
    client = host.client()
    visit(client)
    token = client.get("/token", headers={"Sec-Fetch-Dest": "empty"}).text
    host.clock.advance(hours=3)
    with host.app.app_context():
        track("a.b", visitor=token)
    [session] = sessions_of(host)
    assert host.events_of("a.b")[0]["session_id"] == session["id"]
    assert (session["events"], session["pages"]) == (2, 1)
