"""Where no copy is set, or the copy cannot be used, reports run on the host's database."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack.clickhouse import server
from flask_eventtrack.clickhouse.reports import CopyReports
from flask_eventtrack.errors import ConfigError
from flask_eventtrack.reports.elsewhere import NOT_THERE
from flask_eventtrack.reports.library import Reports

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import ROOT
from ..reports.visits import Visitor
from ..store.copies import LOG
from ..test_doctor import findings_of
from .copies import ClickHouse, copy
from .reported import ask_copy, ask_host, overview
from .server import FAILS, HANGS_UP, PASSWORD

pytestmark = pytest.mark.usefixtures("no_chores")

AWAY = "clickhousedb://u:s3cret@127.0.0.1:1/x"
ASK = overview("is:browser:Chrome")


def why(host: Host, ask: object = ASK) -> str:
    """Return what is said where the database's time is over."""
    found = ask_copy(host, ASK)
    assert found.cut is not None
    lacks: str = found.cut.lacks_copy
    return lacks


def read_copy(host: Host) -> CopyReports:
    found = host.state.reports.reader.elsewhere
    assert isinstance(found, CopyReports)
    return found


@pytest.mark.parametrize("how", [FAILS, HANGS_UP])
def test_an_answer_that_breaks_off_is_no_report(
    small_shop: Host, clickhouse: ClickHouse, how: str
) -> None:
    """The server runs out of memory, or is killed, once it has begun to answer."""
    ask = overview(f"is_not:browser:{how}")
    assert ask(small_shop.state.reports) == ask_host(small_shop, ask)
    assert why(small_shop) == "ClickHouse does not answer."


def test_a_copy_that_is_behind_is_not_used(small_shop: Host, clickhouse: ClickHouse) -> None:
    """From five minutes on, until it has caught up."""
    assert ask_copy(small_shop, ASK).cut is None
    small_shop.clock.advance(minutes=60)
    assert ask_copy(small_shop, ASK).cut is None
    Visitor(small_shop).see("/")
    small_shop.flush()
    small_shop.clock.advance(minutes=4)
    assert (
        ask_copy(small_shop, ASK).numbers.sessions == ask_host(small_shop, ASK).numbers.sessions - 1
    )
    small_shop.clock.advance(minutes=2)
    assert why(small_shop) == "The copy in ClickHouse is more than 5 minutes behind."
    assert "more than 5 minutes behind" in findings_of(small_shop)["ET053"][0]
    assert ASK(small_shop.state.reports) == ask_host(small_shop, ASK)
    copy(small_shop, clickhouse)
    assert ask_copy(small_shop, ASK) == ask_host(small_shop, ASK)
    assert "ET053" not in findings_of(small_shop)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("'x' AS source", "What is in ClickHouse is the copy of another database."),
        ("batch + 1 AS batch", "The copy in ClickHouse is from before the database was restored."),
        ("layout + 1 AS layout", "The copy in ClickHouse was made by another release."),
        ("'exchange' AS kind", "The tables of the copy in ClickHouse are being exchanged."),
    ],
)
def test_what_the_copy_notes_is_checked(
    small_shop: Host, clickhouse: ClickHouse, change: str, sentence: str
) -> None:
    note = "SELECT * REPLACE (number + 1 AS number, " + change + ") FROM eventtrack_copy FINAL"
    clickhouse.run(f"INSERT INTO eventtrack_copy {note}")
    assert why(small_shop) == sentence


def test_without_a_copy(small_shop: Host, clickhouse: ClickHouse) -> None:
    """The database is empty, or a table is missing."""
    clickhouse.run("DROP TABLE eventtrack_event SYNC")
    limits = overview("is:page:/")
    assert "cannot be read" in ask_copy(small_shop, limits).cut.lacks_copy
    read_copy(small_shop)._paused_until = 0
    clickhouse.run("DROP TABLE eventtrack_copy SYNC")
    assert why(small_shop) == "There is no copy in ClickHouse yet."


