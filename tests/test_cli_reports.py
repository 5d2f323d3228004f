"""The commands `stats`, `top`, `feed`, `funnel` and `quality`: the numbers in a terminal."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import typing as t

import pytest

from flask_eventtrack import track

from .commands import run
from .conftest import MakeHost
from .dashboard.pages import NOON, add_hours, add_sessions, open_dashboard
from .dashboard.test_hostile import open_hostile
from .hosts import SAME_ORIGIN, FakeClock, Host
from .reports.visits import Visitor, close_days, open_shop

GERMAN = ["--filter", "is:language:de"]
FUNNEL = ["funnel", "/", "cart.put", "transaction.charge"]
COMMANDS = [["stats"], ["top", "source"], ["quality"], ["feed"], ["funnel", "/", "/checkout"]]


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock, database_url: str) -> Host:
    """A shop on each database, with visitors of two months, orders, and the dashboard open."""
    config = {"EVENTTRACK_DASHBOARD_PERMISSION": lambda: "manage"}
    shop = open_shop(make, clock, url=database_url, config=config)
    Visitor(shop).see("/", "2026-10-20 10:00")
    ada = Visitor(shop).see("/?utm_source=news", "2026-11-20 09:00", **{"Accept-Language": "de"})
    ada.do("/login/ada", "2026-11-20 09:01").do("/cart/A1/9.5", "2026-11-20 09:02")
    ada.do("/order/1/12.30", "2026-11-20 09:03")
    Visitor(shop, "blog.test").see("/products/mug", "2026-11-21 11:00").see("/")
    close_days(shop)
    return shop


def print_(host: Host, *arguments: str) -> str:
    answer = run(host, *arguments)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def ask(host: Host, path: str) -> t.Any:
    """Return what a page's URL for programs answers."""
    answer = host.client().get(f"/_et/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json


def read_csv(text: str) -> list[list[str]]:
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def test_stats_say_what_happened(shop: Host) -> None:
    """A sentence, and each number with its change and the one before."""
    lines = print_(shop, "stats", "--period", "7d").splitlines()
    assert lines[0] == "Last 7 days, 15 \u2013 21 November 2026 (UTC)"
    assert lines[1] == "2 people visited, and nobody did in the 7 days before."
    assert [line.split() for line in lines[3:6]] == [
        ["Now", "Change", "Before"],
        ["Visitors", "2", "0"],
        ["New", "visitors", "2", "0"],
    ]
    assert lines[-1].split() == ["Revenue", "EUR", "12.30", "EUR", "0.00"]
    lines = print_(shop, "stats", "--period", "month").splitlines()
    assert ["Visitors", "2", "+100%", "1"] in [line.split() for line in lines]


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ([], ""),
        (["--period", "7d", *GERMAN], "?period=7d&f=is:language:de"),
        (["--site", "blog.test", "--period", "all"], "?site=blog.test&period=all"),
        (["--from", "2026-11-20"], "?period=custom&from=2026-11-20&to=2026-11-21"),
        (
            ["--from", "2026-11-01", "--to", "2026-11-20", *GERMAN, "--filter", "is:customer:yes"],
            "?period=custom&from=2026-11-01&to=2026-11-20&f=is:language:de&f=is:customer:yes",
        ),
    ],
)
def test_json_is_that_of_the_page(shop: Host, options: list[str], query: str) -> None:
    """The same question has the same answer, in a terminal and over HTTP."""
    assert json.loads(print_(shop, "stats", "--format", "json", *options)) == ask(
        shop, f"overview.json{query}"
    )
    for dimension in ("source", "page", "action"):
        printed = print_(shop, "top", dimension, "-n", "100", "--format", "json", *options)
        assert json.loads(printed) == ask(shop, f"details/{dimension}.json{query}")


