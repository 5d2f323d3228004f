"""Who may see the pages of people, and what is left of what strangers have written."""

from __future__ import annotations

import csv
import io
import json
import re
import typing as t

import pytest

from flask_eventtrack.records import Client, Identified

from ..conftest import MakeHost
from ..hosts import CHROME, SAME_ORIGIN, Host
from ..store.people import ADA, ADA_UUID, BOB_UUID
from ..store.records import a_page, an_event, at, session_of, write_records
from ..test_security import HOSTILE
from .staff import ADA_PAGE, PAGES, PHONE, look, text_of

FOR_PEOPLE = (
    *("/live", "/live.json", "/people", "/people.json", "/people.csv"),
    *(f"/people/{ADA_UUID}", f"/people/{ADA_UUID}.json"),
)
TO_MANAGE = (
    *("/audit", "/links"),
    *(f"/people/{ADA_UUID}/{act}" for act in ("export", "object", "withdraw", "erase")),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
FORBIDDEN = {
    "": (*FOR_PEOPLE, *TO_MANAGE),
    "sites": (*FOR_PEOPLE, *TO_MANAGE),
    "view": TO_MANAGE,
}


@pytest.mark.parametrize("staff", FORBIDDEN)
def test_without_permission_there_is_nothing(shop: Host, staff: str) -> None:
    """By any method, and nothing is noted or changed."""
    events = shop.rows("event", "id")
    for path in FORBIDDEN[staff]:
        for method in METHODS:
            response = look(shop, PAGES + path, staff, method=method, headers=SAME_ORIGIN)
            assert response.status_code == 404, (path, method)
            assert method == "HEAD" or response.json["code"] == "not_found"  # type: ignore[index]
    assert shop.rows("audit") == []
    assert shop.rows("event", "id") == events


@pytest.mark.parametrize("staff", ["numbers", "sites"])
@pytest.mark.parametrize(
    ("action", "name", "value"),
    [("customer.login", "customer_id", ADA), ("transaction.charge", "order_id", "A-2207")],
)
def test_numbers_name_no_person(shop: Host, staff: str, action: str, name: str, value: str) -> None:
    """No list of customers' ids or order numbers, and no filter that singles one out."""
    login = an_event("customer.login", 8, uuid=ADA_UUID, params={"customer_id": ADA})
    write_records(shop, login)
    report, page = f"/_et/parameters.json?event={action}", f"/_et/parameters?event={action}"
    guess = f"/_et/overview.json?period=today&f=is:{action}.{name}:{value}"
    for path in (report, page):
        assert value in text_of(look(shop, path, "view"))
        shown = text_of(look(shop, path, staff))
        assert (value in shown, name in shown, "1 event" in shown or '"events":1' in shown) == (
            *(False, False),
            True,
        )
    assert look(shop, guess, "view").status_code == 200
    refused = look(shop, guess, staff)
    assert (refused.status_code, refused.json["detail"]) == (  # type: ignore[index]
        400,
        "You may not filter by customer_id or order_id.",
    )


def test_the_navigation_shows_what_one_may_see(shop: Host) -> None:
    """And no link that leads nowhere."""
    seen = ["Overview", "Live", "People", "Goals", "Funnels", "Retention", "Paths", "Elements"]
    seen += ["Agents", "Routes", "Catalogue", "Quality"]
    for staff, pages in (("manage", [*seen, "Audit", "Share"]), ("view", seen)):
        page = text_of(look(shop, f"{PAGES}/people", staff))
        nav = re.findall('(?s)<nav class="main".*?</nav>', page)[0]
        assert re.findall(">([^<\n]+)</a>", nav) == pages
    assert "Erase" in text_of(look(shop, ADA_PAGE))
    assert "Erase" not in text_of(look(shop, ADA_PAGE, "view"))


def write_hostile(shop: Host, text: str) -> None:
    """Write a text into every field that somebody else may write."""
    session = session_of(PHONE, 2, 20)
    short = text[:60]
    params: dict[str, t.Any] = dict.fromkeys(("title", "url", "path", "referrer"), text)
    params |= {"utm_source": short, "utm_campaign": short, text[:40]: [text, {short: text}]}
    write_records(
        shop,
        a_page(
            text[:200],
            21,
            uuid=BOB_UUID,
            session=session,
            params=params,
            label=text[:255],
            client=Client(user_agent=CHROME + short, language=short),
        ),
        Identified(
            uuid=BOB_UUID,
            customer_id=text[:255],
            time=at(22),
            traits={"name": text, text[:64]: text, "more": {"deep": text}},
        ),
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_shown_as_text(make: MakeHost, shop: Host, text: str) -> None:
    """On every page and in every file, in every field."""
    shop.clock.advance(seconds=60)
    write_hostile(shop, text)
    bob = f"{PAGES}/people/{BOB_UUID}"
    pages = [f"{PAGES}/live", f"{PAGES}/people", bob, f"{bob}/erase", f"{PAGES}/audit"]
    queries = {"q": text}, {"event": text}, {"action": text}, {"before": text}
    for path, query in [(path, None) for path in pages] + [
        (path, query) for path in pages for query in queries
    ]:
        page = text_of(look(shop, path, query_string=query))
        assert not re.search(r"<img src=x|<script>alert|href=\"javascript|\s49\s|\u202e", page)
        assert len(page) < 60_000
    answer = json.loads(text_of(look(shop, f"{bob}.json")))
    assert answer["person"]["traits"]["name"] == text
    file = text_of(look(shop, f"{PAGES}/people.csv?event=page.visit"))
    for row in csv.reader(io.StringIO(file.removeprefix("\ufeff"))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
