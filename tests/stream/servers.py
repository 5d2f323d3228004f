"""A Redis of a test's own, which can be killed."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import signal
import subprocess
import typing as t

import redis

from ..faults.ports import HOST, free_port
from ..faults.process import wait_until
from ..servers import skip_absent

_STARTS = 30.0


class OwnRedis:
    """A Redis on a port of its own, which is gone when the block ends.

    :param folder: where it keeps its file.
    :param appends: whether it appends each change to a file, and so survives a kill.
    :param options: more of its options.
    """

    def __init__(self, folder: pathlib.Path, *options: str, appends: bool = True) -> None:
        self._folder = folder
        self._appends = "yes" if appends else "no"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port: int = free_port()
        self.url: str = f"redis://{HOST}:{self.port}/0"

    def __enter__(self) -> t.Self:
        if shutil.which("redis-server") is None:
            skip_absent("redis-server", "no redis-server on PATH")
        self._folder.mkdir(exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "redis-server",
                *("--port", str(self.port), "--bind", HOST, "--dir", str(self._folder)),
                *("--save", "", "--appendonly", self._appends, *self._options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, _STARTS, "Redis answers")

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def connect(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), self.connect() as client:
            return bool(client.ping())
        return False
