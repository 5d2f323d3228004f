"""The options of commands that report numbers: of which days, sessions and site, in which form."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import click
from werkzeug.datastructures import MultiDict

from ..dashboard.query import DEFAULT_PERIOD, Query, read_query
from ..errors import ReportError
from ..request.access import OPERATOR
from ..state import State
from ..text import clean_text, shorten
from .shared import Decorator

_Command = t.TypeVar("_Command", bound=cabc.Callable[..., t.Any])
_SAVED = "saved:"
_day = click.DateTime(["%Y-%m-%d"])

format_option: Decorator = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    help="For people, programs or spreadsheets.",
)


def period_options(command: _Command) -> _Command:
    """Decorate a command that is about some days."""
    for decorate in (
        click.option(
            "--to", "last", type=_day, help="With --from: the last day.  [default: today]"
        ),
        click.option("--from", "first", type=_day, help="The first day, in place of a period."),
        click.option("--period", default=DEFAULT_PERIOD, help="Such as today, 7d or last_month."),
    ):
        command = decorate(command)
    return command


def question_options(command: _Command) -> _Command:
    """Decorate a command that is about some days, and perhaps some sessions or a site only."""
    for decorate in (
        click.option("--site", help="Only this site."),
        click.option(
            "--filter", "filters", multiple=True, help="Such as is:country:DE or saved:NAME."
        ),
        period_options,
    ):
        command = decorate(command)
    return command


def read_question(
    state: State,
    *,
    period: str,
    first: dt.datetime | None,
    last: dt.datetime | None,
    filters: tuple[str, ...] = (),
    site: str | None = None,
) -> Query:
    """Return the question of a page with the same arguments in its URL.

    :raises ReportError: there is no such period or filter.
    """
    texts = (text for each in filters for text in _read_filter(state, clean_text(each)))
    args = MultiDict([("f", text) for text in texts])
    args["period"], args["site"] = clean_text(period), clean_text(site or "")
    if first is not None:
        today = state.reports.now.astimezone(state.reports.zone).date()
        args["period"], args["from"] = "custom", first.date().isoformat()
        args["to"] = (last.date() if last else today).isoformat()
    elif last is not None:
        raise click.UsageError("--to is for use with --from.")
    return read_query(state.reports, OPERATOR, "", args)


def _read_filter(state: State, text: str) -> list[str]:
    """Return the conditions that an option stands for: its own, or those of a saved filter."""
    if not text.startswith(_SAVED):
        return [text]
    name = text.removeprefix(_SAVED)
    known = {each.name: each.filter for each in state.reports.list_filters()}
    if name not in known:
        raise ReportError(f"There is no saved filter {shorten(name)}.")
    return [value for _, value in known[name].to_query()]
