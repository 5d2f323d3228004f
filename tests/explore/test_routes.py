"""The page of routes says how long the server took, as visitors met it."""

from __future__ import annotations

import collections
import random
import typing as t

import pytest

from flask_eventtrack.reports.explore import routes

from ..conftest import MakeHost
from ..dashboard.pages import find_links, look, read_headline, read_table
from ..dashboard.test_hostile import HOSTILE, check
from ..hosts import NAVIGATION, FakeClock, Host
from ..privacy.choices import choose
from .shop import open_shop, read_json
from .stored import add_visits


def add_times(host: Host, route: str, *times: float, **more: t.Any) -> None:
    """Store page visits of a route that took so many milliseconds."""
    for time in times:
        add_visits(host, (route, "Firefox", True), params={"duration_ms": time}, **more)


def test_times_equal_a_plain_count(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """So many per cent of the sorted times do not exceed the one that is told."""
    host = open_shop(make, clock, url=database_url)
    rng = random.Random(3)
    times = {f"/{n}": [round(rng.random() * 900, 3) for _ in range(n)] for n in (1, 2, 19, 21)}
    for route, each in times.items():
        add_times(host, route, *each)
    add_times(host, "/other", 5000, source="browser")
    add_times(host, "/other", 5000, action="cart.put")
    add_times(host, "/old", 5000, ago=9 * 24 * 60)
    found = read_json(host, "routes.json?period=7d")
    assert found["visits"] == 43
    rows = {row["route"]: row for row in found["rows"]}
    assert rows.keys() == times.keys()
    for route, each in times.items():
        row = rows[route]
        assert (row["visits"], row["longest"]) == (len(each), pytest.approx(max(each)))
        for name, share in (("median", 0.5), ("p95", 0.95)):
            enough = [x for x in each if sum(y <= x for y in each) >= share * len(each)]
            assert row[name] == pytest.approx(min(enough))
    slowest = sorted(found["rows"], key=lambda row: -row["p95"])
    assert found["rows"] == slowest


def test_the_page_says_which_route_is_slow(make: MakeHost, clock: FakeClock) -> None:
    """The slowest first, with a link to its paths, and what the numbers are of."""
    host = open_shop(make, clock)
    add_times(host, "/fast", 3.21, 4)
    add_times(host, "/slow/<name>", *[40] * 10, 1250)
    page = look(host, "/routes?period=7d")
    headline = "The slowest route is /slow/<name>: 95% of its pages were made within 1.25 s."
    assert read_headline(page) == headline
    assert read_table(page.replace("full plan bars", "full"))[1:] == [
        ["/slow/<name>", "11", "40 ms", "1.25 s", "1.25 s"],
        ["/fast", "2", "3.2 ms", "4.0 ms", "4.0 ms"],
    ]
    assert find_links(page, "/fast") == ["/_et/details/path?period=7d&route=/fast"]
    assert "Of the latest 13 page visits of this period" in page


def test_without_a_visit_the_page_says_so(make: MakeHost, clock: FakeClock) -> None:
    """Also where visits were stored without a time, as in tests of other releases."""
    host = open_shop(make, clock)
    add_visits(host, ("/x", "Firefox", True))
    page = look(host, "/routes?period=7d")
    assert read_headline(page) == "No page visits of the server in this period"
    assert "appear here" in page


def test_a_single_site_gets_its_own_routes(make: MakeHost, clock: FakeClock) -> None:
    """Who may see one site sees no route of another."""
    host = open_shop(make, clock, permit={"blog.test"})
    add_times(host, "/mine", 5, site="blog.test")
    add_times(host, "/other", 50)
    assert [row["route"] for row in read_json(host, "routes.json?period=7d")["rows"]] == ["/mine"]


def test_the_latest_visits_alone_are_read(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the page takes no longer with a million of them."""
    monkeypatch.setattr("flask_eventtrack.reports.explore.routes.LATEST", 2)
    host = open_shop(make, clock)
    add_times(host, "/old", 9, 9, ago=120)
    add_times(host, "/new", 1, 2)
    assert [row["route"] for row in read_json(host, "routes.json?period=7d")["rows"]] == ["/new"]


def test_the_servers_own_time_is_there(make: MakeHost, clock: FakeClock) -> None:
    """A visit that the server records has its duration."""
    host = open_shop(make, clock)
    host.client().get("/products/lamp")
    [row] = read_json(host, "routes.json?period=7d")["rows"]
    assert (row["route"], row["visits"]) == ("/products/<slug>", 1)
    assert row["median"] >= 0


def test_nothing_of_hostile_routes_runs(make: MakeHost, clock: FakeClock) -> None:
    """URL rules are shown as text, in the headline too."""
    host = open_shop(make, clock)
    for number, text in enumerate(HOSTILE):
        add_times(host, text, number)
    check(look(host, "/routes?period=7d"))


# Errors


def break_pages(host: Host) -> None:
    """Add a page that fails and one that an API calls."""
    host.app.config["PROPAGATE_EXCEPTIONS"] = False

    @host.app.get("/broken/<name>")
    def broken(name: str) -> str:
        raise ValueError(name)

    @host.app.get("/exempt")
    @host.events.exempt
    def exempt() -> tuple[str, int]:
        return "", 500


def test_pages_with_errors_are_counted_by_route(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Those that a person asks for: no bots, no scripts, no files, none of our own pages."""
    host = open_shop(make, clock, url=database_url)
    break_pages(host)
    client = host.client()
    for path in ("/broken/a", "/broken/b", "/nowhere", "/broken/c"):
        client.get(path, headers=NAVIGATION)
    client.get("/broken/a", headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"})
    client.get("/broken/a", headers={**NAVIGATION, "Sec-Purpose": "prefetch"})
    client.post("/broken/a", headers=NAVIGATION)
    for path in ("/exempt", "/static/nothing.css", "/_et/nothing", "/", "/away"):
        client.get(path, headers=NAVIGATION)
    host.client("Googlebot/2.1").get("/broken/a", headers=NAVIGATION)
    refusing = host.client()
    choose(refusing, "none")
    refusing.get("/broken/a", headers=NAVIGATION)
    found = read_json(host, "routes.json?period=7d")["errors"]
    assert [(row["status"], row["route"], row["answers"]) for row in found] == [
        (500, "/broken/<name>", 3),
        (404, "", 1),
    ]
    assert host.actions()["page.visit"] == 1
    page = look(host, "/routes?period=7d")
    assert '<td class="wrong">500</td>' in page
    assert "No route matches" in page


OWN = "http://localhost"
REFERRERS = {
    f"{OWN}/products/lamp?x=1": ("page", "/products/<slug>"),
    f"{OWN}/broken/b": ("page", "/broken/<name>"),
    f"{OWN}/nowhere": ("page", ""),
    f"{OWN}/_et/routes": ("page", ""),
    "https://News.example:8443/item?id=1": ("site", "news.example"),
    "android-app://com.example.reader": ("site", "com.example.reader"),
    "http://[": ("direct", ""),
    "": ("direct", ""),
}


def test_where_people_came_from_equals_a_plain_count(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """From which page or site, or directly: the five most frequent places of each error."""
    host = open_shop(make, clock, url=database_url)
    break_pages(host)
    client, rng, came = host.client(), random.Random(5), collections.Counter[t.Any]()
    for _ in range(60):
        path, error = rng.choice(
            [("/broken/a", (500, "/broken/<name>")), ("/nothing", (404, "")), ("/", None)]
        )
        referrer = rng.choice(list(REFERRERS))
        client.get(path, headers={**NAVIGATION, "Referer": referrer})
        if error:
            came[error, REFERRERS[referrer]] += 1
    for row in read_json(host, "routes.json?period=7d")["errors"]:
        own = {k: n for (e, k), n in came.items() if e == (row["status"], row["route"])}
        found = {(each["kind"], each["name"]): each["answers"] for each in row["came_from"]}
        assert found.items() <= own.items()
        assert sorted(found.values()) == sorted(own.values())[-5:]
        assert sum(own.values()) == row["answers"]


def test_the_page_says_from_where_people_came_to_an_error(make: MakeHost, clock: FakeClock) -> None:
    """In words, the most frequent place first."""
    host = open_shop(make, clock)
    break_pages(host)
    for referrer in (*2 * [f"{OWN}/products/lamp"], f"{OWN}/nowhere", ""):
        host.client().get("/nothing", headers={**NAVIGATION, "Referer": referrer})
    said = "Before: /products/<slug> 2, came directly 1, a page without a route 1"
    page = look(host, "/routes?period=7d").replace("full plan", "full")
    assert read_table(page)[-1] == [f"No route matches{said}", "404", "4"]


def test_a_referrer_names_few_hosts(make: MakeHost, clock: FakeClock) -> None:
    """Anybody can send any: 50 names an hour are kept, and none that is no host."""
    host = open_shop(make, clock)
    for number in range(60):
        headers = {**NAVIGATION, "Referer": f"https://{number}.example/"}
        host.client().get("/nothing", headers=headers)
    for text in HOSTILE:
        host.client().get("/nothing", headers={**NAVIGATION, "Referer": f"https://{text}/"})
    host.flush()
    reasons = {row["reason"]: row["count"] for row in host.rows("quality")}
    assert len([reason for reason in reasons if reason.endswith(".example")]) == 50
    assert reasons["404 < (other site)"] >= 10
    check(look(host, "/routes?period=7d"))
    clock.advance(hours=1)
    host.client().get("/nothing", headers={**NAVIGATION, "Referer": "https://new.example/"})
    host.flush()
    assert "404 < new.example" in {row["reason"] for row in host.rows("quality")}


def test_the_most_frequent_places_are_looked_at(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can make up any number of others."""
    monkeypatch.setattr(routes, "_MOST_PLACES", 1)
    host = open_shop(make, clock)
    for place in ("a.example", "b.example", "b.example"):
        host.client().get("/nothing", headers={**NAVIGATION, "Referer": f"https://{place}/"})
    [error] = read_json(host, "routes.json?period=7d")["errors"]
    assert error["answers"] == 3
    assert error["came_from"] == [{"kind": "site", "name": "b.example", "answers": 2}]


def test_long_routes_are_not_mistaken_for_each_other(make: MakeHost, clock: FakeClock) -> None:
    """A counter has room for 64 characters. What fits two errors is told of neither."""
    host = open_shop(make, clock)
    alike = [f"/the/same/long/beginning/of/several/routes/{end}" for end in ("one", "two", "two/x")]
    rules = [*alike, "/another/long/beginning/of/a/route/of/this/app"]
    for rule in rules:
        host.app.add_url_rule(rule, rule, lambda: ("", 500))
    for rule in rules:
        host.client().get(rule, headers={**NAVIGATION, "Referer": f"{OWN}{alike[0]}"})
    rows = read_json(host, "routes.json?period=7d")["errors"]
    came = {row["route"]: [each["name"] for each in row["came_from"]] for row in rows}
    assert came == {
        **{route: [] for route in alike},
        "/another/long/beginning/of/a/route/of/this/app": ["/the/same/long/begin"],
    }


def test_a_single_site_is_told_that_errors_have_none(make: MakeHost, clock: FakeClock) -> None:
    """They are counted for all sites together."""
    host = open_shop(make, clock, permit={"localhost"})
    break_pages(host)
    host.client().get("/broken/a", headers=NAVIGATION)
    assert read_json(host, "routes.json?period=7d")["errors"] is None
    page = look(host, "/routes?period=7d")
    assert "not shown for single sites" in page
    assert "/broken" not in page
