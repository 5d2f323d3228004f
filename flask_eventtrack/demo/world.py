"""The made-up shop and the world around it: pages, products, sources, countries, browsers.

The shop is the one of ``example_app``, so that the links of the demo's reports lead to its pages.
"""

from __future__ import annotations

import collections.abc as cabc
import random
import typing as t

_T = t.TypeVar("_T")


class Picker(t.Generic[_T]):
    """Picks by weights: from a list that has each item as often as its weight says."""

    def __init__(self, weights: cabc.Mapping[_T, int]) -> None:
        self._items = [item for item, weight in weights.items() for _ in range(weight)]

    @property
    def choices(self) -> set[_T]:
        return set(self._items)

    def __call__(self, rng: random.Random) -> _T:
        return self._items[int(rng.random() * len(self._items))]


class Product(t.NamedTuple):
    """``price`` is decimal text, in EUR."""

    sku: str
    slug: str
    name: str
    kind: str
    category: str
    price: str


class Page(t.NamedTuple):
    """A page: ``path`` may have a query, and ``rule`` is its URL rule."""

    path: str
    rule: str
    endpoint: str
    title: str
    product: Product | None = None
    search: tuple[str, int] | None = None


class Banner(t.NamedTuple):
    """A banner on a page, and the page that it leads to.

    ``seen`` is the part of the page's visits in which it is seen, ``hovered`` the part of those in
    which the pointer rests on it, mostly for ``dwell`` ms. ``clicked`` is the part that clicks of
    those that hovered for less than that, or not at all; ``long_clicked`` of the others.
    """

    id: str
    target: Page
    seen: float
    hovered: float
    dwell: int
    clicked: float
    long_clicked: float


class Form(t.NamedTuple):
    """A form. ``fields`` are those at which people leave it, as often as their weight says."""

    name: str
    fields: Picker[str]


class Origin(t.NamedTuple):
    """Where a session comes from. ``landing`` names the pages that its links lead to."""

    referrer: str = ""
    query: str = ""
    landing: t.Literal["any", "home", "lookbook", "product"] = "any"


class Device(t.NamedTuple):
    """What a browser and its device are."""

    browser: str
    os: str
    type: str
    viewport: str
    screen: str


class Place(t.NamedTuple):
    """``offset`` is what browsers there report as their time zone, in minutes."""

    country: str
    language: str
    offset: int


# Products and pages

PRODUCTS = tuple(
    Product(*row)
    for row in (
        ("K-01", "bruno", "Bruno", "morning mug", "kitchen", "14.50"),
        ("K-02", "agatha", "Agatha", "teapot", "kitchen", "38.00"),
        ("K-03", "otto", "Otto", "fruit bowl", "kitchen", "26.00"),
        ("K-04", "greta", "Greta", "evening cup", "kitchen", "18.50"),
        ("G-01", "sir-prickles", "Sir Prickles", "cactus", "green", "12.00"),
        ("G-02", "fernanda", "Fernanda", "fern", "green", "16.00"),
        ("G-03", "monty", "Monty", "monstera", "green", "29.50"),
        ("L-01", "luna", "Luna", "bedside lamp", "glow", "49.00"),
        ("L-02", "morel", "Morel", "mushroom lamp", "glow", "54.00"),
        ("L-03", "wick", "Wick", "candle", "glow", "9.50"),
        ("D-01", "nora", "Nora", "notebook", "desk", "13.50"),
        ("D-02", "pim", "Pim", "pencil pot", "desk", "17.00"),
        ("D-03", "tock", "Tock", "alarm clock", "desk", "32.00"),
        ("C-01", "nimbus", "Nimbus", "cloud cushion", "cosy", "27.50"),
        ("C-02", "rex", "Rex", "hot-water bottle", "cosy", "22.00"),
        ("C-03", "mr-later", "Mr Later", "doorstop tortoise", "cosy", "24.50"),
    )
)
# How often each is looked at, in the same order.
_POPULARITY = (14, 9, 5, 7, 12, 6, 9, 16, 18, 10, 8, 4, 5, 9, 6, 8)
_SHOP = "The Wobbly Shelf"


def _page(path: str, endpoint: str, title: str, rule: str = "", **more: t.Any) -> Page:
    return Page(path, rule or path.partition("?")[0], endpoint, f"{title} · {_SHOP}", **more)


