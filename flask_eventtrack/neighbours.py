"""Other extensions: which of them an app has, what works beside them, and what there is to set.

The manual's page "With other extensions" has the same rows.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

if t.TYPE_CHECKING:
    from flask import Flask

Hook = cabc.Callable[..., t.Any]


class Neighbour(t.NamedTuple):
    """An extension; ``works`` and ``to_set`` are sentences with Markdown's code in them."""

    name: str
    package: str
    works: str
    to_set: str


_NOTHING = "Nothing to set."

NEIGHBOURS: tuple[Neighbour, ...] = (
    Neighbour(
        "Flask-Admin",
        "flask_admin",
        "Its pages are visits like others.",
        "`events.exempt` leaves pages out: it takes a view class, a view, or the `Admin`.",
    ),
    Neighbour(
        "Flask-Babel",
        "flask_babel",
        "Lazy translations are stored as text, in the language of the request.",
        _NOTHING,
    ),
    Neighbour(
        "Flask-Caching",
        "flask_caching",
        "Each visit to a cached page counts once, but its visitors share one tag.",
        "Keep `{{ eventtrack_snippet() }}` out of the cached part.",
    ),
    Neighbour(
        "Flask-Compress",
        "flask_compress",
        "Titles are read before pages are compressed. Scripts come compressed.",
        _NOTHING,
    ),
    Neighbour(
        "Flask-CORS",
        "flask_cors",
        "It adds nothing to the answers of the collector.",
        "Set `EVENTTRACK_ALLOWED_ORIGINS` to the origins that may post.",
    ),
    Neighbour(
        "Flask-Limiter",
        "flask_limiter",
        "Posts to the collector and requests for its scripts use up no limit of the app's.",
        "Nothing to set: the collector has limits of its own.",
    ),
    Neighbour(
        "Flask-Login",
        "flask_login",
        "Its users are customers; log-ins and log-outs are recorded.",
        _NOTHING,
    ),
    Neighbour(
        "Flask-Minify",
        "flask_minify",
        "It minifies pages. The scripts, whose hash is in the tag, stay as they are.",
        _NOTHING,
    ),
    Neighbour(
        "Flask-SeaSurf",
        "flask_seasurf",
        "Posts to the collector need no token of it.",
        "Nothing to set: the collector checks where a post comes from.",
    ),
    Neighbour(
        "Flask-Security",
        "flask_security",
        "A customer's id is the user's primary key, which a new password does not change.",
        "To name another id, register a function with `@events.customer_id`.",
    ),
    Neighbour(
        "flask-sock",
        "flask_sock",
        "The session goes on while a socket is open, whatever cookie opened it.",
        _NOTHING,
    ),
    Neighbour(
        "Flask-SocketIO",
        "flask_socketio",
        "The session goes on while a socket is open, whatever cookie opened it.",
        _NOTHING,
    ),
    Neighbour(
        "OpenTelemetry",
        "opentelemetry",
        "It traces all requests, also posts to the collector.",
        "`OTEL_PYTHON_FLASK_EXCLUDED_URLS=_et/` leaves these out.",
    ),
    Neighbour(
        "prometheus-flask-exporter",
        "prometheus_flask_exporter",
        "It counts all requests, also posts to the collector.",
        '`PrometheusMetrics(app, excluded_paths="^/_et/")` leaves these out.',
    ),
    Neighbour(
        "flask-talisman",
        "flask_talisman",
        "A policy with `'self'` in `script-src` and `connect-src` lets the script run and post.",
        "With a nonce instead, write `{{ eventtrack_snippet(nonce=csp_nonce()) }}`.",
    ),
    Neighbour(
        "Flask-WTF",
        "flask_wtf",
        "`CSRFProtect` does not apply to the collector.",
        "Nothing to set: the collector checks where a post comes from.",
    ),
)


def list_neighbours(app: Flask) -> list[Neighbour]:
    """Return the known extensions that an app has."""
    packages = _packages_of(app)
    return [each for each in NEIGHBOURS if each.package in packages]


def package_of(thing: t.Any) -> str:
    """Return the name of the package that defines a function, or the object of a method."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    owner = getattr(thing, "__self__", thing)
    # A decorator may give the function that it returns another one's name and module.
    found = getattr(owner, "__globals__", {}).get("__name__") or getattr(owner, "__module__", None)
    return str(found or "").partition(".")[0]


def _packages_of(app: Flask) -> set[str]:
    registered: list[t.Any] = []
    for value in app.extensions.values():
        registered.extend(value if isinstance(value, list | set | tuple) else [value])
    found = {package_of(each) for each in (*registered, *app.view_functions.values(), *_hooks(app))}
    return found | ({"flask_login"} if hasattr(app, "login_manager") else set())


def _hooks(app: Flask) -> cabc.Iterator[Hook]:
    for hooks in (app.before_request_funcs, app.after_request_funcs):
        yield from t.cast("list[Hook]", hooks.get(None, []))[:]


def find_blocked(app: Flask) -> list[str]:
    """Return the directives of flask-talisman's policy that stop the script or its posts."""
    for hook in _hooks(app):
        talisman: t.Any = getattr(hook, "__self__", None)
        policy = getattr(talisman, "content_security_policy", None)
        if package_of(hook) == "flask_talisman" and policy:
            nonces = getattr(talisman, "content_security_policy_nonce_in", None) or ()
            return _list_blocking(_parse(policy), nonces)
    return []


def _parse(policy: str | cabc.Mapping[str, t.Any]) -> dict[str, list[str]]:
    """Return a policy's sources by directive."""
    if isinstance(policy, str):
        parts = [part.split() for part in policy.split(";")]
        return {part[0].lower(): part[1:] for part in parts if part}
    return {
        name.lower(): value.split() if isinstance(value, str) else [str(each) for each in value]
        for name, value in policy.items()
    }


def _list_blocking(policy: dict[str, list[str]], nonces: cabc.Container[str]) -> list[str]:
    fallback = policy.get("default-src", ["*"])
    blocking = []
    for name in ("script-src", "connect-src"):
        sources = policy.get(name, fallback)
        # A host name or a scheme may match the app's own address, which is not known here.
        is_open = any(not source.startswith("'") or source == "'self'" for source in sources)
        if not is_open and not (name == "script-src" and name in nonces):
            blocking.append(name)
    return blocking
