"""The commands that compare definitions with what arrived: ``usage`` and ``draft``."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

import click
import msgspec
from flask.cli import with_appcontext

from ..catalogue.definitions import Catalogue, Definition
from ..errors import InvalidDefinition, ReportUnavailable
from ..records import from_ns
from ..state import State, get_state
from ..text import escape
from .draft import draft
from .samples import MOST, read_refused, read_samples
from .usage import LATEST, Usage, Use, read_usage

_WIDTH = 100
_MOST_PLACES = 3


@click.command("usage")
@click.option("--days", type=click.IntRange(1, 3650), default=30, help="Count so many days.")
@click.option("--all", "with_builtin", is_flag=True, help="List unseen built-in definitions too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_appcontext
def usage(*, days: int, with_builtin: bool, as_json: bool) -> None:
    """Compare the definitions with the events that arrived.

    For each definition: when it was last seen, how often, from where, and what was undefined or
    refused. Then the definitions that were never seen, and the actions that have none.
    """
    state = get_state()
    since = from_ns(state.clock()) - dt.timedelta(days=days)
    try:
        found = read_usage(state.reports.reader, state.catalogue, since, with_builtin=with_builtin)
    except ReportUnavailable as error:
        raise click.ClickException(escape(error)) from None
    if as_json:
        click.echo(escape(msgspec.json.encode(_as_json(found)).decode()))
        return
    for line in _iter_lines(found, days):
        click.echo(line)


@click.command("draft")
@click.argument("action")
@with_appcontext
def draft_command(*, action: str) -> None:
    """Draft the definition of an action from the events that arrived.

    It prints Python source, to read and then to paste. It names types and no values, except words
    that several people have sent often.
    """
    state = get_state()
    _refuse_reserved(action)
    reader = state.reports.reader
    try:
        with reader.open() as connection:
            stored = read_samples(connection, reader.tables, action)
            refused = read_refused(connection, reader.tables, action)
    except ReportUnavailable as error:
        raise click.ClickException(escape(error)) from None
    if not stored and not refused:
        raise click.ClickException(_explain_nothing(state, action))
    click.echo(draft(action, stored, refused, state.masker), nl=False)
    _add_notes(state, action, len(stored))


def _refuse_reserved(action: str) -> None:
    """Refuse an action that ``define()`` would refuse in any app."""
    try:
        Catalogue().define(Definition(action=action))
    except InvalidDefinition as error:
        raise click.ClickException(escape(error)) from None


def _explain_nothing(state: State, action: str) -> str:
    problem = f"No event {action!r} is stored, so there is nothing to draft from."
    if state.catalogue.find(action) is None and state.config.undefined_events != "store":
        problem += (
            " Refused events are counted and not stored. Set EVENTTRACK_UNDEFINED_EVENTS to "
            '"store" while you develop, send some, and run this again.'
        )
    return problem


def _add_notes(state: State, action: str, stored: int) -> None:
    """Say on standard error what the reader of a draft should know and not paste."""
    definition = state.catalogue.find(action)
    if definition is not None:
        kind = "built in" if definition.builtin else "defined"
        click.echo(f"{action!r} is {kind} already: compare the two.", err=True)
    if stored >= MOST:
        click.echo(f"Only the latest {stored:,} events were read.", err=True)


def _as_json(found: Usage) -> dict[str, t.Any]:
    return {
        "since": found.since,
        "defined": [_describe(use) for use in found.defined],
        "never_seen": [_describe(use) for use in found.never_seen],
        "not_defined": [
            _describe(use) | {"nearest": nearest} for use, nearest in found.not_defined
        ],
        "more_not_defined": found.more,
        "rejected_without_action": found.unnamed,
        "is_complete": found.is_complete,
    }


def _describe(use: Use) -> dict[str, t.Any]:
    places = [
        {"site": site, "url_rule": url_rule, "count": count}
        for (site, url_rule), count in use.places.items()
    ]
    return dataclasses.asdict(use) | {"places": places}


def _iter_lines(found: Usage, days: int) -> cabc.Iterator[str]:
    others = [use for use, _ in found.not_defined]
    width = max((len(use.action) for use in [*found.defined, *others]), default=0)
    yield _head(f"Defined: {len(found.defined)}")
    yield from _iter_defined(found, days, width)
    yield ""
    yield _head(f"Never seen: {len(found.never_seen)}")
    yield from _iter_never_seen(found)
    yield ""
    yield _head(f"Not defined: {len(others) + found.more}")
    yield from _iter_not_defined(found, days, width)


def _iter_defined(found: Usage, days: int, width: int) -> cabc.Iterator[str]:
    if found.defined:
        yield _title(width, f"in {days} days", "from")
    for use in found.defined:
        yield _row(use, width, _name_places(use))
        if use.undefined:
            yield _detail("undefined parameters:", _list_counts(use.undefined), "yellow")
        if use.undefined_of_latest:
            names = ", ".join(use.undefined_of_latest)
            yield _detail(f"undefined in the latest events ({LATEST} at most):", names, "yellow")
        yield from _iter_refused(use)


def _iter_never_seen(found: Usage) -> cabc.Iterator[str]:
    if not found.is_complete:
        yield "Totals of earlier days could not be read in time: these may have been seen then."
    for use in found.never_seen:
        yield click.style(use.action, bold=True)
        yield from _iter_refused(use)


def _iter_not_defined(found: Usage, days: int, width: int) -> cabc.Iterator[str]:
    if found.not_defined:
        yield _title(width, f"in {days} days", "nearest definition")
    for use, nearest in found.not_defined:
        yield _row(use, width, nearest or "none")
        yield from _iter_refused(use)
    if found.more:
        yield f"and {found.more} more"
    if found.unnamed:
        yield f"Events refused whose action was not kept: {found.unnamed}"


def _iter_refused(use: Use) -> cabc.Iterator[str]:
    if use.rejected:
        yield _detail("refused:", _list_counts(use.rejected), "red")
    if use.invalid:
        yield _detail("invalid parameters:", _list_counts(use.invalid), "red")


def _head(text: str) -> str:
    return click.style(text, bold=True, underline=True)


def _title(width: int, count: str, rest: str) -> str:
    return click.style(_cut(_columns("action", width, count, "last hour (UTC)", rest)), dim=True)


def _columns(action: str, width: int, count: str, seen: str, rest: str) -> str:
    return f"{action:<{width}}  {count:>12}  {seen:<16}  {rest}".rstrip()


def _row(use: Use, width: int, rest: str) -> str:
    seen = f"{use.last_seen:%Y-%m-%d %H:00}" if use.last_seen else "never"
    row = _cut(_columns(use.action, width, f"{use.count:,}", seen, rest))
    action = escape(use.action)
    return click.style(action, bold=True) + row[len(action) :]


def _detail(name: str, text: str, colour: str) -> str:
    return click.style(_cut(f"    {name} {text}"), fg=colour)


def _name_places(use: Use) -> str:
    """Return where events come from: what sent the latest, and the first sites and URL rules.

    A site is only named beside a rule if there is more than one.
    """
    is_one_site = len({site for site, _ in use.places}) == 1
    names = [
        url_rule if is_one_site and url_rule else f"{site}{url_rule}"
        for site, url_rule in use.places
    ]
    named = list(filter(None, names))
    more = len(named) - _MOST_PLACES
    if more > 0:
        named = [*named[:_MOST_PLACES], f"{more} more"]
    return ": ".join(filter(None, ["/".join(use.sources), ", ".join(named)]))


def _list_counts(counts: cabc.Mapping[str, int]) -> str:
    named = (f"{name or 'a name that was not kept'} {count}" for name, count in counts.items())
    return ", ".join(named)


def _cut(text: str) -> str:
    """Return a text as a line of a terminal, cut to its width."""
    text = escape(text)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
