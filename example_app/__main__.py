"""``python -m example_app``: set up the shop's database, say where to look, serve."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import sys

from werkzeug.serving import make_server

from flask_eventtrack.demo.filling import fill
from flask_eventtrack.state import get_state

from . import create_app
from .models import db
from .seed import ensure_database

HOST = "127.0.0.1"
_PORTS_TRIED = 100
# What the shop's past is made of, when its database is new: long enough to compare last month with
# the month before.
_DAYS, _EVENTS = 92, "30000"


def main() -> None:
    """Run the shop on 127.0.0.1, at port 5000 or the one in ``PORT``, or at the next free one."""
    wanted = int(os.environ.get("PORT", "5000"))
    with open_socket(wanted) as listener:
        port = listener.getsockname()[1]
        app = create_app()
        with app.app_context():
            if ensure_database():
                make_history(f"{HOST}:{port}")
            database = db.engine.url.render_as_string()
        server = make_server(HOST, port, app, threaded=True, fd=listener.fileno())
        url = f"http://{HOST}:{port}"
        flask = os.path.relpath(pathlib.Path(sys.executable).with_name("flask"))
        print(
            "",
            *([] if port == wanted else [f"  Another program uses port {wanted}.", ""]),
            f"  The shop          {url}",
            f"  The dashboard     {url}/_et/",
            f"  What it recorded  {url}/about-you",
            f"  Ways to come back {url}/outside/leave",
            f"  The database      {database}",
            f"  Watch it live     {flask} --app example_app eventtrack tail --follow",
            "  To stop it        Ctrl+C",
            "",
            sep="\n",
            flush=True,
        )
        server.serve_forever()


def make_history(host: str) -> None:
    """Make up three months of visits, so that the dashboard has something to show.

    ``DEMO_EVENTS`` says of about how many events; 0 makes none.
    """
    events = int(os.environ.get("DEMO_EVENTS", _EVENTS))
    if events:
        print(f"Making up {_DAYS} days of visits ...", flush=True)
        for _ in fill(get_state(), events, _DAYS, host=host):
            pass


def open_socket(first: int) -> socket.socket:
    """Listen on the first port, from this one on, that no other program uses.

    It is held from here on, so that two demos that start at once get different ones.
    """
    last = min(first + _PORTS_TRIED, 65536) - 1
    for port in range(first, last + 1):
        if not any(_is_answered(host, port) for host in (HOST, "::1")):
            with contextlib.suppress(OSError):
                return socket.create_server((HOST, port))
    raise SystemExit(f"No port from {first} to {last} is free: set PORT to another one.")


def _is_answered(host: str, port: int) -> bool:
    # macOS lets us listen beside AirPlay, which has port 5000 on all addresses. Whoever opens
    # "localhost" would then reach AirPlay.
    try:
        socket.create_connection((host, port), timeout=0.5).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
