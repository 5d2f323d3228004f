"""`flask eventtrack catalogue usage`: what arrived of each definition, and what has none."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import typing as t

import click
import pytest
import sqlalchemy as sa

from flask_eventtrack import track
from flask_eventtrack.tracking_plan.usage import LATEST, MOST_UNDEFINED, read_usage

from ..collector.posts import post
from ..commands import run
from ..conftest import MakeHost
from ..hosts import NAVIGATION, START, Host


@dataclasses.dataclass
class Wish:
    sku: str
    stars: int = 0


def define(host: Host) -> Host:
    host.events.define("product.wish", anonymous=True)(Wish)
    host.events.define("order.placed", server_only=True)
    host.events.define("never.seen")
    return host


def track_on(host: Host, action: str, params: dict[str, t.Any] | None = None) -> None:
    with host.app.app_context():
        track(action, params or {}, customer="7")


def print_usage(host: Host, *options: str) -> list[str]:
    host.flush()
    answer = run(host, "catalogue", "usage", *options)
    assert answer.exit_code == 0, answer.output
    return answer.output.splitlines()


def read_json(host: Host, *options: str) -> dict[str, t.Any]:
    [line] = print_usage(host, "--json", *options)
    found: dict[str, t.Any] = json.loads(line)
    return found


def by_action(uses: list[dict[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    return {use["action"]: use for use in uses}


def test_usage_compares_definitions_with_what_arrived(db_host: Host) -> None:
    """What was seen, with its troubles; what never was; what has no definition."""
    define(db_host)
    track_on(db_host, "order.placed")
    db_host.clock.advance(hours=2, minutes=30)
    client = db_host.client()
    client.get("/", headers=NAVIGATION)
    wishes = [{"sku": "A1", "colour": "red", "size": 3}, {"sku": "B2", "colour": "blue"}, {}]
    post(client, *({"action": "product.wish", "params": params} for params in wishes))
    post(client, {"action": "order.placd"}, {"action": "order.placed"}, {"action": "jane doe"})
    assert print_usage(db_host) == [
        "Defined: 4",
        "action           in 30 days  last hour (UTC)   from",
        "order.placed              1  2026-11-21 12:00  server",
        "    refused: server_only 1",
        "page.visit                1  2026-11-21 14:00  server: /",
        "product.wish              2  2026-11-21 14:00  browser: localhost",
        "    undefined parameters: colour 2, size 1",
        "    refused: invalid_param 1",
        "    invalid parameters: sku 1",
        "session.start             1  2026-11-21 14:00  server: localhost",
        "",
        "Never seen: 1",
        "never.seen",
        "",
        "Not defined: 1",
        "action           in 30 days  last hour (UTC)   nearest definition",
        "order.placd               0  never             order.placed",
        "    refused: undefined_event 1",
        "Events refused whose action was not kept: 1",
    ]


def test_usage_as_json_has_everything(db_host: Host) -> None:
    """As one object."""
    define(db_host)
    client = db_host.client()
    post(client, {"action": "product.wish", "params": {"sku": "A1", "colour": "red"}})
    post(client, {"action": "order.placd"})
    found = read_json(db_host)
    assert by_action(found["defined"])["product.wish"] == {
        "action": "product.wish",
        "builtin": False,
        "count": 1,
        "last_seen": "2026-11-21T12:00:00Z",
        "places": [{"site": "localhost", "url_rule": "", "count": 1}],
        "sources": ["browser"],
        "undefined": {"colour": 1},
        "undefined_of_latest": [],
        "invalid": {},
        "rejected": {},
    }
    [other] = found["not_defined"]
    assert (other["action"], other["nearest"]) == ("order.placd", "order.placed")
    assert (other["count"], other["rejected"]) == (0, {"undefined_event": 1})
    assert [use["action"] for use in found["never_seen"]] == ["never.seen", "order.placed"]
    assert found["since"] == "2026-10-22T12:00:00Z"
    assert (found["rejected_without_action"], found["is_complete"]) == (0, True)


def test_stored_actions_without_a_definition_are_not_defined(make: MakeHost) -> None:
    """The most frequent come first."""
    host = define(make({"EVENTTRACK_UNDEFINED_EVENTS": "store"}))
    for action in ("zebra.crossing", "product.wishes", "zebra.crossing"):
        track_on(host, action)
    rows = [(use["action"], use["count"], use["nearest"]) for use in read_json(host)["not_defined"]]
    assert rows == [("zebra.crossing", 2, None), ("product.wishes", 1, "product.wish")]
    assert "zebra.crossing             2  2026-11-21 12:00  none" in print_usage(host)


def test_counts_are_of_the_days_asked_for(db_host: Host) -> None:
    """When a definition was last seen is told nevertheless."""
    define(db_host)
    track_on(db_host, "order.placed")
    post(db_host.client(), {"action": "order.placed"})
    db_host.flush()
    db_host.clock.advance(days=40)
    for days, count in (("30", 0), ("60", 1)):
        use = by_action(read_json(db_host, "--days", days)["defined"])["order.placed"]
        assert (use["count"], use["last_seen"]) == (count, "2026-11-21T12:00:00Z")
        assert use["rejected"] == ({"server_only": 1} if count else {})
        assert use["sources"] == ["server"]


def test_unseen_built_in_definitions_are_listed_if_asked_for(host: Host) -> None:
    """Or if events of them were refused. Engagement is never an event of its own."""
    assert "Never seen: 0" in print_usage(host)
    every = read_json(host, "--all")["never_seen"]
    names = {definition.action for definition in host.state.catalogue}
    assert {use["action"] for use in every} == names - {"page.engage"}
    post(host.client(), {"action": "link.click"})
    [refused] = read_json(host)["never_seen"]
    assert (refused["action"], refused["rejected"]) == ("link.click", {"invalid_param": 1})


def test_names_that_were_not_kept_are_read_from_the_latest_events(db_host: Host) -> None:
    """And the output says from how many."""
    define(db_host)
    track_on(db_host, "product.wish", {"sku": "A1", "Jane Doe": 1, "colour": "red"})
    db_host.flush()
    lines = print_usage(db_host)
    counts = lines.index("    undefined parameters: a name that was not kept 1, colour 1")
    assert lines[counts + 1] == (
        f"    undefined in the latest events ({LATEST} at most): Jane Doe, colour"
    )


def test_a_terminal_stays_safe(host: Host) -> None:
    """Whatever names clients make up; a line is never longer than 100 characters."""
    define(host)
    odd = {f"\x1b[2J\n\u202e{number}": 1 for number in range(20)}
    track_on(host, "product.wish", {"sku": "A1", **odd})
    lines = print_usage(host)
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    [cut] = [line for line in lines if "latest events" in line]
    assert cut.startswith(
        "    undefined in the latest events (100 at most): \\u001b[2J\\n\\u202e0, "
    )
    assert cut.endswith("…")
    names = by_action(read_json(host)["defined"])["product.wish"]["undefined_of_latest"]
    assert names == sorted(odd)


def test_many_undefined_actions_are_counted_and_not_listed(make: MakeHost) -> None:
    """The list ends, and the numbers go on."""
    host = make({"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    for number in range(MOST_UNDEFINED + 3):
        track_on(host, f"made.up{number}")
    found = read_json(host)
    assert (len(found["not_defined"]), found["more_not_defined"]) == (MOST_UNDEFINED, 3)
    assert print_usage(host)[-1] == "and 3 more"


def test_sites_are_named_beside_the_rules_if_there_are_several(host: Host) -> None:
    """What does not fit is cut."""
    for path in ("/", "/products/mug", "/products/pot"):
        host.client().get(path, headers=NAVIGATION)
    assert print_usage(host)[2].endswith("  server: /products/<slug>, /")
    host.client().get("/", headers=NAVIGATION, base_url="http://a.example")
    host.client().get("/products/cup", headers=NAVIGATION, base_url="http://a.example")
    [row] = [line for line in print_usage(host) if line.startswith("page.visit ")]
    assert row.endswith("  server: localhost/products/<slug>, a.example/, a.exa…")


def test_malformed_events_are_not_undefined_actions(host: Host) -> None:
    """They are counted without an action for another reason."""
    post(host.client(), {"action": "never.seen", "params": 5}, {"action": "jane doe"})
    assert len([row for row in host.rows("quality") if row["outcome"] == "rejected"]) == 2
    assert read_json(host)["rejected_without_action"] == 1


def test_colours_are_for_terminals(host: Host) -> None:
    """Output to a file has none."""
    define(host)
    post(host.client(), {"action": "product.wish", "params": {"sku": "A", "colour": "red"}})
    host.flush()
    plain = "\n".join(print_usage(host))
    runner = host.app.test_cli_runner()
    coloured = runner.invoke(args=["eventtrack", "catalogue", "usage"], color=True).output
    assert click.unstyle(coloured).rstrip() == plain
    assert "\x1b[33m    undefined parameters: colour 1\x1b[0m" in coloured


@pytest.fixture
def aged(host: Host) -> Host:
    """A host whose definition was seen before the days of the report, and many totals of then."""
    define(host)
    track_on(host, "order.placed")
    host.flush()
    hourly = host.state.pipeline.database.tables.hourly
    rows = [
        {
            "hour": START - dt.timedelta(hours=number),
            "site": "",
            "action": "order.placed",
            "url_rule": f"/{number}",
            "count": 1,
        }
        for number in range(50_000)
    ]
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.insert(hourly), rows)
    return host


def test_older_totals_that_take_too_long_are_left_out(aged: Host) -> None:
    """The report says so, and has the rest."""
    since = START + dt.timedelta(days=1)
    state = aged.state
    hurried = read_usage(state.reports.reader, state.catalogue, since, patience=0)
    assert not hurried.is_complete
    assert "order.placed" in [use.action for use in hurried.never_seen]
    patient = read_usage(state.reports.reader, state.catalogue, since)
    assert patient.is_complete
    assert [use.action for use in patient.defined] == ["order.placed"]


def test_usage_without_tables_says_what_to_do(make: MakeHost) -> None:
    """In one line."""
    host = make(create=False)
    answer = run(host, "catalogue", "usage")
    assert answer.exit_code == 1
    assert "flask eventtrack upgrade" in answer.output
    assert len(answer.output.splitlines()) == 1


def test_invalid_parameters_are_counted_by_name(make: MakeHost) -> None:
    """Of browsers and of the server. Names that clients make up are not among them."""
    host = define(make({"TESTING": False}))
    wishes = [{"sku": [1]}, {"sku": "A1", "stars": "many"}, {"sku": "A1", "x" * 65: 1}]
    post(host.client(), *({"action": "product.wish", "params": params} for params in wishes))
    track_on(host, "product.wish", {"sku": 5})
    [use] = [u for u in read_json(host)["never_seen"] if u["action"] == "product.wish"]
    assert use["invalid"] == {"sku": 2, "stars": 1}
    assert use["rejected"] == {"invalid_param": 3, "invalid_param_name": 1}


def test_bots_events_count_for_nothing(make: MakeHost) -> None:
    """Neither for the usage nor for a draft."""
    host = make({"EVENTTRACK_BOTS": "tag", "EVENTTRACK_UNDEFINED_EVENTS": "store"})
    host.events.define("a.b")

    @host.app.get("/wish/<kind>")
    def wish(kind: str) -> str:
        track("a.b", {kind: 1})
        track("a.c", {kind: 1})
        return "<title>Wish</title>"

    host.client("Googlebot/2.1").get("/wish/bot", headers=NAVIGATION)
    assert {row["source"] for row in host.rows("event")} == {"bot"}
    found = read_json(host)
    assert (found["defined"], found["not_defined"]) == ([], [])
    assert run(host, "catalogue", "draft", "a.c").exit_code == 1
    host.client().get("/wish/person", headers=NAVIGATION)
    assert by_action(read_json(host)["defined"])["a.b"]["sources"] == ["server"]
    draft = run(host, "catalogue", "draft", "a.c").output
    assert "    person: int\n" in draft
    assert "bot" not in draft
