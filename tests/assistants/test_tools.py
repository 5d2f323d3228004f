"""What an assistant is told is what the pages say, with all that is needed to read it."""

from __future__ import annotations

import re
import typing as t

import pytest

from flask_eventtrack.assistants.arguments import OverviewQuestion, read_arguments
from flask_eventtrack.errors import ReportError
from flask_eventtrack.reports.definitions import DEFINITIONS
from flask_eventtrack.reports.rows import MEASURES

from ..hosts import Host
from ..manual import read
from ..reports.visits import go_to
from ..store.people import ADA
from .asking import NUMBERS, VIEW, ask, call, read_page, refuse

GERMAN = ["is:language:de"]
QUESTIONS: list[tuple[dict[str, t.Any], str]] = [
    ({}, ""),
    ({"period": "yesterday"}, "?period=yesterday"),
    ({"period": "7d", "filter": GERMAN}, "?period=7d&f=is:language:de"),
    ({"period": "all", "site": "blog.test"}, "?period=all&site=blog.test"),
    ({"from": "2026-11-20"}, "?period=custom&from=2026-11-20&to=2026-11-21"),
    ({"from": "2026-11-01", "to": "2026-11-20"}, "?period=custom&from=2026-11-01&to=2026-11-20"),
]


def ratio(sums: dict[str, t.Any], name: str, unit: int = 1) -> float | None:
    return sums[name] / unit / sums["sessions"] if sums["sessions"] else None


def name_numbers(sums: dict[str, t.Any] | None) -> dict[str, t.Any] | None:
    """Return the sums of a page by the names that assistants get."""
    if sums is None:
        return None
    ratios = {
        "pages_per_session": ratio(sums, "pages"),
        "bounce_rate": ratio(sums, "bounces"),
        "visible_time": ratio(sums, "visible_ms", 1000),
        "duration": ratio(sums, "seconds"),
    }
    return {name: ratios.get(name, sums.get(name)) for name in MEASURES}


@pytest.mark.parametrize(("asked", "query"), QUESTIONS)
def test_numbers_are_those_of_the_pages(db_shop: Host, asked: dict[str, t.Any], query: str) -> None:
    """For the same days, sessions and site: in sum, over time, and by dimensions."""
    page = read_page(db_shop, f"overview.json{query}")
    overview = call(db_shop, "overview", **asked)["report"]
    assert overview["numbers"] == name_numbers(page["numbers"])
    assert overview["before"] == name_numbers(page["before"])
    for name in ("compared", "revenue", "revenue_before"):
        assert overview[name] == page[name]
    everything = [*MEASURES, "revenue"]
    series = call(db_shop, "series", **asked, measures=everything, compare="previous")["report"]
    assert [
        {
            "start": point["start"],
            "is_running": point["is_running"],
            **(name_numbers(point["numbers"]) or {}),
            "revenue": point["revenue"],
            **(
                {
                    "before_start": point["before_start"],
                    "before": {
                        **(name_numbers(point["before"]) or {}),
                        "revenue": point["before_revenue"],
                    },
                }
                if point["before"]
                else {}
            ),
        }
        for point in page["series"]
    ] == series["series"]
    for dimension in ("source", "page", "action"):
        rows = call(db_shop, "breakdown", **asked, dimension=dimension, limit=100)["report"]
        assert rows == read_page(db_shop, f"details/{dimension}.json{query}")


def test_numbers_are_those_that_happened(db_shop: Host) -> None:
    """And none of a page that is as wrong as the tool."""
    found = call(db_shop, "overview", period="7d")["report"]
    assert found["numbers"]["visitors"] == 3
    assert found["numbers"]["bounce_rate"] == 0.25
    assert found["revenue"] == [{"amount": "12.30", "currency": "EUR"}]
    assert found["before"]["visitors"] == 0
    points = call(db_shop, "series", period="7d", measures=["sessions"])["report"]["series"]
    assert [point["sessions"] for point in points] == [0, 0, 0, 0, 0, 1, 3]


def test_a_listing_is_that_of_the_page(shop: Host) -> None:
    """Sought, sorted and cut, it says how much there is; and paths are those of a route."""
    asked: dict[str, t.Any] = {
        "search": "/",
        "sort": "value",
        "descending": False,
        "limit": 1,
        "offset": 1,
    }
    found = call(shop, "breakdown", dimension="page", period="all", **asked)
    query = "period=all&q=/&sort=value&order=asc&limit=1&offset=1"
    assert found["report"] == read_page(shop, f"details/page.json?{query}")
    assert "1 of 2 rows." in found["limits"]
    route = "/products/<slug>"
    found = call(shop, "breakdown", dimension="path", route=route)
    assert [row["value"] for row in found["report"]["rows"]] == ["/products/mug"]
    assert found["report"] == read_page(shop, f"details/path.json?route={route}")


