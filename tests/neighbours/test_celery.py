"""Tasks of Celery act for the visitor in whose request they were sent."""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from celery import Celery, current_app
from flask import Flask

from flask_eventtrack import current_visitor

from ..conftest import MakeHost
from ..faults.process import STARTS, Program, wait_until
from ..hosts import NAVIGATION
from ..servers import require_rabbitmq, require_redis, unique_name
from .celery_shop import Shop, connect, make_shop, start

#: What each way of sending notes, and for whom it is done last.
NOTES = {
    "single": ["single"],
    "nested": ["inner", "outer"],
    "retried": ["try 0", "try 1", "try 2"],
    "failing": ["before it fails"],
    "chain": ["first", "second"],
    "group": ["one", "two"],
    "chord": ["one", "two"],
    "by_name": ["by name"],
}


def check_notes(shop: Shop, name: str, client: t.Any) -> None:
    """Compare the notes of one visitor's tasks with the page in which they were sent."""
    [page] = [row for row in shop.host.events_of("page.visit") if row["params"]["url"] in client]
    notes = [
        row
        for row in shop.host.events_of("job.note")
        if row["session_id"] == page["session_id"] and row["params"]["visit"] == str(page["id"])
    ]
    assert sorted(row["params"]["what"] for row in notes) == NOTES[name]
    assert {row["uuid"] for row in notes} == {page["uuid"]}


def visit(shop: Shop, name: str, **headers: str) -> str:
    """Let a new visitor open a page that sends tasks; return its address."""
    who = unique_name()
    answer = shop.host.client().get(f"/send/{name}?who={who}", headers=NAVIGATION | headers)
    assert answer.status_code == 200
    return f"http://localhost/send/{name}?who={who}"


# In a worker


