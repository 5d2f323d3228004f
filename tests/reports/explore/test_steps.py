"""Steps: from and to the URL, and which events are one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from flask_eventtrack import Money
from flask_eventtrack.errors import ReportError
from flask_eventtrack.reports.explore.event_conditions import EventConditions
from flask_eventtrack.reports.explore.steps import Step, read_steps, write_steps
from flask_eventtrack.reports.filters import Condition

from ...conftest import MakeHost
from ...dashboard.test_details import Offer
from ...hosts import FakeClock, Host
from ..visits import Visitor, go_to, open_shop


def test_steps_survive_the_url() -> None:
    """Conditions say by number on which step they are; values may hold colons."""
    where = ["1:is:category:mugs", "1:is:category:a:b", "3:at_least:scroll:75"]
    found = read_steps(["product.view", "cart.put", "page:/checkout/<x:y>"], where)
    assert found[0].where.conditions == (Condition("product.view.category", "is", ("mugs", "a:b")),)
    assert found[1] == Step("cart.put")
    assert found[2].route == "/checkout/<x:y>"
    assert found[2].where.conditions[0].parameter == ("page.visit", "scroll")
    pairs = write_steps(found)
    steps, limits = ([value for name, value in pairs if name == key] for key in ("step", "where"))
    assert read_steps(steps, limits) == found
    assert limits == where


@pytest.mark.parametrize(
    ("step", "where", "problem"),
    [
        ("", "", "'' is no step. Give an event such as 'product.view', or a page such as"),
        ("page:", "", "'page:' is no step"),
        ("x" * 1001, "", "is no step"),
        ("cart.put", "is:sku:ink", "<number of the step>:<operator>:<parameter>:<value>"),
        ("cart.put", "0:is:sku:ink", "<number of the step>"),
        ("cart.put", "2:is:sku:ink", "is on step 2. The last one is 1."),
        (
            "cart.put",
            "1:is:sku",
            "'is:sku' is no condition. Write <operator>:<parameter>:<value>, such as",
        ),
        ("cart.put", "1:is:a.sku:ink", "<operator>:<parameter>:<value>"),
        ("cart.put", "1:contains:sku:ink", "is filtered by 'is' or 'at_least' or 'at_most'"),
        ("cart.put", "1:at_least:price:dear", "is a number. It was 'dear'"),
    ],
)
def test_wrong_steps_are_refused(step: str, where: str, problem: str) -> None:
    """The error says what is wrong and what there is."""
    with pytest.raises(ReportError, match=problem):
        read_steps([step], filter(None, [where]))


def test_steps_name_what_is_defined(host: Host) -> None:
    """An event that is not defined is no step; nor is a parameter that is not."""
    catalogue = host.state.catalogue
    Step.parse("page:/", ["at_least:scroll:75"]).check(catalogue)
    with pytest.raises(ReportError, match=r"The event 'cart\.take' is not defined"):
        Step.parse("cart.take").check(catalogue)
    with pytest.raises(ReportError, match=r"'page\.visit' has no parameter 'depth'"):
        Step.parse("page:/", ["at_least:depth:75"]).check(catalogue)


def test_a_step_finds_its_events(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """On each kind of database: by action, by route, and by parameters, also by money."""
    shop = open_shop(make, clock, url=database_url)
    shop.events.define("offer.view", anonymous=True)(Offer)
    visitor = Visitor(shop).see("/", "2026-11-03 09:00").see("/products/pen")
    visitor.do("/cart/pen/12.50?gift").do("/cart/ink/3.00")
    go_to(clock, "2026-11-04 12:00")
    with shop.app.app_context():
        shop.events.track("offer.view", {"price": Money("9.90", "EUR")}, customer=1)
    shop.flush()
    expected = {
        ("cart.put",): 2,
        ("cart.put", "is:sku:ink"): 1,
        ("cart.put", "is:sku:ink", "is:sku:pen"): 2,
        ("cart.put", "is:sku:ink", "at_least:price:4"): 0,
        ("cart.put", "at_most:price:3"): 1,
        ("cart.put", "is:gift:true"): 1,
        ("page.visit",): 2,
        ("page:/products/<slug>",): 1,
        ("page:/products/<slug>", "is:path:/products/ink"): 0,
        ("page:/products/<slug>", "is:status:200"): 1,
        ("page:/products/<slug>", "at_least:scroll:75"): 0,
        ("offer.view", "is:price:EUR 9.90"): 1,
        ("offer.view", "at_least:price:9.91"): 0,
    }
    assert {each: count(shop, Step.parse(each[0], each[1:])) for each in expected} == expected


def count(host: Host, step: Step) -> int:
    step.check(host.state.catalogue)
    database = host.state.pipeline.database
    with database.read() as connection:
        sql = EventConditions(connection.dialect.name, host.state.catalogue)
        query = sa.select(sa.func.count()).where(sql.of_step(step, database.tables.event.c))
        return connection.execute(query).scalar_one()
