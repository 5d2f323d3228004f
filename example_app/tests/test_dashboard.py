"""The shop's dashboard, for whoever sits at the machine."""

from __future__ import annotations

from flask.testing import FlaskClient


def test_the_footer_leads_to_the_dashboard(client: FlaskClient) -> None:
    """On this machine the dashboard opens without a log-in, under the shop's name."""
    assert 'href="/_et/"' in client.get("/").text
    page = client.get("/_et/")
    assert page.status_code == 200
    assert "The Wobbly Shelf" in page.text


def test_others_see_no_dashboard(client: FlaskClient) -> None:
    """A visitor from elsewhere gets neither the link nor the page."""
    client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert "/_et/" not in client.get("/").text.partition("<footer")[2]
    assert client.get("/_et/").status_code == 404


def test_a_proxy_is_not_this_machine(client: FlaskClient) -> None:
    """Behind a proxy, everyone would seem to be at this machine; so do names of others."""
    assert client.get("/_et/", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 404
    assert client.get("/_et/", base_url="http://rebound.test").status_code == 404
