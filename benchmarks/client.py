"""A small keep-alive client, quicker than the servers that it measures."""

from __future__ import annotations

import socket
import time
import typing as t

from . import wsgi


class Answer(t.NamedTuple):
    head: str
    body: bytes
    seconds: float


class Client:
    """One connection, opened anew where the server closes it. Not safe among threads."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def get(self, path: str, cookies: str = "") -> Answer:
        """Make a request; the seconds include connecting, where there is no connection."""
        headers = {**wsgi.BROWSER, "Cookie": cookies}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        began = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        head, body = self._read(self._socket)
        seconds = time.perf_counter() - began
        if "\r\nconnection: close" in head.lower():
            self.close()
        assert head.startswith("HTTP/1.1 200"), f"{path}: {head.splitlines()[0]}"
        return Answer(head, body, seconds)

    def _read(self, connection: socket.socket) -> tuple[str, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        length = int(_header(text, "content-length"))
        while len(body) < length:
            body += self._receive(connection)
        return text, body

    def _receive(self, connection: socket.socket) -> bytes:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("the server has closed the connection")
        return data

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _header(head: str, name: str) -> str:
    at = head.lower().index(f"\r\n{name}:") + len(name) + 3
    return head[at:].partition("\r\n")[0].strip()


def visit(client: Client, path: str, cookies: str) -> str:
    """Visit a page as a newcomer; return all the cookies with which the visitor returns."""
    lines = client.get(path, cookies).head.split("\r\n")
    values = [line[11:].strip() for line in lines if line.lower().startswith("set-cookie:")]
    return "; ".join(filter(None, [cookies, wsgi.read_cookies(values)]))
