"""Halves of visits as the writer meets them, in every order."""

from __future__ import annotations

import itertools
import typing as t
import uuid as uuidlib

import hypothesis
import pytest
from hypothesis import strategies as st

from flask_eventtrack.records import Claim, Event

from ..hosts import Host
from .halves import (
    BROWSER,
    RELOADED,
    RESHOWN,
    SERVER,
    STRANGER,
    TRACKED,
    browser_half,
    cookieless,
    server_half,
)
from .records import (
    DEVICE,
    an_event,
    contents,
    quality,
    recount,
    session_of,
    the_session,
    totals,
    write,
)

CUSTOMER = uuidlib.uuid5(DEVICE, "42")


# In the store: the halves as the writer meets them


def kept(event: Event, claim: Event | None = None) -> Event:
    """Return an event as the collector makes it where another profile's page has kept it."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    fields |= {"uuid": STRANGER, "session": session_of(STRANGER, start=1)}
    named = claim.id if claim else event.page
    assert named is not None
    return Event(**fields | {"claim": Claim(named, cookieless=True, kept=True)})


def clear(host: Host) -> None:
    database = host.state.pipeline.database
    with database.begin() as connection:
        for table in database.tables.all():
            connection.execute(table.delete())


CLICK = an_event("button.click", 2, source="browser", page=BROWSER.id, claim=Claim(SERVER.id))

STORY = (SERVER, BROWSER, CLICK, TRACKED)


def in_batches(host: Host, *batches: t.Sequence[Event]) -> dict[str, t.Any]:
    """Write batches into empty tables; return what the tables then hold."""
    clear(host)
    for batch in batches:
        write(host, *batch)
    assert totals(host) == recount(host)
    return contents(host)


def test_every_order_and_split_of_a_visit_is_the_same(db_host: Host) -> None:
    """Halves and events in any order, in one batch or two, leave the very same tables."""
    expected = in_batches(db_host, STORY)
    assert db_host.actions()["page.visit"] == 1
    for order in list(itertools.permutations(STORY))[1:]:
        assert in_batches(db_host, order) == expected
        assert in_batches(db_host, order[:2], order[2:]) == expected


def test_replayed_halves_change_nothing(db_host: Host) -> None:
    """Each half doubled in its batch, and both batches replayed in either order."""
    expected = in_batches(db_host, [SERVER], [BROWSER])
    for first, second in itertools.permutations([SERVER, BROWSER]):
        assert in_batches(db_host, [first, first, second], [second, first]) == expected
        assert in_batches(db_host, [first], [first], [second], [second], [first]) == expected


def test_the_quality_of_a_visit_does_not_depend_on_the_order(db_host: Host) -> None:
    """An undefined parameter of the browser's half is counted, whichever half is first."""
    browser = browser_half(SERVER, undefined=("colour",))
    found = []
    for halves in itertools.permutations([SERVER, browser]):
        in_batches(db_host, *([half] for half in halves))
        found.append(quality(db_host))
    expected = {("accepted", "page.visit", ""): 1, ("undefined", "page.visit", "colour"): 1}
    assert found == [expected, expected]


@pytest.mark.parametrize("split", [False, True])
def test_refused_cookies_in_every_order_are_one_session(host: Host, *, split: bool) -> None:
    """Without cookies, halves and clicks end in the server's session, whichever comes first."""
    events = [SERVER, cookieless(BROWSER, SERVER), cookieless(CLICK, SERVER)]
    expected = in_batches(host, events)
    found = [(row["id"], row["device_id"], row["uuid"]) for row in expected["session"]]
    assert found == [(session_of(DEVICE).id, DEVICE, DEVICE)]
    wrong = []
    for order in itertools.permutations(events):
        batches = [[event] for event in order] if split else [list(order)]
        if in_batches(host, *batches) != expected:
            wrong.append([event.action + event.half for event in order])
    assert wrong == []


@pytest.mark.parametrize("split", [False, True])
def test_a_customer_s_kept_events_in_every_order_are_one_session(
    db_host: Host, *, split: bool
) -> None:
    """Sent without cookies, halves and clicks end in the customer's session all the same."""
    server = server_half(uuid=CUSTOMER)
    events = [server, kept(BROWSER, server), kept(CLICK)]
    expected = in_batches(db_host, events)
    assert [(row["uuid"], row["device_id"]) for row in expected["session"]] == [(CUSTOMER, DEVICE)]
    assert {row["uuid"] for row in expected["event"]} == {CUSTOMER}
    wrong = []
    for order in itertools.permutations(events):
        batches = [[event] for event in order] if split else [list(order)]
        if in_batches(db_host, *batches, *batches) != expected:
            wrong.append([event.action + event.half for event in order])
    assert wrong == []