def test_a_funnel_is_that_of_the_page(db_shop: Host) -> None:
    """With conditions, exclusions and rows."""
    found = call(db_shop, "funnel", steps=["page:/", "cart.put"], period="7d")
    query = "step=page:/&step=cart.put&period=7d"
    assert found["report"] == read_page(db_shop, f"funnels.json?{query}")
    assert [step["count"] for step in found["report"]["steps"]] == [3, 2]
    assert found["untrusted"] == {"fields": []}
    excluded: dict[str, t.Any] = {"not": ["customer.login"]}
    found = call(
        db_shop,
        "funnel",
        steps=["page:/", "cart.put"],
        where=["2:at_least:price:5"],
        **excluded,
        within="12h",
        per="session",
        by="source",
        filter=["is:site:localhost"],
    )
    query = "step=page:/&step=cart.put&where=2:at_least:price:5&not=customer.login&within=12h"
    query = f"{query}&per=session&by=source&f=is:site:localhost"
    assert found["report"] == read_page(db_shop, f"funnels.json?{query}")
    assert found["untrusted"]["fields"] == ["report.rows[].value"]


def test_catalogue_and_quality_are_those_of_the_pages(db_shop: Host) -> None:
    """Those who run the app see the writer, too; others do not."""
    found = call(db_shop, "catalogue", period="7d")
    page = read_page(db_shop, "catalogue/usage.json?period=7d")
    assert without_now(found["report"]) == without_now(page)
    assert [row["action"] for row in page["defined"]] == ["cart.put"]
    action = call(db_shop, "catalogue", action="cart.put", period="7d")["report"]
    assert without_now(action["use"]) == without_now(
        read_page(db_shop, "catalogue/cart.put.json?period=7d")["use"]
    )
    quality = call(db_shop, "quality", period="7d")["report"]
    page = read_page(db_shop, "quality.json?period=7d")
    assert quality["quality"]["outcomes"] == page["quality"]["outcomes"]
    assert quality["quality"]["outcomes"]["totals"]["rejected"] == 1
    assert quality.keys() == page.keys()
    assert quality["writer"] is not None
    assert call(db_shop, "quality", NUMBERS, period="7d")["report"]["writer"] is None


def without_now(report: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in report.items() if name != "period"}


def test_a_person_is_that_of_the_page(db_shop: Host) -> None:
    """Found by a customer id and then by uuid; each look is noted."""
    found = call(db_shop, "person", person="ada")["report"]
    [row] = found["people"]
    assert row["customer_id"] == "ada"
    report = call(db_shop, "person", person=row["person"])["report"]
    assert report["person"]["orders"] == 1
    assert {event["action"] for event in report["events"]} >= {"cart.put", "customer.login"}
    rows = db_shop.rows("audit")
    assert [(row["actor"], row["action"]) for row in rows] == [("report token", "view")]
    assert report == read_page(db_shop, f"people/{row['person']}.json")
    only = call(db_shop, "person", person=row["person"], action="cart.put")["report"]
    assert [event["action"] for event in only["events"]] == ["cart.put"]


@pytest.mark.parametrize("token", [NUMBERS, VIEW])
def test_a_person_is_for_those_who_manage(shop: Host, token: str) -> None:
    """For others there is no such tool."""
    names = [tool["name"] for tool in ask(shop, "tools/list", token)["tools"]]
    assert len(names) == 7
    assert "person" not in names
    error = ask(shop, "tools/call", token, name="person", arguments={"person": ADA})
    assert error == {"code": -32602, "message": "Unknown tool: person"}
    assert shop.rows("audit") == []


def test_numbers_single_nobody_out(shop: Host) -> None:
    """Neither by a filter, nor by a step of a funnel."""
    asked = {"filter": ["is:transaction.charge.order_id:1"]}
    assert (
        refuse(shop, "overview", NUMBERS, **asked)
        == "You may not filter by customer_id or order_id."
    )
    steps = {"steps": ["page:/", "transaction.charge"], "where": ["2:is:order_id:1"]}
    assert (
        refuse(shop, "funnel", NUMBERS, **steps) == "You may not filter by customer_id or order_id."
    )
    assert call(shop, "overview", VIEW, **asked)["report"]["numbers"]["sessions"] == 1


def test_yesterday_is_the_servers(shop: Host) -> None:
    """In its zone: in Berlin the day has begun an hour before UTC's."""
    go_to(shop.clock, "2026-11-21 23:30")
    found = call(shop, "overview", period="yesterday")
    assert found["period"] == {
        "name": "yesterday",
        "first": "2026-11-21",
        "last": "2026-11-21",
        "zone": "Europe/Berlin",
        "now": "2026-11-22T00:30:00+01:00",
        "is_running": False,
    }
    assert found["report"]["numbers"]["visitors"] == 2
    assert call(shop, "definitions")["period"]["first"] == "2026-11-22"


