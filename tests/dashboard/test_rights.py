"""Export, objection and erasure by the pages, and the audit of them."""

from __future__ import annotations

import json
import threading
import time
import typing as t

import jinja2
import pytest

from flask_eventtrack import data_rights
from flask_eventtrack.dashboard.host_feed import eventtrack_feed
from flask_eventtrack.dashboard.render import make_environment

from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from ..store.people import ADA, ADA_UUID, BOB, BOB_UUID
from ..store.records import an_event, at, write_records
from .staff import ADA_PAGE, BOB_PAGE, PAGES, act, look, text_of, token_of
from .test_frame import OF_PEOPLE


def audit(shop: Host) -> list[tuple[str, str, str]]:
    return [(r["actor"], r["action"], r["subject"]) for r in shop.rows("audit", "at", "id")]


def test_an_export_is_everything_one_object_a_line(shop: Host) -> None:
    """The same as events.export()."""
    response = act(shop, f"{ADA_PAGE}/export", ADA)
    lines = [json.loads(line) for line in text_of(response).splitlines()]
    with shop.app.app_context():
        assert lines == list(shop.events.export(ADA))
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.headers["Cache-Control"] == "no-store"
    assert audit(shop) == [("unknown", "export", str(ADA_UUID))]


def test_an_objection_is_recorded_and_withdrawn(shop: Host) -> None:
    """Nothing new of the person is stored in between."""
    assert act(shop, f"{ADA_PAGE}/object", ADA).status_code == 303
    write_records(shop, an_event("order.ship", 30, uuid=ADA_UUID, received_at=at(30)))
    assert "Has objected" in text_of(look(shop, ADA_PAGE))
    assert len(shop.events_of("order.ship")) == 1
    shop.clock.advance(seconds=60)
    assert act(shop, f"{ADA_PAGE}/withdraw", str(ADA_UUID)[:8]).status_code == 303
    assert "Has objected" not in text_of(look(shop, ADA_PAGE))
    assert {action for _, action, _ in audit(shop)} == {"view", "object", "withdraw"}


def test_head_of_a_form_acts_on_no_one(shop: Host) -> None:
    """It is the HEAD of its GET, whatever is sent with it."""
    data = {"token": token_of(look(shop, f"{ADA_PAGE}/object").text), "typed": ADA}
    for method in ("GET", "HEAD"):
        path = f"{ADA_PAGE}/object"
        assert look(shop, path, method=method, data=data, headers=SAME_ORIGIN).status_code == 200
    assert audit(shop) == []


def test_an_erasure_removes_everything_and_names_nobody(shop: Host) -> None:
    """Afterwards not even the audit says who it was."""
    look(shop, ADA_PAGE)
    shop.clock.advance(seconds=60)
    assert act(shop, f"{ADA_PAGE}/erase", ADA).location == f"{ADA_PAGE}/erase"
    assert "This person is erased" in text_of(look(shop, f"{ADA_PAGE}/erase"))
    assert look(shop, ADA_PAGE).status_code == 404
    assert {row["uuid"] for row in shop.rows("trait")} == {BOB_UUID}
    assert {row["uuid"] for row in shop.rows("event")} == set()
    hashed = shop.state.pipeline.writer.hash_of(ADA_UUID)
    assert audit(shop) == [("unknown", each, hashed) for each in ("view", "erase", "erased")]
    page = text_of(look(shop, f"{PAGES}/audit"))
    assert str(ADA_UUID) not in page
    assert f"erased person <code>{hashed[:8]}" in page


