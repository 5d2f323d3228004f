"""Notes on the chart's days: who writes and sees them, and where they are shown."""

from __future__ import annotations

import datetime as dt
import re
import typing as t
import uuid as uuidlib

import pytest
from flask import render_template_string
from werkzeug.test import TestResponse

from flask_eventtrack.reports.notes import Note
from flask_eventtrack.store.notes import remove_note
from flask_eventtrack.store.saved import MOST

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, START, FakeClock, Host, make_host
from ..test_security import HOSTILE as TEXTS
from .pages import add_sessions, find_links, read_table
from .staff import CONFIG, counted, look, text_of, token_of
from .test_hostile import HOSTILE, check
from .test_links import share

NOTES = "/_et/notes"
WEEK = "/_et/?period=7d"
TOKEN = "n" * 40


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    """A host with a session on each of two days."""
    host = make({**CONFIG, "EVENTTRACK_REPORT_TOKENS": TOKEN})

    @host.app.get("/office")
    def office() -> str:
        return render_template_string("{{ eventtrack_chart(period='7d') }}")

    add_sessions(host, {"country": "DE"})
    add_sessions(host, {"country": "FR"}, at=START - dt.timedelta(days=3))
    return host


def post(host: Host, path: str = NOTES, staff: str = "manage", **fields: str) -> TestResponse:
    """Open the page of the notes and send a form of it."""
    data = {"token": token_of(look(host, NOTES).text), **fields}
    return look(host, path, staff, method="POST", data=data, headers=SAME_ORIGIN)


def write(host: Host, day: str, text: str, path: str = NOTES) -> TestResponse:
    answer = post(host, path, day=day, text=text)
    host.clock.advance(seconds=1)
    return answer


def release(make: MakeHost, release: str, **options: t.Any) -> Host:
    """Return a host of a release whose upkeep has run."""
    host = make({**CONFIG, "EVENTTRACK_RELEASE": release}, **options)
    host.state.pipeline.sweep()
    return host


def flags(page: str) -> list[tuple[float, str]]:
    """Return where the flags of the wide chart are, and the numbers beside them."""
    svg = page.partition('<svg class="wide"')[2].partition("</svg>")[0]
    found = re.findall(r'class="flag" d="M([\d.]+) [^"]*"/>(?:<text[^>]*>(\d+)</text>)?', svg)
    return [(float(x), number) for x, number in found]


def test_a_note_is_written_shown_and_removed(
    make: MakeHost, database_url: str, clock: FakeClock
) -> None:
    """With its day and who has made it, on each kind of database; the audit says who did what."""
    host = make(CONFIG, url=database_url)
    host.events.dashboard_user(lambda: "Ada")
    add_sessions(host, {})
    assert find_links(look(host, WEEK).text, "Add a note") == ["/_et/notes?period=7d"]
    answer = write(host, "2026-11-18", "  Sale\n begins ", f"{NOTES}?period=7d")
    assert (answer.status_code, answer.location) == (303, WEEK)
    page = look(host, WEEK, "numbers").text
    rows = read_table(page, "data")
    assert rows[4][0] == "Wed 18 November 2026"
    assert rows[5] == ["Sale begins"]
    assert len(rows) == 1 + 7 + 1
    assert re.search("18 November: <b><bdi>Sale begins</bdi></b> by <bdi>Ada</bdi>", page)
    assert "notes?" not in page
    assert post(host, remove="2026-11-18 Sale begins").status_code == 303
    assert host.rows("saved") == []
    assert "Sale" not in look(host, WEEK).text
    audit = [(each["actor"], each["action"], each["subject"]) for each in host.rows("audit", "at")]
    subject = "note 2026-11-18 Sale begins"
    assert audit == [("Ada", "save", subject), ("Ada", "remove", subject)]
    assert "Ada saved the note 2026-11-18 Sale begins" in re.sub(
        r"\s+", " ", re.sub("<[^>]+>", " ", look(host, "/_et/audit").text)
    )


