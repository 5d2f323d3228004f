"""Who makes a request: device, session and customer, read from cookies and tokens. Pure."""

from .jwt import CustomerTokens
from .tokens import DeviceToken, SessionToken, TokenCodec
from .visitor import VerifiedCustomer, Visitor, check_customer_id, customer_uuid, resume_visitor

__all__ = [
    "CustomerTokens",
    "DeviceToken",
    "SessionToken",
    "TokenCodec",
    "VerifiedCustomer",
    "Visitor",
    "check_customer_id",
    "customer_uuid",
    "resume_visitor",
]
