"""The stylesheets and scripts of the pages, under URLs that change with what they hold; and the
stylesheet of what the host's own pages show, under a URL that stays."""

from __future__ import annotations

import functools
import gzip
import hashlib
import pathlib

from flask import Response, request

from ..request.access import Access
from ..request.problems import not_found
from ..state import State
from .colours import fit_accent

_STATIC = pathlib.Path(__file__).with_name("static")
_TYPES = {".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    # Whoever may not see the pages shall not see that there are any: no shared cache keeps them.
    "Cache-Control": "private, max-age=31536000, immutable",
    "Vary": "Accept-Encoding, Cookie",
    "X-Content-Type-Options": "nosniff",
}
_EMBED_HEADERS = {"Cache-Control": "private, max-age=300", "X-Content-Type-Options": "nosniff"}


@functools.cache
def _read(accent: str | None) -> dict[str, bytes]:
    """Return the files by name, with the host's accent in the stylesheet."""
    files = {path.name: path.read_bytes() for path in _STATIC.iterdir() if path.suffix in _TYPES}
    if accent:
        files["dashboard.css"] += fit_accent(accent).encode()
    return files


@functools.cache
def _shrink(accent: str | None, name: str) -> bytes:
    return gzip.compress(_read(accent)[name], 9, mtime=0)


@functools.cache
def _digest(accent: str | None) -> str:
    files = _read(accent)
    return hashlib.sha256(b"\0".join(files[name] for name in sorted(files))).hexdigest()[:12]


def link_asset(state: State, root: str, name: str) -> str:
    """Return the URL path of a file.

    :param root: the path of the pages: that of the dashboard, or of a shared link.
    """
    return f"{root}/dashboard/{_digest(state.config.dashboard_accent)}/{name}"


def serve_asset(state: State, access: Access, digest: str, name: str) -> Response:
    """Serve a file of the current version."""
    accent = state.config.dashboard_accent
    files = _read(accent)
    if name not in files or digest != _digest(accent):
        return not_found()
    mimetype = _TYPES[pathlib.PurePath(name).suffix]
    response = Response(files[name], mimetype=mimetype, headers=_HEADERS)
    if request.accept_encodings.quality("gzip"):
        response.set_data(_shrink(accent, name))
        response.headers["Content-Encoding"] = "gzip"
    return response


def serve_embed_css(state: State, access: Access) -> Response:
    """Serve the stylesheet of charts and feeds in the host's pages, whose templates name it."""
    body = (_STATIC / "embed.css").read_bytes()
    return Response(body, mimetype="text/css", headers=_EMBED_HEADERS)
