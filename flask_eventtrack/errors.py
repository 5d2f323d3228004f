"""Everything this package raises.

::

    EventTrackError
    ├── ConfigError (ValueError)      a setting, or the way the extension is registered
    ├── NotRegistered (RuntimeError)  used without an app, a request or a registration
    ├── InvalidEvent (ValueError)     the event itself: action, parameters, label, time
    │   ├── UndefinedEvent (LookupError)
    │   └── ReservedEvent
    ├── InvalidToken (ValueError)     a customer's token: signature, claims, time
    ├── InvalidDefinition (TypeError) what was given to ``define``
    └── FlushTimeout (TimeoutError)
"""

from __future__ import annotations


class EventTrackError(Exception):
    """The base of all errors of this package."""


class ConfigError(EventTrackError, ValueError):
    """A setting is unknown, missing or wrong, or an app was registered twice."""


class NotRegistered(EventTrackError, RuntimeError):
    """There is no app, no request, or no EventTrack on the app, where one is needed."""


class InvalidDefinition(EventTrackError, TypeError):
    """A definition cannot be used: its class or its label template, or it contradicts another."""


class InvalidEvent(EventTrackError, ValueError):
    """An event breaks a rule.

    :param code: a stable word for programs, such as ``"invalid_action"``.
    :param message: a sentence for people that says what came and what was expected.
    :param param: the parameter at fault, if it is one.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class UndefinedEvent(InvalidEvent, LookupError):
    """The catalogue does not know the action."""


class ReservedEvent(InvalidEvent):
    """The action is one that a caller may not send by this road."""


class InvalidToken(EventTrackError, ValueError):
    """A customer's token is refused.

    :param code: a stable word for programs, such as ``"token_expired"``.
    :param message: a sentence for people, without anything of the token.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class FlushTimeout(EventTrackError, TimeoutError):
    """``flush()`` could not finish in time; the events are kept and will be written."""
