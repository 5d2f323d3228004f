"""Compares the live settings with what laws ask of audience measurement without consent. Pure.

The criteria are those that settings can show. The report also names what they cannot show. It is no
legal advice.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import fnmatch
import typing as t

from ..config import COOKIE_LIMIT, RETENTION_LIMIT, Config
from ..records import SESSION_END

Result = t.Literal["met", "not met", "not seen"]

#: Where the criteria come from.
SOURCES = {
    "FR": (
        'France: CNIL, "Cookies : solutions pour les outils de mesure d\'audience" (4 July 2025), '
        "on article 82 of the Data Protection Act",
        "https://www.cnil.fr/fr/node/167364",
        "https://www.cnil.fr/sites/default/files/2025-07/outil_d_auto-evaluation_mesure_d_audience.pdf",
    ),
    "UK": (
        'Britain: PECR 2003, regulation 6 and Schedule A1, "statistical purposes", as amended by '
        "the Data (Use and Access) Act 2025 (since 5 February 2026)",
        "https://www.legislation.gov.uk/uksi/2003/2426/schedule/A1",
        "https://ico.org.uk/for-organisations/direct-marketing-and-privacy-and-electronic-"
        "communications/guidance-on-the-use-of-storage-and-access-technologies/"
        "what-are-the-exceptions",
    ),
}

Keeps = cabc.Mapping[str, dt.timedelta]


class Criterion(t.NamedTuple):
    """What is asked, by which sources, whether the settings meet it, and what they say."""

    title: str
    sources: tuple[str, ...]
    result: Result
    detail: str


def compare(config: Config, keeps: Keeps, actions: cabc.Collection[str]) -> list[Criterion]:
    """Return each criterion with its result.

    :param keeps: how long events are kept, by their definitions.
    :param actions: the actions that the app has defined itself.
    """
    return [
        _check_cookie(config),
        _check_retention(config, keeps),
        _check_pruning(config),
        _check_identity(config),
        _check_sites(config),
        _check_masking(config),
        Criterion(
            "Addresses are shortened, and places no finer than a country",
            ("FR",),
            "met",
            "IP addresses are cut to /24 and /48, and are no column of any table.",
        ),
        Criterion(
            "Visitors can object, simply and free of charge",
            ("FR", "UK"),
            "met",
            f"{config.url_prefix}/privacy lets them. Whether your pages link to it is not seen.",
        ),
        Criterion(
            "Visitors are told what is recorded, and why",
            ("FR", "UK"),
            "not seen",
            "Your privacy policy has to say it.",
        ),
        Criterion(
            "It serves only to measure the audience of this site, and to improve it",
            ("FR", "UK"),
            "not seen",
            _describe_events(actions),
        ),
        Criterion(
            "Results are anonymous statistics, and nothing else leaves your hands",
            ("FR", "UK"),
            "not seen",
            "This extension sends nothing to others. Who reads the tables, or copies them, is "
            "yours to say.",
        ),
    ]


def longest_keep(config: Config, keeps: Keeps) -> dt.timedelta | None:
    """Return how long the longest-kept rows are kept; None if some are kept forever."""
    if _finds_no_end(config, SESSION_END) or _finds_no_end(config, "*"):
        return None
    longest = max((*config.retention.values(), *keeps.values()))
    return None if longest == dt.timedelta.max else longest


def _finds_no_end(config: Config, action: str) -> bool:
    """Whether no pattern matches an action; ``"*"`` stands for any."""
    if action == "*":
        return "*" not in config.retention
    return not any(fnmatch.fnmatchcase(action, pattern) for pattern in config.retention)


def _check_cookie(config: Config) -> Criterion:
    title, limit = "The device cookie lives for 13 months at most, and is not renewed", COOKIE_LIMIT
    age = config.device_max_age
    if age is None:
        detail = "EVENTTRACK_DEVICE_MAX_AGE is not set: the cookie is renewed with each session."
    else:
        detail = f"EVENTTRACK_DEVICE_MAX_AGE is {age.days} days, counted from the first visit."
    return Criterion(title, ("FR",), _result(age is not None and age <= limit), detail)


def _check_retention(config: Config, keeps: Keeps) -> Criterion:
    title = "Events, sessions and refused records are kept for 25 months at most"
    longest = longest_keep(config, keeps)
    if longest is None:
        detail = "EVENTTRACK_RETENTION, or keep= of a definition, keeps some forever."
    else:
        detail = f"The longest is {longest.days} days. Hourly totals, which identify no one, stay."
    is_met = longest is not None and longest <= RETENTION_LIMIT
    return Criterion(title, ("FR",), _result(is_met), detail)


def _check_pruning(config: Config) -> Criterion:
    title = "What is too old is removed"
    if config.prune:
        return Criterion(title, ("FR",), "met", "EVENTTRACK_PRUNE removes it once a day.")
    detail = "EVENTTRACK_PRUNE is off. Whether something runs 'flask eventtrack prune' is not seen."
    return Criterion(title, ("FR",), "not seen", detail)


def _check_identity(config: Config) -> Criterion:
    title = "Visits are not combined with other data, such as accounts"
    if config.privacy_identity:
        detail = "EVENTTRACK_PRIVACY_IDENTITY is on: log-ins connect visits with customers."
    else:
        detail = (
            "EVENTTRACK_PRIVACY_IDENTITY is off: no customer's id, alias or log-in is recorded."
        )
    return Criterion(title, ("FR", "UK"), _result(not config.privacy_identity), detail)


def _check_sites(config: Config) -> Criterion:
    title = "No one is followed from one site to another"
    set_ = {
        "EVENTTRACK_ALLOWED_ORIGINS": config.allowed_origins,
        "EVENTTRACK_COOKIE_DOMAIN": config.cookie_domain,
    }
    found = [name for name, value in set_.items() if value]
    detail = "Cookies are this host's own, and other origins may not post."
    if found:
        detail = f"{' and '.join(found)} may join the visits of several sites."
    return Criterion(title, ("FR",), _result(not found), detail)


def _check_masking(config: Config) -> Criterion:
    title = "What browsers send is limited to what is needed"
    is_met = config.mask is not False
    state = "masks" if is_met else "is off, and does not mask"
    detail = f"EVENTTRACK_MASK {state} e-mail addresses, card numbers and tokens."
    return Criterion(title, ("FR",), _result(is_met), detail)


def _describe_events(actions: cabc.Collection[str]) -> str:
    if not actions:
        return "The app has defined no events of its own."
    names = ", ".join(sorted(actions)[:5]) + (", …" if len(actions) > 5 else "")
    return f"The app has defined events of its own ({names}). What they record is yours to judge."


def _result(is_met: bool) -> Result:
    return "met" if is_met else "not met"
