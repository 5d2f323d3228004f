"""Which names of undefined actions and parameters the quality counters keep, and for how long."""

from __future__ import annotations

import collections

import pytest

from flask_eventtrack import track
from flask_eventtrack.store import undefined

from ..commands import run
from ..conftest import MakeHost
from ..hosts import Host
from .posts import CLICK, post


def quality(host: Host) -> collections.Counter[tuple[str, str, str]]:
    """Return the quality counters of all hours together."""
    counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for row in host.rows("quality"):
        counts[row["outcome"], row["action"], row["reason"]] += row["count"]
    return counts


@pytest.mark.parametrize(
    ("action", "code"),
    [
        *(("jane.doe@example.com", "invalid_action"), ("jane doe.x", "invalid_action")),
        *((f"jane.{'doe' * 30}", "invalid_action"), ("", "invalid_action")),
        ("id_4111111111111111.x", "undefined_event"),
        ("a.9f86d081884cf6d6f9a1b7c3d5e0", "undefined_event"),
    ],
)
def test_action_that_is_no_name_is_counted_without_its_text(
    host: Host, action: str, code: str
) -> None:
    """Only the kind of mistake is counted."""
    post(host.client(), {"action": action})
    kept = action if action == "a.9f86d081884cf6d6f9a1b7c3d5e0" else ""  # 28 characters: an id
    assert quality(host) == {("rejected", kept, code): 1}


def test_actions_of_the_server_are_counted_in_the_same_way(make: MakeHost) -> None:
    """In production, where track() only logs."""
    host = make({"TESTING": False})
    with host.app.app_context():
        track("jane.doe@example.com", customer="1")
        track("jane.doe", customer="1")
    assert quality(host) == {
        ("rejected", "", "invalid_action"): 1,
        ("rejected", "jane.doe", "undefined_event"): 1,
    }


@pytest.mark.parametrize(
    "name", ["jane@example.com", "Jane Doe", "+49 151 2345", "12 High St", "1"]
)
def test_parameter_that_is_no_name_is_counted_without_its_text(host: Host, name: str) -> None:
    """From a browser and from the server."""
    post(host.client(), {**CLICK, "params": {name: 1}})
    with host.app.app_context():
        track("button.click", {name: 1}, customer="1")
    counted = {key for key in quality(host) if key[0] == "undefined"}
    assert counted == {("undefined", "button.click", "")}


@pytest.mark.parametrize("name", ["colour", "größe", "data-x.y", "_id", "価格"])
def test_parameter_that_is_a_name_is_counted_by_it(host: Host, name: str) -> None:
    """So that its author finds it."""
    post(host.client(), {**CLICK, "params": {name: 1}})
    assert quality(host)["undefined", "button.click", name] == 1


@pytest.mark.parametrize("setting", ["reject", "store"])
def test_undefined_names_of_an_app_are_few(
    make: MakeHost, database_url: str, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Also over two processes, hours and restarts; later names are counted without their text."""
    monkeypatch.setattr(undefined, "MOST_NAMES", 4)
    config = {"EVENTTRACK_UNDEFINED_EVENTS": setting}
    hosts = [make(config, url=database_url), make(config, url=database_url, create=False)]
    for number in range(6):
        host = hosts[number % 2]
        post(host.client(), {"action": f"made.up{number}"}, {**CLICK, "params": {f"p{number}": 1}})
        host.flush()
        host.clock.advance(hours=2)
    found = quality(hosts[0])
    names = {action for _, action, _ in found if action.startswith("made.")}
    params = {reason for outcome, _, reason in found if outcome == "undefined" and reason}
    assert (names, params) == ({"made.up0", "made.up1"}, {"p0", "p1"})
    outcome, reason = ("accepted", "") if setting == "store" else ("rejected", "undefined_event")
    assert found[outcome, "", reason] == 4
    assert found["undefined", "button.click", ""] == 4


def send_names(host: Host, prefix: str, count: int, address: str) -> None:
    """Post undefined actions, five of each device, from one address."""
    for start in range(0, count, 5):
        names = (f"{prefix}.n{start + at}" for at in range(5))
        client = host.client()
        client.environ_base["REMOTE_ADDR"] = address
        post(client, *({"action": name} for name in names))


def kept_names(host: Host, prefix: str) -> int:
    return len({action for _, action, _ in quality(host) if action.startswith(prefix)})


def test_counters_keep_two_hundred_names_of_which_clients_have_three_quarters(
    make: MakeHost,
) -> None:
    """The limit as it is; the app's own names always have a quarter."""
    host = make({"TESTING": False, "EVENTTRACK_UNDEFINED_LIMIT": 10_000})
    for number in range(6):
        send_names(host, f"made.up{number}", 40, f"203.0.{number}.1")
    assert kept_names(host, "made.up") == undefined.MOST_NAMES * 3 // 4 == 150
    with host.app.app_context():
        for number in range(60):
            track(f"own.n{number}", customer="1")
    assert kept_names(host, "own") == 50
    assert quality(host)["rejected", "", "undefined_event"] == 90 + 10


@pytest.mark.parametrize("setting", ["reject", "store"])
def test_one_network_has_forty_names_kept(make: MakeHost, setting: str) -> None:
    """However many devices and hours it takes; those of others and of the app are kept later."""
    host = make({"EVENTTRACK_UNDEFINED_EVENTS": setting, "EVENTTRACK_DEVICE_LIMIT": None})
    for hour in range(3):
        send_names(host, f"hour{hour}", 80, f"203.0.113.{hour}")
        host.clock.advance(hours=1)
    assert [kept_names(host, f"hour{hour}") for hour in range(3)] == [40, 0, 0]
    send_names(host, "other", 10, "198.51.100.1")
    assert kept_names(host, "other") == 10


def test_one_device_has_ten_parameters_kept(make: MakeHost) -> None:
    """A name that another client sends as well is kept then."""
    host = make()
    client, names = host.client(), [f"p{number}" for number in range(15)]
    for name in names:
        post(client, {**CLICK, "params": {name: 1}})
    kept = {reason for outcome, _, reason in quality(host) if outcome == "undefined" and reason}
    assert kept == set(names[:10])
    post(host.client(), {**CLICK, "params": {names[-1]: 1}})
    assert quality(host)["undefined", "button.click", names[-1]] == 1


def test_names_can_be_cleared(db_host: Host) -> None:
    """Counts stay, and so do the names that the app has defined; room is made for others."""
    posts = ({"action": "jane.doe"}, {"action": "john.doe"}, {**CLICK, "params": {"jane_doe": 1}})
    for _ in range(2):
        post(db_host.client(), *posts)
        db_host.clock.advance(hours=1)
    assert run(db_host, "clear-names").output == "3 names removed.\n"
    assert quality(db_host) == {
        ("accepted", "button.click", ""): 2,
        ("rejected", "", "undefined_event"): 4,
        ("undefined", "button.click", ""): 2,
    }
    assert run(db_host, "clear-names").output == "0 names removed.\n"
