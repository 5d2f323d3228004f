"""Who did it: cookies, sessions, customers, browsers and bots. Values in, values out."""

from .agent import Agent, find_bot
from .customers import CustomerTokens
from .facts import AgentParser, FactFinder
from .limits import Limiter, Novelty
from .masking import Masker
from .place import CountryDatabase, mask_address
from .policy import heed_signal, parse_choice
from .tokens import DeviceToken, SessionToken, TokenCodec
from .urls import UrlCleaner, campaign_of
from .visitor import VerifiedCustomer, Visitor, check_customer_id, customer_uuid, resume_visitor

__all__ = [
    "Agent",
    "AgentParser",
    "CountryDatabase",
    "CustomerTokens",
    "DeviceToken",
    "FactFinder",
    "Limiter",
    "Masker",
    "Novelty",
    "SessionToken",
    "TokenCodec",
    "UrlCleaner",
    "VerifiedCustomer",
    "Visitor",
    "campaign_of",
    "check_customer_id",
    "customer_uuid",
    "find_bot",
    "heed_signal",
    "mask_address",
    "parse_choice",
    "resume_visitor",
]
