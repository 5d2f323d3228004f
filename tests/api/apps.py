"""What the tests of registration share."""

from __future__ import annotations

import collections.abc as cabc

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

Build = cabc.Callable[..., tuple[Flask, SQLAlchemy]]


def add_page(app: Flask, path: str = "/") -> None:
    app.add_url_rule(path, path, lambda: "<title>Page</title>")
