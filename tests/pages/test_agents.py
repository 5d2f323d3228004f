"""What agents read is counted, on each kind of database; and nothing else of them is stored."""

from __future__ import annotations

import collections
import datetime as dt
import typing as t

import pytest
from flask import Response, abort, redirect

from flask_eventtrack.store import agent_days

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, FakeClock, Host
from ..pipeline.waiting import PATIENT, locked

GPTBOT = "Mozilla/5.0 AppleWebKit/537.36; compatible; GPTBot/1.2; +https://openai.com/gptbot"
CHATGPT = "Mozilla/5.0 AppleWebKit/537.36; compatible; ChatGPT-User/1.0; +https://openai.com/bot"
SIGNED = {"Signature-Agent": '"https://chatgpt.com"'}


def add_views(host: Host) -> None:
    app = host.app

    @app.get("/llms.txt")
    def llms() -> Response:
        return Response("# Shop", mimetype="text/plain")

    @app.get("/gone")
    def gone() -> t.NoReturn:
        abort(410)

    @app.get("/exempt")
    @host.events.exempt
    def exempt() -> str:
        return "<p>"

    @app.get("/to")
    def to() -> t.Any:
        return redirect("/", 302)


def counts(host: Host, *columns: str) -> dict[tuple[t.Any, ...], int]:
    """Return the counts by some columns."""
    found: collections.Counter[tuple[t.Any, ...]] = collections.Counter()
    for row in host.rows("agent_daily"):
        found[tuple(row[name] for name in columns)] += row["count"]
    return dict(found)


def test_answers_to_agents_are_counted(make: MakeHost, database_url: str) -> None:
    """By route and status: documents, texts, data, redirects and errors, for GET and HEAD."""
    host = make({"EVENTTRACK_SITES": ["localhost"]}, url=database_url)
    add_views(host)
    client = host.client(GPTBOT)
    for path in ("/", "/products/a", "/products/b", "/llms.txt", "/data.json", "/gone", "/to"):
        client.get(path)
    client.head("/")
    client.get("/no/such/page?secret=1")
    for path in ("/static/x.css", "/exempt", "/_et/et.js", "/_et/"):
        client.get(path)
    client.post("/products/a")
    client.post("/_et/in", json={"action": "a.b"})
    assert counts(host, "url_rule", "status") == {
        ("/", 200): 2,
        ("/products/<slug>", 200): 2,
        ("/llms.txt", 200): 1,
        ("/data.json", 200): 1,
        ("/gone", 410): 1,
        ("/to", 302): 1,
        ("", 404): 1,
    }
    assert counts(host, "day", "site", "agent", "kind", "claim") == {
        (dt.date(2026, 11, 21), "localhost", "GPTBot", "training", "user-agent"): 9
    }


def test_counts_add_up(make: MakeHost, database_url: str) -> None:
    """Over several batches and processes; each process adds to the same rows."""
    hosts = [make(url=database_url), make(url=database_url, create=False)]
    for host in (*hosts, *hosts):
        host.client(GPTBOT).get("/")
        host.client("curl/8").get("/")
        host.flush()
    assert counts(hosts[0], "agent", "status") == {("GPTBot", 200): 4, ("other", 200): 4}


def test_visitors_are_the_same_with_and_without_agents(
    make: MakeHost, database_url: str, clock: FakeClock
) -> None:
    """Sessions, events and totals of people do not change; agents have none."""
    host = make(url=database_url)
    person = host.client()
    person.get("/", headers=NAVIGATION)
    tables = ("event", "session", "hourly", "profile")
    before = {table: host.rows(table) for table in tables}
    quality = [row for row in host.rows("quality") if row["outcome"] != "accepted"]
    for agent in (GPTBOT, CHATGPT, "curl/8", " "):
        client = host.client(agent)
        assert "Set-Cookie" not in client.get("/", headers=NAVIGATION).headers
        client.get("/no/such")
    assert {table: host.rows(table) for table in tables} == before
    assert [row for row in host.rows("quality") if row["outcome"] != "accepted"] == quality
    assert sum(counts(host, "agent").values()) == 8
    reports = host.state.reports
    assert reports.overview(reports.period("7d")).numbers.visitors == 1


def test_an_agent_in_a_browser_stays_a_visitor(host: Host) -> None:
    """It only says that it signs: that is a claim, and its visit counts as before."""
    host.client(CHROME).get("/", headers={**NAVIGATION, **SIGNED})
    host.client(GPTBOT).get("/", headers=SIGNED)
    assert counts(host, "agent", "kind", "claim") == {
        ("ChatGPT agent", "live", "signature-agent"): 1,
        ("GPTBot", "training", "signature-agent"): 1,
    }
    assert len(host.rows("session")) == 1


def test_nothing_is_counted_if_it_is_off(make: MakeHost) -> None:
    """``EVENTTRACK_AGENTS = False``."""
    host = make({"EVENTTRACK_AGENTS": False})
    host.client(GPTBOT).get("/")
    assert host.rows("agent_daily") == []


def test_filters_of_visits_are_not_asked(make: MakeHost) -> None:
    """There is no visit, and no visitor."""
    asked: list[str] = []
    config = {
        "EVENTTRACK_VISITOR_FILTER": lambda: asked.append("visitor"),
        "EVENTTRACK_DEFAULT_POLICY": "none",
    }
    host = make(config)
    host.client(GPTBOT).get("/")
    assert counts(host, "agent") == {("GPTBot",): 1}
    assert asked == []


