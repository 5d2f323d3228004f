"""What a visitor lets us record: their choice, else their browser's signal, else the default."""

from __future__ import annotations

import typing as t

from ..config import Policy

#: Ordered from the most recorded to the least.
POLICIES: tuple[Policy, ...] = t.get_args(Policy)


def parse_choice(text: str | None) -> Policy | None:
    """Return the choice in a cookie's value, or None if there is none."""
    return next((policy for policy in POLICIES if policy == text), None)


def apply_signal(default: Policy, signal: Policy | t.Literal["ignore"]) -> Policy:
    """Return the policy for a browser that asks for privacy: the stricter of the two.

    :param signal: ``EVENTTRACK_GPC``.
    """
    return default if signal == "ignore" else max(default, signal, key=POLICIES.index)
