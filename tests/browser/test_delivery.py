"""What a page tracks arrives: once, with its own time, whatever the network and the page do."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
import typing as t

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Request, Route

from .conftest import TIMEOUT, Site

Row = dict[str, t.Any]
COLLECTOR = "**/_et/in"
TRACK = "args => new Promise(done => eventtrack.push(et => et.track(...args).then(done)))"
# Not waited for; the id of each is in `ids` once its promise has been settled.
TRACK_MANY = """count => new Promise(done => eventtrack.push(et => {
    window.ids = [];
    for (let n = 0; n < count; n++) et.track("note.add", {n}).then(r => ids.push(r.event_id));
    done();
}))"""
KEPT = "() => Object.keys(localStorage).filter(key => key.startsWith('eventtrack:'))"


def settle(page: Page) -> None:
    """Let the page send what it has, and wait for the answer."""
    page.evaluate("() => new Promise(done => eventtrack.push(et => et.flush().then(done)))")


def await_nothing_kept(page: Page) -> None:
    page.wait_for_function(f"({KEPT})().length === 0")


def await_replay(page: Page) -> None:
    """Wait until what earlier pages have kept is sent: after 10 s, with this page's next post."""
    page.wait_for_function(f"() => {{ eventtrack.flush(); return !({KEPT})().length }}")


def await_notes(site: Site, *expected: int) -> list[Row]:
    """Return the rows of the tracked events once there are as many, with exactly these numbers."""
    deadline = time.monotonic() + TIMEOUT
    rows: list[Row] = []
    while len(rows) < len(expected) and time.monotonic() < deadline:
        time.sleep(0.05)
        rows = [row for row in site.rows("event", "time", "id") if row["action"] == "note.add"]
    assert sorted(row["params"]["n"] for row in rows) == sorted(expected), site.log()
    return rows


def keep_posts(posts: list[Request], request: Request) -> None:
    if request.method == "POST":
        posts.append(request)


def age(row: Row, then: dt.datetime) -> float:
    """Return how many seconds the row's time is from ``then``."""
    time_of_row: dt.datetime = row["time"].replace(tzinfo=dt.UTC)
    return abs((time_of_row - then).total_seconds())


def fail_first(page: Page | BrowserContext, count: int, fail: t.Callable[[Route], None]) -> None:
    """Have the first posts fail; the later ones arrive."""
    failures = iter(range(count))

    def handle(route: Route) -> None:
        if next(failures, None) is None:
            route.continue_()
        else:
            fail(route)

    page.route(COLLECTOR, handle)


