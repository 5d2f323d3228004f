"""Signals (blinker). The sender is the Flask app; each signal lists its arguments.

``events_written``, ``session_started``, ``session_ended`` and ``transaction_contradicted`` are sent
after the commit, by the thread that wrote, usually the writer thread: inside an app context,
outside any request.
"""

from __future__ import annotations

from blinker import NamedSignal, Namespace

_signals = Namespace()

#: ``event``: an :class:`~flask_eventtrack.Event` passed every check and will be written.
event_accepted: NamedSignal = _signals.signal("eventtrack-event-accepted")

#: ``error``: an :class:`~flask_eventtrack.errors.InvalidEvent`, and ``action``: what was refused.
event_rejected: NamedSignal = _signals.signal("eventtrack-event-rejected")

#: ``count``: the number of new rows in the event table.
events_written: NamedSignal = _signals.signal("eventtrack-events-written")

#: ``session_id``: the first event of a session was written.
session_started: NamedSignal = _signals.signal("eventtrack-session-started")

#: ``session_id`` and ``reason`` (``"timeout"`` or ``"logout"``): a ``session.end`` was written.
session_ended: NamedSignal = _signals.signal("eventtrack-session-ended")

#: ``order_id``, ``first`` and ``second``: an order was charged again with other contents, and the
#: first charge stays. The two are texts with the order's total: ``"12.30 EUR"``. If a process dies,
#: the signal may be sent again.
transaction_contradicted: NamedSignal = _signals.signal("eventtrack-transaction-contradicted")

#: ``customer_id`` (None if unknown), ``uuid`` and ``erased``: a person's data was erased.
profile_erased: NamedSignal = _signals.signal("eventtrack-profile-erased")

#: ``customer_id`` and ``uuid``: the visitor of this request became known as a customer.
customer_identified: NamedSignal = _signals.signal("eventtrack-customer-identified")
