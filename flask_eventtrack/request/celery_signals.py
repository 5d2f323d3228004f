"""Celery's tasks carry the token of the visitor who caused them, and act for that visitor."""

from __future__ import annotations

import logging
import typing as t
import weakref

from .outside import enter_block, find_token

logger: logging.Logger = logging.getLogger("flask_eventtrack")

#: The header of a task's message that carries the token.
HEADER = "eventtrack_visitor"
# The attribute of a running task's request that keeps the token of the block around it.
_BEFORE = "_eventtrack_before"
#: The Celery apps that are followed.
_followed: weakref.WeakSet[t.Any] = weakref.WeakSet()


def follow_celery(celery_app: t.Any) -> None:
    """Let the tasks of a Celery app act for the visitor who caused them.

    ::

        celery = Celery("shop", broker="redis://")
        events.follow_celery(celery)

    A task that is sent in a request, or in ``events.as_visitor()``, carries the visitor's token in
    its message's header ``eventtrack_visitor``. The worker runs the task in
    ``events.as_visitor()`` with that token. So do retries and tasks that the task sends, groups,
    chains and chords. Eager tasks run as in a worker. A task that beat or a command sends has
    no visitor, and names a customer as other jobs do. A header of that name that the caller
    gives stays.

    Call it where the Celery app is made: both the web server and the worker need it. Repeated calls
    change nothing. If a token cannot be made, the task is sent without one. Where
    one process has several Celery apps, the tasks of all of them carry tokens.

    :param celery_app: the ``Celery`` object whose tasks are to act for visitors.
    """
    from celery import signals  # only hosts that use it need it

    find = getattr(celery_app, "_get_current_object", None)  # of a proxy, such as current_app
    _followed.add(find() if find else celery_app)
    signals.before_task_publish.connect(_add_token, weak=False)
    signals.task_prerun.connect(_enter, weak=False)
    signals.task_postrun.connect(_leave, weak=False)


def _add_token(*, headers: dict[str, t.Any] | None = None, **_: object) -> None:
    """Put the token into the headers of a message that is about to be sent."""
    if headers is None or HEADER in headers:
        return
    try:
        token = find_token()
    except Exception:
        logger.exception("EventTrack: a Celery task is sent without its visitor's token.")
        return
    if token is not None:
        headers[HEADER] = token


def _enter(*, task: t.Any, **_: object) -> None:
    """Begin to act for the visitor of a task that is about to run."""
    if task.app not in _followed:
        return
    request = task.request
    given = (request.headers or {}).get(HEADER, request.get(HEADER))
    if given is None and request.is_eager:
        given = find_token()
    setattr(request, _BEFORE, enter_block(given))


def _leave(*, task: t.Any, **_: object) -> None:
    before = task.request.__dict__.pop(_BEFORE, _BEFORE)
    if before is not _BEFORE:  # another Celery app's
        enter_block(before)
