"""The names of parameters whose value is a secret, whatever the value looks like."""

from __future__ import annotations

import functools
import re

# Names are read word by word: `cardNumber`, `card_number` and `card-number` are "card number", and
# `shipping` is no `pin`.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")

# What nobody may record by mistake, even if a definition declares a parameter of this name.
_NEVER = re.compile(
    r"(?<!\S)(?:"
    r"\S*(?:password|passwd|passphrase|passwort|kennwort|pwd)s?"
    r"|pass (?:word|phrase|code)|passcode|contrase[nñ]a|senha|wachtwoord|mot de passe|motdepasse"
    r"|pin|t?otp|one time (?:code|pin)|(?:two factor|mfa|verification) code"
    r"|cvc|cvv|csc|cvn|(?:card )?security code|securitycode"
    r"|\S*(?:card|cc) ?(?:number|num|no|nr)"
    r")(?!\S)"
)
# What a definition may declare on purpose.
_UNLESS_DECLARED = re.compile(
    r"(?<!\S)(?:"
    r"\S*(?:token|secret|apikey|accesskey|privatekey)|secrets|jwt|bearer|authorization"
    r"|credentials?|(?:api|access|private|secret|signing|encryption) key"
    r"|pincode|iban|ssn|social security(?: number)?|(?:bank )?account (?:number|no)"
    r")(?!\S)"
)


@functools.lru_cache(maxsize=2048)
def is_secret_name(name: str, *, declared: bool = False) -> bool:
    """Whether a parameter of this name holds a secret.

    :param declared: whether the event's definition has the parameter. Then only passwords, one-time
        codes and what is printed on a card are secrets.
    """
    words = " ".join(_WORD.findall(name[:128])).lower()
    return bool(_NEVER.search(words) or (not declared and _UNLESS_DECLARED.search(words)))
