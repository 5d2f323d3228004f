"""Whose cookie it is: foreign, broken and old ones."""

from __future__ import annotations

import collections.abc as cabc

import pytest

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, Host
from .cookie_jar import (
    ALL,
    CSRF,
    DEVICE,
    SESSION,
    add_login,
    cookies_of,
    fill,
    jar_of,
    sessions_of,
    visit,
)


def test_cookie_of_somebody_elses_that_is_no_text_is_no_obstacle(host: Host) -> None:
    """Bytes that are not UTF-8, as an old script of the host's may set."""
    client = host.client()
    visit(client)
    cookies = "; ".join(f"{name}={value}" for name, value in jar_of(client).items())
    again = host.app.test_client(use_cookies=False)
    again.environ_base["HTTP_USER_AGENT"] = CHROME
    answer = again.get("/", headers=NAVIGATION | {"Cookie": f"city=K\xf6ln; {cookies}"})
    assert answer.status_code == 200
    [session] = sessions_of(host)
    assert session["pages"] == 2


def tamper(value: str) -> str:
    """Change a character in the middle, whose bits all count."""
    middle = len(value) // 2
    return value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]


BROKEN: dict[str, cabc.Callable[[str], str]] = {
    "tampered": tamper,
    "first character changed": lambda value: ("B" if value[0] == "A" else "A") + value[1:],
    "truncated": lambda value: value[:-5],
    "halved": lambda value: value[: len(value) // 2],
    "without signature": lambda value: value.rpartition(".")[0],
    "signature alone": lambda value: value.rpartition(".")[2],
    "doubled": lambda value: value + value,
    "empty": lambda value: "",
    "a dot": lambda value: ".",
    "dots": lambda value: "." * 100,
    "long": lambda value: value + "A" * 4000,
    "long and deep": lambda value: "." * 60_000,
    "not ASCII": lambda value: "é" + value,
    "a NUL": lambda value: value + "\x00",
    "quoted": lambda value: f'"{value}x"',
    "upper case": str.upper,
}


@pytest.mark.parametrize("name", [DEVICE, SESSION])
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_cookie_is_a_fresh_start_and_never_an_error(
    host: Host, name: str, kind: str
) -> None:
    """A new device, or a new session of the same device."""
    client = host.client()
    visit(client)
    jar = jar_of(client)
    jar[name] = BROKEN[kind](jar[name])
    raw = "; ".join(f"{name}={value}" for name, value in jar.items())
    headers = {**NAVIGATION, "Cookie": raw.encode().decode("latin-1")}
    answer = host.app.test_client(use_cookies=False).get(
        "/", headers={**headers, "User-Agent": client.environ_base["HTTP_USER_AGENT"]}
    )
    assert (answer.status_code, set(cookies_of(answer))) == (200, ALL)
    rows = sessions_of(host)
    assert (len(rows), len({row["device_id"] for row in rows})) == (2, 2 if name == DEVICE else 1)


def test_session_cookie_of_another_device_opens_a_session_of_ones_own(host: Host) -> None:
    """Swapped between two visitors."""
    mine, theirs = host.client(), host.client()
    visit(mine)
    visit(theirs)
    stolen = jar_of(theirs)[SESSION]
    visit(fill(mine, {SESSION: stolen}))
    rows = sessions_of(host)
    assert sorted(row["pages"] for row in rows) == [1, 1, 1]
    assert len({row["device_id"] for row in rows}) == 2


@pytest.mark.parametrize(("name", "other"), [(DEVICE, SESSION), (SESSION, DEVICE), (DEVICE, CSRF)])
def test_value_of_one_cookie_is_not_taken_for_another(host: Host, name: str, other: str) -> None:
    """Each has a salt of its own."""
    client = host.client()
    visit(client)
    jar = jar_of(client)
    assert visit(fill(client, {name: jar[other]})) == ALL
    devices = {row["device_id"] for row in sessions_of(host)}
    assert len(devices) == (2 if name == DEVICE else 1)


def test_cookie_value_of_the_customers_does_not_vouch_on_another_device(host: Host) -> None:
    """The session cookie vouches, and it is bound to its device."""
    add_login(host.app)
    known, other = host.client(), host.client()
    visit(known, "/login/7")
    visit(other)
    fill(other, {SESSION: jar_of(known)[SESSION]})
    assert known.get("/me").get_json()["customer_id"] == "7"
    assert other.get("/me").get_json()["customer_id"] is None


def test_device_alone_attributes_and_does_not_vouch(host: Host) -> None:
    """A 10-year cookie that carries a customer's uuid is no log-in."""
    add_login(host.app)
    client = host.client()
    visit(client, "/login/7")
    known = client.get("/me").get_json()
    host.clock.advance(hours=1)
    later = client.get("/me").get_json()
    assert (known["customer_id"], later["customer_id"]) == ("7", None)
    assert later["uuid"] == known["uuid"]


@pytest.mark.parametrize(
    "customer",
    ["7", "x" * 255, "é" * 255, "日" * 255, "😀" * 255],
    ids=["short", "1 byte", "2 bytes", "3 bytes", "4 bytes"],
)
def test_customer_of_any_id_stays_in_their_session(host: Host, customer: str) -> None:
    """255 characters take up to 1,020 bytes, and the cookie has to hold them."""
    add_login(host.app)
    client = host.client()
    visit(client, f"/login/{customer}")
    visit(client)
    assert client.get("/me").get_json()["customer_id"] == customer
    assert [row["pages"] for row in sessions_of(host)] == [2]
    assert all(len(value) < 4096 - 256 for value in jar_of(client).values())


def test_rotated_key_keeps_devices_and_sessions(make: MakeHost) -> None:
    """SECRET_KEY_FALLBACKS: the old key verifies, the new one signs."""
    before = make({"SECRET_KEY": "the old key of the host"})
    client = before.client()
    visit(client)
    after = make(
        {
            "SECRET_KEY": "the new key of the host",
            "SECRET_KEY_FALLBACKS": ["the old key of the host"],
        }
    )
    returning = fill(after.client(), jar_of(client))
    assert visit(returning) == set()
    before.clock.advance(minutes=2)
    assert visit(returning) == {SESSION, CSRF}
    assert sessions_of(after)[0]["id"] == sessions_of(before)[0]["id"]


def test_key_that_is_gone_makes_new_devices(make: MakeHost) -> None:
    """A cookie of the old key has a bad signature."""
    before, after = make({"SECRET_KEY": "the old key"}), make({"SECRET_KEY": "the new key"})
    client = before.client()
    visit(client)
    assert visit(fill(after.client(), jar_of(client))) == ALL
    assert sessions_of(after)[0]["device_id"] != sessions_of(before)[0]["device_id"]


def test_renewed_cookie_outlives_the_old_key(make: MakeHost) -> None:
    """It was signed with the current key, which need not be the first of the list."""
    keys = ["the oldest key of all", "the old key of the host"]
    middle = make({"SECRET_KEY": "the new key of the host", "SECRET_KEY_FALLBACKS": keys})
    after = make({"SECRET_KEY": "the new key of the host"})
    client = middle.client()
    visit(client)
    assert visit(fill(after.client(), jar_of(client))) == set()


def test_key_of_bytes_is_taken(make: MakeHost) -> None:
    """As Flask takes it."""
    host = make({"SECRET_KEY": b"\xff\x00 a secret", "SECRET_KEY_FALLBACKS": [b"\xfe", "old"]})
    client = host.client()
    assert (visit(client), visit(client)) == (ALL, set())