def test_a_server_that_is_away_is_left_alone_for_a_while(
    small_shop: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The numbers are those of the database. Then it is asked again."""
    found, url, tries = read_copy(small_shop), read_copy(small_shop)._url, list[object]()
    expected = ask_copy(small_shop, ASK)
    small_shop.state.reports.reader.close()
    monkeypatch.setattr(found, "_url", server.parse_place(AWAY))

    def connect(url: sa.URL, **more: t.Any) -> server.Server:
        tries.append(url)
        return server.connect(url, **more)

    monkeypatch.setattr("flask_eventtrack.clickhouse.reports.connect", connect)
    for _ in range(3):
        assert ASK(small_shop.state.reports) == expected
    assert why(small_shop) == "ClickHouse does not answer."
    assert len(tries) == 1
    [record] = [each for each in caplog.records if "not on the copy" in each.getMessage()]
    assert "Connection refused" in record.getMessage()
    assert "s3cret" not in caplog.text
    monkeypatch.setattr(found, "_url", url)
    assert why(small_shop) == "ClickHouse does not answer."
    monkeypatch.setattr(found, "_paused_until", 0)
    assert ask_copy(small_shop, ASK) == expected


def test_the_page_and_its_data_say_so(
    small_shop: Host, monkeypatch: pytest.MonkeyPatch, clickhouse: ClickHouse
) -> None:
    """Also of a report that is not there, in its own words."""
    monkeypatch.setattr("flask_eventtrack.reports.counting.SCAN_SECONDS", -1.0)
    client, limits = small_shop.client(), "f=is:browser:Chrome"
    assert "would take too long" not in client.get(f"/_et/?period=7d&{limits}").text
    assert NOT_THERE in client.get(f"/_et/elements?{limits}").text
    clickhouse.run("DROP TABLE eventtrack_copy SYNC")
    sentence = "There is no copy in ClickHouse yet."
    assert f"show everything. {sentence}</p>" in client.get(f"/_et/?period=7d&{limits}").text
    data = client.get(f"/_et/overview.json?period=7d&{limits}").get_json()
    assert data["cut"]["lacks_copy"] == sentence


def test_reports_that_are_not_there(small_shop: Host) -> None:
    """They say so where they are cut."""

    def ask(reports: Reports) -> list[str]:
        period = reports.period("7d")
        found = (
            reports.elements(period),
            reports.parameters("cart.put", period),
        )
        return [each.cut.lacks_copy for each in found if each.cut is not None]

    assert ask_copy(small_shop, ask) == [NOT_THERE] * 2


def test_without_the_setting_nothing_is_said(make: MakeHost, tmp_path: pathlib.Path) -> None:
    host = make(LOG, url=f"sqlite:///{tmp_path}/plain.db")
    Visitor(host).see("/")
    host.flush()
    assert why(host) == ""


def test_a_fork_has_its_own_connection(small_shop: Host) -> None:
    """The child opens another one, and leaves its parent's open."""
    found, expected = read_copy(small_shop), ask_copy(small_shop, ASK)
    [(pid, mine)] = found._servers.items()
    assert pid == os.getpid()
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid + 1)
        assert ask_copy(small_shop, ASK) == expected
        [(other, theirs)] = found._servers.items()
        assert other == pid + 1
        assert theirs is not mine
    assert mine.read("SELECT 1") == [[1]]
    mine.close()
    theirs.close()
    found._servers.clear()


_PLAIN = """
import sys
from tests.hosts import NAVIGATION, make_host
host = make_host(sys.argv[1])
host.client().get("/", headers=NAVIGATION)
host.flush()
reports = host.state.reports
reports.overview(reports.period("7d"))
print([name for name in sys.modules if "clickhouse" in name], host.actions()["page.visit"])
host.close()
"""
_INSIDE = """
import sys
from flask_eventtrack.reports import counting
from flask_eventtrack.reports.filters import Filter
from tests.hosts import NAVIGATION, make_host
config = {"EVENTTRACK_COMMIT_LOG": True, "EVENTTRACK_REPORTS_URL": sys.argv[2]}
host = make_host(sys.argv[1], config)
host.client().get("/", headers=NAVIGATION)
host.flush()
answer = host.app.test_cli_runner().invoke(args=["eventtrack", "copy", "--to", sys.argv[2]])
assert answer.exit_code == 0, answer.output
counting.SCAN_SECONDS = -1.0
reports = host.state.reports
print(reports.overview(reports.period("7d"), Filter.parse(["is:browser:Chrome"])).numbers.sessions)
host.close()
"""


def run_script(script: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_nothing_is_imported_without_the_setting(tmp_path: pathlib.Path) -> None:
    assert run_script(_PLAIN, f"sqlite:///{tmp_path}/host.db") == "[] 1\n"


def test_clickhouse_may_be_in_the_process(tmp_path: pathlib.Path) -> None:
    make = "import chdb, sys; chdb.connect(sys.argv[1]).query('CREATE DATABASE shop')"
    run_script(make, f"{tmp_path}/chdb")
    url = f"clickhousedb:///shop?interface=chdb&path={tmp_path}/chdb"
    assert run_script(_INSIDE, f"sqlite:///{tmp_path}/host.db", url) == "1\n"


# The setting


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("clickhouse", "EVENTTRACK_REPORTS_URL is wrong. That is no URL"),
        (f"postgresql://u:{PASSWORD}@h/x", "'postgresql' is not clickhousedb"),
        ("clickhousedb://u:s3cret@h:8123", "The URL names no database"),
    ],
)
def test_a_wrong_url_is_refused(make: MakeHost, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make({**LOG, "EVENTTRACK_REPORTS_URL": url})
    assert PASSWORD not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_it_needs_the_commit_log(make: MakeHost) -> None:
    with pytest.raises(ConfigError, match="names a copy, which follows the commit log: set"):
        make({"EVENTTRACK_REPORTS_URL": AWAY})


def test_no_one_reads_the_password(make: MakeHost) -> None:
    """Neither in what the app holds nor in what the doctor says. The app starts all the same."""
    host = make({**LOG, "EVENTTRACK_REPORTS_URL": AWAY})
    assert "s3cret" not in repr(host.state.config)
    sentence, _ = findings_of(host)["ET053"]
    assert "does not answer: Connection refused" in sentence
