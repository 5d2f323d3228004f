"""The facts in a session row about its visitor: the client, and the origin of the first page."""

from __future__ import annotations

import collections.abc as cabc
import functools
import re
import typing as t

from ..privacy.urls import campaign_of, has_paid_click, source_of
from ..records import Client
from ..text import clean_text
from .agents import Agent, parse_builtin
from .channels import Channels
from .countries import CountryDatabase

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
# ISO 3166. Proxies write XX if they do not know.
_COUNTRY = re.compile(r"(?!XX)[A-Z]{2}")


class AgentParser:
    """Names browser, system and device type of a user agent; remembers the last 2,048.

    :raises ConfigError: ``"ua-parser"`` is not installed.
    """

    def __init__(self, parser: t.Literal["builtin", "ua-parser"]) -> None:
        self.parse: cabc.Callable[[str], Agent] = functools.lru_cache(maxsize=2048)(
            parse_builtin if parser == "builtin" else _load_ua_parser()
        )


def _load_ua_parser() -> cabc.Callable[[str], Agent]:
    from .ua_parser import parse_agent

    return parse_agent


class FactFinder:
    """Says which columns of ``eventtrack_session`` a client and an origin fill.

    The writer uses it, so it may take its time.

    :param is_own: whether a host is one of the app's own, by its settings.
    :param channels: what tells the channel; without it, by the built-in lists.
    """

    def __init__(
        self,
        agents: AgentParser,
        countries: CountryDatabase | None,
        is_own: cabc.Callable[[str], bool] = lambda host: False,
        channels: Channels | None = None,
    ) -> None:
        self._agents = agents
        self._countries = countries
        self._is_own = is_own
        self._channels = channels or Channels()

    def describe_client(self, client: Client) -> dict[str, str | None]:
        """Return browser, system, device type, language and country; None where unknown."""
        agent = self._agents.parse(client.user_agent)
        language = re.split("[,;]", client.language, maxsplit=1)[0].strip()
        return {
            "browser": clean_text(agent.browser)[:64].strip() or None,
            "os": clean_text(agent.os)[:64].strip() or None,
            "device_type": agent.device_type or None,
            "language": language if _LANGUAGE.fullmatch(language) else None,
            "country": self._country_of(client),
        }

    def describe_origin(self, url: str, referrer: str, campaign: str) -> dict[str, str | None]:
        """Return referrer, source, channel and the campaign's parameters of a session's first page.

        :param campaign: what an earlier request of the session named; the page's own counts first.
        """
        channels = self._channels
        source = source_of(url, referrer, campaign, self._is_own, channels.is_detour)
        named = campaign_of(url, campaign)
        channel = channels.channel_of(
            source,
            named.get("utm_medium", ""),
            is_paid=has_paid_click(url, campaign),
            has_campaign=bool(named),
        )
        return {"referrer": referrer or None, "source": source, "channel": channel, **named}

    def find_channel(self, source: str, medium: str, has_campaign: bool) -> str:
        """Return the channel of a session that is stored without one."""
        return self._channels.channel_of(source, medium, has_campaign=has_campaign)

    def _country_of(self, client: Client) -> str | None:
        if _COUNTRY.fullmatch(client.country):
            return client.country
        if self._countries is None or not client.address:
            return None
        country = self._countries.find(client.address)
        return country if _COUNTRY.fullmatch(country) else None
