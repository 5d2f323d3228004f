"""The recipes of the manual's page run."""

from __future__ import annotations

import collections.abc as cabc
import io
import typing as t
import urllib.error
import urllib.request

import pytest
import sqlalchemy as sa

from flask_eventtrack import identify
from flask_eventtrack import track as track_event

from ..manual import iter_blocks, read, run_blocks

PAGE = "docs/howto/run-code-on-events.md"


@pytest.fixture
def names(tmp_path: t.Any, monkeypatch: pytest.MonkeyPatch) -> cabc.Iterator[dict[str, t.Any]]:
    """What the page's blocks define, with its database in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    found: dict[str, t.Any] = {}
    blocks = [block for block in iter_blocks(read(PAGE)) if block.language == "python"]
    assert len(blocks) == 5
    first = blocks[0].text.replace("sqlite:///", f"sqlite:///{tmp_path}/")
    found["__name__"] = "shop"
    exec(compile(first, PAGE, "exec", dont_inherit=True), found)
    run_blocks(PAGE, found, slice(1, None))
    app = found["app"]
    app.testing = True
    with app.app_context():
        found["db"].create_all()
        yield found
        found["events"].tables  # noqa: B018 - it is registered
        app.extensions["eventtrack"].pipeline.close()
        app.extensions["eventtrack"].reports.reader.close()
        for engine in found["db"].engines.values():
            engine.dispose()


class Wire:
    """Stands for the network between the app and the receiver."""

    def __init__(self, receiver: t.Any) -> None:
        self.client = receiver.test_client()
        self.is_down = False
        self.posts: list[urllib.request.Request] = []

    def urlopen(self, request: urllib.request.Request, timeout: float) -> io.BytesIO:
        if self.is_down:
            raise urllib.error.URLError("unreachable")
        self.posts.append(request)
        answer = self.client.post("/orders", data=request.data, headers=dict(request.headers))
        if answer.status_code >= 400:
            raise urllib.error.HTTPError(
                request.full_url, answer.status_code, "refused", t.cast("t.Any", {}), None
            )
        return io.BytesIO(answer.data)


def pay(names: dict[str, t.Any], number: str, customer: str = "7") -> None:
    track_event("order.pay", {"number": number}, customer=customer)


def test_a_webhook_arrives_once_with_its_signature(
    names: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an outage as well, and if it is sent twice."""
    wire, events = Wire(names["receiver"]), names["events"]
    monkeypatch.setattr(urllib.request, "urlopen", wire.urlopen)
    pay(names, "A-1")
    wire.is_down = True
    with pytest.raises(urllib.error.URLError):
        events.flush()
    wire.is_down = False
    events.flush()
    assert len(wire.posts) == 1
    assert len(names["known"]) == 1
    assert capsys.readouterr().out.count("An order: {'number': 'A-1'}") == 1
    wire.urlopen(wire.posts[0], 10)
    assert len(names["known"]) == 1
    assert "An order" not in capsys.readouterr().out
    names["SECRET"] = b"of another app"
    forged = wire.posts[0]
    assert (
        wire.client.post("/orders", data=forged.data, headers=dict(forged.headers)).status_code
        == 403
    )


def test_a_mail_is_sent_once(
    names: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is tried again if it fails, and not sent again for an event that was noted."""
    wire, events, db = Wire(names["receiver"]), names["events"], names["db"]
    monkeypatch.setattr(urllib.request, "urlopen", wire.urlopen)
    with names["app"].test_request_context("/"):
        identify("7")
    send = names["send_mail"]

    def fail(*_: object) -> None:
        raise OSError("no mail server")

    names["send_mail"] = fail
    pay(names, "A-1")
    with pytest.raises(OSError, match="no mail server"):
        events.flush()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(names["Thanked"])) == 0
    names["send_mail"] = send
    events.flush()
    assert capsys.readouterr().out.count("To 7 : Thank you for your order A-1") == 1
    db.session.rollback()
    [noted] = db.session.scalars(sa.select(names["Thanked"].event_id))
    event = type("Event", (), {"id": noted, "customer_id": "7", "params": {"number": "A-1"}})
    names["thank"](event)
    assert capsys.readouterr().out == ""


def test_the_test_of_the_page_passes(
    names: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a function that keeps what it was called with."""
    monkeypatch.setattr(urllib.request, "urlopen", Wire(names["receiver"]).urlopen)
    sent: list[str] = []
    names["events"].on("order.pay", lambda event: sent.append(event.params["number"]), name="sent")
    names["test_an_order_is_sent"](sent)
