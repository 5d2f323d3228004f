"""What each number is, in a sentence or two, for the pages and for assistants.

The manual's page ``explanation/numbers`` has the same sentences, and more.
"""

from __future__ import annotations

import typing as t

#: By the name of a number or of a part of a report.
DEFINITIONS: t.Final[dict[str, str]] = {
    "visitors": "A person with at least one session that started in the period. A customer is one "
    "visitor on all devices, including the time before the first log-in on each.",
    "new_visitors": "A visitor without an earlier session, as far as sessions are kept.",
    "sessions": "What a visitor does until nothing happens for a while. It belongs to the day, "
    "hour and period in which it started, with all that happened in it.",
    "page_visits": "Pages and screens that were opened, by the time of the visit. Bots are left "
    "out.",
    "pages_per_session": "The page visits of the sessions that started in the period, divided by "
    "the number of these sessions.",
    "bounce_rate": "The share of sessions with one page visit and no other event.",
    "visible_time": "How long the pages of a session were in view, as the browser reports it; the "
    "mean over all sessions. A browser that reports nothing counts as 0.",
    "duration": "The time between the first and the last event of a session; the mean over all "
    "sessions. A bounce has a duration of 0.",
    "orders": "The transactions in the period, by their own time. An order that is cancelled later "
    "still counts.",
    "revenue": "The amounts of the orders, less what was refunded in the period. A refund counts "
    "on the day of the refund. Different currencies are never added.",
    "before": "If a period is still running, the one that it is compared with is cut at the same "
    "moment.",
    "rows": "Rows of sources, campaigns, entry and exit pages, places and devices count sessions. "
    "Rows of pages count page visits, and rows of events count events.",
    "funnel": "A funnel counts how many went through its steps, one after the other. A step is an "
    "event or a page visit, with conditions on its parameters.",
    "count": "The people or sessions that reached the step. Each counts once, with the attempt "
    "that got furthest.",
    "within": "The longest time from the first step of an attempt to its last one. All steps also "
    "have to happen in the period.",
    "median": "The median of the times since the step before, in all attempts that count and "
    "reached the step.",
    "events": "All events, including page visits, by the time of the event.",
    "last_seen": "The last day with an event, also before or after the period.",
    "refused": "Refused events and undefined parameters are counted by the hour in which they "
    "arrived, for all sites together.",
    "totals": "Accepted, sent twice, refused and lost: the outcomes accepted, duplicate, rejected "
    "and dropped of eventtrack_quality, by the hour in which events arrived.",
    "silence": "Of the latest 2,000 page visits of the period that the server saw and that have a "
    "session, those that no browser reported.",
}
