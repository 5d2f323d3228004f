"""Which site a request counts for, whatever its ``Host`` header says."""

from __future__ import annotations

import os
import pathlib
import stat
import typing as t

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack
from flask_eventtrack.errors import ConfigError
from flask_eventtrack.origins import site_of
from flask_eventtrack.sites import Sites

from .conftest import MakeHost
from .hosts import NAVIGATION, SAME_ORIGIN, Host
from .pipeline.journals import NOBODY
from .test_doctor import findings_of

CLICK = {"action": "button.click"}


def visit(host: Host, name: str, path: str = "/") -> None:
    """Visit a page and post an event, on a host of this name."""
    client = host.client()
    client.get(path, headers=NAVIGATION | {"Host": name})
    client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN | {"Host": name})


def register_of(host: Host) -> pathlib.Path:
    """Return the file of a host's sites; the folder that it lies in exists."""
    journal = host.state.journal
    assert journal is not None
    journal.parent.mkdir(exist_ok=True)
    return journal.with_name(f"{journal.name}.sites")


def sites_of(host: Host, table: str = "event") -> set[str]:
    return {row["site"] for row in host.rows(table)}


@pytest.mark.parametrize(
    ("host", "site"),
    [
        *[("bank.example", "bank.example"), ("Bank.EXAMPLE", "bank.example")],
        *[("bank.example:8080", "bank.example"), ("bank.example:", "bank.example")],
        *[("bank.example.", "bank.example"), ("bank.example.:443", "bank.example")],
        *[
            ("bank.example..", "bank.example"),
            ("my_host", "my_host"),
            ("127.0.0.1:80", "127.0.0.1"),
        ],
        *[
            ("[::1]", "[::1]"),
            ("[::1]:5000", "[::1]"),
            ("::1", "[::1]"),
            ("fe80::1%eth0", "[fe80::1]"),
        ],
        *[("[0:0:0:0:0:0:0:1]:80", "[::1]"), ("[2001:DB8::A]", "[2001:db8::a]")],
        *[
            ("b\xfccher.example", "xn--bcher-kva.example"),
            ("B\xdcCHER.example", "xn--bcher-kva.example"),
        ],
        *[
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("fa\xdf.example", "xn--fa-hia.example"),
        ],
        *[("\uff42ank.example", "bank.example"), ("localhost:abc", ""), ("[::1", "[::1]")],
        *[(bad, "") for bad in ("", ".", "a b", "a/b", "a@b", ".a", "a..b", "[x]", "\ud800\n")],
        *[("x" * 255, "x" * 255), ("x" * 256, ""), (":80", ""), ("a\x00b", ""), ("a,b", "")],
    ],
)
def test_site_has_one_form(host: str, site: str) -> None:
    """However a client writes its name."""
    assert site_of(host) == site


@pytest.mark.parametrize(
    "settings",
    [
        {"EVENTTRACK_SITES": ["Shop.example:5000", "*.shop.example."]},
        {"SERVER_NAME": "shop.example:5000", "EVENTTRACK_SITES": ["de.shop.example"]},
        {"TRUSTED_HOSTS": [".shop.example"], "EVENTTRACK_SITES": ["127.0.0.1"]},
    ],
)
def test_site_is_one_of_the_apps_own(make: MakeHost, settings: dict[str, t.Any]) -> None:
    """By our setting, SERVER_NAME and TRUSTED_HOSTS together; requests to others are "other"."""
    sites = make(settings).state.sites
    assert sites.find("SHOP.example.:5000") == "shop.example"
    assert sites.find("de.shop.example") == "de.shop.example"
    for name in ("shop.example.evil.example", "evilshop.example", "xshop.example", "", "a b"):
        assert sites.find(name) == "other"


def test_subdomains_of_server_name_are_sites_if_flask_matches_them() -> None:
    """Otherwise it names a single host."""
    found = []
    for matches in (True, False):
        app = Flask("host", subdomain_matching=matches)
        app.config.update(
            SECRET_KEY="for tests only",
            SQLALCHEMY_DATABASE_URI="sqlite://",
            SERVER_NAME="shop.example",
        )
        EventTrack(app, SQLAlchemy(app))
        found.append(app.extensions["eventtrack"].sites.find("de.shop.example"))
    assert found == ["de.shop.example", "other"]


def test_pages_and_posts_to_other_hosts_are_recorded_as_other(make: MakeHost) -> None:
    """In events, sessions and totals alike; the page's own rule is still found."""
    host = make({"EVENTTRACK_SITES": ["shop.example"]})
    for name in ("shop.example", "SHOP.example.:80", "evil.example", "[::1]:80"):
        visit(host, name)
    for table in ("event", "session", "hourly"):
        assert sites_of(host, table) == {"shop.example", "other"}


def test_300_hosts_are_21_sites(make: MakeHost) -> None:
    """Without a setting the first 20 stay, and those that come later are one."""
    host = make()
    for number in range(300):
        visit(host, f"h{number}.example")
    visit(host, "h3.example")
    assert sites_of(host, "hourly") == {f"h{number}.example" for number in range(20)} | {"other"}


def test_processes_agree_on_the_first_hosts(tmp_path: pathlib.Path) -> None:
    """A file keeps them for all processes, and for those that start later."""
    register = tmp_path / "eventtrack" / "x.sites"
    one, two = Sites([], register), Sites([], register)
    for number in range(15):
        one.find(f"a{number}")
        two.find(f"b{number}")
    late = Sites([], register)
    names = [f"{letter}{number}" for number in range(15) for letter in "ab"]
    found = [[sites.find(name) for name in names] for sites in (one, two, late)]
    assert found[0] == found[1] == found[2] == [*names[:20], *["other"] * 10]
    assert late.list_seen() == sorted(names[:20])
    assert stat.S_IMODE(register.stat().st_mode) == 0o600


