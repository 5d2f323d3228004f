"""Agents: programs that read pages for AI assistants, search engines and others.

The list is kept by hand, from what the operators publish about their programs. The lists that are
packaged tell that a program is of an AI, but not whether it fetches a page for a person, indexes it
for a search or collects it for training. Only agents of the list keep their name: so no client can
make up one.
"""

from __future__ import annotations

import functools
import re
import typing as t

from ..records import AgentClaim, AgentKind
from .agents import find_bot

_MAX_LENGTH = 512
#: The name of all agents that are not on the list.
OTHER: t.Final = "other"

# A line for each: its name as it stands in the user agent, and who operates it.
_NAMES: dict[AgentKind, str] = {
    # It fetches a page because a person has asked about it.
    "live": """
        ChatGPT-User: OpenAI
        Claude-User: Anthropic
        Perplexity-User: Perplexity
        MistralAI-User: Mistral
        DuckAssistBot: DuckDuckGo
        meta-externalfetcher: Meta
        Amzn-User: Amazon
        Google-Agent: Google
        Google-NotebookLM: Google
        Gemini-Deep-Research: Google
        kagi-fetcher: Kagi
        cohere-ai: Cohere
        IsonAI-User: IsonAI
    """,
    # It fills the index of a search, by people or by an assistant.
    "search": """
        OAI-SearchBot: OpenAI
        Claude-SearchBot: Anthropic
        PerplexityBot: Perplexity
        Amzn-SearchBot: Amazon
        Applebot: Apple
        AzureAI-SearchBot: Microsoft
        bingbot: Microsoft
        Googlebot: Google
        Google-CloudVertexBot: Google
        meta-webindexer: Meta
        DuckDuckBot: DuckDuckGo
        YouBot: You.com
        PhindBot: Phind
        TavilyBot: Tavily
        LinkupBot: Linkup
        iAskBot: iAsk
        YandexBot: Yandex
        Baiduspider: Baidu
        PetalBot: Huawei
        Sogou web spider: Sogou
        SeznamBot: Seznam
        Yeti: Naver
        Qwantify: Qwant
        MojeekBot: Mojeek
    """,
    # It collects texts from which models are made, or sells them to those who do.
    "training": """
        Amazonbot: Amazon
        GPTBot: OpenAI
        ClaudeBot: Anthropic
        Claude-Web: Anthropic
        anthropic-ai: Anthropic
        meta-externalagent: Meta
        FacebookBot: Meta
        Bytespider: ByteDance
        CCBot: Common Crawl
        AI2Bot: Ai2
        cohere-training-data-crawler: Cohere
        DeepSeekBot: DeepSeek
        ChatGLM-Spider: Zhipu
        PanguBot: Huawei
        Diffbot: Diffbot
        omgili: Webz.io
        img2dataset: img2dataset
    """,
    # It looks whether the site answers.
    "monitor": """
        UptimeRobot: UptimeRobot
        Pingdom: SolarWinds
        StatusCake: StatusCake
        Site24x7: Zoho
        HetrixTools: HetrixTools
        Checkly: Checkly
        updown.io: updown.io
        kube-probe: Kubernetes
        GoogleHC: Google
        ELB-HealthChecker: Amazon
    """,
    # It previews links, watches rankings, reads feeds or keeps archives.
    "other": """
        GoogleOther: Google
        facebookexternalhit: Meta
        Twitterbot: X
        LinkedInBot: LinkedIn
        Slackbot: Slack
        Discordbot: Discord
        TelegramBot: Telegram
        WhatsApp: Meta
        Pinterestbot: Pinterest
        AhrefsBot: Ahrefs
        SemrushBot: Semrush
        MJ12bot: Majestic
        DotBot: Moz
        archive.org_bot: Internet Archive
        Feedly: Feedly
    """,
}
# Agents that look like a person's browser, by the host of their Signature-Agent header.
_SIGNATURES: dict[str, tuple[str, str]] = {"chatgpt.com": ("ChatGPT agent", "OpenAI")}


class Agent(t.NamedTuple):
    """What an agent calls itself. Nothing of it is verified.

    ``claim`` says where: in its user agent, or in a ``Signature-Agent`` header (Web Bot Auth).
    """

    name: str = OTHER
    kind: AgentKind = "other"
    claim: AgentClaim = "user-agent"


_KINDS: dict[str, AgentKind] = {}
_OPERATORS: dict[str, str] = {}
for _kind, _text in _NAMES.items():
    for _line in _text.strip().splitlines():
        _name, _operator = _line.strip().split(": ")
        _KINDS[_name], _OPERATORS[_name] = _kind, _operator
_BY_TEXT = {name.lower(): Agent(name, kind) for name, kind in _KINDS.items()}
_KNOWN = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, _BY_TEXT))})(?![a-z0-9])")
_HOST = re.compile(r"https?://([a-z0-9.-]+)")
_OPERATORS |= dict(_SIGNATURES.values())
#: The names of all agents of the list.
NAMES: t.Final = frozenset(_OPERATORS)


@functools.lru_cache(maxsize=2048)
def find_agent(user_agent: str) -> Agent | None:
    """Return the agent that a user agent names; None for a person's browser."""
    if find_bot(user_agent) is None:
        return None
    found = _KNOWN.search(user_agent[:_MAX_LENGTH].lower())
    return _BY_TEXT[found[0]] if found else Agent()


def find_signed_agent(user_agent: str, signature: str) -> Agent:
    """Return the agent of a request with a ``Signature-Agent`` header.

    The name in the user agent comes first. The signature is not checked.

    :param signature: the header: the URL of the agent's keys, in quotes.
    """
    agent = find_agent(user_agent) or Agent()
    if agent.name != OTHER:
        return agent._replace(claim="signature-agent")
    host = _HOST.search(signature[:_MAX_LENGTH].lower())
    name, _ = _SIGNATURES.get(host[1] if host else "", (OTHER, ""))
    return Agent(name, "other" if name == OTHER else "live", "signature-agent")


def operator_of(name: str) -> str:
    """Return who operates an agent; "" if it is not on the list."""
    return _OPERATORS.get(name, "")
