"""The testing kit with a real browser, and a server in a thread of the test."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import threading
import unittest.mock

from flask import Flask
from playwright.sync_api import Page
from werkzeug.serving import make_server

from flask_eventtrack import EventTrack

from ..conftest import MakeHost
from ..testing.shops import make_shop
from .conftest import TIMEOUT


@contextlib.contextmanager
def serve(app: Flask) -> cabc.Iterator[str]:
    """Serve an app in a thread; give its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_a_browser_does_is_captured(make: MakeHost, page: Page) -> None:
    """Its click, and one visit with what both it and the server know of the page."""
    shop = make_shop(make, events=EventTrack())
    with shop.events.capture() as tracked, serve(shop.app) as address:
        page.goto(address)
        page.evaluate("eventtrack.track('product.like', {number: 1})")
        tracked.assert_event("product.like", number=1, within=TIMEOUT)
        seen = {"status": 200, "viewport": unittest.mock.ANY}
        visit = tracked.assert_event("page.visit", seen, title="Home", times=1, within=TIMEOUT)
        assert visit.session is not None
        tracked.assert_sequence("page.visit", "product.like", visitor=visit.session.device_id)


def test_a_mistake_in_the_browser_is_captured(make: MakeHost, page: Page) -> None:
    """Although no one has looked at the answer."""
    shop = make_shop(make, events=EventTrack())
    with shop.events.capture() as tracked, serve(shop.app) as address:
        page.goto(address)
        page.evaluate("eventtrack.track('product.lick'), eventtrack.track('product.like')")
        tracked.assert_event("product.like", within=TIMEOUT)
        tracked.assert_rejected("product.lick", "undefined_event")
