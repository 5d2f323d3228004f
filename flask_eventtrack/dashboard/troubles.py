"""What a page says if it cannot show what was asked for."""

from __future__ import annotations

import logging
import typing as t

from flask import Response, request
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ReportError, ReportUnavailable, TooBusy
from ..request.access import Access
from ..request.problems import problem
from ..state import State
from .render import find_root, render

logger: logging.Logger = logging.getLogger("flask_eventtrack")

TROUBLES: t.Final = (ReportError, ReportUnavailable, SQLAlchemyError, TimeoutError)
_BUSY_SECONDS = 3
_AWAY_SECONDS = 15
_HINT = "'flask eventtrack doctor' says more."


def answer_trouble(state: State, access: Access, trouble: Exception) -> Response:
    """Say in the form that was asked for, page or JSON, why there is no report."""
    if isinstance(trouble, ReportError):
        return _refuse(state, access, str(trouble))
    outage = explain_outage(trouble)
    hint = None if access.link or isinstance(trouble, TooBusy) else _HINT
    return _wait(state, access, *outage, hint=hint)


def explain_outage(trouble: Exception) -> tuple[int, str, str]:
    """Say why the database gives no report: for how many seconds to wait, a title, a sentence."""
    if isinstance(trouble, TooBusy):
        return _BUSY_SECONDS, "Please wait", "Other reports are being counted right now."
    logger.warning("EventTrack: the database could not answer a report: %s", trouble)
    return (
        _AWAY_SECONDS,
        "The database does not answer",
        "Reports are read from the app's database, which cannot be reached, lacks the tables or is "
        "too slow. Nothing is lost: events are kept until it is back.",
    )


def answer_outage(error: Exception) -> Response:
    """Say that the database cannot tell whether a shared link is still open."""
    logger.warning("EventTrack: the database could not look up a shared link: %s", error)
    detail = "The database does not answer. Try again."
    return problem(503, "unavailable", detail, Retry_After=str(_AWAY_SECONDS))


def _refuse(state: State, access: Access, sentence: str) -> Response:
    if _is_for_program():
        return problem(400, "invalid_report", sentence)
    return render(
        state,
        access,
        "overview",
        "There is no such report",
        template="message",
        status=400,
        sentence=sentence,
        hint=None,
        again=None,
        back=f"{find_root(state, access.link)}/",
        back_label="To the overview",
    )


def _wait(
    state: State, access: Access, seconds: int, title: str, sentence: str, hint: str | None = None
) -> Response:
    if _is_for_program():
        return problem(503, "unavailable", f"{title}. {sentence}", Retry_After=str(seconds))
    response = render(
        state,
        access,
        "overview",
        title,
        template="message",
        status=503,
        sentence=sentence,
        hint=hint,
        again=seconds,
        here_now=None,
        back=request.url,
        back_label="Try again",
    )
    response.headers["Retry-After"] = str(seconds)
    return response


def _is_for_program() -> bool:
    return request.path.endswith((".json", ".csv"))
