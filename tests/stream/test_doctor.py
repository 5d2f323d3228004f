"""What the doctor says of the streams."""

from __future__ import annotations

import pathlib

import pytest

from flask_eventtrack.stream import redis_streams

from ..commands import run
from ..hosts import NAVIGATION
from ..test_doctor import FINE, findings_of
from .conftest import MakeStreamed, Streamed
from .servers import OwnRedis


def codes(streamed: Streamed) -> list[str]:
    return [code for code in findings_of(streamed.host) if code >= "ET048"]


def test_nothing_is_found_where_all_is_well(
    make_streamed: MakeStreamed, tmp_path: pathlib.Path
) -> None:
    with OwnRedis(tmp_path / "redis") as server:
        streamed = make_streamed(FINE | {"EVENTTRACK_STREAM_URL": server.url})
        streamed.host.client().get("/", headers=NAVIGATION)
        streamed.host.flush()
        streamed.work()
        streamed.streams.tell("worker:1")
        assert codes(streamed) == []


def test_each_fault_of_redis_is_told(make_streamed: MakeStreamed, own_redis: OwnRedis) -> None:
    streamed = make_streamed(FINE | {"EVENTTRACK_STREAM_URL": own_redis.url})
    assert codes(streamed) == ["ET049", "ET051"]
    streamed.redis.config_set("maxmemory", "100mb")
    streamed.redis.config_set("maxmemory-policy", "allkeys-lru")
    assert codes(streamed) == ["ET050", "ET049", "ET051"]
    own_redis.kill()
    assert codes(streamed) == ["ET048"]
    assert run(streamed.host, "doctor").exit_code == 1


def test_a_user_who_may_not_ask_gets_no_guess(
    make_streamed: MakeStreamed, own_redis: OwnRedis
) -> None:
    """An ACL that has only what is needed to send and to write."""
    with own_redis.connect() as admin:
        admin.execute_command(
            *("ACL", "SETUSER", "et", "on", ">secret", "~eventtrack:*", "-@all"),
            *("+@read", "+@write", "+@transaction", "+@connection", "+time", "+memory"),
        )
    url = own_redis.url.replace("//", "//et:secret@")
    streamed = make_streamed(FINE | {"EVENTTRACK_STREAM_URL": url})
    streamed.host.client().get("/", headers=NAVIGATION)
    streamed.host.flush()
    streamed.work()
    assert streamed.host.actions()["page.visit"] == 1
    assert codes(streamed) == ["ET051"]


def test_workers_that_are_late_are_told(
    streamed: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed.host.client().get("/", headers=NAVIGATION)
    streamed.host.flush()
    streamed.streams.tell("worker:1")
    assert "ET052" not in codes(streamed)
    made_at = redis_streams._made_at
    monkeypatch.setattr(redis_streams, "_made_at", lambda entry: made_at(entry) - 200)
    said, _ = findings_of(streamed.host)["ET052"]
    assert "The workers are late: 1 frame of events wait in 1 stream, the oldest for 20" in said
