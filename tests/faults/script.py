"""A plain script: ``python -m tests.faults.script COUNT END`` tracks, and ends in one of ways."""

from __future__ import annotations

import collections.abc as cabc
import os
import signal
import sys

from .app import create_app, work


def _fail() -> None:
    raise RuntimeError("the script's own mistake")


#: Ways to end, and whether the interpreter gets to say good-bye.
ENDS: dict[str, tuple[cabc.Callable[[], object], bool]] = {
    "return": (lambda: None, True),
    "sys.exit": (lambda: sys.exit(3), True),
    "exception": (_fail, True),
    "os._exit": (lambda: os._exit(3), False),
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), False),
}

if __name__ == "__main__":
    with create_app().app_context():
        for _ in range(int(sys.argv[1])):
            work()
        ENDS[sys.argv[2]][0]()