FAULTS: dict[str, t.Callable[[Route], None]] = {
    "503": lambda route: route.fulfill(status=503, body="busy"),
    "500": lambda route: route.fulfill(status=500, body="<h1>Internal Server Error</h1>"),
    "408": lambda route: route.fulfill(status=408),
    "429": lambda route: route.fulfill(status=429, headers={"Retry-After": "1"}),
    "a log-in page": lambda route: route.fulfill(status=200, body="<h1>Welcome to Hotel</h1>"),
    "null": lambda route: route.fulfill(status=202, body="null"),
    "no results": lambda route: route.fulfill(status=202, body='{"results": []}'),
    "no statuses": lambda route: route.fulfill(status=202, body='{"results": [{}, {}, {}]}'),
    "other results": lambda route: route.fulfill(status=202, body='{"results": "accepted"}'),
    "no network": lambda route: route.abort(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_failed_post_is_sent_again(site: Site, page: Page, fault: str) -> None:
    """Two posts fail; the event arrives with the third, once, with the time of its call."""
    fail_first(page, 2, FAULTS[fault])
    page.goto(f"{site.url}/other")
    then = dt.datetime.now(dt.UTC)
    result = page.evaluate(TRACK, ["note.add"])
    await_nothing_kept(page)
    rows = site.await_actions(page_visit=1, note_add=1, session_start=1)
    [note] = [row for row in rows if row["action"] == "note.add"]
    assert str(note["id"]) == result["event_id"]
    assert age(note, then) < 1


def test_retry_after_is_honoured(site: Site, page: Page) -> None:
    """The next post comes no sooner than the collector asks for, not even when the tab hides."""
    fail_first(page, 1, lambda route: route.fulfill(status=429, headers={"Retry-After": "4"}))
    posts: list[Request] = []
    page.on("request", lambda request: keep_posts(posts, request))
    page.goto(f"{site.url}/other")
    page.evaluate(
        "() => { window.failure = new Promise((resolve) => document.addEventListener("
        "'eventtrack:error', () => resolve(), { once: true })); }"
    )
    page.evaluate(TRACK_MANY, 1)
    page.evaluate("window.failure")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    await_nothing_kept(page)
    # Playwright's `timing` has no start for a routed request: the bodies have the page's clock.
    sent = [(post.post_data_json or {})["sent_at"] for post in posts]
    assert sent[1] - sent[0] >= 4000


@pytest.mark.parametrize("status", [400, 401, 413, 415])
def test_refused_post_is_not_sent_again(site: Site, page: Page, status: int) -> None:
    """Trying again would not help: the events are rejected with the collector's reason."""
    body = '{"code": "nope", "detail": "Not this."}'
    page.route(COLLECTOR, lambda route: route.fulfill(status=status, body=body))
    page.goto(f"{site.url}/other")
    result = page.evaluate(TRACK, ["note.add"])
    assert (result["status"], result["error"]["code"]) == ("rejected", "nope")
    settle(page)
    assert page.evaluate(KEPT) == []


def test_forbidden_post_is_sent_once_more(site: Site, page: Page) -> None:
    """A 403 has set fresh cookies: the same events go out with them at once, and only once."""
    fail_first(page, 1, lambda route: route.fulfill(status=403, body="{}"))
    page.goto(f"{site.url}/other")
    assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"
    page.unroute(COLLECTOR)
    page.route(COLLECTOR, lambda route: route.fulfill(status=403, body="{}"))
    assert page.evaluate(TRACK, ["note.add"])["status"] == "rejected"


def test_hanging_collector_settles_as_queued(site: Site, page: Page) -> None:
    """track() tells the page within 5 s that the event waits; it arrives with the next page."""
    hanging: list[Route] = []
    page.route(COLLECTOR, lambda route: hanging.append(route))
    page.goto(f"{site.url}/other")
    then = dt.datetime.now(dt.UTC)
    result = page.evaluate(TRACK, ["note.add", {"n": 1}])
    took = (dt.datetime.now(dt.UTC) - then).total_seconds()
    assert result["status"] == "queued"
    assert took < 6
    for route in hanging:
        route.abort()
    page.unroute(COLLECTOR)
    page.goto(f"{site.url}/other")
    await_replay(page)
    [note] = await_notes(site, 1)
    assert (str(note["id"]), age(note, then) < 1) == (result["event_id"], True)


def test_offline_moment_on_one_page(site: Site, page: Page) -> None:
    """Offline, track() says so at once; back online, the same page sends it."""
    page.goto(f"{site.url}/other")
    settle(page)
    page.context.set_offline(True)
    then = dt.datetime.now(dt.UTC)
    assert page.evaluate(TRACK, ["note.add", {"n": 1}])["status"] == "queued"
    page.context.set_offline(False)
    await_nothing_kept(page)
    rows = site.await_actions(page_visit=1, note_add=1, session_start=1)
    assert age(rows[-1], then) < 1


def test_tab_closed_offline(site: Site, page: Page) -> None:
    """What a closed tab could not send goes out with the next visit."""
    page.goto(f"{site.url}/other")
    settle(page)
    page.context.set_offline(True)
    then = dt.datetime.now(dt.UTC)
    result = page.evaluate(TRACK, ["note.add", {"n": 1}])
    page.close()
    later = page.context.new_page()
    page.context.set_offline(False)
    later.goto(f"{site.url}/other")
    await_replay(later)
    [note] = await_notes(site, 1)
    assert (str(note["id"]), age(note, then) < 1) == (result["event_id"], True)


def kill(page: Page) -> None:
    """Crash the tab's process: no event, no handler, no last word."""
    with contextlib.suppress(Error):
        page.goto("chrome://crash", timeout=2000)
    page.close()


def test_killed_tab(site: Site, page: Page) -> None:
    """A tab that is killed a second after 30 calls, with a collector that was down, lost none."""
    context = page.context
    context.route(COLLECTOR, lambda route: route.fulfill(status=503))
    page.goto(f"{site.url}/other")
    page.evaluate(TRACK_MANY, 30)
    page.wait_for_timeout(1000)  # the promise is for calls a second before the end
    kill(page)
    context.unroute(COLLECTOR)
    later = context.new_page()
    later.goto(f"{site.url}/other")
    await_replay(later)
    await_notes(site, *range(30))


def test_200_events_while_the_network_goes_and_comes(site: Site, page: Page) -> None:
    """Pages change, posts fail or their answers are lost: each event is there once, in time."""
    context = page.context
    kinds = iter(range(10_000))

    def handle(route: Route) -> None:
        kind = next(kinds) % 4
        if kind == 0:
            route.abort()
        elif kind == 1:
            route.fulfill(status=503)
        elif kind == 2:  # it arrives, and the page does not hear of it
            with contextlib.suppress(Error):
                route.fetch()
                route.abort()
        else:
            route.continue_()

    context.route(COLLECTOR, handle)
    times: dict[int, dt.datetime] = {}
    for n in range(200):
        if n % 40 == 0:
            page.goto(f"{site.url}/{'conditional' if n % 80 else 'other'}")
        if n % 40 in (15, 25):
            context.set_offline(n % 40 == 15)
        times[n] = dt.datetime.now(dt.UTC)
        page.evaluate("n => eventtrack.push(et => { et.track('note.add', {n}) })", n)
    context.unroute(COLLECTOR)
    page.goto(f"{site.url}/other")
    await_replay(page)
    rows = await_notes(site, *range(200))
    assert all(age(row, times[row["params"]["n"]]) < 1 for row in rows)


def test_three_tabs_at_once(site: Site, page: Page) -> None:
    """Tabs share what is kept, and what they send twice counts once."""
    context = page.context
    context.route(COLLECTOR, lambda route: route.abort())
    page.goto(f"{site.url}/other")
    page.evaluate(TRACK_MANY, 10)
    page.wait_for_function("ids.length === 10")
    page.close()
    tabs = [context.new_page() for _ in range(3)]
    for tab in tabs:
        tab.goto(f"{site.url}/other")
        tab.evaluate(TRACK_MANY, 10)
    context.unroute(COLLECTOR)
    await_replay(tabs[0])
    await_notes(site, *[*range(10)] * 4)


def test_full_storage(site: Site, page: Page) -> None:
    """Without room in storage events live as long as the page, and no error shows."""
    fail_first(page, 1, FAULTS["503"])
    page.goto(f"{site.url}/other")
    page.evaluate(
        """() => { for (let size = 1 << 20; size; size >>= 1)
            try { for (let n = 0; ; n++) localStorage[`${size}.${n}`] = "x".repeat(size) }
            catch (_) {} }"""
    )
    assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"


def test_forbidden_storage(site: Site, page: Page) -> None:
    """Where storage throws, events live as long as the page, and no error shows."""
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw Error('no') } })"
    )
    fail_first(page, 1, FAULTS["503"])
    page.goto(f"{site.url}/other")
    assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"


