"""Closed days hold what a plain count of sessions and events gives, whatever happens."""

from __future__ import annotations

import datetime as dt
import functools
import pathlib
import tempfile
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack import EventTrack
from flask_eventtrack.records import Event, Identified, SessionRef

from ..conftest import MakeHost, create_tables
from ..hosts import FakeClock, Host, make_host
from ..pipeline.waiting import PATIENT
from .halves import browser_half
from .plain_counts import check, check_closed, look
from .records import a_page, an_event, write_records

SITES = ("a.example", "b.example")
#: Each zone, and a day before its clocks change.
ZONES = {
    "UTC": dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC),
    "Europe/Berlin": dt.datetime(2026, 3, 27, 20, tzinfo=dt.UTC),
    "America/New_York": dt.datetime(2025, 10, 31, 20, tzinfo=dt.UTC),
    "Asia/Kolkata": dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC),
    "Asia/Kathmandu": dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC),
    "Pacific/Tongatapu": dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC),
}


class History:
    """Some visitors of two sites, and what happens to them."""

    def __init__(self, host: Host, zone: str) -> None:
        self.host, self.zone = host, zone
        self.devices = [uuidlib.uuid5(uuidlib.NAMESPACE_DNS, str(each)) for each in range(3)]
        self.customers = [uuidlib.uuid5(uuidlib.NAMESPACE_URL, str(each)) for each in range(2)]
        self.number = 0

    @property
    def writer(self) -> t.Any:
        return self.host.state.pipeline.writer

    def do(self, step: str, one: int, other: int) -> None:
        getattr(self, step)(one, other)

    def visit(self, one: int, other: int) -> None:
        """A page, perhaps late: up to three days."""
        hours = (0, 0, 0.2, 7, 25, 70)[other % 6]
        write_records(self.host, self.page(one, self.host.clock.moment, hours))

    def page(self, one: int, now: dt.datetime, hours: float, **fields: t.Any) -> Event:
        device = self.devices[one % 3]
        moment = now - dt.timedelta(hours=hours)
        # A session has 5 hours at most, and begins with the event that comes first.
        session_id = uuidlib.uuid5(device, str(int(moment.timestamp()) // 18_000))
        self.number += 1
        given: dict[str, t.Any] = {
            "time": moment,
            "received_at": now,
            "id": uuidlib.uuid5(device, f"event {self.number}"),
            "uuid": device,
            "device": device,
            "site": SITES[one // 3 % 2],
            "session": SessionRef(session_id, device, moment),
        }
        return a_page(f"/{self.number % 4}", **given | fields)

    def order(self, one: int, other: int) -> None:
        """An event that is no page; sometimes a bot's, sometimes without a session."""
        page = self.page(one, self.host.clock.moment, (0, 30)[other % 2])
        write_records(
            self.host,
            an_event(
                id=page.id,
                time=page.time,
                received_at=page.received_at,
                uuid=page.uuid,
                site=page.site,
                session=page.session if other % 3 else None,
                source="bot" if other % 5 == 4 else "server",
            ),
        )

    def stand_in(self, one: int, other: int) -> None:
        """The browser's half comes first, without cookies; the server's joins it later."""
        now = self.host.clock.moment
        hours = (0, 26)[other % 2]
        server = self.page(one, now, hours)
        stranger = uuidlib.uuid5(self.devices[0], f"stranger {self.number}")
        browser = browser_half(
            server,
            id=uuidlib.uuid5(stranger, "half"),
            time=server.time,
            received_at=now,
            uuid=stranger,
            site=server.site,
            session=SessionRef(uuidlib.uuid5(stranger, "session"), stranger, server.time),
        )
        write_records(self.host, browser)
        if other % 3:
            self.host.clock.advance(hours=2)
        if other % 4 == 3:
            self.sweep(0, 0)
        write_records(self.host, server)

    def log_in(self, one: int, other: int) -> None:
        customer = self.customers[other % 2]
        record = Identified(
            uuid=customer,
            customer_id=str(customer),
            time=self.host.clock.moment,
            anonymous=self.devices[one % 3],
        )
        write_records(self.host, record)

    def unmerge(self, one: int, other: int) -> None:
        self.writer.unmerge(self.devices[one % 3])

    def forget(self, one: int, other: int) -> None:
        everyone = [*self.devices, *self.customers]
        for _ in self.host.state.pipeline.forget([everyone[one % 5]]):
            pass

    def wait(self, one: int, other: int) -> None:
        self.host.clock.advance(hours=(1, 5, 13, 24)[other % 4])

    def sweep(self, one: int, other: int) -> None:
        self.host.state.pipeline.sweep()

    def prune(self, one: int, other: int) -> None:
        for _ in self.host.state.pipeline.prune():
            pass

    def look(self) -> t.Any:
        return look(self.host, self.zone)


STEPS = ("visit",) * 5 + ("wait",) * 4 + ("sweep",) * 2
STEPS += ("order", "stand_in", "log_in", "log_in", "unmerge", "forget")
numbers = st.integers(0, 29)


def histories(*more: str) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    step = st.tuples(st.sampled_from((*STEPS, *more)), numbers, numbers)
    return st.lists(step, min_size=15, max_size=30)


def live(host: Host, zone: str, steps: list[tuple[str, int, int]], *without: str) -> None:
    """Let a history happen, and compare after each step, marked or not."""
    history, left_out = History(host, zone), frozenset(without)
    for step in steps:
        history.do(*step)
        check(history.look(), without=left_out)
    host.clock.advance(days=2)
    history.sweep(0, 0)
    check_closed(history.look(), without=left_out)


def open_site(
    url: str, zone: str, options: dict[str, t.Any] | None = None, **config: t.Any
) -> Host:
    clock = FakeClock(ZONES[zone])
    settings = {**PATIENT, "EVENTTRACK_TIMEZONE": zone, **config}
    if options:
        settings["SQLALCHEMY_ENGINE_OPTIONS"] = options
    host = make_host(url, settings, clock=clock, events=EventTrack(clock=clock), create=False)
    create_tables(host)
    return host


@settings(max_examples=12, deadline=None)
@given(zone=st.sampled_from(sorted(ZONES)), steps=histories())
def test_closed_days_are_a_plain_count(zone: str, steps: list[tuple[str, int, int]]) -> None:
    """Late visits, joined halves, merges, erasures, days of 23 and 25 hours."""
    with tempfile.TemporaryDirectory() as folder:
        host = open_site(f"sqlite:///{folder}/site.db", zone)
        try:
            live(host, zone, steps)
        finally:
            host.close()


@settings(max_examples=6, deadline=None)
@given(zone=st.sampled_from(sorted(ZONES)), steps=histories("prune", "prune", "wait", "wait"))
def test_closed_days_outlive_their_sessions(zone: str, steps: list[tuple[str, int, int]]) -> None:
    """With sessions kept for two days only."""
    with tempfile.TemporaryDirectory() as folder:
        keep = {"session.*": dt.timedelta(days=2)}
        host = open_site(f"sqlite:///{folder}/site.db", zone, EVENTTRACK_RETENTION=keep)
        try:
            live(host, zone, steps, "session.start", "session.end")
        finally:
            host.close()
