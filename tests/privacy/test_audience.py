"""EVENTTRACK_PRIVACY = "audience": visits are measured, and no one is known."""

from __future__ import annotations

import datetime as dt
import itertools
import typing as t

import pytest
from flask.testing import FlaskClient

from flask_eventtrack import current_visitor, identify, track
from flask_eventtrack.config import load_config
from flask_eventtrack.errors import ConfigError

from ..commands import run
from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host

AUDIENCE: dict[str, t.Any] = {"EVENTTRACK_PRIVACY": "audience"}
KEY = "for tests only, of 32 bytes or more"
DAY = 24 * 60 * 60


@pytest.fixture
def site(make: MakeHost) -> Host:
    """A site that measures its audience, and has log-ins."""
    return add_log_in(make({**AUDIENCE, "EVENTTRACK_JWT_KEYS": KEY}))


def add_log_in(host: Host) -> Host:
    host.events.define("order.ship")
    host.events.define("signup.click", anonymous=True)

    @host.app.post("/login")
    def login() -> str:
        return str(identify("customer-7", traits={"name": "Ada"}))

    @host.app.get("/who")
    def who() -> str:
        return f"<title>Who</title>{current_visitor.customer_id} {current_visitor.device_id}"

    return host


def visit(client: FlaskClient, path: str = "/") -> str:
    return client.get(path, headers=NAVIGATION).text


def lifetime_of(client: FlaskClient) -> int | None:
    cookie = client.get_cookie("eventtrack_device")
    return cookie.max_age if cookie else None


def test_the_preset_sets_what_is_not_set() -> None:
    """A setting of the app's own takes precedence, also if it is None."""
    config = load_config(AUDIENCE)
    assert config.device_max_age == dt.timedelta(days=393)
    assert config.retention == {"*": dt.timedelta(days=758)}
    assert (config.prune, config.privacy_identity) == (True, False)
    own = load_config({**AUDIENCE, "EVENTTRACK_RETENTION": None, "EVENTTRACK_PRUNE": False})
    assert (own.retention, own.prune, own.privacy_identity) == ({}, False, False)
    none = load_config({})
    assert (none.device_max_age, none.retention, none.privacy_identity) == (None, {}, True)


@pytest.mark.parametrize("value", ["", "Audience", True, 1])
def test_a_preset_that_does_not_exist_is_refused(value: object) -> None:
    """With those that exist."""
    with pytest.raises(ConfigError, match="EVENTTRACK_PRIVACY must be 'audience'"):
        load_config({"EVENTTRACK_PRIVACY": value})


# The device cookie


def test_the_device_cookie_is_not_renewed(site: Host) -> None:
    """Each session sends it again, with what is left of its 13 months."""
    client = site.client()
    visit(client)
    assert lifetime_of(client) == 393 * DAY
    for _ in range(2):
        site.clock.advance(days=100)
        visit(client)
    assert lifetime_of(client) == 193 * DAY
    assert len({row["uuid"] for row in site.events_of("page.visit")}) == 1


def test_a_device_is_forgotten_after_13_months(site: Host) -> None:
    """Also where a browser keeps the cookie for longer; then it counts as a new one."""
    client = site.client()
    visit(client)
    cookie = client.get_cookie("eventtrack_device")
    assert cookie
    site.clock.advance(days=393)
    client.set_cookie("eventtrack_device", cookie.value)
    visit(client)
    assert len({row["uuid"] for row in site.events_of("page.visit")}) == 2
    assert lifetime_of(client) == 393 * DAY


def test_a_device_from_before_the_preset_is_new(make: MakeHost, site: Host) -> None:
    """Its age is unknown."""
    client = add_log_in(make()).client()
    before = visit(client, "/who")
    cookie = client.get_cookie("eventtrack_device")
    assert cookie
    after = site.client()
    after.set_cookie("eventtrack_device", cookie.value)
    assert visit(after, "/who") != before


