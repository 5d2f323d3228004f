"""Which answers a shared cache may store: those carry no cookie of ours."""

from __future__ import annotations

import pytest

from flask_eventtrack.pages.headers import is_shareable

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..request.cookie_jar import ALL, DEVICE, cookies_of, visit

FUTURE, PAST = "Wed, 01 Jan 2094 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"
ETAG = {"etag": "x"}
LATER = {"last-modified": PAST}


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
