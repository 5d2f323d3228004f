"""A shop whose requests send jobs of RQ, as the guide shows. Its worker imports them from here."""

from __future__ import annotations

import os
import typing as t

from flask import Flask, request
from rq import Queue

from flask_eventtrack import EventTrack

from ..hosts import Host, make_host
from ..manual import iter_blocks, read

# The guide's names for them.
app: Flask
events: EventTrack
#: The functions of the guide that send a job, by the name in the shop's URL.
KINDS = {"argument": "start_report", "meta": "start_summary"}
_HEAD = "from flask_eventtrack import current_visitor, track\n"


def make_shop(url: str, folder: str, queue: Queue | None = None) -> Host:
    """Return a shop on a database, and let the guide's functions use it.

    :param folder: where the journals are.
    :param queue: where the jobs of its requests go; None in a worker.
    """
    global app, events
    events = EventTrack()
    events.define("report.finish")
    config = {"EVENTTRACK_JOURNAL_DIR": folder}
    host = make_host(url, config, events=events, create=queue is not None)
    app = host.app
    names: dict[str, t.Any] = globals()
    for block in iter_blocks(read("docs/howto/track-in-jobs.md")):
        if "enqueue(" in block.text:
            exec(_HEAD + block.text, names)

    @app.get("/send/<kind>")
    def send(kind: str) -> str:
        names[KINDS[kind]](queue)
        return f"<title>{request.args['who']}</title>"

    return host


if "SHOP_JOURNALS" in os.environ:  # in a worker
    make_shop(os.environ["SHOP_DATABASE"], os.environ["SHOP_JOURNALS"])
