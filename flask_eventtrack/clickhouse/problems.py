"""Why a copy cannot be made."""

from __future__ import annotations

from ..errors import EventTrackError


class CopyProblem(EventTrackError):
    """A copy cannot be made, for a reason that its message says."""


class Busy(CopyProblem):
    """Another process writes the same copy."""


class Away(CopyProblem):
    """ClickHouse does not answer, or cannot do it at this moment: a later attempt may succeed."""
