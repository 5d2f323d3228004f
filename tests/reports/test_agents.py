"""What agents have read, as a report: the same numbers as a plain recount of the rows."""

from __future__ import annotations

import collections
import datetime as dt
import random
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack import Agents, Filter
from flask_eventtrack.errors import ReportError

from ..conftest import MakeHost
from ..hosts import NAVIGATION, FakeClock, Host

AGENTS = {
    "GPTBot": "training",
    "ChatGPT-User": "live",
    "Googlebot": "search",
    "other": "other",
}
TODAY = dt.date(2026, 11, 21)


def add_reads(host: Host, *rows: tuple[dt.date, str, str, str, str, int, int]) -> None:
    """Store rows: day, site, agent, claim, route, status and count."""
    table = host.state.pipeline.database.tables.agent_daily
    names = ("day", "site", "agent", "claim", "url_rule", "status", "count")
    values = [dict(zip(names, row, strict=True)) | {"kind": AGENTS[row[2]]} for row in rows]
    with host.state.pipeline.database.begin() as connection:
        connection.execute(table.insert(), values)


def add_history(host: Host, seed: int) -> list[dict[str, t.Any]]:
    """Store made-up reads of three months; return them."""
    rng = random.Random(seed)
    keys = {
        (
            TODAY - dt.timedelta(days=rng.randrange(90)),
            rng.choice(("a.test", "b.test")),
            rng.choice(list(AGENTS)),
            rng.choice(("user-agent", "user-agent", "signature-agent")),
            rng.choice(("/", "/a", "/<b>", "", "other")),
            rng.choice((200, 304, 404, 500)),
        )
        for _ in range(400)
    }
    add_reads(host, *((*key, rng.randrange(1, 9)) for key in sorted(keys)))
    return host.rows("agent_daily")


@pytest.mark.parametrize(
    ("period", "agent", "kind", "sites"),
    [
        ("30d", None, None, None),
        ("12m", None, None, None),
        ("7d", "GPTBot", None, None),
        ("90d", None, "live", {"a.test"}),
        ("90d", "GPTBot", "live", None),
        ("today", None, None, set[str]()),
    ],
)
def test_numbers_are_a_recount(
    make: MakeHost,
    database_url: str,
    period: str,
    agent: str | None,
    kind: str | None,
    sites: set[str] | None,
) -> None:
    """Totals, errors, agents, kinds, routes, statuses and the series, on each database."""
    host = make(url=database_url)
    rows = add_history(host, seed=len(period))
    reports = host.state.reports
    days = reports.period(period)
    found = reports.agents(days, agent=agent, kind=kind, sites=sites)
    counted = [
        row
        for row in rows
        if days.first <= row["day"] <= days.last
        and agent in {None, row["agent"]}
        and kind in {None, row["kind"]}
        and (sites is None or row["site"] in sites)
    ]

    def recount(*names: str, errors: bool = False) -> dict[object, int]:
        counts: collections.Counter[object] = collections.Counter()
        for row in counted:
            if not errors or row["status"] >= 400:
                key = tuple(row[name] for name in names)
                counts[key[0] if len(key) == 1 else key] += row["count"]
        return dict(counts)

    assert found.total == sum(recount("day").values())
    assert found.errors == sum(recount("day", errors=True).values())
    assert {(row.agent, row.kind): row.count for row in found.agents} == recount("agent", "kind")
    assert {row.agent: row.errors for row in found.agents if row.errors} == recount(
        "agent", errors=True
    )
    assert {row.value: row.count for row in found.kinds} == recount("kind")
    assert {row.value: row.count for row in found.routes} == recount("url_rule")
    assert {row.status: row.count for row in found.statuses} == recount("status")
    signed = recount("agent", "claim")
    assert {row.agent: row.signed for row in found.agents if row.signed} == {
        key[0]: count  # type: ignore[index]
        for key, count in signed.items()
        if key[1] == "signature-agent"  # type: ignore[index]
    }
    assert sum(point.count for point in found.series) == found.total
    for part in (found.agents, found.routes, found.statuses, found.kinds):
        values = [row.count for row in part]
        assert values == sorted(values, reverse=True)
        assert sum(row.share for row in part) == pytest.approx(1 if found.total else 0)
    lines = reports.agent_reads(days, agent=agent, kind=kind, sites=sites)
    assert {
        (line.agent, line.kind, line.claim, line.route, line.status): line.count for line in lines
    } == recount("agent", "kind", "claim", "url_rule", "status")