def test_more_than_a_browser_lets_leave(site: Site, page: Page) -> None:
    """200 KB at once and gone: what does not fit into the last posts goes with the next page."""
    page.goto(f"{site.url}/other")
    settle(page)
    page.evaluate(
        """() => { for (let n = 0; n < 20; n++)
            eventtrack.track("note.add", {n, text: "x".repeat(10000)});
            location.href = "/conditional"; }"""
    )
    page.wait_for_url("**/conditional")
    settle(page)
    await_replay(page)
    await_notes(site, *range(20))


def test_bounds(site: Site, page: Page) -> None:
    """Of more than 1,000 events, or 512 KB, the oldest are dropped, which is reported."""
    page.route(COLLECTOR, lambda route: route.abort())
    page.goto(f"{site.url}/other")
    settle(page)
    settled = page.evaluate(
        """() => { window.dropped = 0;
            const text = "x".repeat(40000);
            for (let n = 0; n < 20; n++) eventtrack.track("note.add", {n, text})
                .then(result => dropped += result.status === "dropped");
            return new Promise(done => setTimeout(() => done(dropped), 0)); }"""
    )
    page.wait_for_function(f"({KEPT})().length > 10")
    kept = page.evaluate(f"({KEPT})().map(key => localStorage[key])")
    assert 450_000 < sum(map(len, kept)) < 520_000
    page.unroute(COLLECTOR)
    with page.expect_request(COLLECTOR) as posted:
        settle(page)
    assert (posted.value.post_data_json or {})["dropped"] == settled + 1 > 1  # the visit


