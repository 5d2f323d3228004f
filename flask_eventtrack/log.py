"""Our log entries: each is one line without control characters, whatever a client has sent."""

from __future__ import annotations

import logging
import traceback

from sqlalchemy.exc import DBAPIError

from .text import escape

logger: logging.Logger = logging.getLogger("flask_eventtrack")


def escape_log() -> None:
    """Have every entry of our log escaped, before the host's handlers get it."""
    logger.addFilter(_escape_record)


def _escape_record(record: logging.LogRecord) -> bool:
    record.msg = escape(record.msg)
    if isinstance(record.args, tuple):
        record.args = tuple(map(_escape_value, record.args))
    if record.exc_info and record.exc_info[1] is not None:
        # Formatters show this text, if there is one, instead of making their own.
        lines = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n").split("\n")
        record.exc_text = "\n".join(f"  {escape(line)}" for line in lines)
    return True


def _escape_value(value: object) -> object:
    if isinstance(value, int | float):
        return value
    # The lines after the first may quote the row.
    is_long = isinstance(value, DBAPIError)
    return escape(str(value).partition("\n")[0] if is_long else value)
