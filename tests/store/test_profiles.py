"""Profiles, aliases and feeds."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from flask_eventtrack.identity.visitor import customer_uuid
from flask_eventtrack.records import Identified

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from .records import DEVICE, an_event, at, write


def test_a_profile_is_one_row_that_learns(db_host: Host) -> None:
    """Traits are merged, later ones win; first and last sight are kept."""
    who = uuidlib.uuid5(DEVICE, "42")
    for seconds, traits in ((10, {"plan": "free", "age": 7}), (20, {"plan": "pro"}), (5, {})):
        record = Identified(uuid=who, customer_id="42", time=at(seconds), traits=traits)
        write(db_host, identified=[record])
    [profile] = db_host.rows("profile")
    assert (profile["uuid"], profile["customer_id"]) == (who, "42")
    assert profile["traits"] == {"plan": "pro", "age": 7}
    assert profile["last_seen_at"] == at(20)


def test_a_profile_was_first_seen_at_its_earliest_record(db_host: Host) -> None:
    """Records of two processes may be written in the wrong order."""
    who = uuidlib.uuid5(DEVICE, "42")
    for seconds in (10, 5):
        write(db_host, identified=[Identified(uuid=who, customer_id="42", time=at(seconds))])
    [profile] = db_host.rows("profile")
    assert (profile["first_seen_at"], profile["last_seen_at"]) == (at(5), at(10))


def test_an_alias_is_written_once(db_host: Host) -> None:
    """An anonymous profile becomes one customer's; another's claim to it changes nothing."""
    first, second = uuidlib.uuid5(DEVICE, "1"), uuidlib.uuid5(DEVICE, "2")
    for who, name in ((first, "1"), (first, "1"), (second, "2")):
        record = Identified(uuid=who, customer_id=name, time=at(1), anonymous=DEVICE)
        write(db_host, identified=[record, record])
    [alias] = db_host.rows("alias")
    assert (alias["anonymous_uuid"], alias["customer_uuid"]) == (DEVICE, first)
    assert len(db_host.rows("profile")) == 2


def test_a_feed_goes_across_aliases(db_host: Host) -> None:
    """A customer's feed holds what they did on two devices before they were known, newest first."""
    salt = db_host.state.config.profile_salt
    customer, phone = customer_uuid(salt, "42"), uuidlib.UUID(int=7, version=4)
    records = [
        Identified(uuid=customer, customer_id="42", time=at(9), anonymous=uuid)
        for uuid in (DEVICE, phone)
    ]
    mine = [
        an_event(seconds=1),
        an_event(seconds=3, device=phone),
        an_event(seconds=5, uuid=customer),
    ]
    stranger = an_event(seconds=4, device=uuidlib.UUID(int=8, version=4))
    write(db_host, *mine, stranger, identified=records)
    with db_host.app.app_context():
        feed = [event for event in db_host.events.feed(42) if event.action == "order.ship"]
        assert [event.id for event in feed] == [event.id for event in reversed(mine)]
        assert [event.id for event in db_host.events.feed("42", before=at(3), limit=1)] == [
            mine[0].id
        ]
        assert len(db_host.events.feed(phone)) == 2


def test_another_bind_holds_the_tables(make: MakeHost, database_url: str, tmp_path: t.Any) -> None:
    """With a bind key all rows go to that database, and none to the default one."""
    config = {"SQLALCHEMY_BINDS": {"events": database_url}, "EVENTTRACK_BIND_KEY": "events"}
    host = make(config, url=f"sqlite:///{tmp_path / 'default.db'}")
    host.client().get("/", headers=NAVIGATION)
    assert host.actions() == {"page.visit": 1, "session.start": 1}
    with host.app.app_context():
        assert sa.inspect(host.db.engine).get_table_names() == []
        assert "eventtrack_event" in sa.inspect(host.db.engines["events"]).get_table_names()
