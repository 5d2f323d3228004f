"""The manual's page about the copy: its queries answer what the tables do."""

from __future__ import annotations

import collections

from flask_eventtrack.demo.filling import fill

from ..hosts import Host
from ..manual import iter_blocks, read
from .copies import ClickHouse, copy, stored

PAGE = "docs/howto/copy-to-clickhouse.md"


def test_its_queries_answer(log_host: Host, clickhouse: ClickHouse) -> None:
    """About a made-up history. ``now()`` is the host's."""
    with log_host.app.app_context():
        collections.deque(fill(log_host.state, 900, 6), maxlen=0)
    copy(log_host, clickhouse)
    now = f"toDateTime('{log_host.clock.moment:%Y-%m-%d %H:%M:%S}', 'UTC')"
    queries = [block.text for block in iter_blocks(read(PAGE)) if block.language == "sql"]
    by_day, by_source, by_path = (clickhouse.rows(query.replace("now()", now)) for query in queries)
    rows = stored(log_host)
    views = [
        row
        for row in rows["event"].values()
        if row["action"] == "page.visit" and row["source"] != "bot"
    ]
    days = collections.Counter(row["time"].date() for row in views)
    assert [(day, number) for day, number, _ in by_day] == sorted(days.items())
    paths = collections.Counter(row["params"]["path"] for row in views)
    assert [number for _, number in by_path] == [n for _, n in paths.most_common(10)]
    charges = [
        row
        for row in rows["transaction"].values()
        if row["charge_id"] is None and row["currency"] == "EUR" and row["session_id"]
    ]
    assert len(charges) == sum(number for _, number, *_ in by_source) > 3
    total = sum(row["amount"] - row["cancelled"] for row in charges)
    assert round(sum(revenue for *_, revenue in by_source) * 100) == total