@pytest.fixture(params=["redis-prefork", "rabbitmq-threads"])
def working(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> cabc.Iterator[Shop]:
    """A shop on SQLite with a worker of its own."""
    kind, _, pool = request.param.partition("-")
    broker = {"redis": require_redis, "rabbitmq": require_rabbitmq}[kind]()
    url, queue = f"sqlite:///{tmp_path / 'shop.db'}", unique_name()
    results = tmp_path / "results"
    results.mkdir()
    settings = {**connect(kind, broker, queue), "result_backend": f"file://{results}"}
    shop = make_shop(url, str(tmp_path / "web"), **settings)
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "tests.neighbours.celery_shop"]
    command += ["worker", "--pool", pool, "--concurrency", "1", "--loglevel", "WARNING"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    environ = {"SHOP_KIND": kind, "SHOP_BROKER": broker, "SHOP_QUEUE": queue, "SHOP_DATABASE": url}
    environ |= {"SHOP_JOURNALS": str(tmp_path / "worker"), "SHOP_RESULTS": f"file://{results}"}
    try:
        with Program(tmp_path, url, **environ) as program:
            program.spawn(command)
            yield shop
    finally:
        shop.host.close()
        shop.celery.close()
        if kind == "redis":
            delete_keys(broker, queue)


def delete_keys(url: str, prefix: str) -> None:
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


def done(shop: Shop) -> set[str]:
    return {row["params"]["who"] for row in shop.host.events_of("job.done")}


def test_a_workers_events_belong_to_the_visit_that_sent_the_task(working: Shop) -> None:
    """Each visitor's in their own session, whatever way a task was sent and however it ended; a
    visitor who refuses has no events, and a task without a request names a customer."""
    shop = working
    sent = {visit(shop, name): name for name in NOTES}
    visit(shop, "single", **{"Sec-GPC": "1"})
    with shop.host.app.app_context():
        shop.celery.tasks["shop.done"].delay("of beat")
    most = len(sent) + 2
    wait_until(lambda: len(done(shop)) == most, STARTS, "the tasks are done")
    count = sum(map(len, NOTES.values()))
    wait_until(lambda: len(shop.host.events_of("job.note")) >= count, STARTS, "and their notes")
    for address, name in sent.items():
        check_notes(shop, name, address)
    assert len(shop.host.events_of("job.note")) == count


# Eagerly


@pytest.fixture
def eager(tmp_path: pathlib.Path) -> cabc.Iterator[Shop]:
    """A shop whose tasks run where they are sent."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    settings = {"task_always_eager": True, "task_store_eager_result": False}
    shop = make_shop(url, str(tmp_path / "web"), **settings)
    yield shop
    shop.host.close()
    shop.celery.close()


@pytest.mark.parametrize("name", [name for name in NOTES if name != "by_name"])
def test_eager_tasks_act_for_the_visitor_too(eager: Shop, name: str) -> None:
    """As a worker's."""
    check_notes(eager, name, visit(eager, name))


def test_a_task_knows_the_visitor_as_in_a_worker(eager: Shop) -> None:
    """By the token: no customer is vouched for, not even in the request itself."""
    seen: list[object] = []

    @eager.celery.task(shared=False)  # type: ignore[untyped-decorator]
    def look() -> None:
        seen.extend([current_visitor.uuid, current_visitor.customer_id])

    with eager.host.app.test_request_context():
        eager.host.events.identify("7")
        look.delay()
        assert seen == [current_visitor.uuid, None]
        assert current_visitor.customer_id == "7"


def test_the_block_ends_with_the_task(eager: Shop) -> None:
    """Also with one that raises."""
    events = eager.host.events
    with eager.host.app.test_request_context():
        token = current_visitor.token
    with eager.host.app.app_context(), events.as_visitor(token):
        start(eager.celery, "failing", "x")
        assert current_visitor.token == token
        with events.as_visitor(None):
            start(eager.celery, "done", "x")
            with pytest.raises(Exception, match="There is no request"):
                _ = current_visitor.uuid


# What is sent


def headers_of(celery: Celery) -> dict[str, t.Any]:
    """Return the headers of the one message on a broker in memory."""
    with celery.connection_for_read() as connection:
        [queue] = celery.amqp.queues.values()
        message = queue.bind(connection.default_channel).get(no_ack=True)
        return dict(message.headers)


@pytest.fixture
def sending(tmp_path: pathlib.Path) -> cabc.Iterator[Shop]:
    """A shop whose messages stay in memory."""
    settings = connect("memory", "memory://", unique_name())
    shop = make_shop(f"sqlite:///{tmp_path / 'shop.db'}", str(tmp_path / "web"), **settings)
    yield shop
    shop.host.close()
    shop.celery.close()


def test_a_message_carries_the_token(sending: Shop) -> None:
    """Of the block, or of the request, whose own is as good."""
    note = sending.celery.tasks["shop.note"]
    with sending.host.app.test_request_context():
        note.delay("x")
        assert headers_of(sending.celery)["eventtrack_visitor"] == current_visitor.token
        with sending.host.events.as_visitor(""):
            note.delay("x")
            assert headers_of(sending.celery)["eventtrack_visitor"] == ""


def test_a_header_of_the_callers_stays(sending: Shop) -> None:
    """They may send a task for someone else, or for no one."""
    with sending.host.app.test_request_context():
        sending.celery.send_task("any", headers={"eventtrack_visitor": "theirs", "mine": "too"})
    headers = headers_of(sending.celery)
    assert (headers["eventtrack_visitor"], headers["mine"]) == ("theirs", "too")


def test_without_a_visitor_no_header_is_sent(sending: Shop, make: MakeHost) -> None:
    """Outside any request, in an app without EventTrack, and where it is switched off."""
    note = sending.celery.tasks["shop.note"]
    note.delay("x")
    assert "eventtrack_visitor" not in headers_of(sending.celery)
    for app in (Flask("bare"), make({"EVENTTRACK_ENABLED": False}).app):
        with app.test_request_context():
            note.delay("x")
        assert "eventtrack_visitor" not in headers_of(sending.celery)


def test_a_task_is_sent_although_its_token_cannot_be_made(
    sending: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why."""

    @sending.host.events.customer_loader
    def load() -> t.NoReturn:
        raise LookupError("on purpose")

    with sending.host.app.test_request_context():
        sending.celery.tasks["shop.note"].delay("x")
    assert "eventtrack_visitor" not in headers_of(sending.celery)
    assert "is sent without its visitor's token" in caplog.text
    assert "on purpose" in caplog.text


def test_following_twice_changes_nothing(eager: Shop) -> None:
    """Nor does following it by a proxy."""
    eager.celery.set_current()
    eager.host.events.follow_celery(eager.celery)
    eager.host.events.follow_celery(current_app)
    check_notes(eager, "nested", visit(eager, "nested"))


def test_tasks_of_another_celery_app_are_left_alone(eager: Shop) -> None:
    """Only those that were named act for visitors."""
    other = Celery("other", set_as_current=False)
    other.conf.task_always_eager = True
    seen: list[str] = []

    @other.task(shared=False)  # type: ignore[untyped-decorator]
    def look() -> None:
        seen.append(type(current_visitor._get_current_object()).__name__)  # type: ignore[attr-defined]

    with eager.host.app.test_request_context():
        look.delay()
    other.close()
    assert seen == ["CurrentVisitor"]


def test_celery_is_imported_only_by_those_who_follow_it() -> None:
    """It is no dependency."""
    code = "import sys, flask_eventtrack; sys.exit('celery' in sys.modules)"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0
