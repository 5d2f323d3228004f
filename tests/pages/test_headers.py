"""Headers: which requests navigate, and which answers a shared cache may store.

An answer that a shared cache may store carries no cookie of ours.
"""

from __future__ import annotations

import pytest

from flask_eventtrack.pages.headers import is_shareable
from flask_eventtrack.pages.visit import is_for_later
from flask_eventtrack.request.navigation import is_navigation

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..request.cookie_jar import ALL, DEVICE, cookies_of, visit

FUTURE, PAST = "Wed, 01 Jan 2094 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"
ETAG = {"etag": "x"}
LATER = {"last-modified": PAST}


DEST, MODE = "HTTP_SEC_FETCH_DEST", "HTTP_SEC_FETCH_MODE"
FRAMES = ("iframe", "frame", "fencedframe", "embed", "object")


def asks(destination: str | None = None, mode: str | None = None, **more: str) -> dict[str, str]:
    """Return the part of a WSGI environ that tells whether a request navigates."""
    given = {DEST: destination, MODE: mode}
    fetch = {name: value for name, value in given.items() if value is not None}
    return fetch | {f"HTTP_{name}": value for name, value in more.items()}


INSECURE = {"UPGRADE_INSECURE_REQUESTS": "1"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (asks(), True),  # plain HTTP, and old browsers
        (asks("document", "navigate"), True),
        (asks("document"), True),
        (asks(None, "navigate"), True),  # browsers that send the mode only
        (asks("", "navigate"), True),
        *((asks(None, mode), False) for mode in ("cors", "no-cors", "same-origin", "websocket")),
        (asks(None, "nested-navigate"), False),
        # a service worker: fetch(event.request), and a Request made from it
        (asks("empty", "navigate"), True),
        (asks("empty", "same-origin", **INSECURE), True),
        (asks("empty", "cors", **INSECURE), True),
        # scripts
        *((asks("empty", mode), False) for mode in ("cors", "no-cors", "same-origin", None)),
        (asks("empty", "no-cors", **INSECURE), False),
        (asks("empty", "cors", UPGRADE_INSECURE_REQUESTS="0"), False),
        # frames, and what is no page
        *((asks(frame, "navigate"), False) for frame in FRAMES),
        *((asks(kind, "no-cors"), False) for kind in ("image", "script", "style", "video", "x")),
        (asks("worker", "same-origin", **INSECURE), False),
        # libraries that ask for parts
        (asks("document", "navigate", HX_REQUEST="true"), False),
        (asks("empty", "navigate", TURBO_FRAME="basket"), False),
        (asks(X_TURBO_REQUEST_ID="1"), False),
        *((asks(X_REQUESTED_WITH=name), False) for name in ("XMLHttpRequest", "fetch", "swup")),
        (asks("empty", "cors", X_REQUESTED_WITH="XMLHttpRequest", **INSECURE), False),
        # WebViews of Android apps
        (asks(X_REQUESTED_WITH="com.instagram.android"), True),
        (asks("document", "navigate", X_REQUESTED_WITH="com.facebook.katana"), True),
        (asks(X_REQUESTED_WITH="org.telegram.messenger.web"), True),
        (asks(X_REQUESTED_WITH="mark.via.gp"), True),
        (asks(X_REQUESTED_WITH="com.Slack"), True),
        (asks(X_REQUESTED_WITH="jp.naver.line_android2"), True),
        (asks(X_REQUESTED_WITH=""), True),
        (asks("empty", "navigate", X_REQUESTED_WITH="com.instagram.android"), True),
        (asks("empty", "cors", X_REQUESTED_WITH="com.instagram.android"), False),
        *((asks(X_REQUESTED_WITH=odd), False) for odd in ("com.", ".a", "a..b", "1.5", "a b.c")),
    ],
    ids=str,
)
def test_modes_and_values_together_tell_a_navigation(
    environ: dict[str, str], *, expected: bool
) -> None:
    """Fetch Metadata, as browsers and their service workers send it."""
    assert is_navigation(environ) is expected


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_count_where_the_setting_says_so(frame: str) -> None:
    """A page in them does; another resource does not."""
    assert is_navigation(asks(frame, "navigate"), in_frames=True)
    assert not is_navigation(asks(frame, "no-cors"), in_frames=True)
    assert not is_navigation(asks("image", "navigate"), in_frames=True)
    assert not is_navigation(asks(frame, "navigate", HX_REQUEST="true"), in_frames=True)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (asks("empty", "cors"), True),  # a service worker fills its cache
        (asks("empty", "no-cors"), True),  # <link rel="prefetch">
        (asks("empty", "cors", X_REQUESTED_WITH="com.instagram.android"), True),
        (asks("empty", "cors", X_REQUESTED_WITH="XMLHttpRequest"), False),
        (asks("empty", "cors", HX_REQUEST="true"), False),
        (asks("empty", "cors", TURBO_FRAME="basket"), False),
        *((asks(other, "navigate"), False) for other in ("iframe", "image", "style")),
    ],
    ids=str,
)
def test_fetched_page_may_be_shown_later(environ: dict[str, str], *, expected: bool) -> None:
    """Then the browser reports the visit; a part of a page is never one."""
    assert is_for_later(environ) is expected