def test_the_progress_of_an_erasure_is_read_from_the_database(
    shop: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another thread is at it, and after it has failed; then it can be done again."""
    begun, gate = threading.Event(), threading.Event()
    iter_forget = data_rights.iter_forget

    def forget(*args: t.Any) -> t.Iterator[t.Any]:
        begun.set()
        gate.wait(20)
        raise RuntimeError("the database is gone")
        yield

    monkeypatch.setattr("flask_eventtrack.dashboard.rights._PATIENCE", 0)
    monkeypatch.setattr(data_rights, "iter_forget", forget)
    act(shop, f"{ADA_PAGE}/erase", ADA)
    assert begun.wait(20)
    page = text_of(look(shop, f"{ADA_PAGE}/erase"))
    assert "Erasing…" in page
    assert "8 rows are left" in page
    shop.clock.advance(seconds=1)
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "eventtrack-erasure":
            thread.join(20)
    shop.clock.advance(seconds=1)
    page = text_of(look(shop, f"{ADA_PAGE}/erase"))
    assert "The erasure failed" in page
    monkeypatch.setattr(data_rights, "iter_forget", iter_forget)
    monkeypatch.setattr("flask_eventtrack.dashboard.rights._PATIENCE", 20)
    shop.clock.advance(seconds=1)
    data = {"token": token_of(page), "typed": str(ADA_UUID)[:8]}
    look(shop, f"{ADA_PAGE}/erase", method="POST", data=data, headers=SAME_ORIGIN)
    shop.clock.advance(seconds=1)
    assert "This person is erased" in text_of(look(shop, f"{ADA_PAGE}/erase"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
    ids=str,
)
def test_a_form_of_another_page_does_nothing(shop: Host, headers: dict[str, str]) -> None:
    """Even with a token that it cannot have."""
    assert act(shop, f"{ADA_PAGE}/erase", ADA, headers).status_code == 400
    assert len(shop.rows("profile")) == 2


def test_a_token_is_for_one_act_on_one_person_for_an_hour(shop: Host) -> None:
    """And so is what has to be typed."""
    token = token_of(look(shop, f"{ADA_PAGE}/erase").text)

    def post(path: str, typed: str, token: str = token) -> int:
        data = {"token": token, "typed": typed}
        return look(shop, path, method="POST", data=data, headers=SAME_ORIGIN).status_code

    assert post(f"{ADA_PAGE}/export", ADA) == 400
    assert post(f"{BOB_PAGE}/erase", BOB) == 400
    assert post(f"{ADA_PAGE}/erase", ADA, "") == 400
    assert post(f"{ADA_PAGE}/erase", ADA, token[:-1]) == 400
    assert post(f"{ADA_PAGE}/erase", "") == 400
    assert post(f"{ADA_PAGE}/erase", BOB) == 400
    shop.clock.advance(hours=1)
    assert post(f"{ADA_PAGE}/erase", ADA) == 400
    assert len(shop.rows("profile")) == 2


def test_a_form_outlives_its_key_as_long_as_that_is_a_fallback(shop: Host) -> None:
    """And a new form is signed with the new key."""
    path, config = f"{ADA_PAGE}/export", shop.app.config

    def post(token: str) -> int:
        data = {"token": token, "typed": ADA}
        return look(shop, path, method="POST", data=data, headers=SAME_ORIGIN).status_code

    old = token_of(look(shop, path).text)
    config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[config["SECRET_KEY"]])
    new = token_of(look(shop, path).text)
    assert (post(old), post(new)) == (200, 200)
    config["SECRET_KEY_FALLBACKS"] = []
    assert (post(old), post(new)) == (400, 200)


def test_a_page_with_a_token_is_not_compressed(shop: Host) -> None:
    """Its length would tell the token to somebody who chooses a part of the page."""
    headers = {"Accept-Encoding": "gzip"}
    paths = [f"{ADA_PAGE}/erase", f"{PAGES}/links"]
    act(shop, f"{BOB_PAGE}/erase", BOB)
    for path in (*paths, f"{BOB_PAGE}/erase"):
        assert "Content-Encoding" not in look(shop, path, headers=headers).headers, path
    assert look(shop, ADA_PAGE, headers=headers).headers["Content-Encoding"] == "gzip"


def test_there_are_no_other_acts(shop: Host) -> None:
    assert look(shop, f"{ADA_PAGE}/forget").status_code == 404


def test_a_look_is_noted_once_an_hour_for_each_of_the_staff(shop: Host) -> None:
    """The app says who they are."""
    name = "Grace"
    shop.events.dashboard_user(lambda: name)
    for name in ("Grace", "Grace", "Edsger"):  # noqa: B007 - read by the function
        shop.clock.advance(seconds=1)
        look(shop, ADA_PAGE)
    look(shop, f"{ADA_PAGE}.json")
    shop.clock.advance(hours=1, seconds=1)
    look(shop, ADA_PAGE)
    assert [(actor, action) for actor, action, _ in audit(shop)] == [
        ("Grace", "view"),
        ("Edsger", "view"),
        ("Edsger", "view"),
    ]


def test_looks_at_two_people_are_two(shop: Host) -> None:
    """By somebody whose name is longer than its column, and has what no database stores."""
    shop.events.dashboard_user(lambda: "Grace\0" * 100)
    for path in (ADA_PAGE, BOB_PAGE):
        look(shop, path)
    rows = audit(shop)
    assert {subject for _, _, subject in rows} == {str(ADA_UUID), str(BOB_UUID)}
    assert all(len(actor) == 255 and "\0" not in actor for actor, _, _ in rows)


def test_a_feed_has_a_limit(shop: Host) -> None:
    """Whatever the template asks for."""
    times = (20 + n / 100 for n in range(210))
    write_records(
        shop, *(an_event("order.ship", each, uuid=ADA_UUID, session=None) for each in times)
    )
    with shop.app.test_request_context(headers={"X-Staff": "view"}):
        feed = eventtrack_feed(ADA, limit=10_000)
    assert feed.count('<li class="eventtrack-event') == 200


def test_a_feed_in_the_hosts_own_page(shop: Host) -> None:
    """For staff only: everyone else gets the page without it."""
    from flask import render_template_string

    @shop.app.get("/backoffice/<who>")
    def backoffice(who: str) -> str:
        return render_template_string("<main>{{ eventtrack_feed(who, limit=2) }}</main>", who=who)

    for staff, count in (("manage", 2), ("view", 2), ("sites", 0), ("", 0)):
        page = look(shop, f"/backoffice/{ADA}", staff, headers=NAVIGATION).text
        assert page.count('<li class="eventtrack-event') == count, staff
    assert look(shop, "/backoffice/nobody-0").text == "<main></main>"
    assert len([row for row in audit(shop) if row[1] == "view"]) == 1


def test_a_feed_beside_what_the_host_writes(shop: Host) -> None:
    """The audit does not wait for the transaction of the page that shows the feed."""
    from flask import render_template_string

    @shop.app.get("/backoffice/<who>")
    def backoffice(who: str) -> str:
        with shop.db.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            page = render_template_string("{{ eventtrack_feed(who, limit=2) }}", who=who)
            connection.rollback()
        return page

    shop.flush()
    began = time.monotonic()
    page = look(shop, f"/backoffice/{ADA}", headers=NAVIGATION).text
    assert time.monotonic() - began < 3
    assert page.count('<li class="eventtrack-event') == 2
    for thread in threading.enumerate():
        if thread.name == "eventtrack-audit":
            thread.join(10)
    assert len([row for row in audit(shop) if row[1] == "view"]) == 1


def test_every_template_of_people_is_rendered(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is executed by one of these requests, without an undefined name."""
    seen: set[str] = set()
    load = jinja2.BaseLoader.load

    def note(loader: jinja2.BaseLoader, environment: t.Any, name: str, *args: t.Any) -> t.Any:
        seen.add(name)
        return load(loader, environment, name, *args)

    monkeypatch.setattr(jinja2.BaseLoader, "load", note)
    make_environment.cache_clear()
    for path in ("live", "people", "audit", "links", f"people/{ADA_UUID}"):
        text_of(look(shop, f"{PAGES}/{path}"))
    with shop.app.test_request_context(headers={"X-Staff": "view"}):
        eventtrack_feed(ADA)
    shop.clock.advance(seconds=60)
    act(shop, f"{ADA_PAGE}/erase", ADA)
    look(shop, f"{ADA_PAGE}/erase")
    make_environment.cache_clear()
    assert seen >= OF_PEOPLE
