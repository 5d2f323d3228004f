"""Names browsers and systems with ua-parser (extra ``agents``), which only this module knows."""

from __future__ import annotations

from ..errors import missing_package
from .agents import Agent, device_type_of

try:
    from ua_parser import parse
except ImportError as _error:
    raise missing_package("EVENTTRACK_AGENT_PARSER = 'ua-parser'", "agents") from _error


def parse_agent(user_agent: str) -> Agent:
    """Name browser and system with the rules of the uap-core project."""
    text = user_agent[:512]
    result = parse(text)
    browser = result.user_agent.family if result.user_agent else ""
    system = result.os.family if result.os else ""
    return Agent(
        "" if browser == "Other" else browser,
        "" if system == "Other" else system,
        device_type_of(text, system),
    )
