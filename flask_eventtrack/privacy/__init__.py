"""What may be recorded, and in which form: policies, masked texts, cleaned URLs. Pure."""

from .addresses import mask_address
from .masking import Masker
from .policy import heed_signal, parse_choice
from .urls import UrlCleaner, campaign_of

__all__ = [
    "Masker",
    "UrlCleaner",
    "campaign_of",
    "heed_signal",
    "mask_address",
    "parse_choice",
]
