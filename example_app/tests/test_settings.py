"""The settings that the shop depends on."""

from __future__ import annotations

import pathlib

import pytest
from flask import Config
from flask.testing import FlaskClient

from example_app import create_app
from example_app.tracking import events
from flask_eventtrack import errors

from .helpers import rows


def test_the_shops_own_settings(config: Config) -> None:
    """The salt of its customers, and the lookbook's pages, which turn without a page load."""
    assert config["EVENTTRACK_PROFILE_SALT"] == "the-wobbly-shelf"
    assert config["EVENTTRACK_SPA"] is True


def test_the_script_gets_the_settings(client: FlaskClient) -> None:
    """The tag on each page tells the script to count soft navigations."""
    assert ' data-spa="path"' in client.get("/lookbook").text


def test_tests_have_a_database_of_their_own(config: Config, tmp_path: pathlib.Path) -> None:
    """Neither the database nor the journal of ``make demo`` is touched."""
    assert config["SQLALCHEMY_DATABASE_URI"] == f"sqlite:///{tmp_path}/shop.db"
    assert config["EVENTTRACK_JOURNAL_DIR"] == f"{tmp_path}/journal"


def test_environment_variables_are_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """``FLASK_EVENTTRACK_SESSION_TIMEOUT=600`` gives sessions ten minutes."""
    monkeypatch.setenv("FLASK_EVENTTRACK_SESSION_TIMEOUT", "600")
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    app = create_app({"SECRET_KEY": "a secret", "SQLALCHEMY_DATABASE_URI": url})
    assert app.config["EVENTTRACK_SESSION_TIMEOUT"] == 600


def test_a_misspelt_setting_is_refused() -> None:
    """The shop does not start with a setting that would have no effect."""
    with pytest.raises(errors.ConfigError, match="Did you mean 'EVENTTRACK_ENABLED'"):
        create_app({"SECRET_KEY": "a secret", "EVENTTRACK_ENABLD": False})


@pytest.mark.app(EVENTTRACK_ENABLED=False)
def test_tracking_can_be_switched_off(client: FlaskClient) -> None:
    """The shop works; it records nothing, sets no cookie and sends no script."""
    page = client.get("/products/otto")
    assert page.status_code == 200
    assert "/_et/" not in page.text
    assert client.get_cookie("eventtrack_device") is None
    assert rows(events.tables.event) == []