def test_file_that_cannot_be_kept_leaves_each_process_its_own(tmp_path: pathlib.Path) -> None:
    """Another user's link there is not followed, either."""
    target = tmp_path / "target"
    (tmp_path / "x.sites").symlink_to(target)
    (tmp_path / "folder.sites").mkdir()
    os.mkfifo(tmp_path / "pipe.sites")
    for name in ("x.sites", "folder.sites", "pipe.sites"):
        sites = Sites([], tmp_path / name)
        assert [sites.find(f"h{number}") for number in range(21)][-2:] == ["h19", "other"]
    assert not target.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_pipe_in_the_register_s_place_stops_nothing(
    make: MakeHost, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pages and posts are recorded; the log says it once, and doctor names it."""
    host = make({"EVENTTRACK_JOURNAL_DIR": str(tmp_path / "journals")})
    register = register_of(host)
    os.mkfifo(register)
    pipe = os.open(register, os.O_RDWR)
    try:
        for name in ("a.example", "b.example"):
            visit(host, name)
        assert sites_of(host) == {"a.example", "b.example"}
        assert caplog.text.count(f"own list of sites: {register} is not a regular file.") == 1
        assert f"each process keeps its own: {register} is not" in findings_of(host)["ET038"][0]
    finally:
        os.close(pipe)


@pytest.mark.parametrize("names", ["", "".join(f"evil{number}.example\n" for number in range(20))])
def test_another_user_s_register_is_neither_read_nor_written(
    make: MakeHost, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, names: str
) -> None:
    """However open it is: it would say which sites the app has."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can give files away")
    host = make({"EVENTTRACK_JOURNAL_DIR": str(tmp_path / "journals")})
    register = register_of(host)
    register.write_text(names)
    register.chmod(0o666)
    os.chown(register, NOBODY, NOBODY)
    visit(host, "bank.example")
    assert sites_of(host) == {"bank.example"}
    assert register.read_text() == names
    assert caplog.text.count("belongs to another user") == 1
    assert "belongs to another user" in findings_of(host)["ET038"][0]
    assert host.state.sites.list_seen() == ["bank.example"]


def test_register_under_two_names_is_not_written(tmp_path: pathlib.Path) -> None:
    """Another user may have linked a file of ours there."""
    target, register = tmp_path / "target", tmp_path / "x.sites"
    target.write_text("precious")
    register.hardlink_to(target)
    assert Sites([], register).find("bank.example") == "bank.example"
    assert target.read_text() == "precious"


def test_pattern_admits_a_bounded_number_of_hosts() -> None:
    """Anybody can send any subdomain."""
    sites = Sites(["*.shop.example", "www.shop.example"])
    found = {sites.find(f"{number}.shop.example") for number in range(2000)}
    assert (len(found), "other" in found) == (1001, True)
    assert sites.find("www.shop.example") == "www.shop.example"


@pytest.mark.parametrize("setting", ["DENY", "ALLOW"])
@pytest.mark.parametrize("key", ["bank.example", "Bank.Example.", "bank.example:443"])
@pytest.mark.parametrize(
    "name", ["bank.example.", "BANK.example", "bank.example:80", "bank.example.:8080"]
)
def test_lists_hold_however_the_name_is_written(
    make: MakeHost, setting: str, key: str, name: str
) -> None:
    """For pages as for posts."""
    patterns = ["page.*", "button.*"] if setting == "DENY" else ["order.*"]
    host = make({f"EVENTTRACK_{setting}": {key: patterns}})
    visit(host, name)
    assert host.actions() == {}
    visit(host, "shop.example")
    assert host.actions()["button.click"] == 1


@pytest.mark.parametrize(
    "lists",
    [
        {"EVENTTRACK_DENY": {"bank.example": ["button.*"], "shop.example": ["page.*"]}},
        {"EVENTTRACK_ALLOW": {"bank.example": ["page.*"], "shop.example": ["button.*"]}},
    ],
)
def test_host_that_is_not_the_apps_own_gets_past_no_list(
    make: MakeHost, lists: dict[str, t.Any]
) -> None:
    """Only what every site records is recorded there."""
    host = make({"EVENTTRACK_SITES": ["bank.example", "shop.example"], **lists})
    visit(host, "evil.example")
    assert host.actions() == {}
    visit(host, "shop.example")
    assert host.actions()["button.click"] == 1


def test_site_that_a_list_names_is_never_other(make: MakeHost) -> None:
    """However many hosts were seen before it."""
    host = make({"EVENTTRACK_ALLOW": {"bank.example": ["page.*"]}})
    for number in range(21):
        visit(host, f"h{number}.example")
    visit(host, "bank.example")
    assert {row["site"] for row in host.events_of("page.visit")} >= {"bank.example"}
    assert "bank.example" not in {row["site"] for row in host.events_of("button.click")}


def test_url_of_an_ipv6_host_has_its_rule(host: Host) -> None:
    """A URL writes the address without brackets, once it is read."""
    event = {"action": "page.visit", "params": {"url": "http://[::1]:5000/products/mug"}}
    host.client().post("/_et/in", json=event, headers=SAME_ORIGIN | {"Host": "[::1]:5000"})
    [row] = host.events_of("page.visit")
    assert (row["site"], row["url_rule"]) == ("[::1]", "/products/<slug>")


@pytest.mark.parametrize("value", ["shop.example", ["https://shop.example"], ["*"], ["a b"], [""]])
def test_setting_takes_host_names_only(make: MakeHost, value: object) -> None:
    with pytest.raises(ConfigError, match="EVENTTRACK_SITES"):
        make({"EVENTTRACK_SITES": value})
