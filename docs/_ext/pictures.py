"""Makes the pictures of the dashboard in ``docs/images/``, out of the shop's made-up history.

The history, the day and the time are always the same. ``make pictures`` takes them, ``make check``
compares the sources of which they were taken.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import datetime as dt
import hashlib
import logging
import os
import pathlib
import sys
import tempfile
import threading
import typing as t

import sqlalchemy as sa
from flask import Flask
from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

import flask_eventtrack
from example_app import create_app
from example_app.models import db
from example_app.seed import ensure_database
from example_app.tracking import events
from flask_eventtrack.demo.filling import fill
from flask_eventtrack.state import get_state

DOCS = pathlib.Path(__file__).parents[1]
IMAGES = DOCS / "images"
DIGEST = IMAGES / "dashboard.sha256"
PACKAGE = pathlib.Path(flask_eventtrack.__file__).parent
CHROMIUM = os.environ.get("EVENTTRACK_TEST_CHROMIUM", "/usr/bin/chromium")
NOW = dt.datetime(2026, 11, 26, 15, 40, tzinfo=dt.UTC)
WIDTH, SCALE, QUALITY, MOST_BYTES = 1280, 1.5, 90, 150_000


class Picture(t.NamedTuple):
    """A page below ``/_et/``, and how many pixels of it are shown."""

    path: str
    height: int
    scheme: t.Literal["light", "dark"] = "light"


PICTURES = {
    "overview": Picture("", 1130),
    "overview-dark": Picture("", 1130, "dark"),
    "details": Picture("details/source?f=is:country:DE", 606),
    "revenue": Picture("revenue", 560),
    "agents": Picture("agents", 960),
    "funnel": Picture(
        "funnels?step=product.view&step=product.addToCart&step=page:/checkout"
        "&step=transaction.charge&by=source",
        900,
    ),
    "catalogue": Picture("catalogue", 720),
    "quality": Picture("quality", 860),
    "live": Picture("live", 640),
    "people": Picture("people?order=active", 560),
    "person": Picture("people/{person}", 860),
}


def digest_sources() -> str:
    """Return a digest of what decides how the pictures look."""
    room = PACKAGE / "dashboard"
    sheets = ("dashboard.css", "explore.css", "people.css", "quality.css")
    styles = (room / "static" / name for name in sheets)
    pages = (path for path in room.glob("templates/*") if not path.name.startswith("host_"))
    sources = [pathlib.Path(__file__), *styles, *pages, *(PACKAGE / "demo").glob("*.py")]
    digest = hashlib.sha256()
    for path in sorted(sources, key=lambda path: path.name):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def serve_shop() -> cabc.Iterator[tuple[str, str]]:
    """Serve the shop with three months of history; yield its URL and a customer to look at."""
    events._clock = lambda: int(NOW.timestamp()) * 1_000_000_000
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(
            {
                "SECRET_KEY": "for pictures only",
                "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/shop.db",
                "EVENTTRACK_JOURNAL_DIR": folder,
            }
        )
        with app.app_context():
            ensure_database()
            for _ in fill(get_state(), 30_000, 92, host="shop.example.com"):
                pass
            person = find_customer()
        with serve(app) as url:
            yield url, person


def find_customer() -> str:
    """Return the customer who ordered last."""
    charge, profile = events.tables.transaction, events.tables.profile
    query = sa.select(profile.c.uuid).join(charge, charge.c.person == profile.c.uuid)
    return str(db.session.scalar(query.order_by(charge.c.time.desc()).limit(1)))


@contextlib.contextmanager
def serve(app: Flask) -> cabc.Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def take(page: Page, url: str, picture: Picture) -> bytes:
    """Return a page as WebP, which Playwright's own ``screenshot()`` cannot write.

    :raises SystemExit: it is no page of the dashboard.
    """
    page.emulate_media(color_scheme=picture.scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": WIDTH, "height": picture.height})
    answer = page.goto(url)
    if answer is None or not answer.ok:
        raise SystemExit(f"{url} is no page to take a picture of.")
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(taken["data"])


def make_pictures() -> None:
    """Write all pictures and the digest.

    :raises SystemExit: a picture is larger than pictures of a manual should be.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with serve_shop() as (url, person), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(device_scale_factor=SCALE).new_page()
        for name, picture in PICTURES.items():
            path = picture.path.format(person=person)
            image = take(page, f"{url}/_et/{path}", picture)
            if len(image) > MOST_BYTES:
                raise SystemExit(f"{name} has {len(image)} bytes, and {MOST_BYTES} are the most.")
            (IMAGES / f"{name}.webp").write_bytes(image)
        browser.close()
    DIGEST.write_text(f"{digest_sources()}\n")


def main() -> None:
    """Make the pictures; with ``--check`` say whether they show today's pages.

    :raises SystemExit: they do not.
    """
    if sys.argv[1:] != ["--check"]:
        make_pictures()
    elif DIGEST.read_text().strip() != digest_sources():
        raise SystemExit("The dashboard looks different than in docs/images: run 'make pictures'.")


if __name__ == "__main__":
    main()
