"""Parameters that JSON cannot write are written as far as they can be; the event is kept."""

from __future__ import annotations

import typing as t

import pytest
from playwright.sync_api import Page

from .conftest import Site

TRACK = """() => new Promise(done => eventtrack.push(et => {
    const thrower = () => { throw Error("odd") };
    const inside = {n: 1};
    inside.self = inside;
    const list = [1];
    list.push(list);
    const deep = [[[[[[[[[[1]]]]]]]]]];
    const odd = %s;
    et.track("note.add", {before: 1, odd, after: 2}).then(done);
}))"""
ODD: dict[str, tuple[str, t.Any]] = {
    "big integer": ("12345678901234567890n", "12345678901234567890"),
    "big integer in a list": ("[1n, 2]", ["1", 2]),
    "object inside of itself": ("inside", {"n": 1}),
    "list inside of itself": ("list", [1, None]),
    "object that is there twice": ("((a) => [a, a])({n: 1})", [{"n": 1}, {"n": 1}]),
    "getter that throws": ("({a: 1, get b() { return thrower() }})", {"a": 1}),
    "toJSON that throws": ("[1, {toJSON: thrower}]", [1, None]),
    "proxy that throws": ("({a: 1, b: new Proxy({}, {ownKeys: thrower, get: thrower})})", {"a": 1}),
    "function": ("({a: 1, b() {}})", {"a": 1}),
    "symbol": ("({a: 1, b: Symbol('b')})", {"a": 1}),
    "undefined": ("({a: 1, b: undefined})", {"a": 1}),
    "NaN": ("[NaN, Infinity, 1]", [None, None, 1]),
    "date": ("new Date(0)", "1970-01-01T00:00:00.000Z"),
    "date that is none": ("[new Date(NaN)]", [None]),
    "map": ("new Map([['a', 1n], [2, 'b']])", {"a": "1", "2": "b"}),
    "set": ("new Set([1, 'a'])", [1, "a"]),
    "error": ("Error('odd')", "Error: odd"),
    "address": ("new URL('https://example.org/a')", "https://example.org/a"),
    "element": ("({a: 1, b: document.body})", {"a": 1}),
    "window": ("({a: 1, b: window})", {"a": 1}),
    "event": ("({a: 1, b: new Event('x')})", {"a": 1, "b": {"isTrusted": False}}),
    "number as an object": ("[new Number(1), new String('a'), Object(1n)]", [1, "a", "1"]),
    "object without a prototype": ("Object.assign(Object.create(null), {a: 1})", {"a": 1}),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_value_is_written_or_left_out_alone(site: Site, page: Page, name: str) -> None:
    """The other parameters stay, and nothing is thrown into the page (the fixture sees to it)."""
    code, value = ODD[name]
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/other")
    site.await_claims(1)
    assert page.evaluate(TRACK % code)["status"] == "accepted"
    [note] = [
        row
        for row in site.await_actions(page_visit=1, note_add=1, session_start=1)
        if row["action"] == "note.add"
    ]
    params = {name: note["params"].get(name) for name in ("before", "odd", "after")}
    assert params == {"before": 1, "odd": value, "after": 2}


def test_odd_value_of_a_young_page_waits_for_the_second_file(site: Site, page: Page) -> None:
    """As its visit does."""
    page.add_init_script(
        """window.eventtrack = [];
        eventtrack.push(et => { window.done = et.track("note.add", {odd: 7n}) })"""
    )
    page.goto(f"{site.url}/other")
    assert page.evaluate("done")["status"] == "accepted"
    rows = site.await_actions(page_visit=1, note_add=1, session_start=1)
    assert [row["params"]["odd"] for row in rows if row["action"] == "note.add"] == ["7"]


def test_without_the_second_file_an_odd_value_is_refused(site: Site, page: Page) -> None:
    """The promise says why."""
    page.route("**/more.js", lambda route: route.abort())
    page.goto(f"{site.url}/other")
    result = page.evaluate("() => eventtrack.track('note.add', {odd: 7n})")
    assert (result["status"], result["error"]["code"]) == ("rejected", "invalid_params")


def test_too_much_is_cut(site: Site, page: Page) -> None:
    """An object that leads to everything on the page takes no time, and the event has an answer."""
    page.goto(f"{site.url}/other")
    site.await_claims(1)
    result = page.evaluate(
        """async () => {
            const nodes = Array.from({length: 100}, () => ({}));
            for (const node of nodes) nodes.forEach((other, n) => { node[`n${n}`] = other });
            const begin = performance.now();
            const answer = eventtrack.track("note.add", {odd: nodes[0]});
            const taken = performance.now() - begin;
            return [(await answer).status, taken < 2000];
        }"""
    )
    assert result == ["rejected", True]
