"""A TCP proxy whose line can be well, slow or down, as its standard input says.

``python -m benchmarks.proxy <host> <port>`` prints its own port, and "ok" to each command.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import typing as t

import sqlalchemy as sa

from .sink import child

DELAY = 0.2


class Line:
    """The way to a database, as the one who spoils it sees it."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def become(self, state: t.Literal["well", "slow", "down"]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{state}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == "ok"


@contextlib.contextmanager
def proxy(url: str) -> t.Iterator[tuple[Line, str]]:
    """Put a proxy before a database server; yields the line, and the URL through it."""
    target = sa.make_url(url)
    host, port = target.host or "127.0.0.1", target.port or 5432
    with child("benchmarks.proxy", host, str(port)) as process:
        assert process.stdout is not None
        line = Line(process, int(process.stdout.readline()))
        through = target.set(host="127.0.0.1", port=line.port)
        yield line, through.render_as_string(hide_password=False)


class _Proxy:
    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._own_port = 0
        self._delay = 0.0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]
        return self._own_port

    async def obey(self, state: str) -> None:
        self._delay = DELAY if state == "slow" else 0.0
        if state == "down" and self._server is not None:
            self._server.close()
            self._server = None
            for writer in self._writers:
                writer.transport.abort()
        elif state != "down" and self._server is None:
            await self.open()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection(*self._target)
        both = {writer, their_writer}
        self._writers |= both
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._pump(reader, their_writer), self._pump(their_reader, writer))
        self._writers -= both

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._delay:
                await asyncio.sleep(self._delay)
            writer.write(data)
            await writer.drain()
        writer.close()


async def _main(host: str, port: str) -> None:
    server = _Proxy(host, int(port))
    print(await server.open(), flush=True)
    while command := await asyncio.to_thread(sys.stdin.readline):
        await server.obey(command.strip())
        print("ok", flush=True)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
