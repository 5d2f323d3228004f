"""What a page of numbers shows: read from its URL, and written into the links on it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t
import urllib.parse

from flask import request
from werkzeug.datastructures import MultiDict

from ..errors import ReportError
from ..reports.filters import NAMING, Condition, Filter
from ..reports.library import Reports
from ..reports.period import BUCKETS, COMPARISONS, Bucket, Comparison, Period
from ..reports.rows import MEASURES, Measure
from ..request.access import Access
from .dimensions import PANELS

DEFAULT_PERIOD: t.Final = "30d"

_DIGITS = 9

Pairs = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """The state that all pages of numbers share.

    ``pairs`` are the arguments of its URL, without those that say what is so anyway; ``own`` are
    those of this ``page`` alone. ``site`` is
    the only one shown; None shows all. ``sites`` is what reports are limited to.
    """

    root: str
    pairs: Pairs
    period: Period
    comparison: Comparison
    filter: Filter
    measure: Measure
    bucket: Bucket
    site: str | None
    sites: frozenset[str] | None
    tabs: dict[str, str]
    page: str = ""
    own: Pairs = ()

    def on(self, page: str, own: dict[str, str | None], pairs: Pairs = ()) -> Query:
        """Return the query of a page that has arguments of its own: links to it keep them.

        :param pairs: further ones, of which several may have one name.
        """
        single = ((name, value) for name, value in own.items() if value is not None)
        return dataclasses.replace(self, page=page, own=(*pairs, *single))

    def at(self, page: str) -> Query:
        """Return the query of another page with the same arguments of its own."""
        return dataclasses.replace(self, page=page)

    def link(self, page: str = "", /, **changes: str | None) -> str:
        """Return the URL of a page with other arguments; None takes one away."""
        kept = self.list_kept(page, *changes)
        new = [(name, value) for name, value in changes.items() if value is not None]
        return self._write(page, [*kept, *new])

    def link_days(self, first: dt.date, last: dt.date, page: str = "") -> str:
        """Return the URL of a page for other days."""
        days = {"from": first.isoformat(), "to": last.isoformat()}
        return self.link(page, period="custom", bucket=None, **days)

    def link_filter(self, field: str, value: str, page: str = "") -> str:
        """Return the URL with one condition more; the same URL if it is there already."""
        new = ("f", f"is:{field}:{value}")
        return self._write(page, [pair for pair in self.list_kept(page) if pair != new] + [new])

    def link_filtered(self, limits: Filter, page: str = "") -> str:
        """Return the URL of a page with another filter."""
        return self._write(page, [*self.list_kept(page, "f"), *limits.to_query()])

    def link_without(self, condition: Condition, page: str = "") -> str:
        """Return the URL of a page with one condition less."""
        gone = Filter((condition,)).to_query()
        return self._write(page, [pair for pair in self.list_kept(page) if pair not in gone])

    def list_kept(self, page: str, /, *names: str) -> list[tuple[str, str]]:
        """Return the arguments that links and forms to a page keep: all but those of names."""
        own = self.own if page == self.page else ()
        return [pair for pair in (*self.pairs, *own) if pair[0] not in names]

    def is_filtered(self, field: str, value: str) -> bool:
        return ("f", f"is:{field}:{value}") in self.pairs

    def _write(self, page: str, pairs: list[tuple[str, str]]) -> str:
        return f"{self.root}/{page}{self.write_pairs(pairs)}"

    @staticmethod
    def write_pairs(pairs: list[tuple[str, str]]) -> str:
        """Return the part of a URL from its question mark on."""
        query = urllib.parse.urlencode(pairs, safe=":/")
        return f"?{query}" if query else ""


def read_query(reports: Reports, access: Access, root: str, args: MultiDict[str, str]) -> Query:
    """Read the arguments of a URL.

    :raises ReportError: one of them is wrong; the message says which, and what is allowed.
    """
    period = _read_period(reports, args, access.sites)
    comparison = choose("compare", args.get("compare", "previous"), COMPARISONS)
    measure = choose("measure", args.get("measure", "visitors"), MEASURES)
    bucket = choose("bucket", args.get("bucket") or period.default_bucket, BUCKETS)
    limit = Filter.parse(args.getlist("f"))
    check_parameters(limit, access)
    site = args.get("site") or None
    if site is not None and access.sites is not None and site not in access.sites:
        raise ReportError(f"You may not see the site {site[:64]!r}.")
    tabs = {panel.name: _read_tab(args, panel.name, panel.tabs) for panel in PANELS}
    pairs = [
        *_keep(args, "period", "from", "to"),
        *((name, value) for name, value in _keep(args, "compare") if value != "previous"),
        *((name, value) for name, value in _keep(args, "measure") if value != "visitors"),
        *_keep(args, "bucket", "site"),
        *((p.name, tabs[p.name]) for p in PANELS if tabs[p.name] != next(iter(p.tabs))),
        *limit.to_query(),
    ]
    return Query(
        root,
        tuple(pairs),
        period,
        comparison,
        limit,
        measure,
        bucket,
        site,
        access.sites if site is None else frozenset({site}),
        tabs,
    )


def check_parameters(limit: Filter, access: Access) -> None:
    """Refuse conditions on parameters that this access may not see.

    :raises ReportError: naming them.
    """
    names = limit.names
    if access.link is not None and (names or any(e.field == "goal" for e in limit.conditions)):
        raise ReportError("A shared link has no filters on goals or the parameters of events.")
    if not access.may_see_people and not NAMING.isdisjoint(names):
        raise ReportError(f"You may not filter by {' or '.join(sorted(NAMING))}.")


def _read_period(
    reports: Reports, args: MultiDict[str, str], sites: frozenset[str] | None
) -> Period:
    name = args.get("period") or DEFAULT_PERIOD
    return reports.period(name, _read_day(args, "from"), _read_day(args, "to"), sites=sites)


def _read_day(args: MultiDict[str, str], name: str) -> dt.date | None:
    text = args.get(name)
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ReportError(f"{name!r} is a day such as 2026-11-27, not {text[:40]!r}.") from None


_Choice = t.TypeVar("_Choice", bound=str)


def choose(name: str, value: str, allowed: tuple[_Choice, ...]) -> _Choice:
    """Return an argument's value if it is allowed.

    :raises ReportError: it is not.
    """
    for each in allowed:
        if each == value:
            return each
    raise ReportError(f"{name!r} is one of {', '.join(allowed)}, not {value[:40]!r}.")


def read_number(name: str, default: int, most: int) -> int:
    """Return the number of an argument of the request.

    :raises ReportError: it is none, or too large.
    """
    text = request.args.get(name) or str(default)
    is_short = len(text) <= _DIGITS
    if not (is_short and text.isascii() and text.isdigit() and int(text) <= most):
        raise ReportError(f"{name!r} is a number from 0 to {most}, not {text[:40]!r}.")
    return int(text)


def _read_tab(args: MultiDict[str, str], name: str, tabs: dict[str, str]) -> str:
    return choose(name, args.get(name, next(iter(tabs))), tuple(tabs))


def _keep(args: MultiDict[str, str], *names: str) -> list[tuple[str, str]]:
    return [(name, args[name]) for name in names if args.get(name)]
