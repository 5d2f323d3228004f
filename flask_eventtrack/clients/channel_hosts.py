"""Which hosts, apps and names of sources belong to which channel.

Kept by hand: each is a service's own host as browsers send it in ``Referer``, the package of its
app, or the name that it puts into ``utm_source``. The lists that are packaged (of Snowplow's
referer-parser and its copies) come from files of Matomo's under the GPL, so none of them is used.

A host stands for all below it; the longest one that fits counts. ``google.*`` is the name with any
country's ending: ``google.com``, ``google.de``, ``google.co.uk``.
"""

from __future__ import annotations

import collections.abc as cabc

from ..config import Channel

_HOSTS: dict[Channel, str] = {
    "ai": """
        chatgpt.com chat.openai.com com.openai.chatgpt perplexity.ai ai.perplexity.app.android
        claude.ai com.anthropic.claude gemini.google.com bard.google.com notebooklm.google.com
        com.google.android.apps.bard copilot.microsoft.com copilot.cloud.microsoft copilot.com
        com.microsoft.copilot edgeservices.bing.com grok.com ai.x.grok meta.ai deepseek.com
        com.deepseek.chat chat.mistral.ai ai.mistral.chat qwen.ai kimi.com doubao.com
        yiyan.baidu.com ernie.baidu.com yuanbao.tencent.com chatglm.cn z.ai you.com poe.com pi.ai
        phind.com duck.ai lumo.proton.me aistudio.google.com m365.cloud.microsoft genspark.ai
        manus.im character.ai iask.ai andisearch.com komo.ai
    """,
    "search": """
        google.* com.google.android.googlequicksearchbox bing.com com.microsoft.bing msn.com yahoo.*
        duckduckgo.com com.duckduckgo.mobile.android yandex.* ya.ru ru.yandex.searchplugin baidu.com
        ecosia.org qwant.com search.brave.com startpage.com kagi.com mojeek.com swisscows.com
        metager.org metager.de naver.com daum.net nate.com seznam.cz sogou.com so.com sm.cn
        petalsearch.com coccoc.com rambler.ru go.mail.ru aol.* ask.com lycos.* dogpile.com
        webcrawler.com info.com yep.com presearch.com lilo.org ekoru.org oceanhero.today goo.ne.jp
        suche.web.de suche.gmx.* search.gmx.* suche.t-online.de szukaj.onet.pl szukaj.wp.pl
        virgilio.it search.marginalia.nu
    """,
    "social": """
        facebook.com fb.com fb.me messenger.com com.facebook.katana com.facebook.orca instagram.com
        com.instagram.android threads.net threads.com com.instagram.barcelona x.com twitter.com t.co
        com.twitter.android linkedin.com lnkd.in com.linkedin.android pinterest.* pin.it
        com.pinterest reddit.com redd.it com.reddit.frontpage youtube.com youtu.be
        com.google.android.youtube vimeo.com tiktok.com com.zhiliaoapp.musically snapchat.com
        com.snapchat.android whatsapp.com wa.me com.whatsapp telegram.org t.me
        org.telegram.messenger discord.com com.discord tumblr.com umblr.com com.tumblr
        mastodon.social bsky.app xyz.blueskyweb.app vk.com vk.ru com.vkontakte.android ok.ru
        weibo.com weibo.cn t.cn qzone.qq.com weixin.qq.com zhihu.com douyin.com xiaohongshu.com
        bilibili.com douban.com quora.com news.ycombinator.com lobste.rs producthunt.com xing.com
        nextdoor.com twitch.tv flickr.com line.me mixi.jp story.kakao.com blog.naver.com
        cafe.naver.com wykop.pl lemmy.world disqus.com linktr.ee lnk.bio
    """,
    "mail": """
        mail.google.com com.google.android.gm outlook.live.com outlook.office.com
        outlook.office365.com outlook.com mail.live.com com.microsoft.office.outlook mail.yahoo.*
        com.yahoo.mobile.client.android.mail mail.aol.* proton.me mail.protonmail.com
        ch.protonmail.android mail.zoho.* deref-gmx.* deref-gmx.net deref-web.de deref-mail.com
        navigator.gmx.net navigator.web.de 3c.gmx.net 3c.web.de lightmailer.gmx.* email.t-online.de
        email.ionos.* e.mail.ru touch.mail.ru mail.yandex.* mail.qq.com mail.163.com mail.126.com
        mail.naver.com mail.daum.net poczta.onet.pl poczta.wp.pl poczta.o2.pl poczta.interia.pl
        email.seznam.cz fastmail.com app.tuta.com messagerie.orange.fr webmail.free.fr
        mail.libero.it com.samsung.android.email.provider mailchi.mp campaign-archive.com
        list-manage.com
    """,
    "paid": """
        doubleclick.net googlesyndication.com googleadservices.com taboola.com outbrain.com
        criteo.com adroll.com adform.net
    """,
    "affiliate": """
        awin.com awin1.com zenaps.com anrdoezrs.net dpbolvw.net jdoqocy.com kqzyfj.com tkqlhce.com
        linksynergy.com shareasale.com prf.hn pxf.io sjv.io ojrq.net tradedoubler.com
        tradetracker.net webgains.com affili.net belboon.com digidip.net skimresources.com
        viglink.com flexlinkspro.com effiliation.com metaffiliation.com daisycon.com ds1.nl lt45.net
        adtraction.com partner-ads.com convertiser.com webepartners.pl admitad.com clickbank.net
        jvzoo.com rover.ebay.com
    """,
    # Google's pages with what people wrote themselves.
    "referral": """
        docs.google.com drive.google.com sites.google.com groups.google.* calendar.google.com
        meet.google.com chat.google.com classroom.google.com translate.google.* business.google.com
    """,
}
_NAMES: dict[Channel, str] = {
    "ai": "chatgpt openai perplexity claude gemini copilot grok deepseek mistral",
    "search": "google bing yahoo duckduckgo yandex baidu ecosia qwant brave startpage naver seznam",
    "social": """
        facebook fb instagram ig threads x twitter linkedin pinterest reddit youtube tiktok snapchat
        whatsapp telegram discord tumblr mastodon bluesky vk weibo xing
    """,
    "mail": """
        email e-mail e_mail mail newsletter mailing mailchimp klaviyo brevo sendinblue mailerlite
        getresponse activecampaign hs_email freshmail mailjet sendgrid cleverreach hubspot marketo
    """,
    "affiliate": """
        affiliate affiliates awin cj rakuten shareasale impact partnerize tradedoubler tradetracker
        webgains admitad clickbank skimlinks viglink
    """,
}
_DETOURS = """
    paypal.com stripe.com klarna.com adyen.com adyenpayments.com mollie.com braintreegateway.com
    braintree-api.com worldpay.com squareup.com square.link checkout.com authorize.net
    cybersource.com 2checkout.com fastspring.com paddle.com globalpay.com realexpayments.com
    sagepay.com opayo.co.uk opayo.eu pay.amazon.* payments.amazon.* apay-us.amazon.com
    pay.google.com przelewy24.pl payu.* tpay.com dotpay.pl imoje.pl paynow.pl blik.com paysafe.com
    paysafecard.com skrill.com neteller.com sofort.com giropay.de paydirekt.de ideal.nl
    wero-wallet.eu bancontact.com trustly.com trustpay.eu ogone.com ingenico.com
    worldline-solutions.com saferpay.com datatrans.com postfinance.ch twint.ch computop-paygate.com
    unzer.com heidelpay.com payone.com pay1.de ratepay.com riverty.com afterpay.com clearpay.co.uk
    affirm.com sezzle.com zip.co getalma.eu scalapay.com multisafepay.com buckaroo.nl pay.nl
    redsys.es sibs.pt payzen.eu lyra.com payline.com systempay.fr paybox.com hipay.com nexi.it
    satispay.com gopay.com gopay.cz comgate.cz barion.com simplepay.hu iyzipay.com iyzico.com
    vivapayments.com vivawallet.com nets.eu quickpay.net swedbankpay.com payex.com vipps.no
    mobilepay.dk swish.nu mercadopago.* pagseguro.uol.com.br razorpay.com ccavenue.com paytm.com
    paytm.in phonepe.com billdesk.com alipay.com tenpay.com yookassa.ru robokassa.ru liqpay.ua
    wayforpay.com paystack.com flutterwave.com payfast.co.za commerce.coinbase.com bitpay.com
    arcot.com cardinalcommerce.com 3dsecure.io rsa3dsauth.com securesuite.co.uk wlp-acs.com
    touchtechpayments.com modirum.com wibmo.com
    accounts.google.com appleid.apple.com login.microsoftonline.com login.live.com auth0.com
    okta.com
"""


def _flat(texts: cabc.Mapping[Channel, str]) -> dict[str, Channel]:
    return {name: channel for channel, text in texts.items() for name in text.split()}


#: The channel of a host or of an app's package.
HOSTS: cabc.Mapping[str, Channel] = _flat(_HOSTS)
#: The channel of a source that a link names without a host.
NAMES: cabc.Mapping[str, Channel] = _flat(_NAMES)
#: Hosts to which people go in the middle of a visit, and from which they come back: to pay, to
#: prove to their bank who they are (3-D Secure), or to log in.
DETOURS: frozenset[str] = frozenset(_DETOURS.split())