def read(host: Host, period: str) -> Agents:
    return host.state.reports.agents(host.state.reports.period(period))


def test_the_series_is_by_days_weeks_or_months(make: MakeHost) -> None:
    """As other series are; a day has one point, and the running one is marked."""
    host = make()
    add_reads(host, (TODAY, "a.test", "GPTBot", "user-agent", "/", 200, 3))
    shapes = {}
    for period in ("today", "7d", "90d", "12m"):
        found = read(host, period)
        shapes[period] = (found.bucket, len(found.series))
        last = found.series[-1]
        assert (last.count, last.is_running, last.last) == (3, True, TODAY)
    assert shapes == {
        "today": ("day", 1),
        "7d": ("day", 7),
        "90d": ("day", 90),
        "12m": ("month", 12),
    }


def test_there_are_no_other_kinds(host: Host) -> None:
    """The error names those that there are."""
    with pytest.raises(ReportError, match=r"no kind of agents 'ai'. The kinds are: live, search"):
        host.state.reports.agents(host.state.reports.period("7d"), kind="ai")


def test_a_headless_session_is_one_page_and_nothing_more(
    make: MakeHost, database_url: str, clock: FakeClock
) -> None:
    """Neither a referrer nor a browser's half nor a second page. The two answers add up to all."""
    host = make(url=database_url)
    host.client().get("/", headers=NAVIGATION)  # headless
    host.client().get("/", headers={**NAVIGATION, "Referer": "https://news.example/"})
    two = host.client()
    for path in ("/", "/products/a"):
        two.get(path, headers=NAVIGATION)
    host.client().get("/", headers=NAVIGATION)  # a browser joins this one
    host.flush()
    last = max(host.rows("session"), key=lambda row: str(row["id"]))
    event = host.state.pipeline.database.tables.event
    alone = [row for row in host.rows("session") if row["pages"] == 1 and not row["referrer"]]
    with host.state.pipeline.database.begin() as connection:
        of_it = event.c.session_id == alone[0]["id"]
        connection.execute(event.update().where(of_it).values(claimed_by=last["id"]))
    host.client("GPTBot/1 (+https://x)").get("/", headers=NAVIGATION)

    def count(*texts: str) -> int:
        reports = host.state.reports
        return reports.overview(reports.period("7d"), Filter.parse(texts)).numbers.sessions

    assert [
        count(),
        count("is:headless:yes"),
        count("is:headless:no"),
        count("is:headless:yes", "is:headless:no"),
        count("is:headless:yes", "is:country:DE"),
    ] == [4, 1, 3, 4, 0]


def test_a_session_without_its_event_is_not_headless(make: MakeHost, database_url: str) -> None:
    """Its visit was pruned, so that nothing tells whether a browser joined it."""
    host = make(url=database_url)
    host.client().get("/", headers=NAVIGATION)
    host.flush()
    event = host.state.pipeline.database.tables.event
    with host.state.pipeline.database.begin() as connection:
        connection.execute(event.delete().where(event.c.action == "page.visit"))
        assert connection.scalar(sa.select(sa.func.count()).select_from(event)) == 1
    reports = host.state.reports
    found = reports.overview(reports.period("7d"), Filter.parse(["is:headless:yes"]))
    assert found.numbers.sessions == 0
