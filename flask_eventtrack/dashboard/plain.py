"""Reports for programs: JSON, and CSV for spreadsheets."""

from __future__ import annotations

import collections.abc as cabc
import csv
import datetime as dt
import io

import msgspec
from flask import Response

from .render import respond

# A spreadsheet computes cells that begin like this, also behind spaces and in full width.
_FORMULA = frozenset("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


def respond_json(report: object) -> Response:
    """Send a report as JSON: moments in ISO 8601, amounts as text, shares from 0 to 1."""
    return respond(msgspec.json.encode(report, enc_hook=_encode), "application/json")


def _encode(value: object) -> object:
    if isinstance(value, dt.tzinfo):
        return str(value)
    raise NotImplementedError


def respond_csv(name: str, rows: cabc.Iterable[cabc.Sequence[object]]) -> Response:
    """Send rows as a file that a spreadsheet opens and computes nothing of."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([disarm(cell) for cell in row] for row in rows)
    return respond(
        "\ufeff" + text.getvalue(),  # without the mark, some take it for another encoding
        "text/csv",
        Content_Disposition=f'attachment; filename="{name}.csv"',
    )


def disarm(cell: object) -> object:
    """Return a cell of a file that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell.lstrip(" \"'\n\ufeff\u00a0")[:1] in _FORMULA and cell.strip():
        return f"'{cell}"
    return "" if cell is None else cell
