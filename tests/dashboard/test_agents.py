"""The page of agents: exact numbers, filters by links, files, and who may see it."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import typing as t

import pytest

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.test_agents import TODAY, add_reads
from .pages import find_links, look, open_dashboard, read_headline, read_rows, read_table
from .test_hostile import HOSTILE, check

OLD = TODAY - dt.timedelta(days=40)


def open_agents(make: MakeHost, clock: FakeClock, permit: object = "manage", **more: t.Any) -> Host:
    """Return a host with three agents' reads on two sites."""
    host = open_dashboard(make, clock, permit, **more)
    add_reads(
        host,
        (TODAY, "a.test", "GPTBot", "user-agent", "/products/<slug>", 200, 5),
        (TODAY, "a.test", "GPTBot", "user-agent", "", 404, 3),
        (TODAY - dt.timedelta(days=1), "a.test", "Googlebot", "user-agent", "/", 200, 7),
        (TODAY, "b.test", "ChatGPT-User", "user-agent", "/products/<slug>", 200, 4),
        (TODAY, "b.test", "other", "user-agent", "other", 0, 1),
        (OLD, "b.test", "ChatGPT-User", "user-agent", "/", 200, 100),
    )
    return host


def test_the_page_says_who_read_what(make: MakeHost, clock: FakeClock) -> None:
    """Agents with operator and kind, routes, kinds, statuses, and the days as a table."""
    page = look(open_agents(make, clock), "/agents?period=7d")
    assert read_headline(page) == "3 named agents and others made 20 reads, GPTBot the most."
    assert read_table(page) == [
        ["Agent", "Kind", "Reads", "Share", "Errors"],
        ["GPTBot OpenAI", "Training", "8", "40.0%", "3 (37.5%)"],
        ["Googlebot Google", "Search index", "7", "35.0%", "0"],
        ["ChatGPT-User OpenAI", "Live fetch", "4", "20.0%", "0"],
        ["Other agents", "Other", "1", "5.0%", "0"],
    ]
    assert read_rows(page, "routes") == [
        ("/products/<slug>", "9", "45.0%"),
        ("/", "7", "35.0%"),
        ("No route", "3", "15.0%"),
        ("Other routes", "1", "5.0%"),
    ]
    assert read_rows(page, "kinds") == [
        ("Training", "8", "40.0%"),
        ("Search index", "7", "35.0%"),
        ("Live fetch", "4", "20.0%"),
        ("Other", "1", "5.0%"),
    ]
    assert read_rows(page, "statuses") == [
        ("200", "16", "80.0%"),
        ("404", "3", "15.0%"),
        ("Not kept", "1", "5.0%"),
    ]
    days = read_table(page, "data")
    assert len(days) == 8
    assert days[-2:] == [
        ["Fri 20 November 2026", "7 reads"],
        ["Sat 21 November 2026 (still running)", "13 reads"],
    ]
    assert "verified" in page


def test_links_filter(make: MakeHost, clock: FakeClock) -> None:
    """By agent and by kind; a second click takes the filter away, and periods keep it."""
    host = open_agents(make, clock)
    page = look(host, "/agents?period=7d")
    [one] = find_links(page, "GPTBot")
    [kind] = find_links(page, "Live fetch")
    page = look(host, one.removeprefix("/_et"))
    assert read_headline(page) == "GPTBot made 8 reads."
    assert read_rows(page, "routes") == [
        ("/products/<slug>", "5", "62.5%"),
        ("No route", "3", "37.5%"),
    ]
    assert find_links(page, "GPTBot") == ["/_et/agents?period=7d"]
    assert all("agent=GPTBot" in link for link in find_links(page, "Last 90 daysN"))
    assert find_links(page, "CSV") == ["/_et/agents.csv?period=7d&agent=GPTBot"]
    page = look(host, kind.removeprefix("/_et"))
    assert read_headline(page) == "1 named agent made 4 reads."
    assert "Kind is" in page
    page = look(host, "/agents?period=7d&site=b.test")
    assert read_headline(page) == "1 named agent and others made 5 reads, ChatGPT-User the most."
    unnamed = look(host, "/agents?period=7d&kind=other")
    assert read_headline(unnamed) == "Agents without a known name made 1 read."
    unnamed = look(host, "/agents?period=7d&agent=other")
    assert read_headline(unnamed) == "Other agents made 1 read."
    nobody = look(host, "/agents?period=7d&agent=CCBot")
    assert read_headline(nobody) == "No such agent has read anything in this period."


