"""What one post uses up of its sender's limits."""

from __future__ import annotations

import math

from flask import request

from ..request.context import get_current
from ..request.cookies import read_identity
from ..request.origin import PostOrigin
from ..request.problems import Refused, problem
from ..state import State
from ..text import quantify
from .messages import EVENT_BYTES, MAX_BYTES
from .sender import DEVICE_HEADER


class PostLimits:
    """The limits that hold for the sender of this request.

    The size that a client declares is taken before the body is read. What the post counts as beyond
    that is known only afterwards: a body may be compressed, or have many small events.

    :param has_token: whether a customer's token was verified: then bytes count for the network
        only.
    """

    def __init__(self, state: State, origin: PostOrigin, *, has_token: bool = False) -> None:
        device = get_current(state).cookies.device
        if device is None and origin in {PostOrigin.APP, PostOrigin.OTHER_ORIGIN}:
            device = read_identity(state.tokens, request.headers.get(DEVICE_HEADER), None)[0]
        self._limiter = state.limiter
        self._device_id = device and device.device_id
        self._address: str = request.environ.get("REMOTE_ADDR", "")
        self._has_token = has_token
        self._taken = 0

    def take_post(self) -> None:
        """Take a post and its declared size.

        :raises Refused: a limit is reached.
        """
        # One event's, so that a small post is done with one look at the limits.
        declared = max(request.content_length or 0, EVENT_BYTES)
        if declared <= MAX_BYTES:
            self._taken = declared
        self._take(self._taken, posts=1)

    def take_bytes(self, size: int) -> None:
        """Take what a post of this size has not taken yet.

        :raises Refused: a limit is reached.
        """
        if size > self._taken:
            self._take(size - self._taken, posts=0)

    def _take(self, size: int, *, posts: int) -> None:
        wait = self._limiter.check(
            self._device_id,
            self._address,
            size,
            posts=posts,
            counts_device_bytes=not self._has_token,
        )
        if wait is not None:
            seconds = math.ceil(wait)
            detail = f"Too many posts: wait for {quantify(seconds, 'second')}."
            raise Refused(problem(429, "too_many_posts", detail, Retry_After=str(seconds)))
