"""The pages about the visitor and about the shop."""

from __future__ import annotations

import contextlib
import datetime as dt
import typing as t

from flask import Blueprint, current_app, render_template, request

from example_app.security import protect
from example_app.story import tell
from example_app.tracking import events
from flask_eventtrack import current_visitor
from flask_eventtrack.errors import FlushTimeout

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

MOST_SHOWN = 200

blueprint = Blueprint("visitor", __name__)
protect(blueprint)


@blueprint.get("/about-you")
def about_you() -> ResponseReturnValue:
    """Show all that is stored of this visitor, newest first, by session and page."""
    # Only so that the demo shows the page before at once: a request need not wait for the writer.
    with contextlib.suppress(FlushTimeout):
        events.flush(timeout=2)
    before = _find_moment()
    feed = current_visitor.feed(before, MOST_SHOWN)
    sessions = current_visitor.sessions(before, MOST_SHOWN)
    is_cut = len(feed) == MOST_SHOWN
    return render_template(
        "about_you.html",
        visitor=current_visitor,
        profile=current_visitor.profile(),
        feed=feed,
        chapters=tell(feed, sessions, is_cut=is_cut),
        before=before,
        older=feed[-1].time.isoformat() if is_cut else None,
    )


@blueprint.get("/about")
def about() -> ResponseReturnValue:
    """Explain what the shop is, what it records, and how to object."""
    tables = events.tables
    return render_template(
        "about.html",
        can_object="eventtrack.privacy" in current_app.view_functions,
        tables=(
            tables.event,
            tables.session,
            tables.profile,
            tables.alias,
            tables.transaction,
        ),
    )


def _find_moment() -> dt.datetime | None:
    """Return the moment before which events are asked for, if the address has one."""
    with contextlib.suppress(ValueError):
        moment = dt.datetime.fromisoformat(request.args.get("before", ""))
        return moment if moment.tzinfo else None
    return None