def test_top_lists_the_largest_rows(shop: Host) -> None:
    """By name, with sessions, share, people, bounces and change."""
    lines = print_(shop, "top", "source", "-n", "1", "--period", "12m").splitlines()
    assert lines[1].split() == ["Source", "Sessions", "Share", "People", "Bounce", "rate", "Change"]
    assert lines[2].split() == ["Direct", "2", "66.7%", "2", "50.0%", "new"]
    assert lines[3:] == ["1 of 2 rows."]
    paths = print_(shop, "top", "path", "--route", "/products/<slug>", "--format", "csv")
    assert [row[:2] for row in read_csv(paths)] == [["Path", "Page visits"], ["/products/mug", "1"]]
    assert "will appear here" in print_(
        shop, "top", "source", "--period", "yesterday", *GERMAN[:1], "is:source:x"
    )


def test_csv_has_all_numbers(shop: Host) -> None:
    """A row for each of them."""
    rows = read_csv(print_(shop, "stats", "--period", "7d", "--format", "csv"))
    assert rows[:2] == [["number", "value", "before"], ["visitors", "2", "0"]]
    assert rows[-1] == ["revenue_EUR", "12.30", "0.00"]
    found = read_csv(print_(shop, "top", "source", "--format", "csv"))
    page = shop.client().get("/_et/details/source.csv").data.decode()
    assert found == read_csv(page)


@pytest.mark.parametrize(
    ("options", "actions"),
    [
        (["--period", "7d", "-n", "2"], ["page.visit", "page.visit"]),
        (["--action", "cart.*", "--action", "transaction.*"], ["transaction.charge", "cart.put"]),
        (["--site", "blog.test", "--action", "page.visit"], ["page.visit", "page.visit"]),
        ([*GERMAN, "--action", "page.visit"], ["page.visit"]),
        (["--filter", "is:event:cart.put", "--action", "page.visit"], ["page.visit"]),
        (["--filter", "is:site:blog.test", "--action", "page.visit"], ["page.visit", "page.visit"]),
        (["--customer", "ada", "--action", "page.visit"], ["page.visit"]),
        (["--customer", "ada", "--from", "2026-11-21"], []),
        (["--customer", "bob"], []),
        (["--from", "2026-10-20", "--to", "2026-10-20", "--action", "page.*"], ["page.visit"]),
    ],
)
def test_feed_lists_what_happened(shop: Host, options: list[str], actions: list[str]) -> None:
    """Newest first: of days, sessions, a site, a person, and actions."""
    found = json.loads(print_(shop, "feed", "--format", "json", *options))
    assert [event["action"] for event in found] == actions
    rows = read_csv(print_(shop, "feed", "--format", "csv", *options))
    assert [dict(zip(rows[0], row, strict=True))["action"] for row in rows[1:]] == actions
    lines = print_(shop, "feed", *options).splitlines()
    assert [line[31:].split()[0] for line in lines[1:]] == actions
    assert lines[0].startswith("Time" if actions else "No event happened.")


def test_feed_has_the_order_in_which_things_happened(shop: Host) -> None:
    """Not the one in which they were stored, which tail has."""
    shop.clock.advance(seconds=1)
    with shop.app.app_context():
        track("cart.put", {"sku": "late", "price": 1}, time="2026-11-21T10:59:00Z", customer="7")
    shop.flush()
    found = json.loads(print_(shop, "feed", "--from", "2026-11-21", "--format", "json"))
    assert (found[-1]["params"]["sku"], found[-1]["session_id"]) == ("late", None)
    assert json.loads(print_(shop, "tail", "-n1", "--json"))["params"]["sku"] == "late"


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ([], ""),
        (["--period", "12m", "--by", "source"], "&period=12m&by=source"),
        (
            ["--per", "session", "--within", "1h", *GERMAN],
            "&per=session&within=1h&f=is:language:de",
        ),
        (["--site", "blog.test"], "&site=blog.test"),
        (["--where", "2:is:sku:B2"], "&where=2:is:sku:B2"),
        (["--without", "/products/<slug>"], "&not=page:/products/<slug>"),
        (["--without", "cart.put"], "&not=cart.put"),
    ],
)
def test_a_funnel_is_that_of_the_page(shop: Host, options: list[str], query: str) -> None:
    """The same numbers as at the page's URL with the same question."""
    url = f"step=page:/&step=cart.put&step=transaction.charge{query}"
    printed = print_(shop, *FUNNEL, "--format", "json", *options)
    assert json.loads(printed) == ask(shop, f"funnels.json?{url}")
    page = shop.client().get(f"/_et/funnels.csv?{url}").data.decode()
    assert read_csv(print_(shop, *FUNNEL, "--format", "csv", *options)) == read_csv(page)


