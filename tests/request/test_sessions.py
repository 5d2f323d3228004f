"""The sessions that the cookies make, by an injected clock."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from flask_eventtrack import current_visitor, track
from flask_eventtrack.ids import session_end_id, session_start_id

from ..hosts import SAME_ORIGIN, START, Host
from .cookie_jar import DEVICE, SESSION, add_login, fill, jar_of, sessions_of, visit

MICROSECOND = dt.timedelta(microseconds=1)


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
    """The device stays; the next person at a shared computer has a new profile."""
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
