"""One masking for every text of a browser or URL, before it lies in the journal."""

from __future__ import annotations

import pathlib
import tracemalloc
import urllib.parse

import pytest

from flask_eventtrack import track
from flask_eventtrack.config import SECRET_PARAMETERS
from flask_eventtrack.privacy.masking import Masker
from flask_eventtrack.privacy.secret_names import is_secret_name
from flask_eventtrack.privacy.urls import UrlCleaner

from ..browser.secrets import CALLED, SOUNDING
from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host
from ..pipeline.segments import home_at, segments

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImV4cCI6MX0.c2lnbmF0dXJlLW9mLWl0"


def encode(text: str, times: int) -> str:
    return encode(urllib.parse.quote(text, safe=""), times - 1) if times else text


def a_cleaner() -> UrlCleaner:
    return UrlCleaner(SECRET_PARAMETERS, mask=Masker().mask_text)


@pytest.mark.parametrize("times", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "link",
    [
        *("/share?token=S3CR3T", "/share?a=1&code=S3CR3T&b=2", "https://h/a?new_password=S3CR3T"),
        *("https://ada:S3CR3T@h/", "/a#access_token=S3CR3T", "/a;sid=S3CR3T", "?code=S3CR3T&a=1"),
        *("/users/S3CR3T@example.com", "/a?pin=S3CR3T", "//h/?KEY=S3CR3T", "/a?b=c&To%6Ben=S3CR3T"),
    ],
)
def test_link_in_a_query_is_cleaned_like_the_query(link: str, times: int) -> None:
    """However often it is encoded, in a query, a path, a fragment's route, and in any text."""
    value, urls = encode(link, times), a_cleaner()
    cleaned = [
        urls.clean_query(f"a=1&next={value}"),
        urls.clean_path(f"/go/{value}"),
        urls.clean(f"https://h/go/{value}?next={value}"),
        UrlCleaner(SECRET_PARAMETERS, keeps_routes=True, mask=Masker().mask_text).clean(
            f"https://h/#/go?next={value}"
        ),
        urls.clean_text(f"Go to https://h/?next={value} now"),
        urls.clean_text(f"/login?next={value}"),
    ]
    assert "S3CR3T" not in " ".join(cleaned)
    assert urls.clean_query(cleaned[0]) == cleaned[0]


@pytest.mark.parametrize("secret", [JWT, "4111111111111111", "4111 1111 1111 1111"])
@pytest.mark.parametrize("times", [1, 2])
def test_encoded_value_is_masked_like_a_plain_one(secret: str, times: int) -> None:
    """What stands in front of it, encoded, does not hide it."""
    cleaned = a_cleaner().clean_query(f"next={encode(f'/x/{secret}?y={secret}', times)}")
    assert secret[:8] not in cleaned
    assert secret[-8:] not in cleaned


@pytest.mark.parametrize(
    "query",
    [
        *(
            "q=a%20b+c",
            "next=%2Fshop%3Fa%3D1%26b%3D2",
            "u=https%3A%2F%2Fh%2F%3Fx%3Dy",
            "rate=50%25",
        ),
        *("q=1%2B1%3D2", "a=1;b=2", "shipping=dhl&spinner=on", "utm_source=n&utm_medium=e"),
    ],
)
def test_other_values_of_a_query_stay_as_they_are(query: str) -> None:
    """Encoding and all."""
    assert a_cleaner().clean_query(query) == query


