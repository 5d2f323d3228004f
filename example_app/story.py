"""A visitor's record as "About you" tells it: sessions, in each its pages, on each its events."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid
from dataclasses import dataclass, field

from flask_eventtrack import FeedEvent, TrackedSession

_PAGES = ("page.visit", "screen.view")
# What the columns of a session are called on the page, in its order.
_FACTS = {
    "device_type": "Device",
    "browser": "Browser",
    "os": "System",
    "language": "Language",
    "country": "Country",
    "source": "Came from",
    "channel": "Came by",
    "referrer": "Page before",
    "utm_source": "Campaign source",
    "utm_medium": "Campaign medium",
    "utm_campaign": "Campaign",
    "utm_term": "Campaign term",
    "utm_content": "Campaign content",
    "started_at": "Started",
    "last_seen_at": "Last activity",
    "ended_at": "Ended",
    "pages": "Pages",
    "events": "Events",
    "visible_ms": "In view",
    "entry": "First page",
    "exit": "Last page",
    "entry_rule": "Rule of the first",
    "site": "Site",
    "id": "Session id",
    "device_id": "Device id",
    "uuid": "Profile",
}


@dataclass
class PageShown:
    """A page, and what happened on it, oldest first. Without a ``visit``, no page is known."""

    visit: FeedEvent | None
    events: list[FeedEvent] = field(default_factory=list)


@dataclass
class Chapter:
    """A session with its pages, newest first; or what happened outside of sessions.

    ``session`` is the session's row, or None if the visitor may not see it. ``start`` and ``end``
    are the events ``session.start`` and ``session.end``.
    """

    id: uuid.UUID | None
    session: TrackedSession | None
    last_moment: dt.datetime
    pages: list[PageShown] = field(default_factory=list)
    start: FeedEvent | None = None
    end: FeedEvent | None = None

    @property
    def number(self) -> int:
        """How many events are in it."""
        shown = sum(len(page.events) + (page.visit is not None) for page in self.pages)
        return shown + (self.start is not None) + (self.end is not None)

    @property
    def facts(self) -> list[tuple[str, t.Any]]:
        """What is known of the session, by the words for it."""
        return [(name, value) for name, value in self._facts() if value not in (None, "")]

    @property
    def unknown(self) -> list[str]:
        """The words for what might be known of the session, and is not."""
        return [name for name, value in self._facts() if value in (None, "")]

    def _facts(self) -> cabc.Iterator[tuple[str, t.Any]]:
        columns = self.session._asdict() if self.session else {}
        if self.session:
            seconds = round(self.session.visible_ms / 1000)
            columns["visible_ms"] = f"{seconds} s" if seconds else None
            columns["ended_at"] = self.session.ended_at or "not yet"
        for name in sorted(columns, key=[*_FACTS, *columns].index):
            yield _FACTS.get(name, name.replace("_", " ").capitalize()), columns[name]


def tell(
    feed: cabc.Sequence[FeedEvent], sessions: cabc.Sequence[TrackedSession], *, is_cut: bool
) -> list[Chapter]:
    """Group a feed by session and page, newest first.

    :param is_cut: whether there are events before those of the feed; then sessions from before
        them are left out.
    """
    events: dict[uuid.UUID | None, list[FeedEvent]] = {}
    for event in reversed(feed):
        events.setdefault(event.session_id, []).append(event)
    oldest = feed[-1].time if feed and is_cut else dt.datetime.min.replace(tzinfo=dt.UTC)
    rows = {row.id: row for row in sessions if row.id in events or row.started_at >= oldest}
    ids: set[uuid.UUID | None] = {*events, *rows}
    chapters = [
        _make_chapter(id_, rows.get(id_) if id_ else None, events.get(id_, [])) for id_ in ids
    ]
    return sorted(chapters, key=lambda chapter: chapter.last_moment, reverse=True)


def _make_chapter(
    id_: uuid.UUID | None, session: TrackedSession | None, events: list[FeedEvent]
) -> Chapter:
    last_moment = events[-1].time if events else t.cast("TrackedSession", session).last_seen_at
    chapter = Chapter(id_, session, last_moment)
    shown = {e.id: PageShown(e) for e in events if e.action in _PAGES}
    # A browser's event names the browser's half of its page's visit, if there are two.
    halves = {e.claimed_by: shown[e.id] for e in events if e.id in shown and e.claimed_by}
    pages = {str(id_): page for id_, page in (shown | halves).items()}
    current = PageShown(None)
    chapter.pages.append(current)
    for event in events:
        if event.action in _PAGES:
            current = pages[str(event.id)]
            chapter.pages.append(current)
        elif event.action == "session.start":
            chapter.start = event
        elif event.action == "session.end":
            chapter.end = event
        else:
            pages.get(str(event.params.get("visit")), current).events.append(event)
    chapter.pages = [page for page in reversed(chapter.pages) if page.visit or page.events]
    return chapter
