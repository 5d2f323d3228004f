"""What the headers of an answer say about its page."""

from __future__ import annotations

import collections.abc as cabc
import email.utils
import functools
import time
import typing as t

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.http import parse_dict_header, parse_list_header, parse_options_header

# The fields that are read, beside others for certain caches: "…-cache-control".
_OF_ALL_CACHES = frozenset({"cache-control", "expires", "etag", "last-modified"})
_VALIDATORS = frozenset({"etag", "last-modified"})
_READ = frozenset(
    {
        *("content-type", "content-encoding", "cache-control", "expires"),
        *("surrogate-control", "edge-control", "x-accel-expires"),
    }
)
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
# An answer that was stale before this process began is stale for good.
_BEGAN = time.time()
# Directives for how long a cache may use an answer, or may use it although it is stale.
_STALE_USES = ("stale-while-revalidate", "stale-if-error")
# The first that an answer has is the one that counts.
_LIFETIMES = ("s-maxage", "cache-maxage", "max-age")

# The values of each directive: it may stand there twice.
_Directives = cabc.Mapping[str, list[str | None]]


class AnswerHeaders(t.NamedTuple):
    """What an answer says about itself. ``is_shared``: a cache may hand it to others."""

    is_document: bool = False
    charset: str = "utf-8"
    is_shared: bool = False
    is_encoded: bool = False


def read_headers(response: Response) -> AnswerHeaders:
    fields = []
    headers = response.headers
    # A host may put a plain dict in their place.
    for name, value in headers if isinstance(headers, Headers) else headers.items():
        field = _field_of(name)
        if field is not None:
            fields.append((field, "" if field in _VALIDATORS else value))
    return _judge_headers(tuple(fields))


@functools.lru_cache(maxsize=512)
def _field_of(name: str) -> str | None:
    """Return a field's name in small letters if it is read, or None."""
    field = name.lower()
    is_read = field in _READ or field in _VALIDATORS or field.endswith("-cache-control")
    return field if is_read else None


@functools.lru_cache(maxsize=512)
def _judge_headers(fields: tuple[tuple[str, str], ...]) -> AnswerHeaders:
    found: dict[str, str] = {}
    for name, value in fields:
        found[name] = f"{found[name]}, {value}" if name in found else value
    mimetype, options = parse_options_header(found.pop("content-type", ""))
    is_encoded = found.pop("content-encoding", "") not in {"", "identity"}
    return AnswerHeaders(
        mimetype in _HTML_TYPES,
        options.get("charset", "utf-8"),
        is_shareable(found),
        is_encoded,
    )


def is_shareable(fields: cabc.Mapping[str, str]) -> bool:
    """Whether an answer lets shared caches store it and use it for others.

    The rules are those of RFC 9111, sections 3 and 4.2; where caches differ, an answer is shareable
    if one of them would share it. So a ``Vary`` makes no difference: some CDNs ignore it, and all
    newcomers send the same headers. An answer that says nothing of caches is not shareable.

    :param fields: header fields that concern caches, by their names in lower case.
    """
    # A cache that can ask whether its copy is still good repeats the stored fields.
    validators = _VALIDATORS & fields.keys()
    expires = fields.get("expires", "")
    if _lets_share(_parse(fields.get("cache-control", "")), expires, validators):
        return True
    # Fields for certain caches (RFC 9213), which then ignore Cache-Control.
    targeted = [value for name, value in fields.items() if name not in _OF_ALL_CACHES]
    if "x-accel-expires" in fields:
        targeted.append(f"max-age={fields['x-accel-expires']}")
    return any(_lets_share(_parse(line), "", validators) for line in targeted)


def _parse(line: str) -> _Directives:
    directives: dict[str, list[str | None]] = {}
    for part in parse_list_header(line.lower()):
        for name, value in parse_dict_header(part).items():
            directives.setdefault(name, []).append(value)
    return directives


def _lets_share(directives: _Directives, expires: str, validators: cabc.Set[str]) -> bool:
    if "no-store" in directives:
        return False
    if "public" in directives:
        return True
    # With field names, it concerns only those fields (RFC 9111, section 5.2.2.7).
    if None in directives.get("private", ()) and "s-maxage" not in directives:
        return False
    if any(_is_positive(directives[name]) for name in _STALE_USES if name in directives):
        return True
    return _may_be_used(directives, expires, validators)


def _may_be_used(directives: _Directives, expires: str, validators: cabc.Set[str]) -> bool:
    """Whether a stored answer may be used, as it is or once the cache has asked."""
    # With field names, it concerns only those fields (RFC 9111, section 5.2.2.4).
    must_ask = None in directives.get("no-cache", ())
    lifetimes = [directives[name] for name in _LIFETIMES if name in directives]
    if not (lifetimes or expires):
        # Of an answer with a date, caches guess a lifetime (RFC 9111, section 4.2.2).
        return "last-modified" in validators or (must_ask and bool(validators))
    is_fresh = _is_positive(lifetimes[0]) if lifetimes else _is_future(expires)
    return bool(validators) or (is_fresh and not must_ask)


def _is_positive(values: list[str | None]) -> bool:
    """Whether one of the numbers of seconds is above 0; what is no number counts as one.

    Of several, some caches take the first and others the last.
    """
    try:
        return any(float(seconds or "") > 0 for seconds in values)
    except ValueError:
        return True


def _is_future(expires: str) -> bool:
    """Whether a date may be in the future; what is no date, such as 0, is in the past."""
    try:
        return email.utils.parsedate_to_datetime(expires).timestamp() > _BEGAN
    except (ValueError, OverflowError):
        return False