@pytest.mark.parametrize(
    ("headers", "visits", "tag"),
    [
        ({"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "navigate"}, 1, "data-visit"),
        ({"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}, 0, "data-visit"),
        ({"X-Requested-With": "com.instagram.android"}, 1, "data-visit"),
        ({"X-Requested-With": "XMLHttpRequest"}, 0, 'data-page="off"'),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}, 0, 'data-page="off"'),
        ({"Sec-Fetch-Dest": "document", "HX-Request": "true"}, 0, 'data-page="off"'),
    ],
)
def test_server_and_tag_agree(host: Host, headers: dict[str, str], visits: int, tag: str) -> None:
    """What the server does not count, the browser does only if it may show a whole page."""
    assert tag in host.client().get("/", headers=headers).text
    assert host.actions()["page.visit"] == visits


@pytest.mark.parametrize("setting", [True, "embed"])
def test_frame_is_a_visit_by_the_setting(make: MakeHost, setting: object) -> None:
    """EVENTTRACK_FRAMES, on both sides."""
    host = make({"EVENTTRACK_FRAMES": setting})
    headers = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}
    assert "data-visit" in host.client().get("/", headers=headers).text
    assert host.actions()["page.visit"] == 1


def test_filter_is_asked_once_about_a_fetched_page(make: MakeHost) -> None:
    """And its refusal holds for the browser too."""
    asked: list[str] = []
    host = make({"EVENTTRACK_PAGE_VISIT_FILTER": lambda: asked.append("x")})
    headers = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}
    assert 'data-page="off"' in host.client().get("/", headers=headers).text
    assert asked == ["x"]


