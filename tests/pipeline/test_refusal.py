"""What ``eventtrack_rejected`` keeps of a record: masked, and without what the database quotes."""

from __future__ import annotations

import json

from flask_eventtrack.records import PageView

from ..hosts import Host
from ..store.records import NAIVE, an_event, an_id, write_records


def test_rejected_record_is_masked(db_host: Host) -> None:
    """Also a page's raw values, as an older release has left them in a journal."""
    params = {"note": "ada@example.com", "pin": 4711, "href": "/a?next=%2Fb%3Ftoken%3DS3CR3T"}
    event = an_event("bad.value", time=NAIVE, params=params, label="4111 1111 1111 1111")
    write_records(db_host, event)
    [row] = db_host.rows("rejected")
    payload = json.loads(row["payload"])
    assert payload["params"] == {"note": "[email]", "pin": "[masked]", "href": "/a?next=/b"}
    assert payload["label"] == "[card]"
    assert payload["uuid"] == str(event.uuid)


def test_raw_values_of_a_rejected_page_are_masked(host: Host) -> None:
    """As a release that masked only in the writer has left them in a journal."""
    page, referrer, title = "/users/ada@example.com", "http://localhost/?a=1", "Page of ada@example"
    place = ("http", "localhost", "", page, "next=%2Fb%3Ftoken%3DS3CR3T", "user", "/users/<name>")
    ids = (an_id(), 0, an_id(), an_id(), 1, 0)
    view = PageView(*ids, *place, referrer, f"{title}.com", 200, 1, None)
    writer = host.state.pipeline.writer
    with host.app.app_context():
        writer._set_aside(view, ValueError(f"cannot store {view.title!r}"))
    [row] = host.rows("rejected")
    assert row["reason"] == "ValueError: cannot store '[masked]'"
    assert json.loads(row["payload"])["path"] == "/users/[email]"
    assert "ada" not in row["payload"]
    assert "S3CR3T" not in row["payload"]


def test_reason_does_not_quote_the_row(host: Host) -> None:
    """Whatever a trigger of the host's says."""
    database = host.state.pipeline.database
    with database.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER refuse BEFORE INSERT ON {database.tables.event.name} "
            "WHEN NEW.label IS NOT NULL BEGIN SELECT RAISE(ABORT, 'Jane Doe, "
            "ada@example.com\nsecond line'); END"
        )
    write_records(host, an_event("bad.value", label="Jane Doe"))
    [row] = host.rows("rejected")
    assert row["reason"] == "IntegrityError: [masked], [email]"
