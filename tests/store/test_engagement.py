"""Engagement as the writer meets it: it becomes part of its visit's row, and no row of its own."""

from __future__ import annotations

import itertools
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack import track
from flask_eventtrack.records import Claim, Event, SessionEnd
from flask_eventtrack.store.waiting import list_waiting

from ..hosts import Host
from .halves import BROWSER, SERVER, STRANGER, TRACKED, browser_half, cookieless, server_half
from .records import (
    DEVICE,
    a_page,
    an_event,
    an_id,
    at,
    contents,
    quality,
    recount,
    session_of,
    the_session,
    totals,
    write,
    write_records,
)
from .test_visits import in_batches, kept

CUSTOMER = uuidlib.uuid5(DEVICE, "42")
MISSING = ("dropped", "page.engage", "no visit")
_GIVEN = {"visible_ms": 18_000, "scroll": 92}


def engage(
    page: Event | None = BROWSER,
    seconds: float = 18,
    claim: Claim | None = Claim(SERVER.id),  # noqa: B008 - frozen
    **fields: t.Any,
) -> Event:
    """Return engagement with a page; ``page`` is the browser's half of its visit."""
    fields["params"] = fields.get("params", _GIVEN)
    named = {"page": page.id if page else None, "claim": claim, "source": "browser"}
    return an_event("page.engage", seconds, **named | fields)


ENGAGED = engage()
STORY = (SERVER, BROWSER, ENGAGED, TRACKED)


def seen(host: Host) -> list[tuple[int | None, int | None]]:
    """Return of each visit how long it was in view, and how far it was read."""
    rows = host.events_of("page.visit")
    return [(row["params"].get("visible_ms"), row["params"].get("scroll")) for row in rows]


def check(host: Host) -> None:
    """Check that sessions agree with the rows of their visits, and totals with all rows."""
    rows = host.rows("event")
    assert "page.engage" not in {row["action"] for row in rows}
    for session in host.rows("session"):
        mine = [row for row in rows if row["session_id"] == session["id"]]
        assert session["visible_ms"] == sum(row["params"].get("visible_ms", 0) for row in mine)
        assert session["events"] == sum(not row["action"].startswith("session.") for row in mine)
    assert totals(host) == recount(host)


def waiting(host: Host) -> list[Event]:
    host.flush()
    database = host.state.pipeline.database
    with database.read() as connection:
        return [event for _, event in list_waiting(connection, database.tables)]


def test_every_order_and_split_is_the_same(db_host: Host) -> None:
    """Before, between and after the halves, in one batch or several: the tables do not tell."""
    expected = in_batches(db_host, STORY)
    assert seen(db_host) == [(18_000, 92)]
    assert the_session(db_host)["visible_ms"] == 18_000
    for order in list(itertools.permutations(STORY))[1:]:
        assert in_batches(db_host, order) == expected
        assert in_batches(db_host, order[:2], order[2:]) == expected
        assert waiting(db_host) == []
    assert in_batches(db_host, *([event] for event in reversed(STORY))) == expected
    assert quality(db_host).get(MISSING, 0) == 0
    check(db_host)


def test_replayed_batches_add_nothing(db_host: Host) -> None:
    """Each batch again, doubled, in the other order: a session has each visit's time once."""
    expected = in_batches(db_host, STORY)
    for first, second in (([ENGAGED], [SERVER, BROWSER, TRACKED]), (STORY, [ENGAGED, ENGAGED])):
        write(db_host, *first, *second, replayed=True)
        write(db_host, *second, *first, replayed=True)
        assert contents(db_host) == expected
    write(db_host, ENGAGED)
    counted = {key: count for key, count in quality(db_host).items() if count}
    assert counted == {
        ("accepted", "page.visit", ""): 1,
        ("accepted", "order.ship", ""): 1,
    }


def test_the_larger_wins(db_host: Host) -> None:
    """Each of the two by itself, in any order; the session gets the growth."""
    told = [
        engage(seconds=10, params={"visible_ms": 9_000, "scroll": 100}),
        engage(seconds=20, params={"visible_ms": 19_000, "scroll": 40}),
        engage(seconds=21, params={"scroll": 50}),
        engage(seconds=22, params={"visible_ms": 1}),
    ]
    for order in itertools.permutations(told):
        in_batches(db_host, [SERVER, BROWSER], *([event] for event in order))
        assert seen(db_host) == [(19_000, 100)]
        check(db_host)