HOME = _page("/", "catalogue.home", "Useful things with a bit of a wobble")
ABOUT = _page("/about", "visitor.about", "About the shop, and what it tracks")
BASKET = _page("/basket", "basket.show", "Basket")
CHECKOUT = _page("/checkout", "basket.checkout", "Checkout")
LOGIN = _page("/login", "account.login", "Log in")
SIGNUP = _page("/signup", "account.signup", "Open an account")
THANKS = _page("/newsletter/thanks", "newsletter.thanks", "Thank you")
LOOKBOOK = _page("/lookbook", "lookbook.show", "Lookbook")
LOOKS = Picker(
    {
        _page(f"/lookbook/{slug}", "lookbook.show", title, "/lookbook/<slug>"): weight
        for slug, title, weight in (
            ("slow-morning", "The slow morning", 4),
            ("small-jungle", "A small jungle", 3),
            ("midnight-desk", "The midnight desk", 2),
            ("rain-all-day", "Rain all day", 3),
        )
    }
)
SHELVES = Picker(
    {
        _page(f"/?category={name}", "catalogue.home", title): weight
        for name, title, weight in (
            ("kitchen", "Kitchen", 4),
            ("green", "Green things", 3),
            ("glow", "Glow", 5),
            ("desk", "Desk", 2),
            ("cosy", "Cosy", 3),
        )
    }
)
SEARCHES = Picker(
    {
        _page(
            f"/search?q={words}", "catalogue.search", f"Search: {words}", search=(words, found)
        ): weight
        for words, found, weight in (
            ("lamp", 2, 9),
            ("mug", 1, 7),
            ("cactus", 1, 5),
            ("gift", 0, 5),
            ("candle", 1, 4),
            ("tea", 1, 3),
            ("clock", 1, 2),
            ("chair", 0, 2),
        )
    }
)
GOODS = Picker(
    {
        _page(
            f"/products/{product.slug}",
            "catalogue.product",
            f"{product.name}, {product.kind}",
            "/products/<slug>",
            product=product,
        ): weight
        for product, weight in zip(PRODUCTS, _POPULARITY, strict=True)
    }
)
LANDINGS: dict[str, Picker[Page | Picker[Page]]] = {
    "any": Picker({HOME: 46, ABOUT: 10, LOOKBOOK: 14, SHELVES: 10, GOODS: 20}),
    "home": Picker({HOME: 7, SHELVES: 3}),
    "lookbook": Picker({LOOKBOOK: 3, LOOKS: 7}),
    "product": Picker({GOODS: 4, SHELVES: 6}),
}
#: By path: the last one is looked at, and does not sell.
BANNERS: dict[str, Banner] = {
    "/": Banner(
        "spring",
        _page("/?category=green", "catalogue.home", "Green things"),
        0.7,
        0.3,
        1400,
        0.05,
        0.3,
    ),
    "/lookbook": Banner(
        "lamps", _page("/?category=glow", "catalogue.home", "Glow"), 0.6, 0.25, 1100, 0.03, 0.15
    ),
    "/about": Banner("seconds-sale", HOME, 0.8, 0.5, 2100, 0.01, 0.03),
}
NEWSLETTER = Form("newsletter", Picker({"email": 7, "topic": 2}))
CHECKOUT_FORM = Form("checkout", Picker({"name": 2, "address": 9, "coupon": 5}))
#: Where people go on a page that is none of a purchase.
NEXT: Picker[Page | Picker[Page]] = Picker(
    {GOODS: 50, SHELVES: 14, HOME: 10, LOOKS: 8, LOOKBOOK: 6, SEARCHES: 9, ABOUT: 3}
)
TOPICS = Picker({"everything": 5, "new arrivals": 3, "green things": 2, "seconds sale": 4})


def list_pages() -> list[Page]:
    """Return all pages but those of a purchase."""
    shown = [HOME, ABOUT, BASKET, LOGIN, SIGNUP, THANKS, LOOKBOOK]
    return [*shown, *(page for each in (LOOKS, SHELVES, SEARCHES, GOODS) for page in each.choices)]


def order_page(number: int) -> Page:
    path = f"/orders/{number}"
    return _page(path, "basket.order", f"Order {number}", "/orders/<int:order_id>")


# Where people come from


def _campaign(source: str, medium: str, name: str) -> str:
    return f"utm_source={source}&utm_medium={medium}&utm_campaign={name}"


NEWSLETTERS = Picker(
    {
        Origin("", _campaign("newsletter", "email", "new-arrivals"), "product"): 4,
        Origin("https://mail.google.com/", _campaign("newsletter", "email", "autumn"), "home"): 3,
        Origin("", _campaign("newsletter", "email", "seconds-sale"), "home"): 3,
    }
)
DIRECT = Origin()
ORIGINS: dict[Origin, int] = {
    DIRECT: 210,
    Origin("https://www.google.com/"): 220,
    Origin("https://www.google.de/"): 40,
    Origin("https://www.bing.com/"): 28,
    Origin("https://duckduckgo.com/"): 30,
    Origin("https://www.ecosia.org/"): 14,
    Origin("", _campaign("newsletter", "email", "new-arrivals"), "product"): 34,
    Origin("https://mail.google.com/", _campaign("newsletter", "email", "autumn"), "home"): 26,
    Origin("https://www.google.com/", _campaign("google", "cpc", "lamps"), "product"): 60,
    Origin("https://www.google.com/", _campaign("google", "cpc", "gifts"), "home"): 34,
    Origin("https://www.bing.com/", _campaign("bing", "cpc", "lamps"), "product"): 9,
    Origin("https://l.instagram.com/", _campaign("instagram", "social", "looks"), "lookbook"): 72,
    Origin("https://www.instagram.com/"): 24,
    Origin("https://www.facebook.com/"): 30,
    Origin("https://www.pinterest.com/", landing="lookbook"): 38,
    Origin("https://www.reddit.com/"): 26,
    Origin("https://www.youtube.com/"): 12,
    Origin("https://t.co/"): 8,
    Origin("https://chatgpt.com/", "utm_source=chatgpt.com", "product"): 22,
    Origin("https://www.perplexity.ai/", landing="product"): 7,
    Origin("https://quiet-corner.example/best-reading-lamps", landing="product"): 24,
    Origin("https://studio-notes.example/"): 16,
    Origin("https://gift-lists.example/under-20", landing="product"): 14,
    Origin("", "utm_source=ada&utm_medium=affiliate", "home"): 13,
    Origin("", "utm_source=postcard&utm_campaign=autumn", "home"): 9,
}