def test_a_funnel_says_where_people_are_lost(shop: Host) -> None:
    """A sentence, a line for each step, and a line for each value of a dimension."""
    lines = print_(shop, *FUNNEL, "--where", "2:at_least:price:9", "--by", "source").splitlines()
    assert " ".join(lines[1:3]) == (
        "50.0% of 2 people got to the last step within 7 days. Most were lost between / and "
        "cart.put."
    )
    assert [re.split("  +", line) for line in lines[4:]] == [
        ["Step", "People", "Of first", "Of previous", "Lost", "Median"],
        ["1. /", "2", "100%", "1"],
        ["2. cart.put (price is at least 9)", "1", "50.0%", "50.0%", "2m 00s"],
        ["3. transaction.charge", "1", "50.0%", "100%", "1m 00s"],
        [""],
        ["Source", "1.", "2.", "3.", "Reached the end"],
        ["Direct", "1", "0", "0", "0%"],
        ["news", "1", "1", "1", "100%"],
        ["2 of 2 rows."],
    ]


def test_a_saved_funnel_is_asked_for_by_its_name(shop: Host) -> None:
    """With its own rules, unless an option says otherwise."""
    url = "/_et/funnels?step=page:/&step=transaction.charge&per=session&within=1m&by=source"
    token = re.findall('name="token" value="([^"]+)', shop.client().get(url).text)[0]
    form = {"token": token, "name": "Orders"}
    assert shop.client().post(url, data=form, headers=SAME_ORIGIN).status_code == 303
    found = json.loads(print_(shop, "funnel", "--saved", "Orders", "--format", "json"))
    assert found == ask(shop, url.removeprefix("/_et/").replace("?", ".json?"))
    assert [step["count"] for step in found["steps"]] == [2, 0]
    longer = ["funnel", "--saved", "Orders", "--within", "1h", "--format", "json"]
    assert [step["count"] for step in json.loads(print_(shop, *longer))["steps"]] == [2, 1]
    assert "There are: 'Orders'." in run(shop, "funnel", "--saved", "Sales").stderr


def test_quality_tells_what_was_refused(shop: Host) -> None:
    """By outcome, then by action and reason; only of the period."""
    for body in ({"action": "a.x"}, {"action": "a.x"}, {"action": "cart.put", "params": {}}):
        shop.client().post("/_et/in", json=body, headers=SAME_ORIGIN)
    shop.flush()
    lines = [line.split() for line in print_(shop, "quality", "--period", "today").splitlines()]
    assert lines[2][:2] == ["accepted", "stored"]
    assert ["rejected", "refused", "by", "a", "rule", "3"] in lines
    assert ["rejected", "a.x", "undefined_event", "2"] in lines
    assert ["invalid", "cart.put", "sku", "1"] in lines
    found = json.loads(print_(shop, "quality", "--period", "today", "--format", "json"))
    assert found["totals"]["rejected"] == 3
    assert sum(row["count"] for row in found["rows"] if row["outcome"] == "rejected") == 3
    rows = read_csv(print_(shop, "quality", "--period", "today", "--format", "csv"))
    assert ["rejected", "a.x", "undefined_event", "2"] in rows
    assert "No event arrived." in print_(
        shop, "quality", "--from", "2026-11-01", "--to", "2026-11-02"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_new_app_has_no_numbers(make: MakeHost, command: list[str]) -> None:
    """It says so, and is no failure."""
    host = make()
    for form in ("table", "json", "csv"):
        print_(host, *command, "--format", form)
    assert re.search(
        "Nobody has visited yet|Nobody reached|will appear here|No event", print_(host, *command)
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("stats --period 5x", "There is no period '5x'. The periods are: today, "),
        ("stats --filter country:DE", "A filter is <operator>:<field>:<value>, such as"),
        ("stats --filter is:colour:red", "There is no filter by 'colour'. There are: "),
        ("stats --from 2026-11-02 --to 2026-11-01", "The period begins on 2026-11-02, after"),
        ("stats --to 2026-11-01", "--to is for use with --from."),
        ("stats --from soon", "Invalid value for '--from'"),
        ("stats --format xml", "Invalid value for '--format'"),
        ("top colour", "There is no dimension 'colour'. The dimensions are: "),
        ("top path", "Paths are shown of one route: give the route."),
        ("feed --filter is:event:a.b", "The event 'a.b' is not defined."),
        ("feed --customer null", "a placeholder"),
        ("funnel page:/", "A funnel has 2 to 8 steps, not 1."),
        ("funnel page:/ a.b", "The event 'a.b' is not defined."),
        ("funnel page:/ page:/cart --within soon", "'soon' is no duration. Write one such as 30m"),
        ("funnel page:/ page:/cart --by colour", "There are no rows by 'colour'."),
        ("funnel page:/ page:/cart --per week", "Invalid value for '--per'"),
        ("funnel --saved x", "There is no saved funnel 'x'. There are: none."),
        ("funnel page:/ --saved x", "Give steps or --saved, not both."),
        ("quality --period 0d", "There is no period '0d'."),
    ],
)
def test_a_wrong_argument_is_told_in_a_line(host: Host, arguments: str, sentence: str) -> None:
    """And the exit status is 2."""
    answer = run(host, *arguments.split())
    assert answer.exit_code == 2
    assert sentence in answer.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_without_tables_is_told_in_a_line(make: MakeHost, command: list[str]) -> None:
    """And the exit status is 1."""
    answer = run(make(create=False), *command)
    assert (answer.exit_code, answer.stdout) == (1, "")
    [line] = answer.stderr.splitlines()
    assert line.startswith("Error: The tables of this release are missing: run 'flask eventtrack")


