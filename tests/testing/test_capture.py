"""What a capture sees, and what it leaves alone: threads, journals and the database."""

from __future__ import annotations

import decimal
import pathlib
import threading
import typing as t
import unittest
import uuid

import pytest
import sqlalchemy as sa

from flask_eventtrack import EventTrack, errors, signals, track

from ..conftest import MakeHost
from ..hosts import NAVIGATION, FakeClock, Host
from .shops import make_shop, post


@pytest.fixture
def shop(make: MakeHost) -> Host:
    return make_shop(make)


def test_an_event_is_there_at_once(shop: Host) -> None:
    """Without a flush, tables or a thread, and the visit of its page with it."""
    with shop.events.capture() as tracked:
        shop.client().get("/", headers=NAVIGATION)
        shop.client().post("/pay", data={"amount": "9.99"})
        assert tracked.actions == ["page.visit", "order.pay"]
        paid = tracked.assert_event("order.pay", amount=decimal.Decimal("9.99"))
        assert paid.label == "Paid 9.99"
        assert not [t for t in threading.enumerate() if t.name == "eventtrack-writer"]


def test_captured_events_are_never_written(make: MakeHost) -> None:
    """Neither by a flush nor afterwards."""
    shop = make_shop(make, create=True)
    with shop.events.capture() as tracked:
        shop.client().post("/pay", data={"amount": "9.99"})
        shop.flush()
        tracked.assert_event("order.pay")
    assert shop.rows("event") == []


def test_what_was_tracked_before_and_after_is_written(make: MakeHost) -> None:
    """The app has its own pipeline again, with what waited there."""
    shop = make_shop(make, create=True)
    shop.client().post("/pay", data={"amount": "1.00"})
    with shop.events.capture() as tracked:
        shop.client().post("/pay", data={"amount": "2.00"})
    shop.client().post("/pay", data={"amount": "3.00"})
    assert {row["params"]["amount"] for row in shop.events_of("order.pay")} == {"1.00", "3.00"}
    assert [event.params["amount"] for event in tracked.events] == ["2.00"]


@pytest.mark.parametrize("url", [{}, {"url": "sqlite://"}], ids=["file", "memory"])
def test_a_flush_writes_if_it_is_asked_to(make: MakeHost, url: dict[str, t.Any]) -> None:
    """In the test's own thread, with the sessions that the writer makes. The app's thread ends."""
    shop = make_shop(make, create=True, **url)
    shop.client().post("/pay", data={"amount": "1.00"})
    shop.flush()
    with shop.events.capture(write=True) as tracked:
        shop.client().post("/pay", data={"amount": "9.99"})
        assert shop.actions() == {"order.pay": 2, "session.start": 2}
        assert not [t for t in threading.enumerate() if t.name == "eventtrack-writer"]
        tracked.assert_event("order.pay")


