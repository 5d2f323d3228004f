"""Whatever people do: each session's person is where the aliases lead, as counted in Python."""

from __future__ import annotations

import random

import pytest
from flask.testing import FlaskClient

from flask_eventtrack import identify, logout

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from .persons import apply_aliases, unapplied, wrong_people

STEPS = 45
CUSTOMERS = ("1", "2", "3", "4")


class History:
    """Browsers of one shop, and what happens to them at random."""

    def __init__(self, host: Host, seed: int) -> None:
        self.host, self.random = host, random.Random(seed)
        self.browsers: list[FlaskClient] = [host.client(), host.client()]
        self.old_cookies: list[tuple[FlaskClient, str, str]] = []

    def step(self) -> None:
        self.host.clock.advance(seconds=self.random.choice((2, 40, 2000)))
        weights = {
            self.visit: 10,
            self.log_in: 6,
            self.log_out: 3,
            self.open_browser: 2,
            self.keep_cookies: 3,
            self.put_cookies_back: 3,
            self.flush: 4,
            self.unmerge: 2,
            self.forget: 1,
            self.do_chores: 2,
        }
        [act] = self.random.choices(list(weights), list(weights.values()))
        act()

    def visit(self) -> None:
        self.browser.get("/", headers=NAVIGATION)

    def log_in(self) -> None:
        self.browser.post(f"/login/{self.random.choice(CUSTOMERS)}")

    def log_out(self) -> None:
        self.browser.post("/logout")

    def open_browser(self) -> None:
        self.browsers.append(self.host.client())

    def keep_cookies(self) -> None:
        """Copy the cookies of a browser, as a restored backup or a second process would."""
        browser = self.browser
        for name in ("eventtrack_device", "eventtrack_session"):
            cookie = browser.get_cookie(name)
            if cookie is not None:
                self.old_cookies.append((browser, name, cookie.value))

    def put_cookies_back(self) -> None:
        if self.old_cookies:
            browser, name, value = self.random.choice(self.old_cookies)
            browser.set_cookie(name, value)
            browser.get("/", headers=NAVIGATION)

    def flush(self) -> None:
        self.host.flush()

    def unmerge(self) -> None:
        aliases = self.host.rows("alias", "anonymous_uuid")
        if aliases:
            chosen = self.random.choice(aliases)["anonymous_uuid"]
            self.host.state.pipeline.writer.unmerge(chosen)

    def forget(self) -> None:
        with self.host.app.app_context():
            self.host.events.forget(self.random.choice(CUSTOMERS))

    def do_chores(self) -> None:
        apply_aliases(self.host)

    @property
    def browser(self) -> FlaskClient:
        return self.random.choice(self.browsers)


def open_shop(make: MakeHost, url: str) -> Host:
    host = make(url=url)

    @host.app.post("/login/<customer>")
    def login(customer: str) -> str:
        identify(customer)
        return "welcome"

    @host.app.post("/logout")
    def leave() -> str:
        logout()
        return "good-bye"

    return host


def live(host: Host, seed: int) -> None:
    history = History(host, seed)
    for _ in range(STEPS):
        history.step()
    # With less than 500 rows, the batch itself leaves nothing to the chores.
    assert wrong_people(host) == []
    apply_aliases(host)
    assert wrong_people(host) == []
    assert unapplied(host) == []


@pytest.mark.parametrize("seed", range(2))
def test_random_histories(make: MakeHost, database_url: str, seed: int) -> None:
    """On each kind of database."""
    host = open_shop(make, database_url)
    live(host, seed)
    assert len(host.rows("session")) > 3


@pytest.mark.parametrize("seed", range(100, 112))
def test_more_random_histories(make: MakeHost, seed: int, tmp_path: object) -> None:
    """Of several shops on SQLite."""
    live(open_shop(make, f"sqlite:///{tmp_path}/shop.db"), seed)