def test_a_customers_device_is_new_where_no_one_is_known(make: MakeHost) -> None:
    """Also where no setting limits the lifetime of its cookie."""
    client = add_log_in(make()).client()
    client.post("/login")
    cookie = client.get_cookie("eventtrack_device")
    assert cookie
    after = make({"EVENTTRACK_PRIVACY_IDENTITY": False})
    client = after.client()
    client.set_cookie("eventtrack_device", cookie.value)
    visit(client)
    assert [row["uuid"].version for row in after.events_of("page.visit")] == [4]


def test_a_device_of_the_preset_stays_known_without_it(make: MakeHost, site: Host) -> None:
    """Then the cookie lives for as long as the browser comes back."""
    client = site.client()
    visit(client)
    first = visit(client, "/who")
    cookie = client.get_cookie("eventtrack_device")
    assert cookie
    other = add_log_in(make())
    other.clock.advance(days=400)
    client = other.client()
    client.set_cookie("eventtrack_device", cookie.value)
    assert visit(client, "/who") == first
    assert lifetime_of(client) == 10 * 365 * DAY


def test_a_lifetime_can_be_set_without_the_preset(make: MakeHost) -> None:
    """EVENTTRACK_DEVICE_MAX_AGE alone; log-ins are recorded."""
    host = add_log_in(make({"EVENTTRACK_DEVICE_MAX_AGE": dt.timedelta(days=30)}))
    client = host.client()
    client.post("/login")
    assert lifetime_of(client) == 30 * DAY
    assert len(host.rows("profile")) == 1


def test_an_apps_device_expires_too(site: Host) -> None:
    """Its identity travels in headers, which have no lifetime."""
    post = {"action": "signup.click"}
    client = site.app.test_client(use_cookies=False)
    answer = client.post("/_et/in", json=post)
    identity = {"X-EventTrack-Device": answer.headers["X-EventTrack-Device"]}
    for days in (392, 1):
        site.clock.advance(days=days)
        client.post("/_et/in", json=post, headers=identity)
    first, second, third = (
        row["uuid"]
        for row in site.rows("event", "time", "id")
        if row["session_id"] and row["action"] == "signup.click"
    )
    assert first == second != third


# No identity


def test_no_one_is_known(site: Host) -> None:
    """Whatever names a customer: nothing of it is stored."""
    client = site.client()
    visit(client)
    with site.app.app_context():
        token = site.events.issue_token("customer-7")
        assert track("order.ship", customer="customer-7") is None
        assert identify("customer-7", traits={"name": "Ada"}) is None
    assert client.post("/login").text == "None"
    bearer = {**SAME_ORIGIN, "Authorization": f"Bearer {token}"}
    assert client.post("/_et/identify", headers=bearer).status_code == 204
    assert client.post("/_et/logout", headers=bearer).status_code == 204
    for headers, body in ((bearer, {}), (SAME_ORIGIN, {"token": token})):
        post = {"events": [{"action": "signup.click"}, {"action": "order.ship"}], **body}
        answer = client.post("/_et/in", json=post, headers=headers).get_json()["results"]
        assert [each["status"] for each in answer] == ["accepted", "rejected"]
        assert answer[1]["error"]["code"] == "customer_required"
    assert visit(client, "/who").startswith("<title>Who</title>None ")
    assert site.rows("profile") == site.rows("alias") == []
    assert site.actions() == {"page.visit": 2, "session.start": 1, "signup.click": 2}
    assert "customer-7" not in repr([site.rows(name) for name in ("event", "session", "rejected")])


def test_the_hosts_log_in_is_not_asked(make: MakeHost) -> None:
    """Neither Flask-Login nor the loader."""
    host = make(AUDIENCE)

    @host.events.customer_loader
    def load() -> str:
        raise AssertionError("asked")

    visit(host.client())
    assert host.actions() == {"page.visit": 1, "session.start": 1}


