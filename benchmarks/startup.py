"""What starting an app takes with us, and what its definitions cost later."""

from __future__ import annotations

import collections.abc as cabc
import os
import statistics
import subprocess
import sys
import tempfile
import time

from . import defined
from .report import Table, at_most, rounds

TITLE = "Start-up"
_TARGET = 150
_BARE = """
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
app = Flask("started")
app.config.update(SECRET_KEY="of a benchmark", SQLALCHEMY_DATABASE_URI="sqlite:///started.db")
db = SQLAlchemy(app)
"""
_ENGINE = f"""{_BARE}
with app.app_context():
    db.engine
"""
_OURS = f"""{_BARE}
from flask_eventtrack import EventTrack
EventTrack(app, db)
"""
_CLASSES = f"""{_OURS.replace("EventTrack(app, db)", "events = EventTrack(app, db)")}
import dataclasses
kinds = {{"sku": str, "name": str, "price": float | None, "quantity": int}}
classes = [
    dataclasses.dataclass(type(f"Event{{n}}", (), {{"__annotations__": dict(kinds)}}))
    for n in range(1000)
]
"""
_DEFINED = f"""{_CLASSES}
for n, schema in enumerate(classes):
    events.define(f"thing.do{{n}}", label="Did {{name}}")(schema)
"""
_MOST_DEFINING = 100
_DEFINITIONS = {"1,000 dataclasses": _CLASSES, "1,000 dataclasses, defined as events": _DEFINED}
_SCRIPTS = {
    "nothing": _BARE,
    "nothing, its engine made (as its first query does)": _ENGINE,
    "Flask-EventTrack: import and `init_app`": _OURS,
}


def run(*, quick: bool) -> cabc.Iterator[Table]:
    number = 2 if quick else 15
    yield _compare(
        "From the start of Python to its end, for an app of Flask and Flask-SQLAlchemy that serves "
        "nothing.",
        _SCRIPTS,
        number,
        _TARGET,
    )
    yield _compare(
        "Likewise, with us, for an app of many events.", _DEFINITIONS, number, _MOST_DEFINING
    )
    yield defined.compare(quick=quick)


def _compare(title: str, scripts: dict[str, str], number: int, most: int) -> Table:
    """Start each script in turn.

    :param most: how many milliseconds the last may take more than the first.
    """
    table = Table(title, ("app", "ms", "added, ms", "target"))
    figures: dict[str, list[float]] = {name: [] for name in scripts}
    with tempfile.TemporaryDirectory() as byte_code:
        for script in scripts.values():
            _start(script, byte_code)  # to have it written
        for _ in rounds(number, "start-up"):
            for name, script in scripts.items():
                figures[name].append(_start(script, byte_code))
    base, *_, ours = figures
    for name, times in figures.items():
        added = [mine - bare for mine, bare in zip(times, figures[base], strict=True)]
        table.add(
            name,
            f"{statistics.median(times) * 1000:.0f}",
            "" if name == base else f"{statistics.median(added) * 1000:.0f}",
            at_most(most) if name == ours else "",
        )
    table.notes.append(f"{number} processes of each.")
    return table


def _start(script: str, byte_code: str) -> float:
    """Return the seconds that a fresh process takes.

    :param byte_code: a folder that keeps it, as pip does for what it installs.
    """
    settings = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": byte_code}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, **settings})
    return time.perf_counter() - began
