"""In debug, a check that pages have the tag that names their visit."""

from __future__ import annotations

import logging
import re

from flask import Response

from ..browser import CORE
from ..request.context import get_current
from ..state import State

logger: logging.Logger = logging.getLogger("flask_eventtrack")


class TagCheck:
    """A hook that warns of a script's tag that does not name the visit of its page."""

    def __init__(self, state: State) -> None:
        self._state = state
        prefix, name = re.escape(state.config.url_prefix), re.escape(CORE)
        self._tag = re.compile(
            rf"<script\b[^>]*{prefix}/[0-9a-f]+/{name}[^>]*>".encode(), re.IGNORECASE
        )
        self._told: set[str] = set()

    def __call__(self, response: Response) -> Response:
        current = get_current(self._state)
        rule = current.request.url_rule
        if (
            rule is not None
            and rule.rule not in self._told
            and not (response.is_streamed or response.direct_passthrough)
            and response.mimetype in {"text/html", "application/xhtml+xml"}
            and self._lacks_visit(response.get_data())
        ):
            self._told.add(rule.rule)
            logger.warning(
                "The page %s has the script's tag without the id of its visit, so browsers report "
                "a visit of their own: it counts twice. Write {{ eventtrack_snippet() }} instead.",
                rule.rule,
            )
        return response

    def _lacks_visit(self, body: bytes) -> bool:
        tags = self._tag.findall(body)
        return any(b"data-visit=" not in tag and b"data-page=" not in tag for tag in tags)
