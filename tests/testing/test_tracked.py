"""The assertions: what they return and say, whose events they look at, how long they wait."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import subprocess
import sys
import textwrap
import threading
import typing as t

import pytest

from flask_eventtrack import Money, Tracked, track

from ..conftest import MakeHost
from ..forks import ROOT
from ..hosts import NAVIGATION, Host
from .shops import make_shop


@pytest.fixture
def shop(make: MakeHost) -> Host:
    return make_shop(make)


_SERVE = """
import sys
from tests.hosts import NAVIGATION, make_host
from tests.testing.shops import make_shop

shop = make_shop(make_host, url=sys.argv[1])
shop.clock.advance(seconds=2)
client = shop.client()
client.get("/", headers=NAVIGATION)
shop.clock.advance(seconds=1)
client.post("/login/7")
client.post("/pay", data={"amount": "2.00"})
shop.flush()
shop.close()
"""

_REFUSE = """
import sys
from tests.hosts import make_host
from tests.testing.shops import make_shop, post

shop = make_shop(make_host, url=sys.argv[1])
sys.stdin.readline()
post(shop, {"action": "order.pya"})
print("refused", flush=True)
sys.stdin.read()
shop.close()
"""


def _let_it_post(program: subprocess.Popen[str]) -> None:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("\n")
    program.stdin.flush()
    assert program.stdout.readline() == "refused\n"


def pay(shop: Host, amount: str, **customer: t.Any) -> None:
    with shop.app.app_context():
        track("order.pay", {"amount": amount}, **{"customer": 7, **customer})


def fail(assertion: cabc.Callable[..., object], *args: t.Any, **options: t.Any) -> str:
    """Return what a failing assertion says."""
    with pytest.raises(AssertionError) as caught:
        assertion(*args, **options)
    return str(caught.value)


def test_the_nearest_event_is_shown(shop: Host) -> None:
    """With all that was recorded, so that the mistake can be seen at once."""
    with shop.events.capture() as tracked:
        pay(shop, "100")
        pay(shop, "9.90")
        assert fail(tracked.assert_event, "order.pay", amount="9.99") == textwrap.dedent("""\
            order.pay with amount='9.99' was not recorded.

            The nearest is event 2 of 2 (- expected, + recorded):
                order.pay
              - amount: '9.99'
              + amount: '9.90'
                currency: 'EUR' (not compared)

            Recorded:
               1 order.pay  amount='100', currency='EUR'
            >  2 order.pay  amount='9.90', currency='EUR'""")


def test_an_action_without_a_definition_is_never_not_there(shop: Host) -> None:
    """A misspelt action must not pass. If undefined events are stored, it may be right."""
    with shop.events.capture() as tracked, shop.app.app_context():
        assert fail(tracked.assert_no_event, "order.pya") == (
            "'order.pya' is not defined, so it is never recorded. Did you mean 'order.pay'?"
        )
        tracked.assert_no_event("order.pay")
        tracked.assert_no_event("page.visit")


def test_undefined_events_that_are_stored_may_be_missing(make: MakeHost) -> None:
    """Nothing is known of their names."""
    shop = make_shop(make, {"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    with shop.events.capture() as tracked, shop.app.app_context():
        tracked.assert_no_event("order.pya")


def test_money_is_compared_as_people_write_it(shop: Host) -> None:
    """The expected amount, and the one that was recorded, in one notation."""
    shop.events.define("offer.view")
    with shop.events.capture() as tracked:
        with shop.app.app_context():
            track("offer.view", {"price": Money("6", "EUR")}, customer=7)
        tracked.assert_event("offer.view", price=Money("6.00", "EUR"))
        told = fail(tracked.assert_event, "offer.view", price=Money("5", "EUR"))
        assert "  - price: EUR 5.00\n  + price: EUR 6.00\n" in told


def test_without_any_event_the_message_is_short(shop: Host) -> None:
    """There is nothing to compare with."""
    with shop.events.capture() as tracked:
        assert fail(tracked.assert_event, "order.pay") == (
            "order.pay was not recorded.\n\nRecorded:\n  No event was recorded."
        )


def test_a_rejection_is_shown_where_an_event_is_missing(shop: Host) -> None:
    """It is often the reason."""
    with shop.events.capture(allow_mistakes=True) as tracked:
        with pytest.raises(ValueError, match="amount"):
            track_nothing(shop)
        said = fail(tracked.assert_event, "order.pay")
    assert "Rejected or undefined:\n  order.pay (invalid_param): 'order.pay', parameter" in said


def track_nothing(shop: Host) -> None:
    with shop.app.app_context():
        track("order.pay", customer=7)


def test_how_often_an_event_was_recorded(shop: Host) -> None:
    """The first one is returned."""
    with shop.events.capture() as tracked:
        pay(shop, "1.00")
        pay(shop, "2.00")
        assert tracked.assert_event("order.pay", times=2).params["amount"] == "1.00"
        assert tracked.assert_event("order.pay", times=1, amount="2.00") is tracked.events[1]
        assert "recorded 2 times, not 1" in fail(tracked.assert_event, "order.pay", times=1)
        with pytest.raises(ValueError, match="use assert_no_event"):
            tracked.assert_event("order.pay", times=0)


def test_parameters_may_have_any_name(shop: Host) -> None:
    """Also those of the assertion's own arguments, in a mapping."""
    with shop.events.capture() as tracked, shop.app.app_context():
        track("product.like", {"times": 3, "within": "sight"}, customer=7)
        tracked.assert_event("product.like", {"times": 3}, times=1)
        tracked.assert_no_event("product.like", {"times": 4})


