from __future__ import annotations

from .hosts import NAVIGATION, Host


def test_a_page_is_a_visit_in_a_session_of_a_device(db_host: Host) -> None:
    """The main job, on each database: one page view makes one visit and one session."""
    client = db_host.client()
    assert client.get("/", headers=NAVIGATION).status_code == 200
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}
    [session] = db_host.rows("session")
    assert (session["pages"], session["events"], session["browser"]) == (1, 1, "Chrome")
