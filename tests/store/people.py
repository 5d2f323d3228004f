"""A shop with two customers, which can forget and export them."""

from __future__ import annotations

import pathlib
import typing as t
import uuid as uuidlib

from flask.testing import FlaskClient

from flask_eventtrack import identify, logout
from flask_eventtrack.identity.visitor import customer_uuid
from flask_eventtrack.records import Claim, Event, Identified
from flask_eventtrack.store.erasure import Erased

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..pipeline.waiting import PATIENT
from .records import an_event, at, session_of, write_records

ADA, BOB = "customer-4711", "customer-0815"
NAMES = {ADA: "Lovelace", BOB: "Babbage"}
ADA_UUID, BOB_UUID = (customer_uuid("flask-eventtrack", each) for each in (ADA, BOB))
STRANGER = uuidlib.UUID("22222222-2222-4222-8222-222222222222")
NOBODY = uuidlib.UUID("33333333-3333-4333-8333-333333333333")


def open_shop(make: MakeHost, url: str, folder: pathlib.Path, **options: t.Any) -> Host:
    config = {**PATIENT, "EVENTTRACK_JOURNAL_DIR": str(folder / "journals")}
    host = make(config, url=url, **options)
    host.events.define("order.ship", label="Shipped")

    @host.app.post("/login/<customer>")
    def login(customer: str) -> str:
        identify(customer, traits={"name": NAMES[customer]})
        return "welcome"

    @host.app.post("/logout")
    def leave_shop() -> str:
        logout()
        return "good-bye"

    return host


def browse(host: Host, *steps: str, client: FlaskClient | None = None) -> FlaskClient:
    """Visit pages ("/path") and log in ("customer") with one browser, a second apart."""
    client = client or host.client()
    for step in steps:
        host.clock.advance(seconds=1)
        if step.startswith("/"):
            client.get(step, headers=NAVIGATION)
        else:
            client.post(f"/login/{step}")
    return client


def forget(host: Host, who: str | int | uuidlib.UUID) -> Erased:
    host.clock.advance(seconds=10)
    with host.app.app_context():
        return host.events.forget(who)


def export(host: Host, who: str | int | uuidlib.UUID) -> list[dict[str, t.Any]]:
    with host.app.app_context():
        return list(host.events.export(who))


def events_of(host: Host, *uuids: uuidlib.UUID) -> list[dict[str, t.Any]]:
    return [row for row in host.rows("event", "time", "id") if row["uuid"] in uuids]


def strangers_of(host: Host, number: int) -> list[uuidlib.UUID]:
    """Return what Ada was on so many devices before she logged in there."""
    strangers = [uuidlib.UUID(int=each, version=4) for each in range(1, number + 1)]
    write_records(
        host,
        *(
            Identified(uuid=ADA_UUID, customer_id=ADA, time=at(0), anonymous=each)
            for each in strangers
        ),
    )
    return strangers


def lone_half(visit: Event) -> Event:
    """Return the browser's half of a visit, of a browser without cookies."""
    return an_event(
        "page.visit",
        1.5,
        uuid=NOBODY,
        session=session_of(NOBODY),
        half="browser",
        source="browser",
        params={"url": "http://localhost/", "path": "/"},
        claim=Claim(visit.id, cookieless=True),
    )
