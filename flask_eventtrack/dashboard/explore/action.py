"""The page of one action: its definition, and what arrived of it."""

from __future__ import annotations

import dataclasses
import typing as t

from flask import Response

from ...catalogue.definitions import Catalogue, Definition
from ...errors import InvalidDefinition, InvalidEvent
from ...records import PAGE_ENGAGE
from ...reports.explore.action import ActionUse, Counts, read_action_use
from ...reports.explore.elements import COUNTED
from ...reports.feed import FeedEvent
from ...reports.filters import NAMING
from ...request.access import Access
from ...request.problems import not_found
from ...state import State
from ...tracking_plan.draft import draft
from ...tracking_plan.markdown import name_senders, write_type
from ...tracking_plan.samples import Sample, read_refused
from ...tracking_plan.shapes import read_params
from ..feed_words import describe_event
from ..figures import quantify, shorten
from ..people import choose_veil
from ..plain import respond_json
from ..query import Query
from ..render import render
from .asked import describe_asked, open_counter, read_asked
from .catalogue import write_last_seen
from .series import draw_series

_VALUE = 40
#: What a name is called that was counted without its text.
_UNNAMED: t.Final = "names that were not kept"


class Parameter(t.NamedTuple):
    """A parameter of the definition, in words. ``wrong`` is how many events it has refused."""

    name: str
    type: str
    is_required: bool
    meaning: str
    values: list[tuple[str, int]]
    wrong: int


class Found(t.NamedTuple):
    """What is known of an action; ``draft`` is the source of a definition if it has none."""

    use: ActionUse
    definition: Definition | None
    latest: list[FeedEvent]
    draft: str | None


def show_action(state: State, access: Access, action: str) -> Response:
    """Show an action."""
    query = read_asked(state, access)
    found = find_action(state, access, query, action)
    if found is None:
        return not_found()
    use, definition, sample = found.use, found.definition, found.latest[:1]
    zone = state.reports.zone
    shows_people = access.may_see_people and sample
    return render(
        state,
        access,
        "catalogue",
        f"Event {action}",
        template="action",
        **describe_asked(state, access, query, f"catalogue/{action}"),
        use=use,
        definition=definition,
        senders=name_senders(definition) if definition else None,
        last_seen=write_last_seen(use.last_seen, query.period.now.astimezone(zone).date()),
        series=draw_series(query.period, use.bucket, use.series, "event"),
        parameters=_list_parameters(definition, use) if definition else [],
        read=quantify(use.read, "event"),
        undefined=_name_counts(use.undefined),
        invalid=_name_counts(use.invalid),
        rejected=_name_counts(use.rejected),
        sample=describe_event(sample[0], zone, choose_veil(access)) if shows_people else None,
        draft=found.draft.splitlines() if found.draft else [],
        values_link=query.link("parameters", event=action),
        elements_link=query.link("elements") if action in COUNTED else None,
        is_merged=action == PAGE_ENGAGE,
    )


def send_action(state: State, access: Access, action: str) -> Response:
    """Send what arrived of an action as JSON, with the drafted definition if it has none."""
    query = read_asked(state, access)
    found = find_action(state, access, query, action)
    if found is None:
        return not_found()
    return respond_json({"use": found.use, "draft": found.draft})


def find_action(state: State, access: Access, query: Query, action: str) -> Found | None:
    """Return what is known of an action; None if nothing is."""
    if "\0" in action:  # PostgreSQL cannot take it
        return None
    definition = state.catalogue.find(action)
    with open_counter(state) as counter:
        use, latest = read_action_use(counter, action, query.period, query.sites)
        is_known = definition or use.last_seen or use.rejected or use.undefined
        if not is_known:
            return None
        source = None
        if definition is None and _can_be_defined(action):
            refused = read_refused(counter.connection, counter.tables, action)
            samples = [Sample(e.params, e.source, str(e.uuid), e.time) for e in latest]
            # What the database refused has no site.
            source = _draft(state, action, samples, refused if query.sites is None else [])
    return Found(_limit_values(access, use, definition), definition, latest, source)


def _draft(state: State, action: str, stored: list[Sample], refused: list[Sample]) -> str | None:
    return draft(action, stored, refused, state.masker) if stored or refused else None


def _can_be_defined(action: str) -> bool:
    try:
        Catalogue().define(Definition(action=action))
    except (InvalidDefinition, InvalidEvent):
        return False
    return True


def _limit_values(access: Access, use: ActionUse, definition: Definition | None) -> ActionUse:
    """Return what may be seen: values of defined parameters, and none that names a person."""
    defined = set(definition.parameters) if definition else set[str]()
    hidden = set[str]() if access.may_see_people else NAMING
    shown = {name: rows for name, rows in use.values.items() if name in defined - hidden}
    return dataclasses.replace(use, values=shown)


def _list_parameters(definition: Definition, use: ActionUse) -> list[Parameter]:
    return [
        Parameter(
            part.name,
            write_type(part.shape),
            part.is_required,
            part.description,
            [(shorten(v.value, _VALUE), v.count) for v in use.values.get(part.name, ())],
            (use.invalid or {}).get(part.name, 0),
        )
        for part in read_params(definition)
    ]


def _name_counts(counts: Counts | None) -> list[tuple[str, int]]:
    return [(name or _UNNAMED, number) for name, number in (counts or {}).items()]
