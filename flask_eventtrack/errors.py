"""The errors of this package and their codes.

::

    EventTrackError
    ├── ConfigError (ValueError)      a wrong setting, or an app registered twice
    ├── NotRegistered (RuntimeError)  no app, no request, or no EventTrack on the app
    ├── InvalidEvent (ValueError)     a wrong action, parameter, label, time, customer or order
    │   ├── UndefinedEvent (LookupError)
    │   └── ReservedEvent
    ├── InvalidToken (ValueError)     a customer's token that is refused
    ├── InvalidDefinition (TypeError) wrong arguments of ``define()``
    ├── FlushTimeout (TimeoutError)   ``flush()`` took too long
    ├── ReportError (ValueError)      an unknown period, dimension or filter of a report
    └── ReportUnavailable (RuntimeError)  the database could not answer a report
        └── TooBusy                   two reports are running already
"""

from __future__ import annotations

import typing as t

#: Why an event that is posted is rejected.
RejectionCode = t.Literal[
    "invalid_event",
    "invalid_action",
    "undefined_event",
    "reserved_event",
    "denied_event",
    "server_only",
    "customer_required",
    "invalid_id",
    "invalid_params",
    "invalid_param",
    "invalid_param_name",
    "too_many_params",
    "too_many_undefined",
    "params_too_large",
    "params_too_deep",
    "invalid_time",
    "too_old",
    "bot",
    "opted_out",
    "filtered",
    "invalid_customer",
    "invalid_visitor",
    "invalid_money",
    "invalid_order",
]
#: Why an event is invalid, including the reasons of ``track()`` and ``identify()`` alone.
EventCode = t.Literal[
    RejectionCode,
    "invalid_label",
    "no_transaction",
    "contradicted_order",
]
#: Why a customer's token is refused.
TokenCode = t.Literal[
    "token_unsupported",
    "token_too_large",
    "token_invalid",
    "token_key",
    "token_signature",
    "token_type",
    "token_issuer",
    "token_audience",
    "token_claims",
    "token_expired",
    "token_not_yet_valid",
]
#: Why a whole request to the collector fails.
ProblemCode = t.Literal[
    TokenCode,
    "token_missing",
    "token_unknown",
    "token_scope",
    "malformed",
    "foreign_origin",
    "csrf",
    "not_found",
    "method_not_allowed",
    "too_large",
    "encoded",
    "unsupported_type",
    "too_many_posts",
    "no_room",
    "unavailable",
    "invalid_report",
]


class EventTrackError(Exception):
    """The base class of all errors of this package."""


class ConfigError(EventTrackError, ValueError):
    """A setting is unknown, missing or wrong, or an app was registered twice."""


def missing_package(setting: str, extra: str) -> ConfigError:
    """Return the error of a setting whose package is not installed."""
    return ConfigError(
        f"{setting} needs a package that is not installed: pip install 'Flask-EventTrack[{extra}]'."
    )


class NotRegistered(EventTrackError, RuntimeError):
    """A function needs an app, a request, or an EventTrack on the app, and there is none."""


class InvalidDefinition(EventTrackError, TypeError):
    """A definition has a wrong class, label or ``keep``, or it contradicts another one."""


class InvalidEvent(EventTrackError, ValueError):
    """An event breaks a rule.

    :param code: identifies the rule, such as ``"invalid_action"``; it stays the same in later
        versions.
    :param message: says in a sentence what was given and what was expected.
    :param param: the name of the parameter at fault, if a parameter is.
    """

    def __init__(self, code: EventCode, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class UndefinedEvent(InvalidEvent, LookupError):
    """The action is not defined."""


class ReservedEvent(InvalidEvent):
    """The action is reserved: the extension alone records it."""


class InvalidToken(EventTrackError, ValueError):
    """A customer's token is refused.

    :param code: identifies the reason, such as ``"token_expired"``; it stays the same in later
        versions.
    :param message: gives the reason in a sentence, and never repeats the token or a part of it.
    """

    def __init__(self, code: TokenCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class FlushTimeout(EventTrackError, TimeoutError):
    """``flush()`` did not finish in time. The events are kept, and will be written later."""


class ReportError(EventTrackError, ValueError):
    """A report was asked for something that does not exist: a period, a dimension, a filter."""


class ReportUnavailable(EventTrackError, RuntimeError):
    """The database could not answer a report: tables are missing, or it took too long."""


class TooBusy(ReportUnavailable):
    """Two reports are running in this process already. Ask again in a moment."""