def test_long_encoded_values_are_cleaned_in_one_go() -> None:
    """As long as a server takes them: were a step quadratic, this would take minutes."""
    for unit in ("%25", "%2F?", "a=%3D", ";", "//a@", "+%2B", "#&?", "%253F", "token=%26"):
        text = unit * (32 * 1024 // len(unit))
        urls = a_cleaner()
        assert len(urls.clean_query(text)) <= 2000
        assert len(urls.clean_path(text)) <= 2000
        assert urls.clean_text(urls.clean_text(text)) == urls.clean_text(text)


@pytest.fixture
def stopped(make: MakeHost, tmp_path: pathlib.Path) -> Host:
    """A host whose records stay in the journal until they are flushed."""
    config = {"EVENTTRACK_JOURNAL_DIR": str(tmp_path / "journals")}
    host = make({**config, "EVENTTRACK_FLUSH_INTERVAL": 3600})

    @host.app.get("/titled")
    def titled() -> str:
        return f"<title>Order of ada@example.com, see /share?token=S3CR3T {JWT}</title>"

    return host


def journal_of(host: Host) -> bytes:
    home = pathlib.Path(host.app.config["EVENTTRACK_JOURNAL_DIR"])
    [segment] = segments(home_at(home / host.state.pipeline.database.fingerprint))
    return segment.read_bytes()


def test_journal_holds_no_secret_of_a_page(stopped: Host) -> None:
    """Title, path, query, campaign, referrer and user agent, and what the database gets of them."""
    headers = {
        **NAVIGATION,
        "Referer": "http://localhost/login?next=%2Fshare%3Ftoken%3DS3CR3T&mail=ada%40example.com",
        "User-Agent": f"{CHROME} (ada@example.com)",
        "Accept-Language": "de,ada@example.com",
    }
    query = f"next=%252Fshare%253Ftoken%253DS3CR3T&utm_source=ada%40example.com&x={JWT}&pin=S3CR3T"
    client = stopped.client()
    client.get(f"/titled?{query}", headers=headers)
    client.get("/products/ada@example.com;sid=S3CR3T", headers=headers)
    journal = journal_of(stopped)
    assert b"page" in journal
    stored = f"{stopped.rows('event')} {stopped.rows('session')}"
    for secret in ("S3CR3T", "ada", "eyJ"):
        assert secret.encode() not in journal
        assert secret not in stored
    [first] = [row for row in stopped.events_of("page.visit") if row["url_rule"] == "/titled"]
    assert first["params"]["title"] == "Order of [email], see /share [token]"
    assert first["params"]["utm_source"] == "[email]"
    assert first["label"] == "Visited page Order of [email], see /share [token]"


def test_journal_holds_no_secret_of_a_posted_event(stopped: Host) -> None:
    """Links in any parameter, at any level, in their names, and in the label."""
    link = "/login?next=%2Fshare%3Fcode%3DS3CR3T"
    event = {
        "action": "button.click",
        "params": {"href": link, "og": [{"see": f"Go to {link}"}], f"x {link}": 1, "pin": 4711},
        "label": f"Clicked {link}",
    }
    stopped.client().post("/_et/in", json=event, headers=SAME_ORIGIN)
    assert b"S3CR3T" not in journal_of(stopped)
    [row] = stopped.events_of("button.click")
    assert row["params"]["href"] == "/login?next=/share"
    assert row["params"]["pin"] == "[masked]"
    assert row["label"] == "Clicked /login?next=/share"


def test_words_of_server_code_are_its_own(host: Host) -> None:
    """track() stores what the app says."""
    with host.app.app_context():
        host.events.define("mail.send")
        params = {"to": "ada@example.com", "password": "x", "url": "/a?token=1"}
        track("mail.send", params, customer="1")
    assert host.events_of("mail.send")[0]["params"] == params


SECRET = """password newPassword user_password PASSWD userPwd passphrase pin cardPin pin-code CVC
    cvv2 csc card_number cardNumber cc-number ccnum card.no otp OTPCode totp one-time-code
    access_token accessToken csrftoken client_secret api-key apiKey privateKey IBAN ssn securityCode
    passwort social_security_number account_number credentials authorization jwt session_id
    sessionKey PHPSESSID ASP.NET_SessionId reset_code access_code"""
HARMLESS = """shipping spinner opinion tokenized tokens tokenizer secretary monkey keyboard pinned
    company pinterest passenger passwordless compass bypass author cardinal number accession
    caption session_length card key keyword spinlock state code email 2faced"""


@pytest.mark.parametrize("name", [*SECRET.split(), *CALLED.split()])
def test_value_of_a_secret_name_is_masked(name: str) -> None:
    """Whatever it is, at any level."""
    for value in ("hunter2", 4711, True, {"a": ["b"]}, [1]):
        params = {"a": [{"b": {name: value}}], name: value}
        assert Masker().mask_params(params) == {"a": [{"b": {name: "[masked]"}}], name: "[masked]"}


@pytest.mark.parametrize("name", [*HARMLESS.split(), *SOUNDING.split()])
def test_words_that_contain_a_secret_s_name_are_left_alone(name: str) -> None:
    """Names are read word by word."""
    assert not is_secret_name(name)
    params = {name: "x"}
    assert Masker().mask_params(params) is params


class Grant:
    token: str
    password: str = ""
    note: dict[str, str] | None = None


def test_declared_parameter_is_the_app_s_decision(host: Host) -> None:
    """But a password is never recorded, nor is a secret inside, nor a label made of one."""
    label = "Granted {token} by {password}"
    host.events.define("grant.use", label=label, anonymous=True)(Grant)
    params = {"token": "blue", "password": "hunter2", "note": {"token": "red"}, "secret": "x"}
    event = {"action": "grant.use", "params": params}
    host.client().post("/_et/in", json=event, headers=SAME_ORIGIN)
    [row] = host.events_of("grant.use")
    masked = {"password": "[masked]", "note": {"token": "[masked]"}, "secret": "[masked]"}
    assert row["params"] == {"token": "blue", **masked}
    assert row["label"] == "Granted blue by [masked]"


@pytest.mark.parametrize(
    "secret",
    [
        *("user[code]", "user%5Bcode%5D", "code[]", "code.x", "connect.sid", "PHPSESSID", "ticket"),
        *("SAMLResponse", "session_id", "session_key", "authcode", "reset_code", "pass", "2fa"),
    ],
)
def test_parameter_of_a_secret_name_is_no_part_of_a_url(secret: str) -> None:
    """However frameworks write it."""
    urls = a_cleaner()
    assert urls.clean(f"http://h/a;{secret}=S?{secret}=S&b=2") == "http://h/a?b=2"
    kept = "discount_code=A&postcode=B&zip_code=C&items[0][name]=D&v=1.2&ticket_count=2"
    assert urls.clean_query(kept) == kept.replace("[", "%5B").replace("]", "%5D")


@pytest.mark.parametrize("scheme", ["https:", "postgres:", ""])
@pytest.mark.parametrize("user", ["ada", "ada:S3CR3T", "ada:p@S3CR3T", "ada:@S3CR3T@S3CR3T"])
@pytest.mark.parametrize("times", [0, 1, 2])
def test_user_and_password_are_removed_from_links(scheme: str, user: str, times: int) -> None:
    """Up to the last at sign, which may be a part of the password."""
    urls, link = a_cleaner(), encode(f"{scheme}//{user}@db", times)
    for cleaned in (
        urls.clean_text(f"see {link}/x now"),
        urls.clean_query(f"next={link}/"),
        urls.clean_path(f"/go/{link}"),
        urls.clean(f"https://{user}@h/?next={link}"),
    ):
        assert "S3CR3T" not in cleaned
        assert "ada" not in cleaned


@pytest.mark.parametrize(
    "text", ["https://h/@ada?a=1", "https://h/?to=@ada", "https://h#@a", "1//2 @ 3", "//h/a@b"]
)
def test_other_at_signs_stay(text: str) -> None:
    """They name no user of a link."""
    assert a_cleaner().clean_text(text) == text


def test_long_names_take_no_memory() -> None:
    """Only the beginning of a name is remembered."""
    name = "x" * 100_000
    tracemalloc.start()
    try:
        for number in range(50):
            is_secret_name(f"{number}{name}")
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_masking_can_be_turned_off(make: MakeHost) -> None:
    """For parameters; the query's secrets are EVENTTRACK_SECRET_PARAMETERS' matter."""
    host = make({"EVENTTRACK_MASK": False})
    params = {"pin": "4711", "url": "http://localhost/?a=1&next=%2F%3Ftoken%3DS3CR3T"}
    event = {"action": "button.click", "params": params}
    host.client().post("/_et/in", json=event, headers=SAME_ORIGIN)
    stored = host.events_of("button.click")[0]["params"]
    assert stored == {"pin": "4711", "url": "http://localhost/?a=1&next=/"}