def test_the_chart_has_a_flag_on_each_day_with_notes(shop: Host) -> None:
    """At the day's point, with their number if there are several; a filter changes none of it."""
    for day, text in [("2026-11-15", "a"), ("2026-11-18", "b"), ("2026-11-18", "c")]:
        write(shop, day, text)
    write(shop, "2026-11-14", "too early")
    for path in (WEEK, f"{WEEK}&f=is:country:DE", f"{WEEK}&measure=sessions"):
        page = look(shop, path).text
        places = re.findall(r'<svg class="wide"[^>]* data-places="([^"]*)"', page)[0].split()
        x = [float(place.partition(",")[0]) for place in places]
        assert flags(page) == [(x[0], ""), (x[3], "2")]
        assert "too early" not in page
        assert "3 notes" in page
    assert flags(look(shop, "/_et/?period=today").text) == []


@pytest.mark.parametrize(
    ("path", "row", "text"),
    [
        ("?period=7d&bucket=hour", "Wed 18 November 2026, 00:00", "Sale"),
        ("?period=30d&bucket=week", "Week of 16 November 2026", "18 November: Sale"),
        ("?period=year&bucket=month", "November 2026", "18 November: Sale"),
        ("?period=custom&from=2026-11-18&to=2026-11-18", "Wed 18 November 2026, 00:00", "Sale"),
    ],
)
def test_a_note_is_in_the_bucket_of_its_day(shop: Host, path: str, row: str, text: str) -> None:
    """The first hour of its day, or the week or month that has it, which says the day."""
    write(shop, "2026-11-18", "Sale")
    table = read_table(look(shop, f"/_et/{path}").text, "data")
    place = next(index for index, each in enumerate(table) if each[0].startswith(row))
    assert table[place + 1] == [text]


def test_days_are_those_of_the_site(make: MakeHost, clock: FakeClock) -> None:
    """Late in the evening in UTC it is the next day in Berlin, for releases and the form alike."""
    clock.advance(hours=11, minutes=30)
    zone = {"EVENTTRACK_TIMEZONE": "Europe/Berlin", "EVENTTRACK_RELEASE": "1.4.2"}
    host = make({**CONFIG, **zone})
    add_sessions(host, {})
    host.state.pipeline.sweep()
    assert 'name="day" value="2026-11-22"' in look(host, NOTES).text
    table = read_table(look(host, "/_et/?period=7d").text, "data")
    assert table[-2:] == [
        ["Sun 22 November 2026 (still running)", *table[-2][1:]],
        ["Release 1.4.2"],
    ]