def test_an_answer_says_how_it_was_counted(shop: Host) -> None:
    """Each with the period, its definitions and what it leaves out."""
    asked: dict[str, t.Any] = {"period": "month", "filter": GERMAN, "site": "localhost"}
    found = call(shop, "overview", **asked)
    assert found["period"]["is_running"] is True
    assert found["definition"].keys() == {*MEASURES, "revenue", "before"}
    assert found["limits"] == [
        "Only: Language is German.",
        "Only: Site is localhost.",
        "The period is still running.",
    ]
    needed: dict[str, dict[str, t.Any]] = {
        "breakdown": {"dimension": "source"},
        "funnel": {"steps": ["page:/", "cart.put"]},
    }
    for tool in ("breakdown", "series", "funnel", "catalogue", "quality"):
        found = call(shop, tool, period="7d", **needed.get(tool, {}))
        assert found["definition"]
        assert found["period"]["zone"] == "Europe/Berlin"


def test_a_report_that_is_cut_says_so(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the sentence that the page has."""
    monkeypatch.setattr("flask_eventtrack.reports.counting.SCAN_SECONDS", -1)
    found = call(shop, "overview", period="12m", filter=GERMAN)
    assert any("counting them all would take too long" in each for each in found["limits"])


def test_definitions_are_those_of_the_manual(shop: Host) -> None:
    """Word for word, so that an assistant and a page never say two things."""
    text = re.sub(r"\{confval\}|\[([^]]*)\]\([^)]*\)", r"\1", read("docs/explanation/numbers.md"))
    text = " ".join(re.sub(r"[*`]", "", text).split())
    for name, sentence in DEFINITIONS.items():
        said = sentence[0].lower() + sentence[1:].rstrip(".")
        assert said in text or sentence.rstrip(".") in text, name
    found = call(shop, "definitions")
    assert found["definition"] == DEFINITIONS
    assert found["report"]["filters"]["country"] == ["is", "is_not", "contains"]


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        (
            "overview",
            {"period": "tuesday"},
            "There is no period 'tuesday'. The periods are: today,",
        ),
        ("overview", {"from": "x"}, "'from' is a day such as 2026-11-27, not 'x'."),
        ("overview", {"to": "2026-11-20"}, "'to' needs 'from'."),
        ("overview", {"filter": ["country=DE"]}, "A filter is <operator>:<field>:<value>, such as"),
        (
            "overview",
            {"filter": "is:country:DE"},
            "Expected `array`, got `str` - at `$.filter`. The",
        ),
        (
            "overview",
            {"days": 7},
            "Object contains unknown field `days`. The arguments of this tool:",
        ),
        ("breakdown", {}, "Object missing required field `dimension`."),
        ("breakdown", {"dimension": "planet"}, "There is no dimension 'planet'. "),
        (
            "breakdown",
            {"dimension": "page", "sort": "x"},
            "Rows cannot be sorted by 'x'. They can be",
        ),
        ("breakdown", {"dimension": "page", "limit": 101}, "Expected `int` <= 100 - at `$.limit`."),
        ("series", {"measures": ["clicks"]}, "'measures' is one of visitors, new_visitors,"),
        ("series", {"period": "12m", "bucket": "hour"}, "A period of 365 days cannot be shown by"),
        ("funnel", {"steps": ["cart.put"]}, "A funnel has 2 to 8 steps, not 1."),
        ("funnel", {"steps": ["a.b", "cart.put"]}, "The event 'a.b' is not defined."),
        ("person", {"person": "00000000-0000-4000-8000-000000000000"}, "Nothing is stored of a"),
        ("catalogue", {"action": "no.thing"}, "There is no such event. "),
        (
            "definitions",
            {"of": "x"},
            "Object contains unknown field `of`. The arguments of this tool: n",
        ),
    ],
)
def test_a_wrong_argument_can_be_mended(
    shop: Host, tool: str, arguments: dict[str, t.Any], sentence: str
) -> None:
    """The sentence says what is allowed."""
    assert refuse(shop, tool, **arguments).startswith(sentence)


def test_arguments_that_are_nested_deeply_are_refused() -> None:
    """As a mistake of whoever asks, and not as one of the server's."""
    deep: list[t.Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ReportError, match="nested too deeply"):
        read_arguments(OverviewQuestion, {"filter": deep})


def test_null_is_an_argument_that_is_left_out(shop: Host) -> None:
    """Assistants send all that a schema names."""
    asked: dict[str, t.Any] = {
        "period": None,
        "from": None,
        "filter": None,
        "site": None,
        "compare": None,
    }
    assert call(shop, "overview", **asked)["report"] == call(shop, "overview")["report"]
