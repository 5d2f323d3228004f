"""A stored address has no host part."""

from __future__ import annotations

import pytest

from flask_eventtrack.privacy.addresses import mask_address

from ..hosts import Host


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("203.0.113.0", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("", ""),
        ("unix:", ""),
        # as some proxies write it, with the client's port
        ("203.0.113.77:1234", "203.0.113.0"),
        ("187.65.1.2:61598", "187.65.1.0"),
        ("[2001:db8:1:2:3:4:5:6]:61598", "2001:db8:1::"),
        ("[2001:db8:1:2::6]", "2001:db8:1::"),
        ("[::ffff:203.0.113.77]:80", "203.0.113.0"),
        ("203.0.113.77:", ""),
        ("203.0.113.77:123456", ""),
        ("203.0.113.77:http", ""),
        ("[203.0.113.77]:80", ""),
        ("[2001:db8::1", ""),
        ("[2001:db8::1]x", ""),
        ("localhost:80", ""),
        ("203.0.113.077", ""),
        ("203.0.113.77\n", ""),
        ("１.2.3.4", ""),  # noqa: RUF001 - a fullwidth digit
    ],
)
def test_address_loses_its_host_part(address: str, masked: str) -> None:
    """/24 and /48; a text that is not an address becomes empty."""
    assert mask_address(address) == masked


def test_whole_address_is_stored_nowhere(host: Host) -> None:
    """In no table and no column."""
    host.client().get("/", environ_base={"REMOTE_ADDR": "203.0.113.77"})
    tables = [name.removeprefix("eventtrack_") for name in host.db.metadata.tables]
    assert "203.0.113" not in repr([host.rows(name) for name in tables])
