"""Apps behind gunicorn, each in a process of its own."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import socket
import subprocess
import sys
import time

from .client import Client
from .report import Unavailable

_START_UP = 60.0


@contextlib.contextmanager
def gunicorn(call: str, options: cabc.Sequence[str], path: str) -> cabc.Iterator[int]:
    """Serve a WSGI application from one worker process for the while; yields its port.

    :param call: where the application is: a module, a colon, and the call that makes it.
    :param path: a page that is asked for to see that it answers.
    :raises Unavailable: it does not start.
    """
    port = _free_port()
    server = ("-w", "1", *options, "-b", f"127.0.0.1:{port}", "--timeout", "120")
    command = [sys.executable, "-m", "gunicorn", *server, "--log-level", "critical", call]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _await_answer(process, port, path)
            yield port
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await_answer(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + _START_UP
    while time.monotonic() < deadline and process.poll() is None:
        try:
            Client(port).get(path)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise Unavailable("the server does not start")
