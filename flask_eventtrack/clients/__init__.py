"""What a request's client is: a bot or a person, its browser, system and country. Pure."""

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