def test_there_is_no_journal(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """Nothing is written outside the test, also if the app would keep a journal."""
    folder = tmp_path / "journal"
    config = {"EVENTTRACK_JOURNAL_DIR": str(folder), "TESTING": False}
    shop = make_shop(make, config)
    with shop.events.capture() as tracked:
        shop.client().post("/pay", data={"amount": "9.99"})
        tracked.assert_event("order.pay")
    assert not folder.exists()


def test_apps_that_are_made_later_are_captured(make: MakeHost) -> None:
    """All those of one EventTrack object, as a factory makes them, and no others."""
    events = EventTrack(clock=FakeClock())
    with events.capture() as tracked:
        for host in (
            make_shop(make, events=events),
            make_shop(make),
            make_shop(make, events=events),
        ):
            host.client().post("/pay", data={"amount": "9.99"})
        tracked.assert_event("order.pay", times=2)


def test_bots_count_as_people(shop: Host) -> None:
    """Programs such as urllib are often what a test sends requests with."""
    bot = shop.client("python-urllib/3.12")
    with shop.events.capture() as tracked:
        bot.post("/pay", data={"amount": "9.99"})
        tracked.assert_event("order.pay")
    with shop.events.capture(filter_bots=True) as tracked:
        bot.post("/pay", data={"amount": "9.99"})
        tracked.assert_no_event()


def test_an_order_has_its_items_and_is_there_once(shop: Host) -> None:
    """As in the database: a second charge of an order is dropped."""
    with shop.events.capture() as tracked:
        for _ in range(2):
            shop.client().post("/order")
        assert tracked.actions == ["transaction.charge", "product.buy"]
        tracked.assert_event("product.buy", sku="A1")


def test_both_halves_of_a_page_visit_are_one_event(shop: Host) -> None:
    """With what only the browser knows."""
    client = shop.client()
    with shop.events.capture() as tracked:
        page = client.get("/", headers=NAVIGATION).text
        visit = page.partition('data-visit="')[2].partition('"')[0]
        seen = {"url": "http://localhost/", "viewport": "1280x720"}
        half = {"action": "page.visit", "event_id": str(uuid.uuid4()), "params": seen}
        client.post(
            "/_et/in", json={**half, "visit": visit}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        tracked.assert_event("page.visit", times=1, viewport="1280x720", status=200)


def test_an_event_of_the_hosts_transaction_goes_with_it(shop: Host) -> None:
    """A rollback of the transaction or of its savepoint takes it back. There need be no tables."""
    session = shop.db.session
    with shop.events.capture() as tracked, shop.app.app_context():

        def pay(amount: str) -> None:
            track("order.pay", {"amount": amount}, customer=7, in_transaction=True)
            tracked.assert_event("order.pay", amount=amount)

        pay("1.00")
        session.rollback()
        tracked.assert_no_event()
        pay("2.00")
        session.commit()
        session.rollback()
        session.execute(sa.text("SELECT 1"))
        savepoint = session.begin_nested()
        pay("3.00")
        savepoint.rollback()
        session.commit()
        pay("4.00")
        session.remove()
        with session.begin_nested():
            pay("5.00")
        session.remove()
        pay("6.00")
        with session.begin_nested():
            session.execute(sa.text("SELECT 1"))
        session.close()
        assert [event.params["amount"] for event in tracked.events] == ["2.00"]


def test_an_event_of_the_hosts_transaction_is_written_if_asked_to(make: MakeHost) -> None:
    """By the host's commit."""
    shop = make_shop(make, create=True)
    with shop.events.capture(write=True) as tracked, shop.app.app_context():
        track("order.pay", {"amount": "1.00"}, customer=7, in_transaction=True)
        shop.db.session.commit()
        tracked.assert_event("order.pay")
        assert len(shop.events_of("order.pay")) == 1


def test_signals_are_sent_as_always(shop: Host) -> None:
    """Receivers of the host's hear of captured events."""
    heard: list[str] = []

    def hear(_: object, event: t.Any) -> None:
        heard.append(event.action)

    with shop.events.capture(), signals.event_accepted.connected_to(hear):
        shop.client().post("/pay", data={"amount": "9.99"})
    assert heard == ["order.pay"]


# One inside another


def test_both_captures_see_the_events(shop: Host) -> None:
    """The outer one sees all, the inner one those of its block."""
    client = shop.client()
    with shop.events.capture() as outer:
        client.post("/pay", data={"amount": "1.00"})
        with shop.events.capture() as inner:
            client.post("/pay", data={"amount": "2.00"})
        client.post("/pay", data={"amount": "3.00"})
    assert [event.params["amount"] for event in inner.events] == ["2.00"]
    assert [event.params["amount"] for event in outer.events] == ["1.00", "2.00", "3.00"]


def test_both_captures_forget_what_is_rolled_back(shop: Host) -> None:
    """And know whose an event is."""
    with shop.events.capture() as outer, shop.events.capture() as inner, shop.app.app_context():
        track("order.pay", {"amount": "1.00"}, customer=7, in_transaction=True)
        shop.db.session.rollback()
        shop.client().get("/", headers=NAVIGATION)
        shop.client().post("/login/7")
        for tracked in (outer, inner):
            assert tracked.actions == ["page.visit", "customer.login"]
            tracked.assert_event("customer.login", visitor=7)


@pytest.mark.parametrize("writes", [(True, False), (False, True), (True, True)])
def test_events_of_two_captures_are_written_once(make: MakeHost, writes: tuple[bool, bool]) -> None:
    """If one of them writes. The app's thread ends before."""
    outer, inner = writes
    shop = make_shop(make, create=True)
    shop.client().post("/pay", data={"amount": "1.00"})
    shop.flush()
    with shop.events.capture(write=outer), shop.app.app_context():
        with shop.events.capture(write=inner, allow_mistakes=True):
            shop.client().post("/pay", data={"amount": "2.00"})
            track("order.pay", {"amount": "3.00"}, customer=7, in_transaction=True)
            shop.db.session.commit()
            post(shop, {"action": "product.wish"})
            if inner:
                shop.flush()
        shop.flush()
        amounts = [row["params"]["amount"] for row in shop.events_of("order.pay")]
        assert sorted(amounts) == ["1.00", "2.00", "3.00"]
        refused = [row for row in shop.rows("quality") if row["outcome"] == "rejected"]
        assert [row["count"] for row in refused] == [1]
        assert not [t for t in threading.enumerate() if t.name == "eventtrack-writer"]


def test_the_inner_capture_answers_for_mistakes(shop: Host) -> None:
    """Once: those that it fails for, expects or allows do not fail the outer one."""
    with shop.events.capture() as outer:
        message = r"product\.wish .*Only customers"
        with pytest.raises(AssertionError, match=message), shop.events.capture():
            post(shop, {"action": "product.wish"})
        with shop.events.capture() as inner:
            post(shop, {"action": "product.veiw"})
            inner.assert_rejected("product.veiw")
        with shop.events.capture(allow_mistakes=True):
            post(shop, {"action": "product.veiw"})
        assert outer.mistakes == []
        outer.assert_rejected("product.wish", "customer_required")


def test_the_outer_capture_answers_for_its_own_mistakes(shop: Host) -> None:
    """Those before and after the inner one's block."""
    message = r"2 events rejected or undefined:\n  product\.wish .*\n  order\.pay "

    def post_all() -> None:
        post(shop, {"action": "product.wish"})
        with shop.events.capture(allow_mistakes=True):
            post(shop, {"action": "product.veiw"})
        post(shop, {"action": "order.pay"})

    with pytest.raises(AssertionError, match=message), shop.events.capture():
        post_all()


def test_the_inner_capture_answers_for_undefined_events_that_are_stored(make: MakeHost) -> None:
    """As for the others."""
    shop = make_shop(make, {"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    with shop.events.capture() as outer:
        with shop.events.capture(allow_mistakes=True):
            post(shop, {"action": "product.veiw"})
        outer.assert_event("product.veiw")


def test_the_inner_capture_answers_for_what_servers_refuse(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """And the outer one for what they have refused before and after."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    server, shop = make_shop(make, create=True, url=url), make_shop(make, url=url)

    def refuse(action: str) -> None:
        post(server, {"action": action})
        server.flush()

    with shop.events.capture(stored=True) as outer:
        refuse("order.pay")
        with shop.events.capture(stored=True) as inner:
            refuse("product.wish")
            assert [mistake.action for mistake in inner.mistakes] == ["product.wish"]
            inner.allow_mistakes()
        refuse("product.veiw")
        assert [mistake.action for mistake in outer.mistakes] == ["order.pay", "product.veiw"]
        for action in ("order.pay", "product.wish", "product.veiw"):
            outer.assert_rejected(action)


def test_other_apps_are_the_outer_captures_own(make: MakeHost) -> None:
    """The inner one does not see them."""
    shop, other = make_shop(make), make_shop(make)
    with other.events.capture() as outer, shop.events.capture(allow_mistakes=True) as inner:
        other.client().post("/pay", data={"amount": "1.00"})
        post(other, {"action": "product.wish"})
        outer.assert_event("order.pay")
        outer.assert_rejected("product.wish")
        inner.assert_no_event()


# Mistakes


def test_an_undefined_event_fails_the_test(shop: Host) -> None:
    """With what was wrong, and what to do."""
    message = (
        r"1 event rejected or undefined:\n  product.veiw \(undefined_event\): 'product.veiw' is"
    )
    with pytest.raises(AssertionError, match=message), shop.events.capture():
        post(shop, {"action": "product.veiw"})


def test_an_undefined_event_that_is_stored_fails_the_test(make: MakeHost) -> None:
    """Apps may store what they do not define. In tests that is a mistake."""
    shop = make_shop(make, {"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    message = r"product.veiw \(undefined_event\): It was recorded"
    with pytest.raises(AssertionError, match=message), shop.events.capture() as tracked:
        post(shop, {"action": "product.veiw"})
    tracked.assert_event("product.veiw")


def test_a_rejected_event_fails_the_test_unless_it_is_expected(shop: Host) -> None:
    """One that is asserted, or allowed by its pattern, is expected."""
    message = r"product.wish \(customer_required\): Only customers"
    with pytest.raises(AssertionError, match=message), shop.events.capture():
        post(shop, {"action": "product.wish"})
    with shop.events.capture() as tracked:
        post(shop, {"action": "product.wish"})
        tracked.assert_rejected("product.wish", "customer_required")
        post(shop, {"action": "product.wish"})
        tracked.allow_mistakes("product.*")
    with shop.events.capture(allow_mistakes=True):
        post(shop, {"action": "product.wish"})


def test_a_rejection_that_did_not_happen_is_told(shop: Host) -> None:
    """With what was rejected instead."""
    with shop.events.capture(allow_mistakes=True) as tracked:
        with pytest.raises(AssertionError, match=r"product.wish was not rejected\.\s+No event was"):
            tracked.assert_rejected("product.wish")
        post(shop, {"action": "product.wish"})
        with pytest.raises(AssertionError, match=r"(?s)\(server_only\) was not.*customer_required"):
            tracked.assert_rejected("product.wish", "server_only")


def test_a_mistake_in_a_call_is_expected_where_it_is_caught(shop: Host) -> None:
    """The error is raised as in any test."""
    with shop.events.capture() as tracked, shop.app.app_context():
        with pytest.raises(errors.UndefinedEvent):
            track("order.pya", customer=7)
        tracked.assert_rejected("order.pya", "undefined_event")


def test_a_value_that_is_left_out_fails_the_test(make: MakeHost) -> None:
    """In production an event goes without it."""
    shop = make_shop(make, {"TESTING": False})
    message = r"product\.like \(invalid_params\)"
    with (
        pytest.raises(AssertionError, match=message),
        shop.events.capture(),
        shop.app.app_context(),
    ):
        track("product.like", {"what": object()}, customer=7)


def test_an_exception_in_the_test_is_not_hidden(shop: Host) -> None:
    """By the mistakes that led to it."""

    def fail() -> None:
        with shop.events.capture():
            post(shop, {"action": "product.veiw"})
            raise LookupError("of the test's own")

    with pytest.raises(LookupError, match="of the test's own"):
        fail()


def test_a_visitor_who_refuses_is_no_mistake(shop: Host) -> None:
    """Their posts are rejected, as they should be."""
    client = shop.client()
    with shop.events.capture(filter_bots=True) as tracked:
        bot = {"User-Agent": "Googlebot/2.1", "Sec-Fetch-Site": "same-origin"}
        client.post("/_et/in", json={"action": "product.like"}, headers=bot)
        tracked.assert_no_event()


# Personal data


def test_personal_data_fails_the_test_if_asked_to(shop: Host) -> None:
    """The parameter is named, and what masking would make of it."""
    message = r"order.pay, parameter 'email': would be masked as '\[email\]'"
    paid = {"amount": "9.99", "email": "ada@example.com"}
    with (
        pytest.raises(AssertionError, match=message),
        shop.events.capture(forbid_personal_data=True),
    ):
        shop.client().post("/pay", data=paid)
    with shop.events.capture():
        shop.client().post("/pay", data=paid)


@pytest.mark.parametrize("mask", [True, False])
def test_pages_and_masked_events_have_no_personal_data(make: MakeHost, mask: bool) -> None:
    """What a browser sends is masked before it is recorded, unless the app has no masking."""
    shop = make_shop(make, {"EVENTTRACK_MASK": mask})
    with shop.events.capture() as tracked:
        shop.client().get("/?utm_source=letter&page=2", headers=NAVIGATION)
        tracked.assert_no_personal_data()
        post(shop, {"action": "product.like", "params": {"who": "ada@example.com"}})
        if mask:
            tracked.assert_no_personal_data()
        else:
            with pytest.raises(AssertionError, match=r"product\.like, parameter 'who'"):
                tracked.assert_no_personal_data()


def test_a_unittest_captures(shop: Host) -> None:
    """As a context of a test case, whose failure is one of unittest's."""

    class Case(unittest.TestCase):
        def runTest(self) -> None:  # noqa: N802 - unittest's name
            tracked = self.enterContext(shop.events.capture())
            shop.client().post("/pay", data={"amount": "9.90"})
            tracked.assert_event("order.pay", amount="9.99")

    result = Case().run()
    assert result is not None
    [(_, failure)] = result.failures
    assert "- amount: '9.99'" in failure