def test_a_new_site_is_told_what_will_appear(make: MakeHost, clock: FakeClock) -> None:
    """And whether it is counted at all."""
    host = open_dashboard(make, clock, EVENTTRACK_AGENTS=False)
    page = look(host, "/agents")
    assert read_headline(page) == "No agent has read anything in this period."
    assert "will appear here" in page
    assert "EVENTTRACK_AGENTS" in page


def test_the_page_is_in_the_navigation(make: MakeHost, clock: FakeClock) -> None:
    """And leads to the visitors whom assistants sent."""
    page = look(open_agents(make, clock), "/agents?period=7d")
    assert re.search(r'<a href="/_et/agents" aria-current="page">Agents</a>', page)
    assert find_links(page, "People whom AI assistants sent") == ["/_et/?period=7d&f=is:channel:ai"]


def test_programs_read_the_same(make: MakeHost, clock: FakeClock) -> None:
    """As JSON, and as a file with a line for each agent, route and status."""
    host = open_agents(make, clock)
    found = host.client().get("/_et/agents.json?period=7d&kind=training").json
    assert found is not None
    assert (found["total"], found["errors"]) == (8, 3)
    assert found["agents"] == [
        {"agent": "GPTBot", "kind": "training", "count": 8, "share": 1.0, "errors": 3, "signed": 0}
    ]
    answer = host.client().get("/_et/agents.csv?period=7d&agent=GPTBot")
    lines = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert lines == [
        ["Agent", "Operator", "Kind", "Named in", "Route", "Status", "Reads"],
        ["GPTBot", "OpenAI", "Training", "User-Agent", "/products/<slug>", "200", "5"],
        ["GPTBot", "OpenAI", "Training", "User-Agent", "", "404", "3"],
    ]
    name = answer.headers["Content-Disposition"]
    assert name == 'attachment; filename="agents-2026-11-15-2026-11-21.csv"'


def test_staff_of_a_site_see_its_agents(make: MakeHost, clock: FakeClock) -> None:
    """And those of no other."""
    host = open_agents(make, clock, {"b.test"})
    page = look(host, "/agents?period=7d")
    assert read_headline(page) == "1 named agent and others made 5 reads, ChatGPT-User the most."
    found = host.client().get("/_et/agents.json?period=7d").json
    assert found is not None
    assert found["total"] == 5
    assert "GPTBot" not in host.client().get("/_et/agents.csv?period=7d").text
    assert host.client().get("/_et/agents?site=a.test").status_code == 400


@pytest.mark.parametrize("path", ["agents", "agents.json", "agents.csv"])
def test_wrong_arguments_are_refused(make: MakeHost, clock: FakeClock, path: str) -> None:
    """Filters of sessions among them: agents have none."""
    host = open_agents(make, clock)
    for query in ("kind=ai", "f=is:country:DE", "period=never"):
        assert host.client().get(f"/_et/{path}?{query}").status_code == 400


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs(make: MakeHost, clock: FakeClock, text: str) -> None:
    """Neither what the URL asks for nor a route."""
    host = open_dashboard(make, clock)
    add_reads(host, (TODAY, "a.test", "GPTBot", "user-agent", text, 200, 1))
    check(look(host, "/agents?period=7d"))
    answer = host.client().get("/_et/agents", query_string={"agent": text, "period": "7d"})
    check(answer.text)
    check(host.client().get("/_et/agents", query_string={"kind": text}).text)


def test_signed_requests_are_claims(make: MakeHost, clock: FakeClock) -> None:
    """There is a column for them where there are any, and no word of verification."""
    host = open_dashboard(make, clock)
    add_reads(host, (TODAY, "a.test", "GPTBot", "signature-agent", "/", 200, 2))
    page = look(host, "/agents?period=7d")
    head, row = read_table(page)
    assert (head[-1], row[-1]) == ("Claim a signature", "2")
    assert "Signatures are not checked" in page


def test_many_routes_are_cut(make: MakeHost, clock: FakeClock) -> None:
    """The page says so; the file has all."""
    host = open_dashboard(make, clock)
    add_reads(
        host,
        *((TODAY, "a.test", "GPTBot", "user-agent", f"/{n}", 200, 1) for n in range(60)),
    )
    page = look(host, "/agents?period=7d")
    assert len(read_rows(page, "routes")) == 50
    assert "The first 50 of 60 rows; the file has all" in page
    assert host.client().get("/_et/agents.csv?period=7d").text.count("GPTBot") == 60
