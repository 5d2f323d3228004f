"""Each recipe of the manual's page of SQL runs on the three databases, and counts right."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import decimal
import re
import typing as t
import uuid

import pytest

from flask_eventtrack import cancel_transaction
from flask_eventtrack.demo.filling import fill

from .hosts import Host
from .manual import read
from .reports.visits import close_days, moment

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Row = tuple[t.Any, ...]
PAGE = "docs/howto/sql-recipes.md"
FIRST, LAST, END = moment("2026-11-08"), moment("2026-11-14"), moment("2026-11-15")
ADD, CHARGE, VISIT = "product.addToCart", "transaction.charge", "page.visit"
ORDER = "'A-1042'"


class History:
    """What the tables hold, to be counted in Python."""

    def __init__(self, host: Host) -> None:
        self.events = host.rows("event", "time", "id")
        self.orders = host.rows("transaction", "time")
        self.customers = {row["uuid"]: row for row in host.rows("profile")}
        sessions = host.rows("session")
        self.week = [row for row in sessions if FIRST <= row["started_at"] < END]
        self.before = {row["person"] for row in sessions if row["started_at"] < FIRST}
        self.people = {row["id"]: row["person"] for row in sessions}
        charges = (row for row in self.orders if row["charge_id"] is None)
        #: The one before which its customer did most without a log-in.
        self.order = max(
            charges, key=lambda row: sum(each["uuid"] != row["person"] for each in self.until(row))
        )

    def until(self, order: dict[str, t.Any]) -> cabc.Iterator[dict[str, t.Any]]:
        for row in self.events:
            person = self.people.get(row["session_id"])
            if person == order["person"] and row["time"] <= order["time"]:
                yield row


def visitors(history: History) -> list[Row]:
    people = {row["person"] for row in history.week}
    return [(len(people), len(people - history.before))]


def by_source(history: History) -> list[Row]:
    groups = collections.defaultdict(list)
    for row in history.week:
        groups[row["source"]].append(row)
    return [
        (
            source,
            len(rows),
            sum(row["pages"] for row in rows) / len(rows),
            sum(is_bounce(row) for row in rows) / len(rows),
        )
        for source, rows in groups.items()
    ]


def is_bounce(row: dict[str, t.Any]) -> bool:
    return bool(row["pages"] == 1 and row["events"] == 1)


def by_campaign(history: History) -> list[Row]:
    orders, amounts = collections.Counter[Row](), collections.Counter[Row]()
    for row in history.orders:
        key = (row["last_campaign"], row["currency"])
        orders[key] += row["charge_id"] is None
        amounts[key] += row["amount"]
    return [(*key, orders[key], amounts[key]) for key in orders]


def never_ordered(history: History) -> list[Row]:
    done = collections.defaultdict(set)
    for row in history.events:
        done[history.people.get(row["session_id"], row["uuid"])].add(row["action"])
    return [
        (row["customer_id"],)
        for uuid, row in history.customers.items()
        if ADD in done[uuid] and CHARGE not in done[uuid]
    ]


def before_the_order(history: History) -> list[Row]:
    return [
        (row["time"], row["action"], row["url_rule"], row["label"])
        for row in history.until(history.order)
    ]


def first_touches(history: History) -> list[Row]:
    counts = collections.Counter(
        (row["first_seen_at"].strftime("%Y-%m"), row["first_channel"], row["first_source"])
        for row in history.customers.values()
    )
    return [(*key, count) for key, count in counts.items()]


def top_values(history: History) -> list[Row]:
    skus = (row["params"]["sku"] for row in history.events if row["action"] == ADD)
    return sorted(collections.Counter(skus).items(), key=lambda pair: (-pair[1], pair[0]))[:10]


def long_hovers(history: History) -> list[Row]:
    dwells: dict[t.Any, int] = {}
    clicked = set()
    for row in history.events:
        session, params = row["session_id"], row["params"]
        if params.get("id") == "spring" and moment("2026-11-01") <= row["time"]:
            if row["action"] == "element.hover":
                dwells[session] = max(params["dwell_ms"], dwells.get(session, 0))
            elif row["action"] == "link.click":
                clicked.add(session)
    median = sorted(dwells.values())[(len(dwells) - 1) // 2]
    return [
        (session, history.people[session], dwell)
        for session, dwell in dwells.items()
        if dwell > median and session in clicked
    ]


def left_checkouts(history: History) -> list[Row]:
    visits = collections.defaultdict(list)
    for row in history.events:
        if row["action"] == VISIT and row["session_id"]:
            visits[row["session_id"]].append(row["url_rule"])
    ordered = {row["session_id"] for row in history.orders}
    counts = collections.Counter[str]()
    for session, rules in visits.items():
        if "/checkout" in rules and session not in ordered:
            counts.update(set(rules[: rules.index("/checkout")]))
    return list(counts.items())


def until_the_first_order(history: History) -> list[Row]:
    first = {row["person"]: row["time"] for row in reversed(history.orders)}
    waits = [
        (first[uuid] - row["first_seen_at"]).total_seconds()
        for uuid, row in history.customers.items()
        if uuid in first and first[uuid] >= row["first_seen_at"]
    ]
    return [(len(waits), sum(waits) / len(waits) / 3600)]


RECIPES: dict[str, cabc.Callable[[History], list[Row]]] = {
    "Visitors of a period": visitors,
    "Sessions and bounce rate by source": by_source,
    "Revenue by campaign": by_campaign,
    "Customers who did this, but never that": never_ordered,
    "What a customer did before an order": before_the_order,
    "First touch of new customers by month": first_touches,
    "Most frequent values of a parameter": top_values,
    "Hovered longer than usual, and clicked": long_hovers,
    "Pages seen before a checkout was left": left_checkouts,
    "From the sign-up to the first order": until_the_first_order,
}
CHECK = "Check the overview"


def find_query(title: str, kind: str) -> str:
    """Return a recipe for a kind of database."""
    section = read(PAGE).partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    queries = re.findall(r"^```sql\n(?:-- (.*?)\n)?(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    [query] = [query for kinds, query in queries if not kinds or kind in kinds.lower()]
    return str(query)


def test_recipes_ask_public_tables_and_columns_only() -> None:
    """No name is in a query that the reference calls internal."""
    rows = re.findall(
        r"^\| \[?`(\w+)`.* \| (public|internal) \|", read("docs/reference/tables.md"), re.MULTILINE
    )
    kinds = {
        kind: {name for name, found in rows if found == kind} for kind in ("public", "internal")
    }
    queries = "".join(re.findall(r"^```sql\n(.*?)^```$", read(PAGE), re.MULTILINE | re.DOTALL))
    named = set(re.findall(r"\w+", queries))
    assert named & (kinds["internal"] - kinds["public"]) == set()
    assert named & kinds["public"]


def run(host: Host, query: str) -> list[Row]:
    with host.state.pipeline.database.read() as connection:
        return [tuple(map(plain, row)) for row in connection.exec_driver_sql(query)]


def plain(value: object) -> object:
    """Return what a driver gives as what others give: SQLite has times and ids as text."""
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, str) and ID.fullmatch(value):
        return value.replace("-", "")
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(" ", "microseconds")
    return value


def sort(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [str(part) for part in row if not is_number(part)])


def is_number(value: object) -> bool:
    return isinstance(value, int | float)


def test_every_recipe_counts_right(db_host: Host) -> None:
    """On the history of a small shop, one order of which is cancelled."""
    host = db_host
    for _ in fill(host.state, events=4000, days=20):
        pass
    close_days(host)
    with host.app.app_context():
        kind = host.db.engine.dialect.name
        cancel_transaction(History(host).order["order_id"])
        week = host.events.reports.period("custom", FIRST.date(), LAST.date())
        numbers = host.events.reports.overview(week).numbers
    history = History(host)
    assert re.findall(r"^## (.+)$", read(PAGE), re.MULTILINE) == [*RECIPES, CHECK]
    for title, count in RECIPES.items():
        query = find_query(title, kind)
        found = run(host, query.replace(ORDER, f"'{history.order['order_id']}'"))
        expected = [tuple(map(plain, row)) for row in count(history)]
        assert expected, title
        assert sort(found) == [pytest.approx(row, abs=1e-3) for row in sort(expected)], title
    [row] = run(host, find_query(CHECK, kind))
    assert row == pytest.approx(
        (numbers.visitors, numbers.sessions, numbers.bounce_rate, numbers.visible_time), abs=1e-3
    )
    assert visitors(history) == [(numbers.visitors, numbers.new_visitors)]
