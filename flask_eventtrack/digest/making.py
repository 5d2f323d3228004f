"""``events.digest()``: the last whole day, week or month as a mail."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools

import jinja2

from ..dashboard.figures import clean
from ..errors import ReportError
from ..reports.library import Reports
from ..reports.period import Period
from ..state import get_state
from ..store.claims import claim
from ..text import shorten
from . import Every
from .content import LISTED, Content, describe_overview

_DAY = dt.timedelta(days=1)
_MARK = "digest"


@dataclasses.dataclass(frozen=True, slots=True)
class Digest:
    """A mail about a period: its ``subject``, and its body as plain ``text`` and as ``html``.

    The HTML has no script and loads nothing.
    """

    period: Period
    subject: str
    text: str
    html: str


def digest(every: Every = "week", *, once: bool = False) -> Digest | None:
    """Return the digest of the current app: see :meth:`.EventTrack.digest`."""
    state = get_state()
    period = _find_period(state.reports, every)
    found = state.reports.overview(period, bucket="day", panels=LISTED)
    if once and not claim(state.pipeline.database, _MARK, period.start, every):
        return None
    content = describe_overview(found, every, state.config.dashboard_name or "")
    return Digest(
        period, content.subject, _render("digest.txt", content), _render("digest.html", content)
    )


def _find_period(reports: Reports, every: Every) -> Period:
    match every:
        case "day":
            return reports.period("yesterday")
        case "week":
            today = reports.now.astimezone(reports.zone).date()
            monday = today - (today.weekday() + 7) * _DAY
            return reports.period("custom", monday, monday + 6 * _DAY)
        case "month":
            return reports.period("last_month")
    raise ReportError(f"There is a digest of each day, week or month, not {shorten(every)}.")


def _render(template: str, content: Content) -> str:
    return _make_environment().get_template(template).render(content._asdict())


@functools.cache
def _make_environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
