"""How the tables and the writer are: for those who run the app."""

from __future__ import annotations

import typing as t
import weakref

from ...doctor import Finding, examine
from ...pipeline.health import Health
from ...pipeline.health import examine as examine_pipeline
from ...reports.explore.storage import Storage, read_storage
from ...state import State, this_app

#: For how long sizes and findings are remembered, as some of them take a second.
_FRESH_NS = 60 * 1_000_000_000


class Upkeep(t.NamedTuple):
    """The writer's state now, and the tables' sizes and the doctor's findings of up to a minute
    ago."""

    writer: Health
    storage: Storage
    findings: list[Finding]


class _Known(t.NamedTuple):
    at: int
    storage: Storage
    findings: list[Finding]


_known: weakref.WeakKeyDictionary[State, _Known] = weakref.WeakKeyDictionary()


def read_upkeep(state: State) -> Upkeep:
    """Return how the tables and the writer are."""
    known = _known.get(state)
    if known is None or not 0 <= state.clock() - known.at < _FRESH_NS:
        known = _known[state] = _Known(state.clock(), _read_storage(state), _find(state))
    return Upkeep(read_health(state), known.storage, known.findings)


def read_health(state: State) -> Health:
    """Return how writing goes, without asking the database."""
    return examine_pipeline(state.pipeline, state.journal, state.config.flush_interval)


def forget(state: State) -> None:
    """Look again the next time: something was changed."""
    _known.pop(state, None)


def _read_storage(state: State) -> Storage:
    reports = state.reports
    with reports.reader.open() as connection:
        return read_storage(connection, reports.reader.tables, reports.zone, reports.now)


def _find(state: State) -> list[Finding]:
    return [finding for finding in examine(this_app(), state) if finding.level != "note"]
