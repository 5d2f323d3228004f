"""Requests made to an app without a server."""

from __future__ import annotations

import http.cookies
import io
import typing as t

from flask import Flask
from werkzeug.test import create_environ

Environ = dict[str, t.Any]

#: What a browser says with a click on a link of the same site.
BROWSER = {
    "Host": "shop.example.com",
    "User-Agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/156.0.0.0 Safari/537.36"
    ),
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "de-AT,de;q=0.9,en;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://shop.example.com/",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
#: What the snippet's fetch says.
FETCH = {**BROWSER, "Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
#: The host's own cookies: those of a newcomer, and one more for who has been here.
NEWCOMER = "theme=dark"


def regular(number: int) -> str:
    """Return the host's own cookies of a visitor that it knows."""
    return f"{NEWCOMER}; visitor=b3a1c6e0-{number:04x}-4c53-9e0f-5f7d6b1a2c3d"


def address(number: int) -> str:
    return f"198.51.{number // 250}.{number % 250 + 1}"


def make_environ(path: str, cookies: str, number: int = 0) -> Environ:
    headers = {**BROWSER, "Cookie": cookies}
    return {**create_environ(path, headers=headers), "REMOTE_ADDR": address(number)}


def make_post(path: str, cookies: str, body: bytes, number: int = 0) -> Environ:
    """Return what ``call`` needs to post a body, once."""
    headers = {**FETCH, "Cookie": cookies, "Origin": "http://shop.example.com"}
    environ = create_environ(
        path, method="POST", headers=headers, data=body, content_type="application/json"
    )
    return {**environ, "REMOTE_ADDR": address(number), "wsgi.input": io.BytesIO(body)}


def _ignore(*_: object) -> t.Any:
    return None


def call(app: Flask, environ: Environ, start: t.Any = _ignore) -> None:
    """Make a request, and read the answer as a server would."""
    body = app.wsgi_app(dict(environ), start)
    for _ in body:
        pass
    if hasattr(body, "close"):
        body.close()


def ask(app: Flask, environ: Environ) -> tuple[int, str]:
    """Make a request; return its status, and the cookies that it set as they are sent back."""
    seen: list[t.Any] = []
    call(app, environ, lambda status, headers, *_: seen.extend((status, headers)))
    return int(seen[0].split()[0]), read_cookies(
        value for name, value in seen[1] if name.lower() == "set-cookie"
    )


def read_cookies(lines: t.Iterable[str]) -> str:
    jar: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
    for line in lines:
        jar.load(line)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())


def visit(app: Flask, path: str, cookies: str, number: int = 0) -> str:
    """Visit a page as a newcomer; return all the cookies with which the visitor returns."""
    status, set_cookies = ask(app, make_environ(path, cookies, number))
    assert status == 200, f"{path} of {app.name} answers {status}"
    return "; ".join(filter(None, [cookies, set_cookies]))
