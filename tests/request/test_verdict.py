"""The one verdict of a request: what may be recorded, and why not more."""

from __future__ import annotations

import itertools
import typing as t

import pytest

from flask_eventtrack.config import Config, Policy
from flask_eventtrack.request.verdict import PERSON, Verdict, judge

BOT = "names 'curl'"
_POLICIES: tuple[Policy, ...] = t.get_args(Policy)


def decide(
    choice: Policy | None = None,
    *,
    signal: bool = False,
    bot: str | None = None,
    default: Policy = "full",
    gpc: t.Literal["anonymous", "none", "ignore"] = "anonymous",
    bots: t.Literal["drop", "tag"] = "drop",
) -> Verdict:
    config = Config(default_policy=default, gpc=gpc, bots=bots)
    return judge(choice, has_signal=signal, bot=bot, config=config)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (decide(), PERSON),
        (decide("full", default="none"), PERSON),
        (decide("full", signal=True, gpc="none"), PERSON),
        (decide(signal=True, gpc="ignore"), PERSON),
        (decide("anonymous"), Verdict("anonymous", "anonymous", "choice")),
        (decide("none"), Verdict("nothing", "none", "choice")),
        (decide(default="anonymous"), Verdict("anonymous", "anonymous", "default")),
        (decide(default="none"), Verdict("nothing", "none", "default")),
        (decide(signal=True), Verdict("anonymous", "anonymous", "signal")),
        (decide(signal=True, gpc="none"), Verdict("nothing", "none", "signal")),
        # A signal never makes the policy laxer.
        (decide(signal=True, default="none"), Verdict("nothing", "none", "default")),
        (decide(bot=BOT), Verdict("nothing", "full", "bot", BOT)),
        (decide("none", bot=BOT), Verdict("nothing", "none", "bot", BOT)),
        (
            decide(bot=BOT, bots="tag"),
            Verdict("anonymous", "anonymous", "bot", BOT, takes_events=True),
        ),
        (
            decide(bot=BOT, bots="tag", default="anonymous"),
            Verdict("anonymous", "anonymous", "bot", BOT),
        ),
        (decide("none", bot=BOT, bots="tag"), Verdict("nothing", "none", "bot", BOT)),
    ],
)
def test_verdict(verdict: Verdict, expected: Verdict) -> None:
    """Choice before signal before default; a bot is never a person."""
    assert verdict == expected


def test_every_verdict_obeys_the_rules() -> None:
    """In any combination: a refusal is never a person, and only a person has no reason."""
    for choice, signal, bot, default, gpc, bots in itertools.product(
        (None, *_POLICIES),
        (False, True),
        (None, BOT),
        _POLICIES,
        ("ignore", "none"),
        ("drop", "tag"),
    ):
        verdict = decide(choice, signal=signal, bot=bot, default=default, gpc=gpc, bots=bots)  # type: ignore[arg-type]
        assert verdict.is_person == (verdict.reason == "") == (verdict == PERSON)
        assert verdict.bot == bot
        if choice == "none" or (choice is None and "none" in (default, signal and gpc)):
            assert verdict.kind == "nothing"
        if bot is not None:
            assert not verdict.is_person
        if verdict.kind == "nothing":
            assert not verdict.takes_events
