"""Live and a person's page in Chromium, with and without JavaScript."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import re
import threading
import typing as t

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from flask_eventtrack import data_rights

from ..conftest import MakeHost
from ..dashboard.staff import ADA_PAGE, PAGES, fill
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from ..store.people import ADA, ADA_UUID
from ..store.records import an_event, session_of, write_records


def permit() -> str:
    return "manage"


@pytest.fixture
def shop(make: MakeHost, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with two customers, whose clock stands still ten seconds after they came."""
    monkeypatch.setattr("flask_eventtrack.dashboard.rights._PATIENCE", 30)
    host = make({**PATIENT, "EVENTTRACK_DASHBOARD_PERMISSION": permit})
    fill(host)
    host.clock.advance(seconds=10)
    return host


@pytest.fixture
def url(shop: Host) -> cabc.Iterator[str]:
    """The address at which a thread serves it."""
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def plain_page(chromium: Browser) -> cabc.Iterator[Page]:
    """A page without JavaScript."""
    context = chromium.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_events_come_in_and_can_be_paused(shop: Host, url: str, page: Page) -> None:
    """Each once, the newest first; markup in a label is text."""
    page.goto(f"{url}{PAGES}/live")
    expect(page.locator("#events > li")).to_have_count(6)
    expect(page.locator("#state")).to_have_text("live")
    shop.clock.advance(seconds=5)
    label = "<img src=x onerror=alert(1)>"
    write_records(shop, an_event("order.ship", 14, uuid=ADA_UUID, session=None, label=label))
    expect(page.locator("#events > li")).to_have_count(7)
    expect(page.locator("#events > li b").first).to_have_text(label)
    expect(page.locator("#events > li a").first).to_have_text(f"Customer {ADA}")
    expect(page.locator("#here > li")).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("paused")
    write_records(shop, an_event("order.ship", 15, uuid=ADA_UUID, session=None, label="Later"))
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#events > li b").first).to_have_text("Later")
    expect(page.locator("#events > li")).to_have_count(8)


def test_live_without_a_script(shop: Host, url: str, plain_page: Page) -> None:
    """A link looks again, and a form shows one action."""
    plain_page.goto(f"{url}{PAGES}/live")
    expect(plain_page.locator("#events > li")).to_have_count(6)
    write_records(shop, an_event("order.ship", 11, uuid=ADA_UUID, session=None))
    plain_page.get_by_role("link", name="Refresh").click()
    expect(plain_page.locator("#events > li")).to_have_count(7)
    plain_page.get_by_role("combobox").select_option("page.visit")
    plain_page.get_by_role("button", name="Show").click()
    expect(plain_page.locator("#events > li")).to_have_count(1)


def write_many(shop: Host) -> None:
    ids = (session_of(ADA_UUID, number).id for number in range(120))
    events = (an_event("order.ship", 10, id=each, uuid=ADA_UUID, session=None) for each in ids)
    write_records(shop, *events)


def test_a_feed_goes_on_by_itself(shop: Host, url: str, page: Page) -> None:
    """Whoever scrolls to its end sees all of it, under one heading a day."""
    write_many(shop)
    page.goto(f"{url}{ADA_PAGE}")
    events = page.locator("#feed .ev")
    for _ in range(20):
        page.mouse.wheel(0, 20_000)
        if events.count() == 126:
            break
        page.wait_for_function("n => document.querySelectorAll('#feed .ev').length > n", arg=49)
    expect(events).to_have_count(126)
    expect(page.locator("#feed .day")).to_have_count(1)
    expect(page.get_by_role("link", name="Earlier")).to_have_count(0)
    page.locator("summary").last.click()
    expect(page.locator("details[open] dt").first).to_be_visible()


def test_a_person_without_a_script(
    shop: Host, url: str, plain_page: Page, tmp_path: pathlib.Path
) -> None:
    """The link leads on, and the forms export and erase."""
    write_many(shop)
    plain_page.goto(f"{url}{ADA_PAGE}")
    expect(plain_page.locator("#feed .ev")).to_have_count(50)
    plain_page.get_by_role("link", name="Earlier").click()
    plain_page.get_by_role("link", name="Earlier").click()
    expect(plain_page.locator("#feed .ev")).to_have_count(26)
    plain_page.get_by_role("link", name="Export…").click()
    plain_page.get_by_role("textbox").fill(ADA)
    with plain_page.expect_download() as download:
        plain_page.get_by_role("button", name="Download").click()
    path = tmp_path / "export"
    download.value.save_as(path)
    assert path.read_text().count("\n") == len(list_export(shop))
    plain_page.goto(f"{url}{ADA_PAGE}")
    shop.clock.advance(seconds=60)
    plain_page.get_by_role("link", name="Erase…").click()
    plain_page.get_by_role("textbox").fill("wrong")
    plain_page.get_by_role("button", name="Erase for good").click()
    expect(plain_page.get_by_role("alert")).to_have_text("That is not what you were asked to type.")
    plain_page.get_by_role("textbox").fill(ADA)
    plain_page.get_by_role("button", name="Erase for good").click()
    expect(plain_page.get_by_role("heading", level=1)).to_have_text(
        re.compile("This person is erased")
    )


def test_what_is_typed_stays_while_an_erasure_goes_on(
    shop: Host, url: str, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page asks how far it is, and shows its end by itself."""
    gate, iter_forget = threading.Event(), data_rights.iter_forget

    def forget(*args: t.Any) -> t.Iterator[t.Any]:
        assert gate.wait(20)
        yield from iter_forget(*args)

    monkeypatch.setattr("flask_eventtrack.dashboard.rights._PATIENCE", 0)
    monkeypatch.setattr(data_rights, "iter_forget", forget)
    page.clock.install()
    page.goto(f"{url}{ADA_PAGE}/erase")
    page.get_by_role("textbox").fill(ADA)
    page.get_by_role("button", name="Erase for good").click()
    title = page.get_by_role("heading", level=1)
    expect(title).to_have_text("Erasing…")
    page.get_by_role("textbox").fill("Ad")
    with page.expect_response(f"{url}{ADA_PAGE}/erase"):
        page.clock.fast_forward(3000)
    expect(page.get_by_role("textbox")).to_have_value("Ad")
    shop.clock.advance(seconds=1)
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "eventtrack-erasure":
            thread.join(20)
    page.clock.fast_forward(3000)
    expect(title).to_have_text("This person is erased")


def list_export(shop: Host) -> list[object]:
    with shop.app.app_context():
        return list(shop.events.export(ADA))
