"""The quality page, its JSON, the head of every page and the doctor say how functions go."""

from __future__ import annotations

import typing as t

import pytest

from ..commands import run
from ..conftest import MakeHost
from ..explore.shop import open_shop as open_pages
from ..hosts import FakeClock, Host
from .told import ON, Told, ship

SECTION = "Functions on events"


def open_host(make: MakeHost, clock: FakeClock, url: str | None = None) -> tuple[Host, Told]:
    """Return a host with pages and a function that fails for 13."""
    options = {} if url is None else {"url": url}
    host, told = open_pages(make, clock, config=ON, **options), Told()
    host.events.define("order.ship", anonymous=True)
    told.fails_for = {13}
    host.events.on("order.*", told, name="my.module:<b>told</b>")
    return host, told


def look(host: Host, path: str = "/") -> str:
    """Return a page, without a flush, which would run the functions."""
    answer = host.client().get(f"/_et{path}")
    assert answer.status_code == 200
    return answer.text


def read_json(host: Host) -> list[dict[str, t.Any]] | None:
    found = host.client().get("/_et/quality.json?period=7d").get_json()["functions"]
    assert found is None or isinstance(found, list)
    return found


def fail(host: Host) -> None:
    ship(host, 13)
    with pytest.raises(RuntimeError):
        host.flush()


def test_a_function_that_works_is_well(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """It is listed with how far it is behind, and nothing in the head."""
    host, _ = open_host(make, clock, database_url)
    ship(host, 1)
    host.flush()
    ship(host, 2)
    host.state.pipeline.flush()
    [found] = read_json(host) or []
    assert found == {
        "name": "my.module:<b>told</b>",
        "behind": 1,
        "waits_since": clock.moment.isoformat().replace("+00:00", "Z"),
        "tries": 0,
        "failing_since": None,
        "error": None,
        "failed_at": None,
        "given_up": 0,
        "missed_at": None,
    }
    page = look(host, "/quality?period=7d")
    assert "all is well" in page.partition(SECTION)[2].partition("</section>")[0]
    assert "my.module:&lt;b&gt;told&lt;/b&gt;" in page
    assert "function on events" not in look(host, "/")


def test_a_failing_function_is_shown(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """Since when, how often and with what; in the head of other pages, and by the doctor."""
    host, told = open_host(make, clock, database_url)
    since = clock.moment
    fail(host)
    with pytest.raises(RuntimeError):
        host.flush()
    [found] = read_json(host) or []
    assert found["tries"] == 2
    assert found["failing_since"][:19] == since.isoformat()[:19]
    assert found["error"] == "RuntimeError: cannot send 13 to [email]"
    page = look(host, "/quality?period=7d").partition(SECTION)[2].partition("</section>")[0]
    assert "failing since 21 Nov 2026, 12:00</b> (2 tries)" in page
    assert "cannot send 13 to [email]" in page
    assert "A function on events is failing. Later events wait." in look(host, "/")
    doctor = run(host, "doctor").output
    assert "ET046" in doctor
    assert "has failed with an event 2 times: RuntimeError: cannot send 13" in doctor
    told.fails_for = set()
    host.flush()
    page = look(host, "/quality?period=7d").partition(SECTION)[2].partition("</section>")[0]
    assert "Last failed 21 Nov 2026, 12:00: <bdi>RuntimeError" in page
    assert "A function on events fails" not in look(host, "/")
    assert "ET046" not in run(host, "doctor").output


def test_a_late_function_is_shown(make: MakeHost, clock: FakeClock) -> None:
    """It is over 5 minutes behind."""
    host, _ = open_host(make, clock)
    ship(host, 1)
    host.flush()
    ship(host, 2)
    host.state.pipeline.flush()
    clock.advance(minutes=4)
    assert "behind." not in look(host, "/")
    clock.advance(minutes=2)
    assert "A function on events is over 5 minutes behind." in look(host, "/")
    assert "behind since 21 Nov 2026, 12:00" in look(host, "/quality?period=7d")
    assert "is 1 transaction behind." in run(host, "doctor").output


def test_a_function_that_was_removed_is_named_by_the_doctor(
    make: MakeHost, clock: FakeClock
) -> None:
    """Until its row is deleted. It is no warning in the head of a page."""
    host, _ = open_host(make, clock)
    fail(host)
    url = host.app.config["SQLALCHEMY_DATABASE_URI"]
    other = open_pages(make, clock, config=ON, url=url, create=False)
    doctor = run(other, "doctor").output
    assert "ET045" in doctor
    assert "the position of 'my.module:<b>told</b>'" in doctor
    assert "A function on events" not in look(other, "/")
    database = other.state.pipeline.database
    table = database.tables.follower
    assert table is not None
    database.retry(lambda connection: connection.execute(table.delete()))
    assert "ET045" not in run(other, "doctor").output
    assert SECTION not in look(other, "/quality?period=7d")


def test_only_managers_see_it(make: MakeHost, clock: FakeClock) -> None:
    """Its errors may quote what the app sends."""
    host, _ = open_host(make, clock)
    fail(host)
    url = host.app.config["SQLALCHEMY_DATABASE_URI"]
    viewer = open_pages(make, clock, "view", config=ON, url=url, create=False)
    assert SECTION not in look(viewer, "/quality?period=7d")
    assert read_json(viewer) is None


def test_without_functions_there_is_no_section(make: MakeHost, clock: FakeClock) -> None:
    """Nor in a database without the log."""
    host = open_pages(make, clock)
    assert SECTION not in look(host, "/quality?period=7d")
    assert read_json(host) == []
