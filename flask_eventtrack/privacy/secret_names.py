"""The names of parameters whose value is a secret, whatever the value looks like."""

from __future__ import annotations

import functools
import re

# Names are read word by word: `cardNumber`, `card_number` and `card-number` are "card number", and
# `shipping` is no `pin`. browser/src/tagged/secrets.js knows the same words.
_WORD = re.compile(r"2[Ff][Aa](?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")
_MAX_LENGTH = 128

# What nobody may record by mistake, even if a definition declares a parameter of this name.
_NEVER = re.compile(
    r"(?<!\S)(?:"
    r"\S*(?:password|passwd|passphrase|passwort|kennwort|pwd)s?"
    r"|pass ?(?:word|phrase|code|key)s?|(?:user|login) ?pass"
    r"|contrase[nñ]a|senha|wachtwoord|mot de passe|motdepasse"
    r"|pin|puk|t?otp|one time pin"
    r"|(?:auth(?:entication|orization)?|access|backup|login|(?:2|m)fa|one time|recovery|reset"
    r"|security|sms|two factor|verification) ?codes?"
    r"|cvc|cvv|ccv|csc|cvn"
    r"|\S*(?:card|cc) ?(?:number|num|no|nr|code|csc|security)"
    r")(?!\S)"
)
# What a definition may declare on purpose.
_UNLESS_DECLARED = re.compile(
    r"(?<!\S)(?:"
    r"pass|pw|2fa|mfa|(?:card|cc) (?:exp\S*|holder|name)|(?:credit|debit) ?card"
    r"|\S*(?:token|secret|apikey|accesskey|privatekey)|secrets|jwt|bearer|authorization"
    r"|credentials?|(?:api|access|private|secret|session|signing|encryption) key"
    r"|session id|\S*sess(?:ion)?id"
    r"|pincode|iban|ssn|social security(?: number)?|(?:bank )?account (?:number|no)"
    r")(?!\S)"
)


def is_secret_name(name: str, *, declared: bool = False) -> bool:
    """Whether a parameter of this name holds a secret.

    :param declared: whether the event's definition has the parameter. Then only passwords, one-time
        codes and what is printed on a card are secrets.
    """
    return _is_secret(name[:_MAX_LENGTH], declared)


@functools.lru_cache(maxsize=2048)
def _is_secret(name: str, declared: bool) -> bool:
    patterns = (_NEVER,) if declared else (_NEVER, _UNLESS_DECLARED)
    # `PINcode` is "pincode", however it looks.
    spellings = {" ".join(_WORD.findall(text)).lower() for text in (name, name.lower())}
    return any(pattern.search(words) for pattern in patterns for words in spellings)
