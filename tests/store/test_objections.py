"""A customer objects: nothing is recorded of them, on any device, until they withdraw it."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack import identify, track
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.records import Claim, Identified

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..pipeline.journals import leave
from .people import (
    ADA,
    ADA_UUID,
    BOB,
    BOB_UUID,
    NOBODY,
    STRANGER,
    browse,
    events_of,
    export,
    forget,
)
from .persons import apply_aliases
from .records import NAIVE, a_page, an_event, an_id, quality, session_of, write_records


def opt_out(host: Host, who: str | uuidlib.UUID = ADA) -> None:
    host.clock.advance(seconds=1)
    with host.app.app_context():
        host.events.opt_out(who)


def opt_in(host: Host, who: str | uuidlib.UUID = ADA) -> bool:
    host.clock.advance(seconds=1)
    with host.app.app_context():
        return host.events.opt_in(who)


def stored(host: Host) -> list[t.Any]:
    """Return all rows but those of the counters."""
    names = ("event", "session", "profile", "alias", "hourly", "uncounted", "rejected")
    return [sorted(host.rows(name), key=repr) for name in names]


def track_in_a_job(host: Host) -> None:
    with host.app.app_context():
        track("order.ship", customer=ADA)


def track_an_old_event(host: Host) -> None:
    with host.app.app_context():
        track("order.ship", customer=ADA, time="2020-01-01T00:00:00Z")


def track_in_a_transaction(host: Host) -> None:
    with host.app.app_context():
        track("order.ship", customer=ADA, in_transaction=True)
        host.db.session.commit()


def give_traits_in_a_job(host: Host) -> None:
    with host.app.app_context():
        identify(ADA, traits={"name": "Lovelace"})


def log_in_on_another_device(host: Host) -> None:
    host.client().post(f"/login/{ADA}")


def wait_in_another_process(host: Host) -> None:
    leave(host, an_event(uuid=ADA_UUID, id=an_id(), received_at=host.clock.moment, session=None))
    host.state.pipeline.settle()


def sweep_an_hour_later(host: Host) -> None:
    host.clock.advance(hours=1)
    host.state.pipeline.sweep()


@pytest.mark.parametrize(
    "act",
    [
        track_in_a_job,
        track_an_old_event,
        track_in_a_transaction,
        give_traits_in_a_job,
        log_in_on_another_device,
        wait_in_another_process,
        sweep_an_hour_later,
    ],
)
def test_nothing_is_recorded_of_who_has_objected(
    shop: Host, act: cabc.Callable[[Host], None]
) -> None:
    """Whoever names them, and however old the event says that it is."""
    browse(shop, "/", ADA, "/products/mug")
    opt_out(shop)
    apply_aliases(shop)  # a chore, which records nothing
    before = stored(shop)
    shop.clock.advance(seconds=1)
    act(shop)
    assert stored(shop) == before


def test_an_objection_holds_on_all_devices(shop: Host) -> None:
    """Those that the customer is logged in on, and one whose session has ended."""
    phone, laptop = browse(shop, "/", ADA), browse(shop, "/", ADA)
    opt_out(shop)
    before = stored(shop)
    browse(shop, "/products/mug", client=phone)
    shop.clock.advance(days=1)
    browse(shop, "/products/jug", client=laptop)
    assert stored(shop) == before
    assert quality(shop)["dropped", "page.visit", "opted out"] == 2


def test_what_was_recorded_before_an_objection_stays(shop: Host) -> None:
    """Also what still waits, and everything of other people."""
    browse(shop, "/", ADA)
    bob = browse(shop, "/", BOB)
    opt_out(shop)
    browse(shop, "/", client=bob)
    actions = {row["action"] for row in events_of(shop, ADA_UUID)}
    assert actions == {"session.start", "customer.login", "session.end"}
    assert {row["action"] for row in events_of(shop, BOB_UUID)} >= {"customer.login", "page.visit"}


def test_a_withdrawn_objection_ends(shop: Host) -> None:
    """From then on events are recorded, and an objection can come again."""
    for number in (1, 2):
        opt_out(shop)
        browse(shop, "/", ADA)
        assert opt_in(shop)
        browse(shop, ADA)
        logins = [row for row in shop.events_of("customer.login") if row["uuid"] == ADA_UUID]
        assert len(logins) == number
    assert not opt_in(shop)


def test_what_happened_during_an_objection_is_not_recorded_after_it(shop: Host) -> None:
    """A browser was offline, and another process slow."""
    opt_out(shop)
    shop.clock.advance(hours=1)
    during: dict[str, t.Any] = {"time": shop.clock.moment, "received_at": shop.clock.moment}
    opt_in(shop)
    shop.clock.advance(hours=1)
    slow = an_event(uuid=ADA_UUID, id=an_id(1), session=None, **during)
    late = {**during, "received_at": shop.clock.moment}
    write_records(shop, slow, an_event(uuid=ADA_UUID, id=an_id(2), session=None, **late))
    assert shop.rows("event") == []


def test_what_waits_when_an_objection_is_withdrawn_is_dropped(shop: Host) -> None:
    """Also if the clock does not tell the moments apart."""
    opt_out(shop)
    track_in_a_job(shop)
    with shop.app.app_context():
        assert shop.events.opt_in(ADA)
    assert shop.rows("event") == []
    assert quality(shop)["dropped", "order.ship", "opted out"] == 1


def test_asking_twice_changes_nothing(shop: Host) -> None:
    """The objection is in force from the first moment on."""
    opt_out(shop)
    rows = shop.rows("objection")
    opt_out(shop)
    assert shop.rows("objection") == rows
    assert len(rows) == 1


def test_an_objection_survives_an_erasure(shop: Host) -> None:
    """As a keyed hash, which names nobody."""
    browse(shop, "/", ADA)
    opt_out(shop)
    forget(shop, ADA)
    browse(shop, "/", ADA, "/products/mug")
    assert export(shop, ADA) == []
    assert not [r for r in shop.rows("objection") if ADA in repr(r) or ADA_UUID.hex in repr(r)]


def test_a_log_in_does_not_join_an_anonymous_history(shop: Host) -> None:
    """What the browser did before stays an anonymous visitor's."""
    opt_out(shop)
    browse(shop, "/", ADA, "/products/mug")
    [visit] = shop.events_of("page.visit")
    assert visit["uuid"] != ADA_UUID
    assert shop.rows("alias") == shop.rows("profile") == []