def test_days_are_those_of_the_sites_zone(make: MakeHost, clock: FakeClock) -> None:
    """By the arrival, however late it is written."""
    host = make({"EVENTTRACK_TIMEZONE": "Pacific/Auckland", **PATIENT})
    host.client(GPTBOT).get("/")  # 12:00 UTC is 01:00 of the next day there
    clock.advance(hours=23)
    host.client(GPTBOT).get("/")
    clock.advance(days=5)
    assert counts(host, "day") == {(dt.date(2026, 11, 22),): 1, (dt.date(2026, 11, 23),): 1}


def test_an_agent_takes_no_place_of_a_site(host: Host) -> None:
    """It may ask for any host. A host of visitors is known from its first visitor on."""
    for number in range(30):
        host.client(GPTBOT).get("/", base_url=f"http://junk{number}.test")
    host.client().get("/", base_url="http://shop.test", headers=NAVIGATION)
    host.flush()
    host.client(GPTBOT).get("/", base_url="http://shop.test")
    assert counts(host, "site") == {("other",): 30, ("shop.test",): 1}
    assert host.state.sites.list_seen() == ["shop.test"]


def test_a_day_has_few_rows(
    make: MakeHost, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest has no route and no status; every read is counted, and the agents are right."""
    monkeypatch.setattr(agent_days, "MOST_ROWS", 5)
    host = make(url=database_url)
    status = [200]

    @host.app.get("/status")
    def tell() -> Response:
        return Response("", status[0])

    for status[0] in range(200, 212):
        host.client(GPTBOT).get("/status")
        host.client(CHATGPT).get("/status")
        host.flush()
    rows = host.rows("agent_daily")
    assert len(rows) == 7
    assert counts(host, "agent") == {("GPTBot",): 12, ("ChatGPT-User",): 12}
    rest = {(row["agent"], row["status"]) for row in rows if row["url_rule"] == "other"}
    assert rest == {("GPTBot", 0), ("ChatGPT-User", 0)}
    other = make(url=database_url, create=False)  # whose process knows of no row
    other.client(GPTBOT).get("/data.json")
    assert len(other.rows("agent_daily")) == 7


def test_memory_holds_few_counts(make: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many statuses and routes agents are answered with before a batch."""
    monkeypatch.setattr("flask_eventtrack.pipeline.reads._MOST", 3)
    host = make(PATIENT)
    status = [200]

    @host.app.get("/status")
    def tell() -> Response:
        return Response("", status[0])

    for status[0] in range(200, 210):
        host.client(GPTBOT).get("/status")
    assert host.state.pipeline.waiting == 1
    assert sorted(counts(host, "status").values()) == [1, 1, 1, 7]


def test_agents_fill_no_batch(make: MakeHost) -> None:
    """A flood of them waits for its time, as one record."""
    host = make(PATIENT)
    client = host.client(GPTBOT)
    for _ in range(600):
        client.get("/data.json")
    assert (host.state.pipeline.waiting, host.state.pipeline.status.written) == (1, 0)
    assert counts(host, "url_rule") == {("/data.json",): 600}
    assert host.state.pipeline.waiting == 0


def test_counts_wait_while_the_database_is_away(make: MakeHost) -> None:
    """Each is written once, with those that came meanwhile."""
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"timeout": 0.1}}, **PATIENT})
    host.client(GPTBOT).get("/")
    with locked(host), pytest.raises(Exception, match="locked"):
        host.flush()
    host.client(GPTBOT).get("/")
    host.client().get("/", headers=NAVIGATION)
    assert counts(host, "agent") == {("GPTBot",): 2}
    assert host.state.pipeline.waiting == 0
    assert len(host.rows("session")) == 1


def test_a_read_during_a_failed_commit_waits_with_the_others(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush raises, and the next one knows when all is written."""
    host = make(PATIENT)
    writer = host.state.pipeline.writer

    def fail(*args: object, **options: object) -> None:
        host.client(GPTBOT).get("/")
        raise OSError("The database is away")

    host.client(GPTBOT).get("/")
    with monkeypatch.context() as patch:
        patch.setattr(writer, "commit", fail)
        with pytest.raises(OSError, match="away"):
            host.flush()
    assert counts(host, "agent") == {("GPTBot",): 2}
    assert host.state.pipeline.waiting == 0


def test_hostile_agents_store_no_text(make: MakeHost, database_url: str) -> None:
    """Neither their names nor paths, hosts and methods; and their requests are answered."""
    host = make(url=database_url)
    hostile = "bot <script>alert(1)</script> ' -- \ufffd {{7*7}} GPTBot\t"
    client = host.client(hostile)
    client.get("/<script>/%00/%F0%9F?x=' OR 1=1 --", headers={"Signature-Agent": "\x7f" * 5000})
    client.get("/", base_url="http://evil.example", headers={"Host": "<script>"})
    client.open("/", method="PROPFIND")
    rows = host.rows("agent_daily")
    assert {(row["agent"], row["site"]) for row in rows} == {("GPTBot", "other")}
    assert {row["url_rule"] for row in rows} == {"", "/"}


def test_odd_statuses_are_counted(host: Host) -> None:
    """A number that no column takes would cost the whole batch."""
    host.app.add_url_rule("/odd", view_func=lambda: Response("", 123_456))
    host.client(GPTBOT).get("/odd")
    host.client().get("/", headers=NAVIGATION)
    assert counts(host, "url_rule", "status") == {("/odd", 0): 1}
    assert len(host.rows("session")) == 1


def test_captured_apps_count_no_agents(host: Host) -> None:
    """Where bots count as people, none is an agent."""
    with host.events.capture():
        host.client(GPTBOT).get("/")
    assert host.rows("agent_daily") == []