def test_lines_fit_a_terminal_and_are_safe(make: MakeHost, clock: FakeClock) -> None:
    """What visitors choose is cut to 80 columns, and neither moves the cursor nor is a formula."""
    host = open_hostile(make, clock)
    add_sessions(host, {"source": "\u4e2d" * 99})
    host.events.define("a.b")
    with host.app.app_context():
        track("a.b", label="\x1b[2J\rroot\nline two \u202e" * 9, customer="=1+1")
    host.flush()
    client = host.client()
    client.post("/_et/in", json={"action": "=1+1"}, headers=SAME_ORIGIN)
    for command in (*COMMANDS, ["top", "page"], ["top", "action"], ["top", "site"]):
        printed = print_(host, *command)
        assert all(line.isprintable() and len(line) <= 80 for line in printed.splitlines())
        found = read_csv(print_(host, *command, "--format", "csv"))
        assert not [c for row in found for c in row if c.startswith("=") or not c.isprintable()]
        assert print_(host, *command, "--format", "json").strip("\n").isprintable()
    assert "'=1+1" in print_(host, "top", "source", "--format", "csv")


def test_colours_are_for_terminals(make: MakeHost, clock: FakeClock) -> None:
    """More visitors are green, more bounces red; a pipe gets neither."""
    host = open_dashboard(make, clock)
    add_sessions(host, {}, {})
    add_sessions(host, {"pages": 2, "events": 2}, at=NOON - dt.timedelta(8))
    arguments = ["eventtrack", "stats", "--period", "7d"]
    shown = host.app.test_cli_runner().invoke(args=arguments, color=True).output
    assert "\x1b[32m+100%\x1b[0m" in shown
    assert "\x1b[31m+100.0 pts\x1b[0m" in shown
    assert "\x1b" not in print_(host, "stats", "--period", "7d")


def test_rows_are_named_as_on_the_page(make: MakeHost, clock: FakeClock) -> None:
    """Countries by their names, and what is not known."""
    host = open_dashboard(make, clock)
    add_sessions(host, {"country": "DE"}, {"country": "DE"}, {})
    add_hours(host, ("cart.put", "", 1))
    names = [line.split("  ")[0] for line in print_(host, "top", "country").splitlines()[2:-1]]
    assert names == ["Germany", "Not known"]
    assert "Only: Country is Germany" in print_(host, "stats", "--filter", "is:country:DE")
