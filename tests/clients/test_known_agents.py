"""Which agents keep their name, and what each reads for."""

from __future__ import annotations

import pytest

from flask_eventtrack.clients.agents import find_bot
from flask_eventtrack.clients.known_agents import (
    NAMES,
    Agent,
    find_agent,
    find_signed_agent,
    operator_of,
)

from ..hosts import CHROME
from .agents import IPHONE, MAC, PIXEL
from .make_crawlers import read_list

KHTML = "AppleWebKit/537.36 (KHTML, like Gecko)"
#: Of the packaged list: agents for which it has the same name as ours.
LISTED = {
    pattern.lower(): instances
    for entry in read_list()
    if (pattern := entry["pattern"].removesuffix("\\/")) and (instances := entry["instances"])
}


@pytest.mark.parametrize(
    ("user_agent", "name", "kind"),
    [
        (
            f"Mozilla/5.0 {KHTML}; compatible; ChatGPT-User/1.0; +https://x/bot",
            "ChatGPT-User",
            "live",
        ),
        (
            f"{MAC} Chrome/131 Safari/537.36; compatible; OAI-SearchBot/1.0",
            "OAI-SearchBot",
            "search",
        ),
        (f"Mozilla/5.0 {KHTML}; compatible; GPTBot/1.2; +https://x/gptbot", "GPTBot", "training"),
        (f"Mozilla/5.0 {KHTML}; compatible; ClaudeBot/1.0; +x@y.com)", "ClaudeBot", "training"),
        ("Mozilla/5.0 (compatible; Claude-User/1.0)", "Claude-User", "live"),
        ("Claude-SearchBot/1.0", "Claude-SearchBot", "search"),
        (
            f"{PIXEL} Chrome/1 Safari/1 (compatible; Googlebot/2.1; +http://x)",
            "Googlebot",
            "search",
        ),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://x)", "bingbot", "search"),
        (f"{MAC} Version/17.4 Safari/605 (Applebot/0.1; +http://x)", "Applebot", "search"),
        ("meta-externalagent/1.1 (+https://x)", "meta-externalagent", "training"),
        ("META-ExternalFetcher/1.1", "meta-externalfetcher", "live"),
        ("UptimeRobot/2.0", "UptimeRobot", "monitor"),
        ("facebookexternalhit/1.1 (+http://x)", "facebookexternalhit", "other"),
        # not on the list
        ("curl/8.5.0", "other", "other"),
        ("", "other", "other"),
        ("Mozilla/5.0 (compatible; MyGPTBots/1.0; +http://x)", "other", "other"),
        ("NotChatGPT-UserX (bot)", "other", "other"),
        ("bot " + "x" * 600 + " GPTBot", "other", "other"),
    ],
)
def test_agents_of_the_list_keep_their_name(user_agent: str, name: str, kind: str) -> None:
    """All others are "other": no client can make up a name."""
    assert find_agent(user_agent) == Agent(name, kind, "user-agent")  # type: ignore[arg-type]


@pytest.mark.parametrize("user_agent", [CHROME, f"{IPHONE} Version/17.4 Safari/604.1"])
def test_people_are_no_agents(user_agent: str) -> None:
    """Only bots are."""
    assert find_agent(user_agent) is None


@pytest.mark.parametrize("name", sorted(NAMES - {"ChatGPT agent"}))
def test_every_agent_is_a_bot(name: str) -> None:
    """In the words in which it names itself, by the packaged list and by its usual form."""
    for user_agent in (*LISTED.get(name.lower(), ()), f"Mozilla/5.0 (compatible; {name}/1.0)"):
        assert find_bot(user_agent)
        found = find_agent(user_agent)
        assert found is not None
        assert found.name != "other"
    assert operator_of(name)


@pytest.mark.parametrize(
    ("user_agent", "signature", "name"),
    [
        (CHROME, '"https://chatgpt.com"', "ChatGPT agent"),
        (CHROME, "https://ChatGPT.com/x", "ChatGPT agent"),
        (CHROME, 'sig1="https://chatgpt.com"', "ChatGPT agent"),
        ("GPTBot/1.2 (+https://x)", '"https://chatgpt.com"', "GPTBot"),
        (CHROME, '"https://chatgpt.com.evil.example"', "other"),
        (CHROME, '"https://evil.example/chatgpt.com"', "other"),
        (CHROME, "", "other"),
        (CHROME, "chatgpt.com", "other"),
        (CHROME, '"><script>\x00' * 100, "other"),
    ],
)
def test_a_signature_is_a_claim(user_agent: str, signature: str, name: str) -> None:
    """The name in the user agent comes first; an unknown host names nobody."""
    found = find_signed_agent(user_agent, signature)
    assert (found.name, found.claim) == (name, "signature-agent")