# Who they are

PLACES = Picker(
    {
        Place("DE", "de-DE", -60): 30,
        Place("DE", "en-US", -60): 3,
        Place("AT", "de-AT", -60): 7,
        Place("CH", "de-CH", -60): 5,
        Place("CH", "fr-CH", -60): 2,
        Place("GB", "en-GB", 0): 10,
        Place("FR", "fr-FR", -60): 8,
        Place("NL", "nl-NL", -60): 7,
        Place("US", "en-US", 300): 11,
        Place("US", "es-US", 360): 1,
        Place("PL", "pl-PL", -60): 4,
        Place("IT", "it-IT", -60): 4,
        Place("ES", "es-ES", -60): 4,
        Place("BE", "nl-BE", -60): 2,
        Place("DK", "da-DK", -60): 2,
        Place("SE", "sv-SE", -60): 2,
        Place("CA", "en-CA", 300): 2,
        Place("AU", "en-AU", -600): 1,
        Place("JP", "ja-JP", -540): 1,
        Place("BR", "pt-BR", 180): 1,
    }
)
DEVICES = Picker(
    {
        Device("Chrome", "Windows", "desktop", "1536x730", "1536x864"): 20,
        Device("Chrome", "macOS", "desktop", "1440x789", "1440x900"): 9,
        Device("Safari", "macOS", "desktop", "1512x857", "1512x982"): 7,
        Device("Firefox", "Windows", "desktop", "1920x955", "1920x1080"): 4,
        Device("Firefox", "Linux", "desktop", "1920x969", "1920x1080"): 3,
        Device("Edge", "Windows", "desktop", "1920x953", "1920x1080"): 7,
        Device("Opera", "Windows", "desktop", "1536x714", "1536x864"): 1,
        Device("Safari", "iOS", "mobile", "390x664", "390x844"): 22,
        Device("Chrome", "iOS", "mobile", "393x660", "393x852"): 2,
        Device("Chrome", "Android", "mobile", "412x785", "412x915"): 17,
        Device("Samsung Internet", "Android", "mobile", "384x712", "384x854"): 4,
        Device("Firefox", "Android", "mobile", "412x779", "412x915"): 1,
        Device("Safari", "iOS", "tablet", "820x1106", "820x1180"): 3,
    }
)
FIRST_NAMES = Picker(
    dict.fromkeys(
        (
            *("Ada", "Alma", "Anna", "Ben", "Carla", "Clara", "David", "Elif"),
            *("Emil", "Emma", "Finn", "Fiona", "Greta", "Hanna", "Ida", "Ivo"),
            *("Jana", "Jonas", "Julia", "Karim", "Lea", "Leo", "Lina", "Lukas"),
            *("Mara", "Marie", "Mia", "Milan", "Nina", "Noah", "Olga", "Paul"),
            *("Rosa", "Sami", "Sofia", "Theo", "Tom", "Vera", "Yara", "Zoe"),
        ),
        1,
    )
)
LAST_NAMES = Picker(
    dict.fromkeys(
        (
            *("Adler", "Bauer", "Berg", "Bianchi", "Bosch", "Dubois", "Fischer", "Garcia"),
            *("Haas", "Hansen", "Huber", "Jansen", "Keller", "Kowalski", "Lang", "Larsson"),
            *("Lehmann", "Martin", "Meyer", "Moreau", "Novak", "Peters", "Rossi", "Roth"),
            *("Schmidt", "Silva", "Smith", "Sommer", "Taylor", "Vogel", "Weber", "Winter"),
            *("Wolf", "Young", "Ziegler"),
        ),
        1,
    )
)

# When they come: the shares of the hours of a day, from midnight, and of the days from Monday.
HOURS = (
    *(14, 8, 5, 4, 4, 6, 14, 26, 38, 46, 52, 54),
    *(56, 52, 48, 46, 46, 50, 56, 66, 76, 80, 66, 34),
)
DAYS = (100, 102, 98, 110, 92, 76, 92)
