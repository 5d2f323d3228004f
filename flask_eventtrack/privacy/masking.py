"""Personal data and secrets in what browsers send: recognised by their form, and masked."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

from ..config import MaskRules
from .secret_names import is_secret_name

EMAIL, CARD, TOKEN, MASKED = "[email]", "[card]", "[token]", "[masked]"

# Each repetition in these patterns is bounded, or possessive (`++`, `{8,}+`) and starts only where
# its characters start. So every text is scanned once, and none takes quadratic time.
_EMAIL = re.compile(
    # It consumes any run of letters, so that no run is tried again from its middle.
    # `logo@2x.png` is an image, `3 mugs@5.99` a price.
    r"[\w.+-]++((?:@|%(?:25)*+40)(?!\dx\.)[\w-]++(?:\.(?!\d)[\w-]++)++)?+"
)
# In one piece, or in groups as printed on cards.
_CARD = re.compile(
    r"(?<![A-Za-z0-9+.,])[2-6]\d{3}"
    r"(?:\d{9,15}|([ -])\d{4}\1\d{4}\1\d{1,4}(\1\d{1,3})?|([ -])\d{6}\3\d{4,5})(?![A-Za-z0-9])",
    re.ASCII,
)
# ISO/IEC 7812: the issuers of cards, and the lengths of their numbers.
_ISSUED = re.compile(
    "4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    "|(?:5[1-5]|2[2-7])[0-9]{14}"  # Mastercard
    "|3[47][0-9]{13}"  # American Express
    "|3[0689](?:[0-9]{12}|[0-9]{14})"  # Diners Club
    "|35[0-9]{14,17}"  # JCB
    "|(?:5[06-8]|6[0-9])[0-9]{11,17}"  # Maestro, Discover, UnionPay
)
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_SINGLE = bytes.maketrans(b"0123456789", bytes(range(10)))
_ARTICLE_DIGITS = 13

_SECRET_NAMES = ("password", "passwd", "pwd", "secret", "token", "apikey", "api_key", "access_key")
_NAMED = re.compile(
    r"((?:" + "|".join(_SECRET_NAMES) + r")(?:=|%(?:25)*+3D|\" ?: ?\"))"
    r"(?:(?!%(?:25)*+26)[^\s&;,\"'<>])++",
    re.ASCII | re.IGNORECASE,
)
_TOKEN = re.compile(
    # A JSON Web Token (RFC 7519) begins with `{"` in base64url.
    r"(?<![\w-])eyJ[\w-]{5,}+(?:\.[\w-]*+){1,4}+"
    # The prefixes of well-known services.
    r"|(?<![\w-])A(?:KIA|SIA|GPA|IDA|ROA|NPA|NVA)[A-Z0-9]{16}(?![\w-])"
    r"|(?<![\w-])(?:gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|npm_|[prs]k_(?:live|test)_|whsec_"
    r"|AIza|sk-)[\w-]{17,}+"
    # RFC 6750, section 2.1. "Bearer certificates" is prose.
    r"|(?<![\w-])[Bb]earer {1,2}(?=[A-Za-z]{0,40}[0-9._~+/=-])[\w.~+/=-]{8,}+"
    # Base64 may end in padding.
    r"|(?<![\w-])([\w-]{32,}+)(?:={1,2}(?![\w=]))?",
    re.ASCII,
)
# UUIDs without hyphens (RFC 9562) are ids.
_PLAIN_UUID = re.compile(r"[0-9a-f]{12}[1-8][0-9a-f]{3}[89ab][0-9a-f]{15}")
_PIECE_LENGTH, _RUN_LENGTH = 16, 32

# Most texts have nothing to mask, and a quick check finds that out.
_SHORT, _UUID_LENGTH = 13, 36
_MAYBE_NAMED = re.compile("=(?<=(?:[RrWw][Dd]|[Ee][TtNnYy])=)")  # the ends of the names above
_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_WORD = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_TO_WORD, _LONG_WORD = bytes.maketrans(_WORD, b"w" * len(_WORD)), b"w" * 20
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))


def veil_emails(text: str) -> str:
    """Return a text with e-mail addresses cut to their first letter and their host."""
    return _EMAIL.sub(lambda found: f"{found[0][0]}…{found[1]}" if found[1] else found[0], text)


class Masker:
    """Replaces e-mail addresses, payment card numbers and tokens by ``[email]``, ``[card]`` and
    ``[token]``. Masking a masked text again does not change it.

    :param extra: further rules: patterns, the matches of which become ``[masked]``, and functions
        that take a text and return one.
    """

    def __init__(self, extra: MaskRules = ()) -> None:
        self._extra = tuple(map(_replacer, extra))

    def mask_params(
        self,
        params: dict[str, t.Any],
        declared: cabc.Container[str] = (),
        mask: cabc.Callable[[str], str] | None = None,
    ) -> dict[str, t.Any]:
        """Return ``params`` with names and values masked at all levels, or the same dict if nothing
        was masked. The whole value of a secret name becomes ``[masked]``.

        :param params: plain JSON values, as the catalogue normalises them.
        :param declared: the names that the event's definition has.
        :param mask: masks each text; :meth:`mask_text` by default.
        """
        mask = mask or self.mask_text
        masked = {
            mask(name): MASKED
            if is_secret_name(name, declared=name in declared)
            else _mask(value, mask)
            for name, value in params.items()
        }
        return params if masked == params else masked

    def mask_text(self, text: str) -> str:
        """Return ``text`` masked."""
        if _is_suspect(text):
            text = _NAMED.sub(rf"\1{TOKEN}", text)
            text = _TOKEN.sub(_mask_token, text)
            text = _EMAIL.sub(lambda match: EMAIL if match[1] else match[0], text)
            text = _mask_cards(text)
        for replace in self._extra:
            text = replace(text)
        return text


def _mask(value: t.Any, mask: cabc.Callable[[str], str]) -> t.Any:
    kind = type(value)
    if kind is str:
        return mask(value)
    if kind is dict:
        return {
            mask(name): MASKED if is_secret_name(name) else _mask(item, mask)
            for name, item in value.items()
        }
    if kind is list:
        return [_mask(item, mask) for item in value]
    return value


def _replacer(rule: re.Pattern[str] | cabc.Callable[[str], str]) -> cabc.Callable[[str], str]:
    if isinstance(rule, re.Pattern):
        return lambda text: rule.sub(MASKED, text)
    return rule


def _is_suspect(text: str) -> bool:
    """Whether a text may have something to mask: a quick check that never misses anything."""
    if len(text) < _SHORT:
        return not text.isidentifier() and ("@" in text or "=" in text or "%" in text)
    if "@" in text or "%" in text or "earer " in text or '"' in text:
        return True
    if len(text) == _UUID_LENGTH and _UUID.fullmatch(text):
        return False
    raw = text.encode("utf-8", "replace")
    return (
        _LONG_WORD in raw.translate(_TO_WORD)
        or len(raw.translate(None, _NO_DIGITS)) >= _SHORT
        or _MAYBE_NAMED.search(text) is not None
    )


def _mask_token(match: re.Match[str]) -> str:
    run = match[1]
    return match[0] if run is not None and not _is_secret(run) else TOKEN


def _is_secret(run: str) -> bool:
    """Whether a long run of letters, digits, ``-`` and ``_`` looks like a random string.

    Words, ids made of words and numbers, and UUIDs do not. A random string has a piece between
    hyphens that mixes small letters, capitals and digits, or that has letters and digits and at
    least 32 characters.
    """
    return any(_is_mixed(piece) for piece in re.split("[-_]+", run) if len(piece) >= _PIECE_LENGTH)


def _is_mixed(piece: str) -> bool:
    if piece.isdigit() or piece.isalpha():
        return False
    if len(piece) >= _RUN_LENGTH:
        return not _PLAIN_UUID.fullmatch(piece.lower())
    return not (piece.islower() or piece.isupper())


def _mask_cards(text: str) -> str:
    parts: list[str] = []
    done = at = 0
    while match := _CARD.search(text, at):
        end = _end_of_card(match)
        if end:
            parts += text[done : match.start()], CARD
            done = at = end
        else:
            at = match.start() + 4  # the next group may begin a card
    return "".join((*parts, text[done:])) if parts else text


def _end_of_card(match: re.Match[str]) -> int:
    """Return where the card's number ends, or 0 if it is none.

    The last group that matched may belong to another number.
    """
    for end in (match.end(), match.start(2)):
        number = match.string[match.start() : max(0, end)]
        if _is_card(number.replace(" ", "").replace("-", "")):
            return end
    return 0


def _is_card(digits: str) -> bool:
    """Whether 13 to 19 digits have a known issuer and a valid check digit (ISO/IEC 7812)."""
    if not _ISSUED.fullmatch(digits):
        return False
    raw = digits.encode()
    if (sum(raw[-1::-2].translate(_SINGLE)) + sum(raw[-2::-2].translate(_DOUBLED))) % 10:
        return False
    return len(digits) != _ARTICLE_DIGITS or not _is_article(raw)


def _is_article(raw: bytes) -> bool:
    """Whether 13 digits have the check digit of a product code (EAN, GTIN-13)."""
    values = raw.translate(_SINGLE)
    return (sum(values[::2]) + 3 * sum(values[1::2])) % 10 == 0