def test_what_waits_is_joined(db_host: Host) -> None:
    """Two of one page wait as one, and are counted once until the visit comes."""
    write(db_host, engage(params={"visible_ms": 9_000, "scroll": 100}))
    write(db_host, engage(seconds=19, params={"visible_ms": 19_000, "scroll": 4}))
    assert [event.params for event in waiting(db_host)] == [{"visible_ms": 19_000, "scroll": 100}]
    assert quality(db_host)[MISSING] == 1
    assert db_host.rows("event") == db_host.rows("session") == []
    write(db_host, BROWSER)
    write(db_host, SERVER)
    assert (seen(db_host), waiting(db_host), quality(db_host)[MISSING]) == ([(19_000, 100)], [], 0)
    check(db_host)


def test_seconds_of_older_scripts_count(db_host: Host) -> None:
    """Kept queues and journals of release 0.1 have them; a false value counts for nothing."""
    for params in ({"visible_s": 18.04, "scroll": 92.3}, {"visible_s": 18.04, "visible_ms": "x"}):
        in_batches(db_host, [SERVER, BROWSER, engage(params=params)])
        assert seen(db_host)[0][0] == 18_040


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"visible_ms": 1e300, "scroll": 1e300}, (618_000, 100)),
        ({"visible_ms": 10**18, "scroll": 101}, (618_000, 100)),
        ({"visible_ms": float("inf"), "scroll": float("inf")}, (618_000, 100)),
        ({"visible_s": 1e300}, (618_000, None)),
        ({"visible_ms": float("nan"), "scroll": float("nan")}, (None, None)),
        ({"visible_ms": -5, "scroll": -5}, (None, None)),
        ({"visible_ms": True, "scroll": [3]}, (None, None)),
        ({"visible_ms": "18000", "scroll": None}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_odd_values_are_bounded(
    host: Host, params: dict[str, t.Any], expected: tuple[int | None, int | None]
) -> None:
    """At most the time since the visit and ten minutes for wrong clocks, and the whole page."""
    write(host, SERVER, BROWSER, engage(params=params))
    assert seen(host) == [expected]
    check(host)


def test_it_opens_and_moves_on_no_session(db_host: Host) -> None:
    """Neither a new one, nor the times of an open or ended one."""
    write(db_host, SERVER, BROWSER)
    before = the_session(db_host)
    write(db_host, engage(seconds=60, session=session_of(DEVICE, 2, 60)))
    assert the_session(db_host) == before | {"visible_ms": 18_000}
    write(db_host, ends=[SessionEnd(session_id=before["id"], reason="timeout")])
    ended = the_session(db_host)
    write(db_host, engage(seconds=70, params={"visible_ms": 20_000}))
    assert the_session(db_host) == ended | {"visible_ms": 20_000}
    [end] = db_host.events_of("session.end")
    assert (end["params"]["events"], end["params"]["pages"]) == (1, 1)
    check(db_host)


@pytest.mark.parametrize("split", [False, True])
def test_it_moves_with_its_visit(db_host: Host, *, split: bool) -> None:
    """Out of the session that a browser without cookies opened for a while."""
    half, engaged = cookieless(BROWSER, SERVER), cookieless(ENGAGED, SERVER)
    for order in itertools.permutations([SERVER, half, engaged]):
        in_batches(db_host, *([[each] for each in order] if split else [list(order)]))
        assert seen(db_host) == [(18_000, 92)]
        assert [row["visible_ms"] for row in db_host.rows("session")] == [18_000]
        check(db_host)


def test_it_leaves_a_visitor_s_own_session(db_host: Host) -> None:
    """Only the visit and its time move to the server's session; the other page's time stays."""
    half, engaged = cookieless(BROWSER, SERVER), cookieless(ENGAGED, SERVER)
    mine: dict[str, t.Any] = {"uuid": STRANGER, "session": session_of(STRANGER, start=1)}
    page = server_half("/b", 4, **mine)
    other = browser_half(page, 5, "/b", **mine)
    more = engage(other, 9, Claim(page.id), params={"visible_ms": 4_000}, **mine)
    in_batches(db_host, [half, engaged], [page, other, more], [SERVER])
    found = {row["device_id"]: row["visible_ms"] for row in db_host.rows("session")}
    assert found == {STRANGER: 4_000, DEVICE: 18_000}
    check(db_host)


@pytest.mark.parametrize("split", [False, True])
def test_kept_engagement_finds_its_visit(db_host: Host, *, split: bool) -> None:
    """After a log-out it is sent without cookies, and only the browser's half names the visit."""
    server = server_half(uuid=CUSTOMER)
    events = [server, kept(BROWSER, server), kept(ENGAGED)]
    for order in itertools.permutations(events):
        in_batches(db_host, *([[each] for each in order] if split else [list(order)]))
        assert seen(db_host) == [(18_000, 92)]
        check(db_host)


def test_the_tag_names_a_visit_until_its_browser_does(db_host: Host) -> None:
    """A page whose own half is lost; once another page has claimed the visit, it is that page's."""
    for engaged in (engage(None), engage(browser_half(SERVER, 5))):
        in_batches(db_host, [SERVER, engaged])
        assert seen(db_host) == [(18_000, 92)]
    in_batches(db_host, [SERVER, BROWSER, engage(browser_half(SERVER, 5))])
    assert seen(db_host) == [(None, None)]
    assert len(waiting(db_host)) == 1


@pytest.mark.parametrize(
    ("fields", "claim"),
    [
        ({}, None),
        ({"session": session_of(DEVICE, 2, 9)}, None),
        ({"uuid": CUSTOMER, "session": session_of(DEVICE, 1)}, None),
        ({"uuid": STRANGER, "session": session_of(DEVICE, 7)}, None),
        ({"session": session_of(STRANGER)}, None),
        ({"uuid": STRANGER, "session": session_of(STRANGER)}, Claim(SERVER.id)),
    ],
    ids=["both", "later session", "log-in", "device", "profile", "own tag"],
)
def test_a_visit_of_the_same_device_session_or_profile(
    db_host: Host, fields: dict[str, t.Any], claim: Claim | None
) -> None:
    """Any of them will do: people log in and out, and sessions end while a page is open."""
    for batches in ([[SERVER, BROWSER]], [[BROWSER], [SERVER]]):
        in_batches(db_host, *batches, [engage(claim=claim, **fields)])
        assert seen(db_host) == [(18_000, 92)]
        check(db_host)


FORGED: dict[str, t.Any] = {"uuid": STRANGER, "session": session_of(STRANGER, start=2)}


@pytest.mark.parametrize(
    "engaged",
    [
        engage(claim=None, **FORGED),
        engage(claim=Claim(SERVER.id, foreign=True), **FORGED),
        engage(claim=Claim(SERVER.id, cookieless=True, foreign=True), **FORGED),
        engage(claim=Claim(TRACKED.id), **FORGED),
        engage(claim=None, uuid=STRANGER, session=None),
        engage(SERVER, claim=None, **FORGED),
        engage(SERVER, claim=Claim(SERVER.id, cookieless=True, kept=True), **FORGED),
        engage(TRACKED, claim=None),
        engage(None, claim=None),
    ],
    ids=[
        *("page", "tag of another", "tag, no cookies", "another tag", "no session", "server half"),
        *("kept server half", "no visit", "nothing"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_somebody_else_s_visit_stays_as_it_is(
    db_host: Host, engaged: Event, *, split: bool
) -> None:
    """Nothing is changed, and it is counted."""
    expected = in_batches(db_host, [SERVER, BROWSER, TRACKED])
    story = [SERVER, BROWSER, TRACKED, engaged]
    assert in_batches(db_host, *([[each] for each in story] if split else [story])) == expected
    assert quality(db_host)[MISSING] == 1
    assert in_batches(db_host, [engaged], [SERVER, BROWSER, TRACKED]) == expected
    assert quality(db_host)[MISSING] == 1


def test_a_visit_that_never_comes_is_given_up_after_a_week(db_host: Host) -> None:
    """It is counted at once; looking for its visit changes nothing else."""
    write_records(db_host, engage(browser_half(None, 3), claim=None))
    for _ in range(2):
        db_host.clock.advance(days=3)
        db_host.state.pipeline.sweep()
        assert len(waiting(db_host)) == 1
    db_host.clock.advance(days=2)
    db_host.state.pipeline.sweep()
    assert waiting(db_host) == []
    assert db_host.rows("event") == db_host.rows("session") == []
    assert quality(db_host) == {MISSING: 1}


def test_a_visit_that_was_written_at_the_same_moment_is_found(db_host: Host) -> None:
    """Neither of two processes saw what the other was writing: the chores look again."""
    write(db_host, ENGAGED)
    tables = db_host.state.pipeline.database.tables
    database = db_host.state.pipeline.database
    with database.begin() as connection:
        [note] = connection.execute(sa.select(tables.uncounted)).mappings()
        connection.execute(tables.uncounted.delete())
    write(db_host, SERVER, BROWSER)
    with database.begin() as connection:
        connection.execute(tables.uncounted.insert().values(dict(note)))
    db_host.state.pipeline.sweep()
    assert seen(db_host) == [(None, None)]  # not so soon
    db_host.clock.advance(minutes=2)
    db_host.state.pipeline.sweep()
    assert (seen(db_host), waiting(db_host), quality(db_host)[MISSING]) == ([(18_000, 92)], [], 0)
    check(db_host)


def test_only_so_much_waits(db_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients can make up pages: beyond the limit it is only counted."""
    monkeypatch.setattr("flask_eventtrack.store.waiting._MOST", 3)
    pages = [browser_half(None, 3 + n) for n in range(5)]
    write(db_host, *(engage(page, claim=None) for page in pages[:2]))
    write(db_host, *(engage(page, claim=None) for page in pages))
    assert len(waiting(db_host)) == 3
    # Of two that waited already, each was counted once.
    assert quality(db_host)[MISSING] == 5


def test_made_up_pages_do_not_keep_others_out(
    db_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too much waits, what has waited longest gives way."""
    monkeypatch.setattr("flask_eventtrack.store.waiting._MOST", 3)
    made_up = [browser_half(None, 3 + n) for n in range(6)]
    write(db_host, *(engage(page, claim=None) for page in made_up[:3]))
    db_host.clock.advance(seconds=1)
    write(db_host, ENGAGED)
    db_host.clock.advance(seconds=1)
    write(db_host, *(engage(page, claim=None) for page in made_up[3:5]))
    assert len(waiting(db_host)) == 3
    write(db_host, SERVER, BROWSER)
    assert seen(db_host) == [(18_000, 92)]
    check(db_host)


def test_an_app_s_screen_is_engaged_with(db_host: Host) -> None:
    """It has no halves: its id is the page's. In one batch, or in any order of two."""
    screen = an_event("screen.view", 1, source="app", params={"name": "Settings"})
    visit = an_event("page.visit", 1, source="app", params={"url": "app://a"}, id=an_id(7))
    for page in (screen, visit):
        engaged = engage(page, claim=None, source="app")
        for batches in ([[page, engaged]], [[page], [engaged]], [[engaged], [page]]):
            in_batches(db_host, *batches, *batches)
            [row] = db_host.events_of(page.action)
            assert row["params"] == {**page.params, **_GIVEN}
            assert the_session(db_host)["visible_ms"] == 18_000
            check(db_host)


def test_the_record_is_left_as_it_is(host: Host) -> None:
    """A batch that is rolled back is written again from the same records."""
    screen = an_event("screen.view", 1, source="app", params={"name": "Settings"})
    write(host, SERVER, BROWSER, ENGAGED, screen, engage(screen, claim=None))
    assert "visible_ms" not in {*SERVER.params, *BROWSER.params, *screen.params}


def test_a_host_s_transactions_are_counted_beside_what_waits(db_host: Host) -> None:
    """Both are notes in one table, and neither is taken for the other."""
    page = browser_half(None, 3)
    write(db_host, engage(page, claim=None))
    db_host.events.define("order.add")
    with db_host.app.app_context():
        track("order.add", customer="7", in_transaction=True)
        db_host.db.session.commit()
        db_host.db.session.remove()
    db_host.state.pipeline._count_uncounted()
    assert [event.page for event in waiting(db_host)] == [page.id]
    assert quality(db_host) == {MISSING: 1, ("accepted", "order.add", ""): 1}
    assert [row["event_id"] for row in db_host.rows("uncounted")] == [page.id]


def test_pages_of_one_batch_keep_their_own(db_host: Host) -> None:
    """Fifty visitors at once, in one batch and in three."""
    parts: list[list[Event]] = [[], [], []]
    for n in range(50):
        device = uuidlib.UUID(int=n + 1, version=4)
        mine: dict[str, t.Any] = {"uuid": device, "session": session_of(device)}
        page = a_page("/", n / 100, **mine)
        half = browser_half(page, 1 + n / 100, **mine)
        params = {"visible_ms": 1000 + n}
        for part, event in zip(
            parts, (page, half, engage(half, 9, Claim(page.id), params=params, **mine)), strict=True
        ):
            part.append(event)
    for order in itertools.permutations(parts):
        in_batches(db_host, [event for part in order for event in part])
        in_batches(db_host, *order)
        assert [ms for ms, _ in seen(db_host)] == [1000 + n for n in range(50)]
        check(db_host)


def test_times_of_the_bound_are_the_server_s(host: Host) -> None:
    """An hour after the visit, an hour is believed."""
    write(host, SERVER, BROWSER)
    late = engage(seconds=2, received_at=at(3600), params={"visible_ms": 3_600_000})
    write(host, late)
    assert seen(host) == [(3_600_000, None)]


def test_a_screen_under_a_page_s_id_is_no_visit(db_host: Host) -> None:
    """A client may choose any id: the page's half is then a duplicate, as under any other event."""
    screen = an_event("screen.view", 0, source="app", params={"name": "a"}, id=SERVER.id)
    in_batches(db_host, [screen], [SERVER, BROWSER], [engage(SERVER, claim=None)])
    assert db_host.actions()["screen.view"] == 1
    [row] = db_host.events_of("screen.view")
    assert row["params"] == {"name": "a", **_GIVEN}
    check(db_host)
