"""Click ids: the parameters in which services tell the clicks on their links apart.

Each stands for one click of one person, so it is never kept. The parameter tells where the person
came from, so it stays, without its value.

From the services' own documentation for advertisers, senders and partners; kept by hand.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t


class ClickId(t.NamedTuple):
    """What a click id tells: the service that wrote it, and whether the click is paid for."""

    source: str
    is_paid: bool


def _of(source: str, *names: str, is_paid: bool = False) -> dict[str, ClickId]:
    return dict.fromkeys(names, ClickId(source, is_paid))


#: By the parameter's name in lower case.
CLICK_IDS: cabc.Mapping[str, ClickId] = {
    **_of("google", "gclid", "gbraid", "wbraid", "dclid", is_paid=True),
    **_of("bing", "msclkid", is_paid=True),
    **_of("yahoo", "vmcid", is_paid=True),
    **_of("yandex", "yclid", is_paid=True),
    **_of("tiktok", "ttclid", is_paid=True),
    **_of("twitter", "twclid", is_paid=True),
    **_of("linkedin", "li_fat_id", is_paid=True),
    **_of("pinterest", "epik", is_paid=True),
    **_of("snapchat", "sccid", is_paid=True),
    **_of("reddit", "rdt_cid", is_paid=True),
    **_of("quora", "qclid", is_paid=True),
    **_of("outbrain", "obclid", "dicbo", is_paid=True),
    **_of("taboola", "tblci", is_paid=True),
    # On unpaid results, and on all links that leave, whether ads or not.
    **_of("google", "srsltid"),
    **_of("yandex", "ysclid"),
    **_of("facebook", "fbclid"),
    **_of("instagram", "igshid", "igsh"),
    # Of a mail's recipient.
    **_of("mailchimp", "mc_eid"),
    **_of("klaviyo", "_kx"),
    **_of("hubspot", "_hsenc"),
    **_of("marketo", "mkt_tok"),
    **_of("mailerlite", "ml_subscriber_hash"),
    # Of affiliate networks.
    **_of("awin", "awc"),
    **_of("cj", "cjevent"),
    **_of("impact", "irclickid", "irclid"),
    **_of("rakuten", "ransiteid"),
    **_of("shareasale", "sscid"),
    **_of("tradedoubler", "tduid"),
}
