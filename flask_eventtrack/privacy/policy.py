"""What a visitor lets us record: what they chose, else what their browser says, else the app."""

from __future__ import annotations

import typing as t

from ..config import Policy

#: From the most to the least.
POLICIES: tuple[Policy, ...] = t.get_args(Policy)


def parse_choice(text: str | None) -> Policy | None:
    """Return the choice that a cookie holds, or None where it holds none."""
    return next((policy for policy in POLICIES if policy == text), None)


def heed_signal(default: Policy, signal: Policy | t.Literal["ignore"]) -> Policy:
    """Return the policy of a browser that asks for privacy: never laxer than everybody's.

    :param signal: ``EVENTTRACK_GPC``.
    """
    return default if signal == "ignore" else max(default, signal, key=POLICIES.index)
