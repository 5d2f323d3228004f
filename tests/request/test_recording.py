"""The one ``put()``, and its receivers and duplicates."""

from __future__ import annotations

import typing as t

from flask import Flask

from flask_eventtrack import Event
from flask_eventtrack.signals import event_accepted

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN


def test_post_repeated_while_receivers_are_told_is_a_duplicate(make: MakeHost) -> None:
    """If a client gives up on slow receivers and posts again, each event counts once."""
    host = make()
    post = {"action": "button.click", "event_id": "018f2b1e-7c1a-7def-8a5b-0123456789ab"}
    statuses: list[str] = []
    told: list[Event] = []

    def send() -> None:
        answer: t.Any = host.client().post("/_et/in", json=post, headers=SAME_ORIGIN).json
        statuses.append(answer["results"][0]["status"])

    def receive(_: Flask, event: Event) -> None:
        told.append(event)
        if len(told) == 1:
            send()

    with event_accepted.connected_to(receive, host.app):
        send()
    assert statuses == ["duplicate", "accepted"]
    assert len(told) == 1
