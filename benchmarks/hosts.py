"""The host apps that are measured. Nothing here imports us: bare is bare."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import pathlib
import typing as t

import jinja2
import sqlalchemy as sa
from flask import Flask, render_template
from flask_sqlalchemy import SQLAlchemy

HELLO, LISTED, TAGGED = "/", "/list", "/tagged"
_BASE = """<!doctype html>
<html><head><title>{% block title %}{% endblock %}</title>{% block tag %}{% endblock %}</head>
<body><nav>{% for name in ("Home", "Shop", "About") %}<a href="/">{{ name }}</a>{% endfor %}</nav>
{% block content %}{% endblock %}</body></html>"""
_LISTED = """{% extends "base.html" %}
{% block title %}{{ items|length }} items{% endblock %}
{% block content %}<ul>{% for item in items %}
<li>{{ item.id }}: {{ item.name }}</li>{% endfor %}</ul>{% endblock %}"""
_TAG = "{% block tag %}{{ eventtrack_snippet() }}{% endblock %}"
_ITEMS = 20


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a contestant keeps its files, and where the sink for what it sends is."""

    folder: pathlib.Path
    sink: str = ""


@dataclasses.dataclass(frozen=True)
class Contestant:
    """An app under test.

    ``finish`` returns once all that its requests have left to do is done, ``forget`` drops what
    it remembers of visitors; ``written`` is how many pages it has recorded, where that can be told.
    """

    app: Flask
    finish: cabc.Callable[[], object] = lambda: None
    forget: cabc.Callable[[], object] = lambda: None
    written: cabc.Callable[[], int] | None = None


def make_app(
    place: Place, name: str, *, url: str = "", tag: bool = False, **config: t.Any
) -> tuple[Flask, SQLAlchemy]:
    """Return a host app with a bare page, and pages of a template and one query."""
    app = Flask(__name__, instance_path=str(place.folder / f"{name}-instance"))
    app.config["SECRET_KEY"] = "of a benchmark"
    app.config["SQLALCHEMY_DATABASE_URI"] = url or f"sqlite:///{place.folder / name}.db"
    app.config.update(config)
    app.jinja_loader = jinja2.DictLoader(
        {"base.html": _BASE, "list.html": _LISTED, "tagged.html": _LISTED + _TAG * tag}
    )
    db = SQLAlchemy(app)

    class Item(db.Model):  # type: ignore[name-defined,misc]
        id: t.Any = sa.Column(sa.Integer, primary_key=True)
        name: t.Any = sa.Column(sa.String(50))

    def show(template: str) -> str:
        return render_template(template, items=db.session.scalars(sa.select(Item)).all())

    app.add_url_rule(HELLO, "hello", lambda: "<title>Hello</title>Hello, world")
    app.add_url_rule(LISTED, "list", lambda: show("list.html"))
    app.add_url_rule(TAGGED, "tagged", lambda: show("tagged.html"))
    with app.app_context():
        db.create_all(bind_key=None)
        db.session.add_all(Item(name=f"Item number {number}") for number in range(_ITEMS))
        db.session.commit()
    return app, db


def make_bare(place: Place) -> Contestant:
    return Contestant(make_app(place, "bare")[0])