def test_a_customer_s_page_out_of_a_cache_is_a_visit_of_its_own(db_host: Host) -> None:
    """The browser has no cookies, which logging in takes, so it got the page from a cache."""
    server = server_half(uuid=CUSTOMER)
    in_batches(db_host, [server, cookieless(BROWSER, server), cookieless(CLICK, server)])
    assert [(row["uuid"], row["claimed_by"]) for row in db_host.events_of("page.visit")] == [
        (CUSTOMER, None),
        (STRANGER, BROWSER.id),
    ]
    assert [row["uuid"] for row in db_host.events_of("button.click")] == [STRANGER]


def test_a_moved_visit_takes_its_session_along(db_host: Host) -> None:
    """The session that a browser half opened for a while leaves nothing behind."""
    in_batches(db_host, [cookieless(BROWSER, SERVER)])
    assert [row["device_id"] for row in db_host.rows("session")] == [STRANGER]
    write(db_host, SERVER)
    assert [row["device_id"] for row in db_host.rows("session")] == [DEVICE]
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}
    assert {row["session_id"] for row in db_host.rows("event")} == {session_of(DEVICE).id}
    assert totals(db_host) == recount(db_host)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    "later",
    [
        an_event("order.ship", 4, uuid=CUSTOMER, session=session_of(STRANGER, start=1)),
        an_event("order.ship", 1.2, uuid=CUSTOMER, session=session_of(STRANGER, start=1)),
        server_half("/next", 4, uuid=STRANGER, session=session_of(STRANGER, start=1)),
    ],
    ids=["a log-in", "an earlier log-in", "another page"],
)
def test_who_goes_on_with_cookies_is_nobody_else(
    db_host: Host, later: Event, *, split: bool
) -> None:
    """A cached page names another visitor's visit: its reader's later events are their own."""
    events = [SERVER, cookieless(CLICK, SERVER), cookieless(BROWSER, SERVER), later]
    for order in itertools.permutations(events):
        in_batches(db_host, *([[event] for event in order] if split else [list(order)]))
        [row] = [row for row in db_host.rows("event") if row["id"] == later.id]
        assert (row["uuid"], row["session_id"]) == (later.uuid, session_of(STRANGER).id)
        rows = [row for row in db_host.rows("event") if not row["action"].startswith("session.")]
        for session in db_host.rows("session"):
            own = [row for row in rows if row["session_id"] == session["id"]]
            pages = [row for row in own if row["action"] == "page.visit"]
            assert (session["events"], session["pages"]) == (len(own), len(pages))
        assert {row["session_id"] for row in rows} == {s["id"] for s in db_host.rows("session")}


def test_the_first_to_claim_wins(db_host: Host) -> None:
    """Of many browsers with one tag, one joins the server's half; each other one is a visit."""
    others = [browser_half(SERVER, 10 + n, session=None) for n in range(4)]
    for order in ([SERVER, BROWSER, *others], [BROWSER, *others, SERVER]):
        in_batches(db_host, order[:3], order[3:], order)
        rows = db_host.events_of("page.visit")
        assert [row["id"] for row in rows] == [SERVER.id, *(other.id for other in others)]
        assert [row["claimed_by"] for row in rows] == [BROWSER.id, *(o.id for o in others)]
        assert ["status" in row["params"] for row in rows] == [True, *[False] * 4]


HALVES = {"page": SERVER, "shown": BROWSER, "304": RELOADED, "shown again": RESHOWN}
_ORDERS = [" < ".join(order) for order in itertools.permutations(HALVES)]


def visits_of_order(host: Host, order: str) -> list[tuple[int | None, uuidlib.UUID | None]]:
    in_batches(host, *([HALVES[name]] for name in order.split(" < ")))
    rows = host.events_of("page.visit")
    return [(row["params"].get("status"), row["claimed_by"]) for row in rows]


def test_every_order_of_a_304_is_two_visits(host: Host) -> None:
    """A page and its revalidation: two visits, each with both halves, whoever writes first."""
    found = {
        order: visits_of_order(host, order)
        for order in _ORDERS
        if order.split(" < ").index("shown") < order.split(" < ").index("shown again")
    }
    expected = [(200, BROWSER.id), (304, RESHOWN.id)]
    assert len(found) == 12
    assert {order: rows for order, rows in found.items() if rows != expected} == {}


def test_a_304_shown_before_the_page_was_is_two_visits(host: Host) -> None:
    """The reload's browser half is written before the first page's: there are two visits still."""
    found = {order: visits_of_order(host, order) for order in _ORDERS}
    counts = {order: len(rows) for order, rows in found.items()}
    assert {order: count for order, count in counts.items() if count != 2} == {}


