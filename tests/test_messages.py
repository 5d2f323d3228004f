"""Sentences of the command line: numbers agree with their nouns, and nothing to do is said so."""

from __future__ import annotations

import datetime as dt

import pytest
from click.testing import Result

from flask_eventtrack import track
from flask_eventtrack.text import quantify

from .conftest import MakeHost
from .hosts import Host


def run(host: Host, *arguments: str) -> Result:
    return host.app.test_cli_runner().invoke(args=["eventtrack", *arguments])


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "event", "0 events"),
        (1, "event", "1 event"),
        (2, "rejected record", "2 rejected records"),
        (1, "alias", "1 alias"),
        (0, "alias", "0 aliases"),
    ],
)
def test_number_agrees_with_its_noun(number: int, noun: str, text: str) -> None:
    """One is singular; everything else is plural."""
    assert quantify(number, noun) == text


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_prune_says_when_nothing_is_old(make: MakeHost, options: tuple[str, ...]) -> None:
    """Instead of a list of noughts."""
    host = make({"EVENTTRACK_RETENTION": dt.timedelta(days=30)})
    assert run(host, "prune", *options).stdout == "Nothing is past its retention period.\n"


def test_prune_without_a_retention_names_the_setting(host: Host) -> None:
    """Nothing can be pruned then."""
    expected = "Nothing to prune: no retention is set (see EVENTTRACK_RETENTION).\n"
    assert run(host, "prune").stdout == expected


def test_one_event_is_one_event(host: Host) -> None:
    """In what an erasure prints and in an export's number of lines."""
    host.events.define("a.b")
    with host.app.app_context():
        track("a.b", customer="7")
    host.flush()
    host.clock.advance(seconds=1)
    assert run(host, "export", "7").stderr == "1 line.\n"
    found = run(host, "forget", "7", "--dry-run").stdout
    assert found == "Found 1 event, 0 sessions, 0 aliases and 0 transactions.\n"