def test_a_log_in_that_waits_elsewhere_is_under_the_objection(shop: Host) -> None:
    """It names one more profile of the customer's, who is silent there too until they withdraw."""
    client = browse(shop, "/")
    shop.flush()
    [visit] = shop.events_of("page.visit")
    log_in = Identified(
        uuid=ADA_UUID, customer_id=ADA, time=shop.clock.moment, anonymous=visit["uuid"]
    )
    leave(shop, log_in)
    opt_out(shop)
    shop.state.pipeline.settle()
    assert [row["customer_uuid"] for row in shop.rows("alias")] == [ADA_UUID]
    before = stored(shop)
    browse(shop, "/products/mug", client=client)
    shop.flush()
    assert stored(shop) == before
    assert opt_in(shop)
    browse(shop, "/products/mug", client=client)
    assert shop.actions()["page.visit"] == 2


def test_an_anonymous_visitor_may_object(shop: Host) -> None:
    """By the profile's uuid; a later log-in is the customer's, and is not joined with it."""
    client = browse(shop, "/")
    [visit] = shop.events_of("page.visit")
    opt_out(shop, visit["uuid"])
    browse(shop, "/products/mug", ADA, client=client)
    assert len(shop.events_of("page.visit")) == 1
    assert [row["uuid"] for row in shop.events_of("customer.login")] == [ADA_UUID]
    assert shop.rows("alias") == []


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("is_kept", [True, False])
def test_an_event_that_takes_the_profile_from_a_visit_is_dropped(
    shop: Host, *, is_stored: bool, is_kept: bool
) -> None:
    """It came without cookies, for a page that the customer opened before the objection."""
    page = uuidlib.UUID("44444444-4444-4444-8444-444444444444")
    visit = a_page(uuid=ADA_UUID, session=session_of(STRANGER))
    own: dict[str, t.Any] = {"uuid": NOBODY, "session": session_of(NOBODY), "source": "browser"}
    half = an_event(
        "page.visit",
        0.5,
        **own,
        id=page,
        half="browser",
        params={"url": "http://localhost/", "path": "/"},
        claim=Claim(visit.id, cookieless=True, kept=True),
    )
    opt_out(shop)
    shop.clock.advance(seconds=5)
    now: dict[str, t.Any] = {"time": shop.clock.moment, "received_at": shop.clock.moment}
    claim = Claim(page if is_kept else visit.id, cookieless=True, kept=is_kept)
    click = an_event("order.ship", 9, **own | now, claim=claim, page=page)
    if is_stored:
        write_records(shop, visit, half)
        write_records(shop, click)
    else:
        write_records(shop, visit, half, click)
    assert "order.ship" not in shop.actions()
    assert len(shop.events_of("page.visit")) == 1


def test_the_servers_half_of_a_visit_is_dropped(shop: Host) -> None:
    """As the journal holds it: a page view that no one has expanded yet."""
    opt_out(shop)
    browse(shop, ADA, "/products/mug")
    assert shop.rows("event") == shop.rows("session") == []


def test_a_refused_record_of_who_has_objected_is_not_set_aside(shop: Host) -> None:
    """Neither is anything kept of an event that the database does not take."""
    opt_out(shop)
    shop.clock.advance(seconds=1)
    now = shop.clock.moment
    write_records(shop, an_event(uuid=ADA_UUID, received_at=now, time=NAIVE, session=None))
    assert shop.rows("rejected") == []


@pytest.mark.parametrize("who", ["", "null", None, True])
def test_who_is_no_customer_cannot_object(shop: Host, who: t.Any) -> None:
    """As by forget()."""
    for call in (opt_out, opt_in):
        with pytest.raises(InvalidEvent, match="not a customer's id"):
            call(shop, who)


def test_an_objection_in_memory(make: MakeHost) -> None:
    """On the one connection that there is."""
    host = make(url="sqlite://")
    host.events.define("order.ship")
    opt_out(host)
    host.clock.advance(seconds=1)
    track_in_a_job(host)
    assert host.rows("event") == []


def test_no_request_asks_who_has_objected(shop: Host) -> None:
    """The page goes out while the database is not there at all."""
    opt_out(shop)
    with shop.app.app_context():
        shop.db.drop_all()
    assert shop.client().post(f"/login/{ADA}", headers=NAVIGATION).status_code == 200
    with shop.app.app_context():
        shop.db.create_all()
