"""The journals' folder is named for the database, not for the way in."""

from __future__ import annotations

import os
import pathlib
import time
import typing as t

import msgspec
import pytest
import sqlalchemy as sa

from flask_eventtrack.records import encode_record
from flask_eventtrack.store.engine import Database
from flask_eventtrack.store.tables import Tables

from ..commands import run
from ..conftest import MakeHost
from ..hosts import Host
from ..store.records import an_event
from .journals import adopt, home_of, journal_of, wake
from .segments import a_journal, folders, home_at
from .waiting import visit, wait_until

SHOP = "postgresql+psycopg://anna:secret@db.example:5432/shop"


def database_at(url: str, bind: str | None = None, schema: str | None = None) -> Database:
    metadata = sa.MetaData(schema=schema, info={"bind_key": bind})
    return Database(sa.create_engine(url), Tables.for_metadata(metadata), {}, wal=True)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://bert:other@db.example:5432/shop",
        "postgresql+psycopg://db.example/shop",
        "postgresql+psycopg://anna@DB.example/shop?sslmode=require&application_name=web",
    ],
)
def test_another_way_into_a_database_is_the_same_fingerprint(url: str) -> None:
    """User, password, driver and options may be rotated."""
    assert database_at(url).fingerprint == database_at(SHOP).fingerprint


@pytest.mark.parametrize(
    ("url", "bind", "schema"),
    [
        ("postgresql+psycopg://anna:secret@db2.example:5432/shop", None, None),
        ("postgresql+psycopg://anna:secret@db.example:5433/shop", None, None),
        ("postgresql+psycopg://anna:secret@db.example:5432/events", None, None),
        ("postgresql+psycopg://anna:secret@db.example:5432/shop?host=/run/pg2", None, None),
        ("mysql+pymysql://anna:secret@db.example:5432/shop", None, None),
        (SHOP, "events", None),
        (SHOP, None, "tenant"),
    ],
)
def test_another_database_is_another_fingerprint(
    url: str, bind: str | None, schema: str | None
) -> None:
    """Host, port, name, bind and schema tell them apart."""
    assert database_at(url, bind, schema).fingerprint != database_at(SHOP).fingerprint


def test_mariadb_has_one_fingerprint_under_both_its_names() -> None:
    """SQLAlchemy has a dialect for each."""
    urls = ["mysql+pymysql://anna@db.example/shop", "mariadb+pymysql://bert@db.example:3306/shop"]
    assert len({database_at(url).fingerprint for url in urls}) == 1


def test_a_file_has_one_fingerprint(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is addressed: with options, by a relative path, or through a link."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "current").symlink_to(tmp_path)
    urls = [
        f"sqlite:///{tmp_path}/shop.db",
        f"sqlite:///{tmp_path}/shop.db?timeout=30",
        f"sqlite:///file:{tmp_path}/shop.db?mode=rwc&uri=true",
        f"sqlite:///{tmp_path}/current/shop.db",
        "sqlite:///shop.db",
    ]
    assert len({database_at(url).fingerprint for url in urls}) == 1
    assert database_at("sqlite:///other.db").fingerprint != database_at(urls[0]).fingerprint


def former_home_of(host: Host) -> pathlib.Path:
    """Return where release 0.1 left journals of a host's database."""
    return journal_of(host).with_name(host.state.pipeline.database.former_fingerprint)


def leave_in(home: pathlib.Path, seconds: float = 1) -> pathlib.Path:
    """Have a process put an event into a home and die; return its folder."""
    journal = a_journal(home)
    assert journal.put([encode_record(an_event(seconds=seconds))])
    journal.close()
    [folder] = folders(home)
    return folder


def test_journals_of_the_first_release_are_adopted(
    make: MakeHost, config: dict[str, t.Any], url: str
) -> None:
    """They lie where it computed their folder from the whole URL, which then goes."""
    host = make(config, url=url)
    home = former_home_of(host)
    leave_in(home)
    leave_in(home_of(host), 2)
    adopt(host)
    wait_until(lambda: not any(home.glob("*/*.segment")))
    visit(host)
    assert host.actions() == {"order.ship": 2, "page.visit": 1, "session.start": 2}
    host.close()
    assert not home.exists()


def test_a_rotated_user_finds_the_journals(
    make: MakeHost, config: dict[str, t.Any], tmp_path: pathlib.Path
) -> None:
    """Of the same file here, under a URL with other options."""
    path = tmp_path / "shared.db"
    host = make(config, url=f"sqlite:///{path}")
    leave_in(home_of(host))
    later = make(config, url=f"sqlite:///{path}?timeout=20", create=False)
    assert home_of(later) == home_of(host)
    adopt(later)
    assert later.actions() == {"order.ship": 1, "session.start": 1}


def age(folder: pathlib.Path, **duration: float) -> None:
    moment = time.time() - duration["seconds"]
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))


def test_doctor_et024_journals_that_no_one_adopts(
    make: MakeHost, config: dict[str, t.Any], url: str
) -> None:
    """Under another URL, with size and age; not those that will be adopted, or are in use."""
    host = make(config, url=url)
    wake(host)
    home = home_at(journal_of(host).with_name("0123456789abcdef"))
    size = sum(path.stat().st_size for path in leave_in(home).glob("*.segment"))
    for other in (home_of(host), former_home_of(host), home.with_name("backup")):
        age(leave_in(other), seconds=100_000)
    in_use = home_at(home.with_name("f" * 16))
    busy = a_journal(in_use)
    busy.put([b"1"])
    age(in_use, seconds=100_000)
    assert "ET024" not in run(host, "doctor").output
    age(home, seconds=3 * 86_400 + 60)
    found = [line for line in run(host, "doctor").output.splitlines() if "ET024" in line]
    busy.close()
    assert found == [
        f"ET024 warning: No process adopts the journal {home}: {size} bytes, last written "
        "3 days ago."
    ]


def test_an_erasure_looks_into_journals_of_the_first_release(
    make: MakeHost, config: dict[str, t.Any], url: str
) -> None:
    """At what was set aside there as well."""
    host = make(config, url=url)
    bad = former_home_of(host) / "x.bad"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(msgspec.msgpack.encode("4711"))
    with host.app.app_context():
        host.events.forget("4711")
    assert not bad.exists()
