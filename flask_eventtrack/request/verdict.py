"""May this request be recorded, and as a person or anonymously? Decided once a request. Pure."""

from __future__ import annotations

import typing as t

from ..config import Config, Policy
from ..privacy.policy import apply_signal

Kind = t.Literal["person", "anonymous", "nothing"]
Reason = t.Literal["", "choice", "signal", "default", "bot", "filter"]

_KINDS: dict[Policy, Kind] = {"full": "person", "anonymous": "anonymous", "none": "nothing"}


class Verdict(t.NamedTuple):
    """What may be recorded of a request.

    ``kind`` is ``"person"`` (everything, with an identity), ``"anonymous"`` (page visits, without
    one) or ``"nothing"``. ``policy`` is what the visitor allows. ``reason`` says why ``kind`` is
    not ``"person"``: their choice, the browser's signal, the app's default, a bot, or
    ``EVENTTRACK_VISITOR_FILTER``. ``bot`` tells why the client is taken for one. ``takes_events``
    says whether ``track()`` records too.
    """

    kind: Kind
    policy: Policy = "full"
    reason: Reason = ""
    bot: str | None = None
    takes_events: bool = False
    is_person: bool = False

    @property
    def is_filtered(self) -> bool:
        """Whether the app's filter leaves the visitor out. Their cookies then stay as they are."""
        return self.reason == "filter"


PERSON = Verdict("person", takes_events=True, is_person=True)


def judge(choice: Policy | None, *, has_signal: bool, bot: str | None, config: Config) -> Verdict:
    """Return what may be recorded of a request.

    :param choice: what the visitor has chosen, if they have.
    :param has_signal: whether the browser sends Global Privacy Control or Do Not Track.
    :param bot: why the client is taken for a bot, or None.
    """
    policy: Policy
    reason: Reason
    if choice is not None:
        policy, reason = choice, "choice"
    else:
        policy, reason = config.default_policy, "default"
        if has_signal and (stricter := apply_signal(policy, config.gpc)) != policy:
            policy, reason = stricter, "signal"
    if bot is None:
        return PERSON if policy == "full" else Verdict(_KINDS[policy], policy, reason)
    if config.bots == "drop" or policy == "none":
        return Verdict("nothing", policy, "bot", bot)
    # Anonymously, and never more than for a visitor with the same policy.
    return Verdict("anonymous", "anonymous", "bot", bot, takes_events=policy == "full")
