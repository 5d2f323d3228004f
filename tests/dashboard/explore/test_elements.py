"""The page of elements and forms: exact numbers, filters, files, and who may see it."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest

from flask_eventtrack.dashboard.figures import MISSING

from ...conftest import MakeHost
from ...hosts import FakeClock, Host
from ...reports.explore.stories import Told, open_shop, tell
from ..pages import find_links, look
from ..test_hostile import HOSTILE, check

BANNER, FORM = {"id": "spring"}, {"form": "newsletter"}


def see(who: int, id_: str = "spring") -> Told:
    return Told(0, who, who % 2, "element.view", {"id": id_})


def hover(who: int, dwell: int) -> Told:
    return Told(1, who, who % 2, "element.hover", {**BANNER, "dwell_ms": dwell})


def click(who: int) -> Told:
    params = {**BANNER, "href": "http://localhost/?category=green"}
    return Told(2, who, who % 2, "link.click", params)


def fill_in(who: int, *whats: str, field: str | None = None) -> list[Told]:
    field_of = {"form.abandon": {"field": field} if field else {}}
    return [
        Told(3 + place, who, who % 2, what, {**FORM, **field_of.get(what, {})})
        for place, what in enumerate(whats)
    ]


STORY = [
    *(see(who) for who in range(8)),
    *(hover(who, dwell) for who, dwell in enumerate((300, 1400, 1400, 2000, 65_000))),
    *(click(who) for who in (3, 7)),
    *(see(who, "newsletter") for who in range(5)),
    *(see(who, "autumn") for who in range(3)),
    *fill_in(0, "form.start", "form.submit"),
    *fill_in(1, "form.start", "form.abandon", field="email"),
    *fill_in(2, "form.start", "form.abandon", field="email"),
    *fill_in(3, "form.start", "form.abandon"),
    *fill_in(5, "form.start"),
]


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    host = open_shop(make, clock)
    tell(host, STORY)
    return host


def read_tables(page: str) -> list[list[tuple[str, ...]]]:
    """Return the rows of each table."""
    return [
        [
            tuple(map(_strip, re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)))
            for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
        ]
        for body in re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    ]


def _strip(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def test_tables_say_what_works(shop: Host) -> None:
    """A form that was only seen is no banner."""
    elements, forms = read_tables(look(shop, "/elements?period=7d"))
    assert elements == [
        ("spring", "8", "8", "2", "25.0%", "5", "62.5%", "1.4s", "2", "50.0%"),
        ("autumn", "3", "3", "0", "0%", "0", "0%", MISSING, "0", MISSING),
    ]
    [(*numbers, fields)] = forms
    assert numbers == ["newsletter", "5", "5", "80.0%", "1", "20.0%", "3", "60.0%"]
    assert fields.replace("\N{MULTIPLICATION SIGN}", "") == "email 2 Not known 1"


def test_filters_and_periods_limit_the_numbers(shop: Host) -> None:
    """The source of sessions here is google or direct, by their number."""
    elements, _ = read_tables(look(shop, "/elements?period=7d&f=is:source:google"))
    assert elements[0][:3] == ("spring", "4", "4")
    page = look(shop, "/elements?period=today")
    assert read_tables(page) == []
    assert "give it an <code>id</code>" in page


def test_files_have_the_same_numbers(shop: Host) -> None:
    """One for each table; the page links to both, with its filter."""
    page = look(shop, "/elements?period=7d&f=is:source:google")
    for table in ("elements", "forms"):
        [link] = re.findall(rf'href="([^"]*table={table})" download', page)
        assert "f=is:source:google" in link
    answer = shop.client().get("/_et/elements.csv?period=7d")
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert (rows[0]["id"], rows[0]["seen"], rows[0]["long_click_rate"]) == ("spring", "8", "0.5")
    answer = shop.client().get("/_et/elements.csv?period=7d&table=forms")
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert [(row["form"], row["field"], row["abandoned_at_field"]) for row in rows] == [
        ("newsletter", "email", "2"),
        ("newsletter", "", "1"),
    ]
    assert shop.client().get("/_et/elements.csv?table=wrong").status_code == 400


def test_programs_read_them_as_json(shop: Host) -> None:
    """With all fields of the report."""
    said = shop.client().get("/_et/elements.json?period=7d").get_json()
    assert said["elements"][0]["median_dwell_ms"] == 1400
    assert said["forms"][0]["fields"] == [
        {"field": "email", "sessions": 2, "share": 2 / 3},
        {"field": "", "sessions": 1, "share": 1 / 3},
    ]
    assert (said["elements_in_all"], said["forms_in_all"], said["cut"]) == (2, 1, None)


@pytest.mark.parametrize("action", ["element.view", "link.click", "form.submit", "form.abandon"])
def test_pages_of_their_events_lead_to_it(shop: Host, action: str) -> None:
    """From the catalogue, for the same period."""
    page = look(shop, f"/catalogue/{action}?period=7d")
    [link] = find_links(page, "Counted by element and form")
    assert link == "/_et/elements?period=7d"
    assert "Counted by element" not in look(shop, "/catalogue/it.view?period=7d")


def test_hostile_names_are_text(shop: Host) -> None:
    """Anyone may post any id, form and field."""
    story = [
        *(Told(0, 0, 0, "element.view", {"id": name}) for name in HOSTILE),
        *(Told(0, 0, 0, "form.start", {"form": name + "f"}) for name in HOSTILE),
        *(
            Told(1, who, 0, "form.abandon", {"form": HOSTILE[0], "field": name})
            for who, name in enumerate(HOSTILE)
        ),
    ]
    tell(shop, story)
    check(look(shop, "/elements?period=7d"))
    answer = shop.client().get("/_et/elements.csv?period=7d&table=forms")
    assert "'=1+1" in answer.text


def test_a_site_that_may_not_be_seen_is_not_counted(make: MakeHost, clock: FakeClock) -> None:
    """The numbers are those of the sites that the access has."""
    permit = {"EVENTTRACK_DASHBOARD_PERMISSION": lambda: {"may": "view", "sites": ["elsewhere"]}}
    host = open_shop(make, clock, config=permit)
    tell(host, STORY)
    assert read_tables(look(host, "/elements?period=7d")) == []
