"""The quality of data: what became of events, what browsers did not tell, how the tables are."""

from __future__ import annotations

import typing as t

from flask import Response, request

from ...reports.explore.counters import OUTCOMES, QualityRow
from ...reports.explore.quality import Quality, SilentRow, read_quality
from ...reports.explore.storage import Storage
from ...request.access import Access
from ...state import State
from ..dimensions import name_value
from ..feed_words import write_moment
from ..figures import quantify, write_percent
from ..forms import make_token
from ..plain import respond_json
from ..query import Query, choose
from ..render import find_root, render
from .asked import describe_asked, open_counter, read_asked
from .catalogue import link_action
from .refused import ACT, MOST, decide, read_records
from .series import Series, draw_series
from .upkeep import Upkeep, read_upkeep

if t.TYPE_CHECKING:
    from ...reports.explore.functions import FunctionState

#: What each outcome is called.
WORDS: t.Final[dict[str, str]] = {
    "accepted": "Accepted",
    "duplicate": "Sent twice",
    "rejected": "Refused",
    "dropped": "Lost",
    "left_out": "Without a value",
    "contradicted": "Order contradicted",
    "cut": "Cancellation cut",
}
_UNITS = ("bytes", "KB", "MB", "GB", "TB")
_THOUSAND = 1000


class Cell(t.NamedTuple):
    """An outcome: a link that draws it."""

    name: str
    number: int
    href: str
    is_current: bool


class DrawnReason(t.NamedTuple):
    """Why events of an action are missing; ``href`` leads to the action's page."""

    counted: QualityRow
    outcome: str
    href: str | None


def show_quality(state: State, access: Access, mistake: str = "") -> Response:
    """Show how good the data are."""
    query, found = _read(state, access)
    own = choose("outcome", request.args.get("outcome", OUTCOMES[0]), OUTCOMES)
    page_own = None if own == OUTCOMES[0] else own
    manages = access.may_manage
    return render(
        state,
        access,
        "quality",
        "Quality",
        status=400 if mistake else 200,
        compress=not manages,
        **describe_asked(state, access, query, "quality", outcome=page_own),
        found=found,
        said=_say(found),
        cells=_list_cells(query, found, own),
        outcome=WORDS[own],
        series=_draw(found, own),
        reasons=_list_reasons(query, found),
        silent=[
            ("Routes", "Route", [_draw_silent("page", row) for row in found.silence.by_route]),
            ("Browsers", "Browser", [_draw_silent("browser", r) for r in found.silence.by_browser]),
        ],
        records=read_records(state) if manages else None,
        most=MOST,
        action=f"{find_root(state)}/quality",
        token=make_token(state, ACT) if manages else None,
        mistake=mistake,
        upkeep=_describe_upkeep(state, read_upkeep(state)) if manages else None,
        functions=_describe_functions(state) if manages else [],
    )


def send_quality(state: State, access: Access) -> Response:
    """Send the same as JSON; what only managers see is null for others."""
    _, found = _read(state, access)
    return respond_json(list_values(state, access, found))


def list_values(state: State, access: Access, found: Quality) -> dict[str, t.Any]:
    """Return the quality of the data as programs read it."""
    upkeep = read_upkeep(state) if access.may_manage else None
    return {
        "quality": found,
        "writer": upkeep and upkeep.writer,
        "storage": upkeep and upkeep.storage,
        "findings": upkeep and [finding._asdict() for finding in upkeep.findings],
        "refused": read_records(state).number if access.may_manage else None,
        "functions": _read_functions(state) if access.may_manage else None,
    }


def decide_on_refused(state: State, access: Access, act: str) -> Response:
    """Try a refused record again, or give it up."""
    answer, mistake = decide(state, access, act)
    return answer or show_quality(state, access, mistake)


def write_bytes(number: float) -> str:
    """Return a size: "820 bytes", "1.3 MB", "12 GB"."""
    unit = 0
    while number >= _THOUSAND and unit < len(_UNITS) - 1:
        number, unit = number / _THOUSAND, unit + 1
    return (
        f"{number:.1f} {_UNITS[unit]}" if unit and number < 10 else f"{number:.0f} {_UNITS[unit]}"
    )


def _read(state: State, access: Access) -> tuple[Query, Quality]:
    query = read_asked(state, access)
    with open_counter(state) as counter:
        return query, read_quality(counter, query.period, query.sites)


def _say(found: Quality) -> str:
    """Return the outcomes in a sentence."""
    if found.outcomes is None:
        return "Quality of the data"
    totals = found.outcomes.totals
    refused, lost = totals["rejected"], totals["dropped"]
    said = f"{quantify(totals['accepted'], 'event')} stored"
    if not refused and not lost:
        return f"{said}, and none was refused or lost."
    return f"{said}, {refused:,} refused and {lost:,} lost."


def _list_cells(query: Query, found: Quality, current: str) -> list[Cell]:
    if found.outcomes is None:
        return []
    totals = found.outcomes.totals
    return [
        Cell(
            WORDS[each],
            totals[each],
            query.link("quality", outcome=None if each == OUTCOMES[0] else each),
            each == current,
        )
        for each in OUTCOMES
    ]


def _draw(found: Quality, outcome: str) -> Series | None:
    if found.outcomes is None:
        return None
    return draw_series(found.period, found.bucket, found.outcomes.series[outcome], "event")


def _list_reasons(query: Query, found: Quality) -> list[DrawnReason]:
    reasons = found.outcomes.reasons if found.outcomes else ()
    return [
        DrawnReason(
            each, WORDS[each.outcome], link_action(query, each.action) if each.action else None
        )
        for each in reasons
    ]


def _draw_silent(dimension: str, row: SilentRow) -> tuple[str, int, int, str]:
    label = name_value(dimension, row.value) if row.value else "Not known"
    return label, row.visits, row.silent, write_percent(row.silent / row.visits)


class DrawnFunction(t.NamedTuple):
    """A function on events, with its times in words."""

    state: FunctionState
    waits_since: str
    failed_at: str
    missed_at: str
    is_late: bool
    is_known: bool


def _read_functions(state: State) -> list[FunctionState]:
    reports = state.reports
    if reports.reader.tables.follower is None:
        return []
    from ...reports.explore.functions import read_functions  # which needs the commit log

    with reports.reader.open() as connection:
        return read_functions(connection, reports.reader.tables)


def _describe_functions(state: State) -> list[DrawnFunction]:
    zone, now = state.reports.zone, state.reports.now
    known = state.callbacks.function_names
    return [
        DrawnFunction(
            each,
            write_moment(each.waits_since, zone),
            write_moment(each.failed_at, zone),
            write_moment(each.missed_at, zone),
            each.is_late(now),
            each.name in known,
        )
        for each in _read_functions(state)
    ]


def _describe_upkeep(state: State, upkeep: Upkeep) -> dict[str, t.Any]:
    writer, zone = upkeep.writer, state.reports.zone
    return {
        "writer": writer,
        "waiting": write_bytes(writer.bytes),
        "last_commit": write_moment(writer.last_commit, zone),
        "findings": upkeep.findings,
        **_describe_storage(upkeep.storage),
    }


def _describe_storage(storage: Storage) -> dict[str, t.Any]:
    return {
        "storage": storage,
        "size": write_bytes(storage.bytes),
        "unused": None if storage.unused is None else write_bytes(storage.unused),
        "growth": write_bytes(storage.daily_bytes),
        "tables": [(each.name, write_bytes(each.bytes), each.rows) for each in storage.tables],
        "freed": [(each.days, each.events, write_bytes(each.bytes)) for each in storage.freed],
    }
