"""The epoch: all that a script may know about the profile."""

from __future__ import annotations

import base64
import re
import typing as t

import pytest
from flask import redirect, request
from flask.testing import FlaskClient

from flask_eventtrack import logout

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from .cookie_jar import CSRF, SESSION, add_login, cookies_of, jar_of, sessions_of, visit


def epoch_of(client: FlaskClient) -> str:
    """Return the text before the token in the readable cookie."""
    epoch, *token = jar_of(client)[CSRF].split(".")
    assert len(token) == 2
    return epoch


def test_epoch_is_eight_characters_that_say_nothing(host: Host) -> None:
    """Neither the device nor the profile can be read in it, and no two visitors share it."""
    clients = [host.client() for _ in range(2)]
    for client in clients:
        visit(client)
    first, second = map(epoch_of, clients)
    assert re.fullmatch(r"[\w-]{8}", first)
    assert first != second
    for row in sessions_of(host):
        packed = base64.urlsafe_b64encode(row["uuid"].bytes).decode()
        assert not any(epoch in packed for epoch in (first, second))


def test_epoch_stays_while_the_profile_does(host: Host) -> None:
    """Through pages, posts and sessions."""
    client = host.client()
    visit(client)
    before = epoch_of(client)
    for minutes in (2, 20, 60):
        host.clock.advance(minutes=minutes)
        assert CSRF in visit(client)
        assert epoch_of(client) == before
        host.clock.advance(minutes=2)
        client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
        assert epoch_of(client) == before


def test_epoch_changes_at_log_in_and_log_out(host: Host) -> None:
    """With the answer to that request; a customer's is the same each time, a stranger's is not."""
    add_login(host.app)
    client = host.client()
    epochs = []
    for path in ("/", "/login/7", "/", "/logout", "/", "/login/8", "/logout", "/login/7"):
        visit(client, path)
        epochs.append(epoch_of(client))
    anonymous, seven, still_seven, nobody, still_nobody, eight, again_nobody, seven_again = epochs
    assert (seven, still_nobody) == (still_seven, nobody) == (seven_again, nobody)
    assert len({anonymous, seven, nobody, eight, again_nobody}) == 5


@pytest.mark.parametrize("path", ["/out", "/out.json"])
def test_epoch_changes_with_an_answer_that_is_no_page(host: Host, path: str) -> None:
    """A log-out mostly answers with a redirect: the session's cookie goes, the epoch is new."""
    add_login(host.app)

    @host.app.get("/out")
    @host.app.get("/out.json")
    def log_out() -> t.Any:
        logout()
        return {} if request.path.endswith(".json") else redirect("/")

    client = host.client()
    visit(client, "/login/7")
    before = epoch_of(client)
    answer = client.get(path, headers=NAVIGATION)
    assert SESSION not in jar_of(client)
    assert CSRF in cookies_of(answer)
    assert epoch_of(client) != before


def test_epochs_of_two_apps_differ(make: MakeHost) -> None:
    """It is derived with the secret key: a customer's id is not enough to compute it."""
    hosts = [make({"SECRET_KEY": key}) for key in ("one", "another")]
    epochs = set()
    for host in hosts:
        add_login(host.app)
        client = host.client()
        visit(client, "/login/7")
        epochs.add(epoch_of(client))
    assert len(epochs) == 2
