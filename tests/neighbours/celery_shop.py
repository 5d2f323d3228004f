"""A shop whose requests send Celery tasks. As a program, ``celery`` is the app of its worker."""

from __future__ import annotations

import os
import typing as t

from celery import Celery, Task, chain, chord, group
from flask import request
from kombu.entity import Queue

from flask_eventtrack import EventTrack, track

from ..hosts import Host, make_host


class Shop(t.NamedTuple):
    """The host app and its Celery app."""

    host: Host
    celery: Celery


def make_shop(url: str, folder: str, *, create: bool = True, **settings: t.Any) -> Shop:
    """Return a shop on a database.

    :param folder: where the journals are.
    :param settings: Celery's.
    """
    events = EventTrack()
    events.define("job.note", anonymous=True)
    events.define("job.done")
    config = {"EVENTTRACK_JOURNAL_DIR": folder}
    host = make_host(url, config, events=events, create=create)
    celery = Celery("shop", set_as_current=False)
    celery.conf.update(worker_enable_remote_control=False, **settings)
    celery.Task = _make_task(host)
    events.follow_celery(celery)
    _add_tasks(celery)

    @host.app.get("/send/<name>")
    def send(name: str) -> str:
        start(celery, name, request.args.get("who", name))
        return "<title>Sent</title>"

    return Shop(host, celery)


def connect(kind: str, url: str, name: str) -> dict[str, t.Any]:
    """Return Celery's settings for a queue of its own on a broker."""
    settings: dict[str, t.Any] = {
        "broker_url": url,
        "broker_connection_retry_on_startup": True,
        "task_default_queue": name,
        "task_queues": [
            Queue(name, auto_delete=kind == "rabbitmq", durable=False)  # type: ignore[no-untyped-call]
        ],
    }
    if kind == "redis":
        settings["broker_transport_options"] = {"global_keyprefix": f"{name}:"}
    return settings


def start(celery: Celery, name: str, who: str) -> None:
    """Send one task, or some."""
    tasks = celery.tasks
    note, done = tasks["shop.note"], tasks["shop.done"]
    if name == "chain":
        chain(note.si("first"), note.si("second"), done.si(who)).apply_async()
    elif name == "group":
        group(note.si("one"), note.si("two"), done.si(who)).apply_async()
    elif name == "chord":
        chord([note.si("one"), note.si("two")])(done.si(who))
    elif name == "by_name":
        celery.send_task("shop.note", ["by name"], headers={"mine": "kept"})
        celery.send_task("shop.done", [who])
    else:
        tasks[f"shop.{name}"].delay(who)


def _make_task(host: Host) -> type[t.Any]:
    class FlaskTask(Task):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> object:
            with host.app.app_context():
                return self.run(*args, **kwargs)

    return FlaskTask


def _add_tasks(celery: Celery) -> None:
    @celery.task(name="shop.note", shared=False)  # type: ignore[untyped-decorator]
    def note(what: str) -> None:
        track("job.note", {"what": what})

    @celery.task(name="shop.done", shared=False)  # type: ignore[untyped-decorator]
    def done(who: str) -> None:
        track("job.done", {"who": who}, customer="worker")

    @celery.task(name="shop.single", shared=False)  # type: ignore[untyped-decorator]
    def single(who: str) -> None:
        note("single")
        done(who)

    @celery.task(name="shop.nested", shared=False)  # type: ignore[untyped-decorator]
    def nested(who: str) -> None:
        note.delay("inner")
        note("outer")
        done.delay(who)

    @celery.task(name="shop.retried", shared=False, bind=True, max_retries=2)  # type: ignore[untyped-decorator]
    def retried(self: t.Any, who: str) -> None:
        note(f"try {self.request.retries}")
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        done(who)

    @celery.task(name="shop.failing", shared=False)  # type: ignore[untyped-decorator]
    def failing(who: str) -> None:
        note("before it fails")
        done(who)
        raise ValueError("on purpose")


def __getattr__(name: str) -> Celery:
    """Make the worker's app, by the environment."""
    if name != "celery":
        raise AttributeError(name)
    kind, url, queue = (os.environ[f"SHOP_{key}"] for key in ("KIND", "BROKER", "QUEUE"))
    settings = {**connect(kind, url, queue), "result_backend": os.environ["SHOP_RESULTS"]}
    folder = os.environ["SHOP_JOURNALS"]
    return make_shop(os.environ["SHOP_DATABASE"], folder, create=False, **settings).celery