@pytest.mark.parametrize(
    ("seconds", "joined"), [(59.999999, True), (60, True), (60.000001, False), (3000, False)]
)
@pytest.mark.parametrize("server_first", [True, False])
def test_an_old_tag_joins_what_the_server_did_within_a_minute(
    host: Host, seconds: float, *, joined: bool, server_first: bool
) -> None:
    """A 304 within a minute is this page; after that, the browser's half is a separate visit."""
    reshown = browser_half(SERVER, 20 + seconds)
    halves = [RELOADED, reshown] if server_first else [reshown, RELOADED]
    in_batches(host, [SERVER, BROWSER], *([half] for half in halves))
    assert len(host.events_of("page.visit")) == (2 if joined else 3)
    assert the_session(host)["pages"] == (2 if joined else 3)


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/b"},
        {"session": session_of(STRANGER), "uuid": STRANGER},
        {"session": session_of(DEVICE, 2, 20)},
    ],
    ids=["path", "device", "session"],
)
def test_an_old_tag_joins_only_the_same_session_and_path(
    host: Host, other: dict[str, t.Any]
) -> None:
    """An unclaimed visit of another page, device or session is left alone."""
    path = other.pop("path", "/")
    reloaded = server_half(path, 20, params={"status": 304}, **other)
    for order in ([reloaded], [RESHOWN]), ([RESHOWN], [reloaded]):
        in_batches(host, [SERVER, BROWSER], *order)
        assert [row["claimed_by"] for row in host.events_of("page.visit")] == [
            BROWSER.id,
            None,
            RESHOWN.id,
        ]


@pytest.mark.parametrize("together", [(0,), (0, 1), (0, 2), (0, 1, 2)])
def test_pages_shown_again_join_in_any_split(db_host: Host, together: tuple[int, ...]) -> None:
    """Ten visitors reload a page: whichever halves are written together, each has two visits."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(10)]
    parts: list[list[Event]] = [[], [], []]
    for n, device in enumerate(devices):
        mine: dict[str, t.Any] = {"session": session_of(device), "uuid": device}
        first = server_half(seconds=n / 100, **mine)
        shown = browser_half(first, 1 + n / 100, **mine)
        reloaded = server_half(seconds=20 + n / 100, params={"status": 304}, **mine)
        reshown = browser_half(first, 21 + n / 100, **mine)
        for part, events in zip(parts, ([first, shown], [reloaded], [reshown]), strict=True):
            part.extend(events)
    in_batches(
        db_host,
        [event for index in together for event in parts[index]],
        *(parts[index] for index in range(3) if index not in together),
    )
    rows = db_host.events_of("page.visit")
    assert [row["params"].get("status") for row in rows] == [200] * 10 + [304] * 10
    assert all(row["claimed_by"] for row in rows)
    assert {row["pages"] for row in db_host.rows("session")} == {2}


def test_a_200_never_joins_a_page_shown_again(host: Host) -> None:
    """Only a 304 shows an old tag: a fresh page brings its own, and its own browser half."""
    fresh = server_half(seconds=20)
    expected = in_batches(host, [SERVER, BROWSER], [RESHOWN], [fresh], [browser_half(fresh, 22)])
    assert len([row for row in expected["event"] if row["action"] == "page.visit"]) == 3


# Any order

_SETTINGS = hypothesis.settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
_SECOND_VISIT = server_half("/b", 5)
_STORIES = (*STORY, _SECOND_VISIT, browser_half(_SECOND_VISIT, 6, "/b"))
_TAGS = [browser_half(SERVER, 10 + n, session=None) for n in range(3)]


@_SETTINGS
@hypothesis.given(
    extra=st.lists(st.sampled_from(_STORIES), max_size=6),
    data=st.data(),
    cut=st.integers(0, 12),
)
def test_any_arrival_of_events_ends_in_the_same_tables(
    host: Host, extra: list[Event], data: st.DataObject, cut: int
) -> None:
    """Permuted, repeated and split over two batches: the tables do not tell."""
    arrivals = data.draw(st.permutations([*_STORIES, *extra]))
    expected = in_batches(host, _STORIES)
    assert in_batches(host, arrivals[:cut], arrivals[cut:]) == expected


@_SETTINGS
@hypothesis.given(
    extra=st.lists(st.sampled_from(_TAGS), max_size=3), data=st.data(), cut=st.integers(0, 8)
)
def test_any_arrival_of_claims_is_as_many_visits(
    host: Host, extra: list[Event], data: st.DataObject, cut: int
) -> None:
    """Browsers that show one tag: whoever wins, each is one visit and the totals agree."""
    arrivals = data.draw(st.permutations([SERVER, *_TAGS, *extra]))
    in_batches(host, arrivals[:cut], arrivals[cut:])
    rows = host.events_of("page.visit")
    assert {row["claimed_by"] for row in rows} == {event.id for event in _TAGS}
    assert len(rows) == 3
    assert [row["id"] for row in rows if "status" in row["params"]] == [SERVER.id]
