"""The client of a request: bot or person, browser, system and country. Pure."""

from .agents import Agent, find_bot
from .countries import CountryDatabase
from .facts import AgentParser, FactFinder

__all__ = [
    "Agent",
    "AgentParser",
    "CountryDatabase",
    "FactFinder",
    "find_bot",
]