def test_an_event_that_must_not_be_there_is_listed(shop: Host) -> None:
    """Of one action, with some parameters, or any event at all."""
    with shop.events.capture() as tracked:
        tracked.assert_no_event()
        pay(shop, "1.00")
        tracked.assert_no_event("product.like")
        tracked.assert_no_event("order.pay", amount="2.00")
        said = fail(tracked.assert_no_event, "order.pay")
        assert said.startswith(
            "order.pay was recorded.\n\nRecorded:\n>  1 order.pay  amount='1.00'"
        )
        assert fail(tracked.assert_no_event).startswith("An event was recorded.")


def test_a_sequence_names_the_step_that_is_missing(shop: Host) -> None:
    """Other events may lie between."""
    with shop.events.capture() as tracked:
        for amount in ("1.00", "2.00", "3.00"):
            pay(shop, amount)
        found = tracked.assert_sequence("order.pay", ("order.pay", {"amount": "3.00"}))
        assert [event.params["amount"] for event in found] == ["1.00", "3.00"]
        said = fail(
            tracked.assert_sequence,
            ("order.pay", {"amount": "3.00"}),
            ("order.pay", {"amount": "1.00"}),
        )
        assert said.startswith(
            "order.pay with amount='1.00' (step 2 of 2) was not recorded, after order.pay.\n"
        )
        assert ">  3 order.pay" in said


# By visitor


def test_a_customers_events_include_those_before_the_log_in(shop: Host) -> None:
    """By the customer's id, the profile and the device. Others' events are not looked at."""
    client = shop.client()
    with shop.events.capture() as tracked:
        client.get("/", headers=NAVIGATION)
        [visit] = tracked.events
        client.post("/login/7")
        shop.client().post("/pay", data={"amount": "9.99"})
        assert visit.session is not None
        login = tracked.assert_event("customer.login")
        for who in ("7", visit.session.device_id):
            assert tracked.of(who) == [visit, login]
        assert tracked.of(login.uuid) == [visit, login]
        tracked.assert_event("page.visit", visitor=7)
        tracked.assert_no_event("order.pay", visitor=7)
        tracked.assert_sequence("page.visit", "customer.login", visitor="7")
        said = fail(tracked.assert_event, "order.pay", visitor=7)
        assert said.startswith("order.pay was not recorded by visitor 7.")
        assert said.endswith("Other visitors have 1 event.")


def test_a_cancellation_is_the_buyers(shop: Host) -> None:
    """As in the database."""
    client = shop.client()
    with shop.events.capture() as tracked, shop.app.app_context():
        client.post("/login/7")
        client.post("/order")
        shop.events.cancel_transaction("17")
        tracked.assert_sequence("product.buy", "transaction.cancel", visitor=7)


# Waiting


def test_an_event_of_another_thread_is_waited_for(shop: Host) -> None:
    """As where a browser talks to a server in a thread."""
    begun = threading.Event()

    def wait_and_pay() -> None:
        begun.wait(10)
        pay(shop, "9.99")

    with shop.events.capture() as tracked:
        thread = threading.Thread(target=wait_and_pay)
        thread.start()
        tracked.assert_no_event()
        begun.set()
        tracked.assert_event("order.pay", within=30)
        thread.join()


def test_waiting_ends(shop: Host) -> None:
    """And says what there is."""
    with shop.events.capture() as tracked:
        assert "was not recorded" in fail(tracked.assert_event, "order.pay", within=0.01)


def test_events_of_another_process_are_read_from_the_database(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """It writes them as always, and those from before the capture are not looked at."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    shop = make_shop(make, create=True, url=url)
    pay(shop, "1.00")
    shop.flush()
    shop.clock.advance(seconds=1)

    with shop.events.capture(stored=True) as tracked:
        subprocess.run([sys.executable, "-c", _SERVE, url], check=True, cwd=ROOT)
        paid = tracked.assert_event("order.pay", visitor=7, times=1)
        assert paid.params["amount"] == "2.00"
        tracked.assert_sequence("page.visit", "customer.login", visitor=7)
        tracked.assert_no_event("order.pay", amount="1.00")
        assert repr(tracked) == f"<Tracked {len(tracked.events)} events>"
    assert isinstance(tracked, Tracked)


def test_what_another_program_refuses_fails_the_test(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """It is waited for, as the program writes by itself."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    shop = make_shop(make, create=True, url=url)
    command = [sys.executable, "-c", _REFUSE, url]
    message = r"order\.pya \(undefined_event\): 'order\.pya' is not defined"
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe) as program,
        pytest.raises(AssertionError, match=message),
        shop.events.capture(stored=True),
    ):
        _let_it_post(program)