def test_a_release_is_noted_once(
    make: MakeHost, database_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whichever process comes first; a later day and other processes change nothing."""
    host = release(make, "1.4.2", url=database_url)
    add_sessions(host, {})
    clock.advance(days=1)
    host.state.pipeline.sweep()
    other = make_host(database_url, {"EVENTTRACK_RELEASE": "1.4.2"}, clock=clock, create=False)
    other.state.pipeline.sweep()
    other.close()
    [row] = host.rows("saved")
    assert (row["kind"], row["made_by"], row["definition"]) == (
        "note",
        "release",
        {"day": "2026-11-21", "text": "Release 1.4.2", "release": "1.4.2"},
    )
    with host.app.app_context():
        week = host.events.reports.period("7d")
        assert host.events.reports.notes(week) == (
            Note(dt.date(2026, 11, 21), "Release 1.4.2", "release", START, is_release=True),
        )
        assert host.events.reports.notes(host.events.reports.period("today")) == ()


def test_a_removed_release_stays_removed(make: MakeHost, clock: FakeClock) -> None:
    """Another process of it does not note it again; the next release has a note of its own."""
    host = release(make, "1.4.2")
    add_sessions(host, {})
    assert post(host, remove="Release 1.4.2").status_code == 303
    assert "1.4.2" not in look(host, "/_et/").text + look(host, NOTES).text
    for name in ("1.4.2", "1.4.3"):
        again = make_host(
            host.app.config["SQLALCHEMY_DATABASE_URI"],
            {"EVENTTRACK_RELEASE": name},
            clock=clock,
            create=False,
        )
        again.state.pipeline.sweep()
        again.close()
    page = look(host, "/_et/").text
    assert ("Release 1.4.2" in page, "Release 1.4.3" in page) == (False, True)
    assert post(host, remove="Release 1.4.2").status_code == 303
    assert len([row for row in host.rows("audit") if row["action"] == "remove"]) == 1


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"day": "", "text": "a"}, "Choose a day."),
        ({"day": "2026-02-30", "text": "a"}, "Choose a day."),
        ({"day": "\0", "text": "a"}, "Choose a day."),
        ({"day": "2026-11-18", "text": " "}, "A note has 1 to 200 characters."),
        ({"day": "2026-11-18", "text": "x" * 201}, "A note has 1 to 200 characters."),
        ({"day": "2026-11-18", "text": "a", "token": "x"}, "The form was too old"),
    ],
)
def test_a_wrong_note_is_said_on_the_page(shop: Host, fields: dict[str, str], mistake: str) -> None:
    """What was typed stays, and nothing is stored."""
    answer = post(shop, **fields)
    assert (answer.status_code, mistake in answer.text) == (400, True)
    assert f'value="{fields["text"].strip()}"' in answer.text
    assert shop.rows("saved") == []


def test_there_are_two_hundred_notes(make: MakeHost, clock: FakeClock) -> None:
    """The oldest release makes room for the next note; people's notes do not."""
    host = release(make, "old")
    clock.advance(seconds=1)
    host.state.pipeline.writer._owes_release = True
    object.__setattr__(host.state.config, "release", "new")
    host.state.pipeline.sweep()
    tables = host.state.pipeline.database.tables
    row = host.rows("saved")[0]
    definition = {"day": "2026-11-18", "text": "x"}
    with host.state.pipeline.database.begin() as connection:
        for number in range(MOST["note"] - 2):
            fresh = {"id": uuidlib.uuid4(), "name": f"n{number}"}
            connection.execute(
                tables.saved.insert().values({**row, **fresh, "definition": definition})
            )
    assert write(host, "2026-11-18", "first").status_code == 303
    names = {each["name"] for each in host.rows("saved")}
    assert (len(names), "Release old" in names, "Release new" in names) == (200, False, True)
    assert write(host, "2026-11-18", "second").status_code == 303
    answer = write(host, "2026-11-18", "third")
    assert "This note exists already, or there are 200 notes, the most." in answer.text
    assert answer.status_code == 400
    assert len(host.rows("saved")) == 200


def test_a_release_is_found_among_too_many_notes(make: MakeHost, database_url: str) -> None:
    """Two processes may each write the last one: upkeep goes on."""
    host = release(make, "1.4", url=database_url)
    [row] = host.rows("saved")
    saved = host.state.pipeline.database.tables.saved
    people = [f"2026-11-18 {number}" for number in range(MOST["note"] - 1)]
    rows: list[dict[str, t.Any]] = [
        *({"name": name, "definition": {"day": "2026-11-18", "text": name}} for name in people),
        {"name": "Release 1.3"},
        {},
    ]
    with host.state.pipeline.database.begin() as connection:
        connection.execute(saved.delete())
        for number, each in enumerate(rows):
            fresh = {**row, **each, "id": uuidlib.UUID(int=number)}
            connection.execute(saved.insert().values(fresh))
    release(make, "1.4", url=database_url)
    assert len(host.rows("saved")) == len(rows)


def test_a_release_without_room_is_said_in_the_log(
    make: MakeHost, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; nothing is stored, and the upkeep goes on."""
    monkeypatch.setitem(t.cast("dict[str, int]", MOST), "note", 1)
    host = make({**CONFIG, "EVENTTRACK_RELEASE": "1.4\u202e"})
    assert write(host, "2026-11-18", "Sale").status_code == 303
    for _ in range(2):
        host.state.pipeline.sweep()
    said = "The release 1.4\\u202e is not noted on the chart: there are 1 notes, the most."
    assert caplog.messages.count(said) == 1
    assert [row["name"] for row in host.rows("saved")] == ["2026-11-18 Sale"]


@pytest.mark.parametrize("staff", ["", "numbers", "view", "sites"])
def test_only_managers_write(shop: Host, staff: str) -> None:
    """For others there is no such page, and the overview has no link to it."""
    write(shop, "2026-11-18", "Sale")
    answer = post(shop, staff=staff, day="2026-11-18", text="a")
    assert (answer.status_code, look(shop, NOTES, staff).status_code) == (404, 404)
    assert "/_et/notes" not in look(shop, WEEK, staff).text
    assert len(shop.rows("saved")) == 1


def test_who_sees_notes(shop: Host) -> None:
    """All who see the numbers of all sites. A shared link and who sees some sites only do not."""
    write(shop, "2026-11-18", "Sale begins")
    path = share(shop)
    link = text_of(shop.client().get(f"{path}?period=7d"))
    pages = {staff: look(shop, WEEK, staff).text for staff in ("numbers", "view", "manage")}
    assert {staff: "Sale begins" in page for staff, page in pages.items()} == dict.fromkeys(
        pages, True
    )
    for page in (link, look(shop, WEEK, "sites").text):
        assert "Sale begins" not in page
        assert "Notes" not in page
        assert flags(page) == []
    as_json = "/_et/overview.json?period=7d"
    note = {
        "day": "2026-11-18",
        "text": "Sale begins",
        "made_by": "unknown",
        "made_at": "2026-11-21T12:00:00Z",
        "is_release": False,
    }
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert shop.client().get(as_json, headers=bearer).get_json()["notes"] == [note]
    assert look(shop, as_json, "numbers").get_json()["notes"] == [note]
    assert look(shop, as_json, "sites").get_json()["notes"] == []
    assert shop.client().get(f"{path}overview.json?period=7d").get_json()["notes"] == []


@pytest.mark.parametrize("text", [*HOSTILE, *TEXTS.values()])
def test_nothing_runs_in_a_note(make: MakeHost, clock: FakeClock, text: str) -> None:
    """Whatever a manager types or the deployment calls its release."""
    text = text[:64] or "x"
    host = release(make, text)
    add_sessions(host, {})
    write(host, "2026-11-18", text)
    for path in (WEEK, f"{WEEK}&bucket=hour", "/_et/?period=12m", NOTES, "/_et/audit"):
        check(look(host, path).text)
    assert len(host.rows("saved")) in {1, 2}


def test_the_hosts_own_chart_has_the_notes(shop: Host) -> None:
    """As flags and in its table, for those who see them on the overview."""
    write(shop, "2026-11-18", "<b>Sale</b>")

    page = look(shop, "/office", "numbers").text
    assert page.count('class="eventtrack-flag"') == 2  # wide and narrow
    assert re.search(
        r"Wed 18 November 2026</th><td>1</td><td><bdi>&lt;b&gt;Sale&lt;/b&gt;</bdi>", page
    )
    assert "Sale" not in look(shop, "/office", "sites").text


def test_notes_and_filters_take_one_statement(shop: Host) -> None:
    """One more on the overview for both together, and none where a shared link opens it."""
    write(shop, "2026-11-18", "Sale")
    path = share(shop)

    def count(get: t.Callable[[], object]) -> list[str]:
        get()
        with counted(shop) as statements:
            get()
        return [each for each in statements if "eventtrack_saved" in each]

    assert len(count(lambda: look(shop, WEEK))) == 1
    assert len(count(lambda: look(shop, "/_et/overview.json"))) == 1
    assert count(lambda: shop.client().get(path)) == []


def test_a_note_that_is_gone_is_removed_in_vain(shop: Host) -> None:
    """By another manager, for example: nothing is said in the audit."""
    assert post(shop, remove="2026-11-18 gone").status_code == 303
    database = shop.state.pipeline.database
    with database.begin() as connection:
        assert not remove_note(connection, database.tables, "2026-11-18 gone")
    assert shop.rows("audit") == []