def test_what_is_dropped_during_a_post_is_reported_by_the_next(site: Site, page: Page) -> None:
    """The post under way could not know of it."""
    held: list[Route] = []
    reports: list[int] = []

    def hold(route: Route) -> None:
        reports.append((route.request.post_data_json or {})["dropped"])
        if len(reports) == 1:
            held.append(route)
        else:
            route.continue_()

    page.goto(f"{site.url}/other")
    settle(page)
    page.route(COLLECTOR, hold)
    page.evaluate("() => { eventtrack.track('note.add', {n: 0}); eventtrack.flush() }")
    while not held:
        page.wait_for_timeout(20)
    dropped = page.evaluate(
        """() => new Promise(done => {
            let dropped = 0;
            const text = "x".repeat(40000);
            for (let n = 1; n < 20; n++) eventtrack.track("note.add", {n, text})
                .then(result => dropped += result.status === "dropped");
            setTimeout(() => done(dropped), 0); })"""
    )
    held[0].continue_()
    settle(page)
    assert (reports[0], sum(reports)) == (0, dropped + 1)  # with the one that is under way
    assert dropped


def test_what_is_answered_at_once_is_never_kept(site: Site, page: Page) -> None:
    """Storage is touched for what waits alone: its first use takes a page's time. The half second
    of waiting is five here, which no busy machine takes to answer."""
    page.add_init_script("""{
        window.writes = 0;
        const plan = setTimeout;
        window.setTimeout = (run, delay, ...given) =>
            plan(run, delay === 500 ? 5000 : delay, ...given);
        const proxy = new Proxy(localStorage, {
            set: (storage, key, value) => (writes++, (storage[key] = value), true),
            deleteProperty: (storage, key) => (writes++, delete storage[key]),
        });
        Object.defineProperty(window, "localStorage", { get: () => proxy });
    }""")
    page.goto(f"{site.url}/other")
    assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"
    settle(page)
    page.route(COLLECTOR, lambda route: route.abort())
    page.evaluate("() => { eventtrack.track('note.add') }")
    page.wait_for_function("writes > 0")
    assert page.evaluate("writes") == 1


def test_page_lives_on_after_a_beacon(site: Site, page: Page) -> None:
    """A beacon's answer is never known: the event is sent again, without an error on the page, and
    so is what is tracked later. The half minute of waiting is a tenth of a second here."""
    page.add_init_script("""{
        delete Request.prototype.keepalive;
        const plan = setTimeout;
        window.setTimeout = (run, delay, ...given) =>
            plan(run, delay === 30000 ? 100 : delay, ...given);
    }""")
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/other")
    settle(page)
    page.evaluate("() => { eventtrack.track('note.add', {n: 1}) }")
    with page.expect_event("request", lambda request: request.resource_type == "ping"):
        page.evaluate("dispatchEvent(new Event('pagehide'))")
    await_nothing_kept(page)
    page.evaluate("() => { eventtrack.track('note.add', {n: 2}) }")
    await_notes(site, 1, 2)


def test_page_makes_three_posts(site: Site, chromium: Browser) -> None:
    """A visit, five events half a second apart, and leaving."""
    context = chromium.new_context()
    page = context.new_page()
    posts: list[Request] = []
    context.on("request", lambda request: keep_posts(posts, request))
    page.goto(f"{site.url}/other")
    page.evaluate("""async () => {
        window.eventtrack = window.eventtrack || [];
        for (let n = 0; n < 5; n++) {
            eventtrack.push(et => et.track("note.add", {n}));
            await new Promise(done => setTimeout(done, 500));
        }
    }""")
    page.goto("about:blank")
    site.await_actions(page_visit=1, note_add=5, session_start=1)
    context.close()
    assert len(posts) <= 3


def test_page_left_at_once(site: Site, page: Page) -> None:
    """What is tracked in the moment of leaving is sent."""
    page.goto(f"{site.url}/other")
    settle(page)
    page.evaluate("() => { eventtrack.track('note.add', {n: 1}); location.href = '/conditional' }")
    page.wait_for_url("**/conditional")
    settle(page)
    site.await_actions(page_visit=2, note_add=1, session_start=1)


def test_hostile_page(site: Site, page: Page) -> None:
    """A page that breaks the browser's functions after us breaks nothing of ours."""
    page.goto(f"{site.url}/hostile")
    site.await_actions(page_visit=1, note_add=1, session_start=1)
    site.await_claims(1)


def test_sandboxed_frame(site: Site, page: Page) -> None:
    """A frame without cookies or storage has no error (the fixture sees to it)."""
    page.goto(f"{site.url}/framed")
    frame = page.frames[1]
    frame.wait_for_function("window.eventtrack")
    assert frame.evaluate(TRACK, ["note.add"])["status"] in {"queued", "rejected"}


