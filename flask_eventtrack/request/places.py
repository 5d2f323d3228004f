"""The hosts or subdomains on which our blueprints answer: those of the app's pages."""

from __future__ import annotations

import typing as t

from flask import Flask

ALL_METHODS: t.Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

_PLACE = "eventtrack_place"


def find_places(app: Flask) -> list[dict[str, t.Any]]:
    """Return the options of ``add_url_rule()`` with which a route answers everywhere."""
    if app.url_map.host_matching:
        return [{"host": f"<{_PLACE}>"}]
    return [{}, {"subdomain": f"<{_PLACE}>"}] if app.subdomain_matching else [{}]


def drop_place(_: str | None, values: dict[str, t.Any] | None) -> None:
    """Take out the value that such a route has for its host: no view wants it."""
    if values:
        values.pop(_PLACE, None)
