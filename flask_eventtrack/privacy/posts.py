"""The texts of one post, cleaned at a limited cost."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

from .masking import MASKED, Masker
from .urls import UrlCleaner, count_signs, is_link

#: How many signs of links one post may have.
MAX_SIGNS = 2000
_PLAIN = re.compile("[^?#&;=+%]*")


class PostCleaner:
    """Cleans URLs and other texts. Beyond the limit, URLs lose their query, and a text with a link
    becomes ``[masked]``."""

    def __init__(self, urls: UrlCleaner, masker: Masker | None) -> None:
        self._urls = urls
        self._masker = masker
        self._left = MAX_SIGNS
        self._cleaned: dict[str, str] = {}

    def clean(self, url: str) -> str:
        """Return a URL as it may be stored, or "" if it is no http or https URL."""
        if not self._affords(url):
            url = t.cast("re.Match[str]", _PLAIN.match(url))[0]
        return self._urls.clean(url)

    def clean_link(self, url: str) -> str:
        """Clean the address of a link in the same way. It keeps its fragment, without secrets."""
        return self._urls.clean_link(url) if self._affords(url) else self.clean(url)

    def clean_referrer(self, url: str) -> str:
        """Clean a referrer in the same way. The address of an app is kept."""
        return self._urls.clean_referrer(url) if self._affords(url) else self.clean(url)

    def clean_text(self, text: str) -> str:
        """Return a text without personal data and secrets, or as it is if nothing is masked."""
        if self._masker is None:
            return text
        cleaned = self._cleaned.get(text)
        if cleaned is None:
            is_affordable = not is_link(text) or self._affords(text)
            cleaned = self._urls.clean_text(text) if is_affordable else MASKED
            self._cleaned[text] = cleaned
        return cleaned

    def mask_params(
        self,
        params: dict[str, t.Any],
        declared: cabc.Container[str],
        unmasked: cabc.Container[str] = (),
    ) -> dict[str, t.Any]:
        """Return ``params`` masked, or the same dict if nothing was masked.

        :param declared: the names that the event's definition has.
        :param unmasked: those of them in which only links and secret names are masked.
        """
        if self._masker is None:
            return params
        if not unmasked:
            return self._masker.mask_params(params, declared, self.clean_text)
        exempt = {name: value for name, value in params.items() if name in unmasked}
        others = {name: value for name, value in params.items() if name not in unmasked}
        masked = self._masker.mask_params(others, declared, self.clean_text)
        masked = masked | self._masker.mask_params(exempt, declared, self._clean_link)
        return params if masked == params else masked

    def _clean_link(self, text: str) -> str:
        """Clean a text only if it has a link. ``#4000`` is a number, and no link."""
        return self.clean_text(text) if is_link(text.removeprefix("#")) else text

    def _affords(self, text: str) -> bool:
        # Any part of a fragment that is a route may be the name of a secret.
        signs = count_signs(text) + sum(map(text.partition("#")[2].count, "/!"))
        if signs > self._left:
            return False
        self._left -= signs
        return True
