"""A real server in this process, so that a test moves its clock."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import threading

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer


@contextlib.contextmanager
def run(app: Flask) -> cabc.Iterator[int]:
    """Serve an app on a free port, a thread for each request; at the end all of them have ended."""
    server = ThreadedWSGIServer("127.0.0.1", 0, app)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