@pytest.mark.parametrize(
    ("cache_control", "expected"),
    [
        *((text, True) for text in ("public", "Public", "s-maxage=60", "max-age=60", "Max-Age=1")),
        *((text, False) for text in ("", "private", "no-store", "no-cache", "must-revalidate")),
        *((text, False) for text in ("max-age=0", "s-maxage=0", "max-age=-1", "no-transform")),
        # a lifetime for shared caches outweighs the one for all
        *((text, False) for text in ("s-maxage=0, max-age=60", "max-age=60, s-maxage=0")),
        # contradictions: what forbids all storing wins, then what asks for sharing
        *(
            (text, False)
            for text in ("public, no-store", "max-age=60, no-store", "no-store,public")
        ),
        *((text, True) for text in ("private, s-maxage=60", "public, private", "no-cache, public")),
        *((text, False) for text in ("private, max-age=60", "no-cache, max-age=60")),
        # for some fields only; the rest may be stored
        *((text, True) for text in ('private="x-a", max-age=9', 'no-cache="set-cookie",max-age=9')),
        # used although it is stale
        ("max-age=0, stale-while-revalidate=60", True),
        ("max-age=0, stale-if-error=60", True),
        ("private, stale-while-revalidate=60", False),
        # no number of seconds: some cache may take it for one
        *((text, True) for text in ("max-age=abc", 'max-age="60"', "max-age", "max-age=1.5")),
        # a directive is a whole name
        *((text, False) for text in ("x-public", 'ext="public"', "publication", "x-max-age=60")),
    ],
)
def test_cache_control(cache_control: str, *, expected: bool) -> None:
    """RFC 9111, sections 3 and 5.2.2."""
    assert is_shareable({"cache-control": cache_control}) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"expires": FUTURE}, True),
        ({"expires": PAST}, False),
        ({"expires": "0"}, False),
        ({"expires": "-1"}, False),
        ({"expires": FUTURE, "cache-control": "private"}, False),
        ({"expires": FUTURE, "cache-control": "no-cache"}, False),
        ({"expires": FUTURE, "cache-control": "max-age=0"}, False),
        ({"expires": PAST, "cache-control": "max-age=60"}, True),
        # fields for certain caches, which respect nothing else
        ({"cdn-cache-control": "max-age=60", "cache-control": "no-store"}, True),
        ({"cloudflare-cdn-cache-control": "max-age=60", "cache-control": "private"}, True),
        ({"vercel-cdn-cache-control": "public"}, True),
        ({"surrogate-control": "max-age=60+30"}, True),
        ({"surrogate-control": 'content="ESI/1.0"'}, False),
        ({"surrogate-control": "no-store", "cache-control": "max-age=60"}, True),
        ({"edge-control": "!no-store, max-age=1d"}, True),
        ({"edge-control": "cache-maxage=60m"}, True),
        ({"x-accel-expires": "60"}, True),
        ({"x-accel-expires": "@1900000000", "cache-control": "private"}, True),
        ({"x-accel-expires": "0"}, False),
        ({"cdn-cache-control": "no-store"}, False),
        ({"cdn-cache-control": "private, max-age=60"}, False),
        # a cache that asks gets no new fields with "304 Not Modified", and repeats the stored ones
        ({"cache-control": "no-cache", **ETAG}, True),
        ({"cache-control": "max-age=0, must-revalidate", **LATER}, True),
        ({"expires": "0", **ETAG}, True),
        ({"cache-control": "private, no-cache", **ETAG}, False),
        ({"cache-control": "no-store", **ETAG}, False),
        # a cache may guess a lifetime by the date
        (LATER, True),
        ({"cache-control": "private", **LATER}, False),
        # of two values, some caches take the first and others the last
        ({"cache-control": "max-age=60, max-age=0"}, True),
        ({"cache-control": "max-age=0, max-age=60"}, True),
        ({"cache-control": "s-maxage=600, s-maxage=0"}, True),
        ({"cache-control": "s-maxage=0, s-maxage=0, max-age=9"}, False),
        ({"edge-control": "max-age=0, cache-maxage=60m"}, True),
        ({"edge-control": "max-age=60, cache-maxage=0"}, False),
        # says nothing of caches
        (ETAG, False),
    ],
)
def test_other_fields(fields: dict[str, str], *, expected: bool) -> None:
    """RFC 9111, section 4.2.1; RFC 9213; what CDNs and nginx document."""
    assert is_shareable(fields) is expected


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "max-age=60"},
        {"Cache-Control": "max-age=60", "Vary": "Cookie"},
        {"Expires": FUTURE},
        {"CDN-Cache-Control": "max-age=60"},
        {"Surrogate-Control": "max-age=60", "Cache-Control": "no-store"},
        {"X-Accel-Expires": "60"},
        {"Netlify-CDN-Cache-Control": "public, max-age=60"},
        {"Cache-Control": "no-cache", "ETag": '"x"'},
    ],
)
def test_answer_that_a_cache_may_store_carries_no_cookie(
    host: Host, headers: dict[str, str]
) -> None:
    """Neither a newcomer's nor a known visitor's, nor a deletion for one who refuses."""
    host.app.add_url_rule("/cached", "cached", lambda: ("<title>Cached</title>", 200, headers))
    newcomer, known = host.client(), host.client()
    visit(known)
    host.clock.advance(minutes=2)
    for client in (newcomer, known):
        assert visit(client, "/cached") == set()
    refusal = known.get("/cached", headers={**NAVIGATION, "Sec-GPC": "1"})
    assert cookies_of(refusal) == {}
    assert host.actions() == {"page.visit": 3, "session.start": 1}  # the last one is anonymous


def test_directives_on_two_lines_count_together(host: Host) -> None:
    """``Cache-Control`` may be repeated."""
    lines = [("Cache-Control", "max-age=60"), ("Cache-Control", "must-revalidate")]
    host.app.add_url_rule("/cached", "cached", lambda: ("<title>Cached</title>", 200, lines))
    assert visit(host.client(), "/cached") == set()


@pytest.mark.parametrize("headers", [{}, {"Vary": "Cookie"}, {"ETag": '"x"'}, {"Pragma": "x"}])
def test_answer_that_says_nothing_of_caches_carries_cookies(
    make: MakeHost, headers: dict[str, str]
) -> None:
    """As most pages do."""
    host = make()
    host.app.add_url_rule("/plain", "plain", lambda: ("<title>Plain</title>", 200, headers))
    assert visit(host.client(), "/plain") == ALL
    assert DEVICE in ALL