def test_a_customer_is_still_checked(site: Host) -> None:
    """A mistake in code is found under the preset as well."""
    with site.app.app_context(), pytest.raises(ValueError, match="not a customer's id"):
        track("order.ship", customer="null")


def test_sessions_and_refused_records_go_after_25_months(site: Host) -> None:
    """With the events; what is younger stays."""
    client = site.client()
    visit(client)
    site.flush()
    site.clock.advance(days=100)
    visit(client)
    site.flush()
    site.clock.advance(days=700)
    assert "Removed 3 events, 1 session" in run(site, "prune", "--yes").output
    assert len(site.rows("session")) == 1


# privacy-report


def report(host: Host) -> dict[str, str]:
    """Return the result of each criterion, by its title."""
    answer = run(host, "privacy-report")
    assert answer.exit_code == 0
    lines = [line for line in answer.output.splitlines() if line.endswith(("(FR)", "(FR, UK)"))]
    return {line[10:].rpartition(" (")[0]: line[:10].strip() for line in lines}


def test_the_preset_meets_what_settings_can_show(make: MakeHost) -> None:
    """What they cannot show is not claimed; the sources are named."""
    host = make(AUDIENCE)
    results = report(host)
    assert list(results.values()).count("met") == 8
    assert list(results.values()).count("not seen") == 3
    output = run(host, "privacy-report").output
    for words in ("cnil.fr", "4 July 2025", "Schedule A1", "5 February 2026", "no legal advice"):
        assert words in output


@pytest.mark.parametrize(
    ("setting", "value", "title"),
    [
        ("DEVICE_MAX_AGE", None, "The device cookie lives for 13 months at most, and"),
        ("DEVICE_MAX_AGE", dt.timedelta(days=400), "The device cookie lives for 13 months"),
        ("RETENTION", None, "Events, sessions and refused records are kept for 25 months"),
        ("RETENTION", dt.timedelta(days=800), "Events, sessions and refused records are kept"),
        ("RETENTION", {"page.*": dt.timedelta(days=9)}, "Events, sessions and refused records"),
        ("PRIVACY_IDENTITY", True, "Visits are not combined with other data"),
        ("ALLOWED_ORIGINS", ["https://b.example"], "No one is followed from one site to another"),
        ("COOKIE_DOMAIN", "example.com", "No one is followed from one site to another"),
        ("MASK", False, "What browsers send is limited to what is needed"),
    ],
)
def test_a_setting_that_contradicts_the_preset_is_told(
    make: MakeHost, setting: str, value: object, title: str
) -> None:
    """By the report and the doctor; the setting itself applies."""
    host = make({**AUDIENCE, f"EVENTTRACK_{setting}": value})
    [found] = [each for each, result in report(host).items() if result == "not met"]
    assert found.startswith(title)
    lines = run(host, "doctor").output.splitlines()
    [hint] = [after for line, after in itertools.pairwise(lines) if "ET031" in line]
    assert f"Asked for is: {title}" in hint


def test_a_definition_that_is_kept_for_longer_is_told(make: MakeHost) -> None:
    """It takes precedence over the retention of the preset."""
    host = make(AUDIENCE)
    assert "ET031" not in run(host, "doctor").output
    host.events.define("a.b", anonymous=True, keep=dt.timedelta.max)
    assert "not met" in report(host).values()
    assert "keeps some forever" in run(host, "doctor").output


def test_without_the_preset_doctor_asks_for_nothing(host: Host) -> None:
    """The report compares all the same."""
    assert "ET031" not in run(host, "doctor").output
    assert list(report(host).values()).count("not met") == 3


def test_an_event_that_no_browser_can_send_is_told(make: MakeHost) -> None:
    """Under the preset nobody is a customer."""
    host = make(AUDIENCE)
    host.events.define("a.b", anonymous=True)
    host.events.define("a.c", server_only=True)
    assert "ET032" not in run(host, "doctor").output
    host.events.define("order.ship")
    assert "ET032 warning: No browser can send order.ship:" in run(host, "doctor").output
