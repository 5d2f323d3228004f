"""The pages about the visitor and about the shop."""

from __future__ import annotations

import contextlib
import typing as t

from flask import Blueprint, render_template

from example_app.security import protect
from example_app.tracking import events
from flask_eventtrack import current_visitor
from flask_eventtrack.errors import FlushTimeout

if t.TYPE_CHECKING:
    import uuid

    from flask.typing import ResponseReturnValue

    from flask_eventtrack import FeedEvent

MOST_SHOWN = 200

blueprint = Blueprint("visitor", __name__)
protect(blueprint)


@blueprint.get("/about-you")
def about_you() -> ResponseReturnValue:
    """Show this visitor's own events, newest first, session by session."""
    # Only so that the demo shows the page before at once: a request need not wait for the writer.
    with contextlib.suppress(FlushTimeout):
        events.flush(timeout=2)
    feed = current_visitor.feed(limit=MOST_SHOWN)
    sessions: dict[uuid.UUID | None, list[FeedEvent]] = {}
    for row in feed:
        sessions.setdefault(row.session_id, []).append(row)
    return render_template(
        "about_you.html", visitor=current_visitor, feed=feed, sessions=sessions, most=MOST_SHOWN
    )


@blueprint.get("/about")
def about() -> ResponseReturnValue:
    """Explain what the shop is and what it tracks."""
    return render_template("about.html")