def test_log_out_before_sending(site: Site, page: Page) -> None:
    """What one person did and could not send never goes out as the next person's."""
    page.goto(f"{site.url}/enter")
    settle(page)
    page.route(COLLECTOR, lambda route: route.abort())
    page.evaluate(TRACK_MANY, 3)
    page.wait_for_function("ids.length === 3")
    page.goto(f"{site.url}/leave")
    page.unroute(COLLECTOR)
    page.goto(f"{site.url}/other")
    await_replay(page)
    settle(page)
    rows = await_notes(site, 0, 1, 2)
    [customer] = site.rows("profile")
    [last] = [row for row in site.rows("event") if row["params"].get("path") == "/other"]
    assert last["uuid"] != customer["uuid"]
    assert {row["uuid"] for row in rows} == {customer["uuid"]}


@pytest.mark.parametrize("choice", ["none", "anonymous"])
def test_refusal(site: Site, page: Page, choice: str) -> None:
    """Without consent the browser asks for nothing, keeps nothing, and says so."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.context.add_cookies([{"name": "eventtrack_consent", "value": choice, "url": site.url}])
    page.goto(f"{site.url}/other")
    assert page.evaluate(TRACK, ["note.add"])["status"] == "dropped"
    assert page.evaluate("eventtrack.page()")["status"] == "dropped"
    settle(page)
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert page.evaluate("localStorage.length") == 0
    assert [url for url in requests if "/_et/" in url and not url.endswith("/et.js")] == []


def test_opting_out_forgets(site: Site, page: Page) -> None:
    """optOut() drops what waits, at once, whatever the network does."""
    page.route(COLLECTOR, lambda route: route.abort())
    page.goto(f"{site.url}/other")
    page.evaluate(TRACK_MANY, 3)
    page.evaluate("() => { eventtrack.optOut() }")
    page.wait_for_function("ids.length === 3")
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate(TRACK, ["note.add"])["status"] == "dropped"


def test_choice_is_the_servers_too(site: Site, page: Page) -> None:
    """The server keeps it in a cookie, and obeys it with the next page."""

    def choice() -> str | None:
        cookies = {c.get("name"): c.get("value") for c in page.context.cookies()}
        return cookies.get("eventtrack_consent")

    page.goto(f"{site.url}/other")
    settle(page)
    assert page.evaluate("eventtrack.optOut()") == {}
    assert choice() == "none"
    page.goto(f"{site.url}/conditional")
    assert page.evaluate("eventtrack.optIn()") == {}
    assert choice() == "full"
    settle(page)  # the answer to the visit names the device
    page.goto(f"{site.url}/other")
    settle(page)
    site.await_actions(page_visit=3, session_start=2)


def test_global_privacy_control_on_a_cached_page(site: Site, page: Page) -> None:
    """A page that was made for another visitor respects this browser's signal."""
    page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page.goto(f"{site.url}/public")
    assert page.evaluate(TRACK, ["note.add"])["status"] == "dropped"


def test_second_file_is_not_needed(site: Site, page: Page) -> None:
    """Without it visits and events arrive, and its calls say that it is not there."""
    page.route("**/more.js", lambda route: route.abort())
    page.goto(f"{site.url}/other")
    site.await_claims(1)
    assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"
    assert page.evaluate("eventtrack.identify('x')")["error"]["code"] == "not_loaded"


def test_late_title_is_the_visits(site: Site, page: Page) -> None:
    """The visit waits a moment for the title to settle."""
    page.route("**/more.js", lambda route: route.abort())
    page.add_init_script("setTimeout(() => document.title = 'Late', 300)")
    page.goto(f"{site.url}/other")
    [visit] = site.await_claims(1)
    assert visit["params"]["title"] == "Late"


def test_hidden_tab_counts_when_seen(site: Site, page: Page) -> None:
    """A tab opened in the background is not a visit until someone looks at it."""
    page.add_init_script(
        "Object.defineProperty(document, 'hidden', {get: () => !window.seen, configurable: true})"
    )
    page.goto(f"{site.url}/public")
    settle(page)
    assert site.rows("event") == []
    page.evaluate("() => { seen = true; document.dispatchEvent(new Event('visibilitychange')) }")
    settle(page)
    site.await_claims(1)
