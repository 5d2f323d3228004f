"""Keeps the host's hooks from running for posts to the collector and for requests for its files.

Those hooks are written for the host's pages. A log-in wall would answer a post with a redirect, a
limit of requests would count it as one of the visitor's, and a minifier would change a script whose
hash the page names.
"""

from __future__ import annotations

import collections.abc as cabc
import copy
import typing as t

from flask import Flask, Request, request, session

from ..neighbours import Hook, package_of
from ..state import BLUEPRINT, OWN_BLUEPRINTS, this_app

# Not the blueprint's pages: the host decides who sees them, and may replace their templates.
_NAMES = ("in", "identify", "logout", "consent", "transactions", "script", "privacy_css")
_ENDPOINTS = frozenset(f"{BLUEPRINT}.{name}" for name in _NAMES)
# Packages whose hooks count requests: to run one of them is to count.
_COUNTERS = frozenset({"flask_limiter"})
# Packages whose hooks only watch. Where OpenTelemetry's have not run, it logs a warning.
_WATCHERS = frozenset({"opentelemetry", "prometheus_flask_exporter"})
_DONE = "_eventtrack_hooks_done"

_find_request: cabc.Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]


class HookList(list[Hook]):
    """An app's hooks of one kind. Requests that bypass them run only ours, and those that watch.

    Flask has no other place for this: it goes through all hooks of an app in each request.
    """

    def __init__(self, hooks: cabc.Iterable[Hook], own: cabc.Sequence[Hook] = ()) -> None:
        super().__init__(hooks)
        self._own = [*own]
        self.settle()

    def __iter__(self) -> cabc.Iterator[Hook]:
        return iter(self._own) if passes_by() else super().__iter__()

    def __reversed__(self) -> cabc.Iterator[Hook]:
        return reversed(self._own) if passes_by() else super().__reversed__()

    def settle(self) -> bool:
        """Find the hooks that watch; return whether all others are ours.

        The list of hooks that run is changed in place: the first request may be going through it.
        """
        hooks = self.all()
        run = [hook for hook in hooks if hook in self._own or package_of(hook) in _WATCHERS]
        self._own[:] = run
        return run == hooks

    def all(self) -> list[Hook]:
        """Return all hooks, whatever the current request is."""
        return self[:]


class TeardownList(HookList):
    """Hooks that clean up. They always run; what they clean up may not have been made."""

    def __reversed__(self) -> cabc.Iterator[Hook]:
        hooks = reversed(self.all())
        return map(_forgiving, hooks) if passes_by() else hooks


def _forgiving(hook: Hook) -> Hook:
    def run(*arguments: object) -> None:
        try:
            this_app().ensure_sync(hook)(*arguments)
        except Exception:  # noqa: BLE001 - the host's: its other hooks have not run
            return

    return run


def passes_by() -> bool:
    """Whether the current request bypasses the host's hooks."""
    try:
        rule = _find_request().url_rule
    except RuntimeError:  # there is no request
        return False
    return rule is not None and rule.endpoint in _ENDPOINTS


def open_bypass(app: Flask, before: Hook, after: cabc.Sequence[Hook]) -> None:
    """Let requests bypass the hooks that the app has, or gets before its first request.

    :param before: our hook before a request.
    :param after: our hooks after it.
    """
    for hooks, own in zip(_kinds(app), ((), (before,), after), strict=True):
        hooks[None] = HookList(hooks.get(None, ()), own)
    teardown: t.Any = app.teardown_request_funcs
    teardown[None] = TeardownList(teardown.get(None, ()))


def run_last(app: Flask, hook: Hook) -> None:
    """Run a hook after all others that run after a request.

    The list is replaced: requests of other threads may be going through the old one.
    """
    hooks: t.Any = app.after_request_funcs[None]
    own = hooks._own if isinstance(hooks, HookList) else ()
    after: t.Any = app.after_request_funcs
    after[None] = HookList([hook, *hooks[:]], own)


def close_idle(app: Flask) -> None:
    """Give Flask plain lists where no hook is the host's, which makes requests cheaper."""
    for hooks in (*_kinds(app), t.cast("t.Any", app.teardown_request_funcs)):
        found = hooks.get(None)
        if isinstance(found, HookList) and found.settle():
            hooks[None] = found.all()


def _kinds(app: Flask) -> tuple[dict[str | None, t.Any], ...]:
    """Return the app's hooks before and after a view, by blueprint; None stands for the app."""
    found = (app.url_value_preprocessors, app.before_request_funcs, app.after_request_funcs)
    return t.cast("tuple[dict[str | None, t.Any], ...]", found)


def exempt_from_csrf(app: Flask) -> None:
    """Exempt our routes from the host's CSRF tokens: they have checks of their own."""
    protect: t.Any = app.extensions.get("csrf")  # Flask-WTF's
    if hasattr(protect, "exempt"):
        for name in OWN_BLUEPRINTS:
            protect.exempt(app.blueprints[name])
    hooks: list[t.Any] = app.before_request_funcs[None][:]
    for hook in hooks:
        if package_of(hook) == "flask_seasurf":
            # A post may still run its hook: see `run_passed_hooks`.
            for endpoint, view in app.view_functions.items():
                if endpoint.partition(".")[0] in OWN_BLUEPRINTS:
                    hook.__self__.exempt(view)


def run_passed_hooks() -> None:
    """Run the ``before_request`` hooks that the current request has bypassed, once.

    A callback of the host that is about to be called may read what they leave on ``g``. An answer
    of theirs is not sent, but no hook runs after it, as in any request.
    """
    done = _find_request().__dict__
    if not passes_by() or done.setdefault(_DONE, False):
        return
    done[_DONE] = True
    app = this_app()
    hooks: t.Any = app.before_request_funcs.get(None)
    if not isinstance(hooks, HookList):
        return
    former = _copy_session(), session.modified
    for hook in hooks.all():
        try:
            is_skipped = package_of(hook) in _COUNTERS | _WATCHERS
            is_answered = not is_skipped and app.ensure_sync(hook)() is not None
        except Exception:  # noqa: BLE001 - such as the host's abort(403)
            is_answered = True
        if is_answered:
            _restore_session(*former)
            return


def _copy_session() -> dict[str, t.Any]:
    content = dict(session)
    try:
        return copy.deepcopy(content)
    except Exception:  # noqa: BLE001 - a server-side session may hold anything
        return content


def _restore_session(content: dict[str, t.Any], is_modified: bool) -> None:
    """Undo what came with an answer that is not sent, such as a flashed message."""
    if dict(session) != content:
        session.clear()
        session.update(content)
    session.modified = is_modified
