"""Countries, by a header of a proxy or by a local file."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from flask_eventtrack.errors import ConfigError

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from .agents import session_of


@pytest.mark.parametrize(
    ("header", "country"),
    [
        ("DE", "DE"),
        ("de", "DE"),
        ("", None),
        ("D", None),
        ("D1", None),
        ("T1", None),
        ("XX", None),
        ("Germany", None),
        ("DEU", None),
        ("ß", None),
        ("DE\x00", None),
    ],
    ids=ascii,
)
def test_country_is_the_code_in_the_trusted_header(
    make: MakeHost, header: str, country: str | None
) -> None:
    """Two letters of ISO 3166; Cloudflare's XX and T1 are no country."""
    host = make({"EVENTTRACK_COUNTRY_HEADER": "CF-IPCountry"})
    environ = {"HTTP_CF_IPCOUNTRY": header.encode().decode("latin-1")}
    assert session_of(host, environ_base=environ)["country"] == country


def test_country_header_is_not_believed_unasked(host: Host) -> None:
    """Clients could send it."""
    assert session_of(host, headers={"CF-IPCountry": "DE"})["country"] is None


@pytest.fixture
def geo(tmp_path: pathlib.Path) -> pathlib.Path:
    """A small MaxMind DB file."""
    writer = MMDBWriter(6, "GeoLite2-Country", ipv4_compatible=True)
    records: dict[str, t.Any] = {
        "203.0.113.0/24": {"country": {"iso_code": "NZ"}},
        "2001:db8:1::/48": {"country": {"iso_code": "IS"}},
        "198.51.100.0/24": {"continent": {"code": "EU"}},
        "192.0.2.0/24": {"country": {"iso_code": "Neverland"}},
        "100.64.0.0/24": {"country": "DE"},
    }
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    path = tmp_path / "geo.mmdb"
    writer.to_db_file(str(path))
    return path


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("203.0.113.77", "NZ"),
        ("::ffff:203.0.113.77", "NZ"),
        ("2001:db8:1:2::3", "IS"),
        ("198.51.100.1", None),
        ("192.0.2.1", None),
        ("100.64.0.1", None),
        ("8.8.8.8", None),
        ("", None),
        ("not an address", None),
    ],
)
def test_country_is_looked_up_in_a_local_file(
    make: MakeHost, geo: pathlib.Path, address: str, country: str | None
) -> None:
    """By the masked address; a record without a two-letter code says nothing."""
    host = make({"EVENTTRACK_COUNTRY_DATABASE": geo})
    assert session_of(host, environ_base={"REMOTE_ADDR": address})["country"] == country


def test_file_of_the_old_addresses_knows_no_new_ones(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """A visitor with an IPv6 address has no country there, and is recorded."""
    writer = MMDBWriter(4, "IPv4 only")
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"country": {"iso_code": "NZ"}})
    writer.to_db_file(str(tmp_path / "old.mmdb"))
    host = make({"EVENTTRACK_COUNTRY_DATABASE": tmp_path / "old.mmdb"})
    for address in ("203.0.113.77", "2001:db8:1:2::3"):
        host.client().get("/", environ_base={"REMOTE_ADDR": address}, headers=NAVIGATION)
        host.clock.advance(seconds=1)
    assert [row["country"] for row in host.rows("session", "started_at")] == ["NZ", None]


@pytest.mark.parametrize(
    ("package", "extra", "name", "value"),
    [
        ("maxminddb", "geo", "EVENTTRACK_COUNTRY_DATABASE", "geo.mmdb"),
        ("ua_parser", "agents", "EVENTTRACK_AGENT_PARSER", "ua-parser"),
    ],
)
def test_missing_package_is_named_at_start_up(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch, package: str, extra: str, name: str, value: str
) -> None:
    """With the setting that needs it, and the extra that installs it."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "flask_eventtrack.clients.ua_parser", raising=False)
    hint = rf"^{name} .*: pip install 'Flask-EventTrack\[{extra}\]'\.$"
    with pytest.raises(ConfigError, match=hint):
        make({name: value})


@pytest.mark.parametrize(("header", "country"), [("DE", "DE"), ("T1", "NZ"), ("", "NZ")])
def test_header_goes_before_the_file(
    make: MakeHost, geo: pathlib.Path, header: str, country: str
) -> None:
    """The file answers where the header does not."""
    settings = {"EVENTTRACK_COUNTRY_DATABASE": geo, "EVENTTRACK_COUNTRY_HEADER": "X-Country"}
    environ = {"REMOTE_ADDR": "203.0.113.77", "HTTP_X_COUNTRY": header}
    assert session_of(make(settings), environ_base=environ)["country"] == country
