"""A period in a mail: its numbers as text and HTML, for the host's own mailer."""

from __future__ import annotations

import typing as t

#: The periods of digests: the last whole one of each.
Every = t.Literal["day", "week", "month"]
