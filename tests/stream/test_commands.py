"""``flask eventtrack worker`` and ``flask eventtrack stream status``."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import urllib.request

import msgspec
import pytest
import redis

from flask_eventtrack.stream.metrics import render, serve
from flask_eventtrack.stream.worker import Worker

from ..commands import run
from ..conftest import MakeHost
from ..faults.ports import HOST, free_port
from ..hosts import NAVIGATION
from ..pipeline.waiting import ROOT, wait_until
from .conftest import MakeStreamed, Streamed
from .servers import OwnRedis

_APP = """
from tests.hosts import make_host
app = make_host({url!r}, {config!r}, create=False).app
"""


def visit(streamed: Streamed, visitors: int = 3) -> None:
    for _ in range(visitors):
        assert streamed.host.client().get("/", headers=NAVIGATION).status_code == 200
    streamed.host.flush()


def test_once_writes_what_waits(streamed: Streamed) -> None:
    visit(streamed)
    result = run(streamed.host, "worker", "--once")
    assert result.exit_code == 0, result.output
    assert "has ended: 3 records committed." in result.output
    assert streamed.host.actions()["page.visit"] == 3
    assert streamed.streams.workers() == []


def test_status_shows_what_waits(streamed: Streamed) -> None:
    """Frames without a worker are a failure, for scripts."""
    assert run(streamed.host, "stream", "status").output == "Workers: none\nNothing waits.\n"
    visit(streamed)
    result = run(streamed.host, "stream", "status")
    assert result.exit_code == 1
    assert result.output.startswith("Workers: none\nstream     frames          bytes     oldest\n")
    streamed.streams.tell("web-7:12")
    result = run(streamed.host, "stream", "status", "--json")
    assert result.exit_code == 0
    found = msgspec.json.decode(result.output)
    assert found["workers"] == ["web-7:12"]
    assert sum(each["frames"] for each in found["partitions"]) == streamed.frames()
    assert found["server"]["may_evict"] is False


def test_dead_workers_are_forgotten(streamed: Streamed) -> None:
    streamed.streams.tell("alive:1")
    name = streamed.host.app.config["EVENTTRACK_STREAM_NAME"]
    streamed.redis.hset(f"eventtrack:{name}:workers", "dead:2", "1.0")
    assert streamed.streams.workers() == ["alive:1"]
    assert streamed.redis.hkeys(f"eventtrack:{name}:workers") == [b"alive:1"]


@pytest.mark.parametrize("command", [["worker"], ["stream", "status"]])
def test_without_a_stream_commands_name_the_setting(make: MakeHost, command: list[str]) -> None:
    result = run(make(), *command)
    assert result.exit_code == 1
    assert result.output == (
        "Error: EVENTTRACK_STREAM_URL is not set: each process writes its own events.\n"
    )


@pytest.mark.parametrize("command", [["worker", "--once"], ["stream", "status"]])
def test_without_redis_commands_say_so(
    make_streamed: MakeStreamed, own_redis: OwnRedis, command: list[str]
) -> None:
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    own_redis.kill()
    result = run(streamed.host, *command)
    assert result.exit_code == 1
    assert "Error: Redis does not answer: Error 111 connecting to" in result.output


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "host:"])
def test_a_wrong_address_is_refused(streamed: Streamed, address: str) -> None:
    result = run(streamed.host, "worker", "--metrics", address)
    assert result.exit_code == 2
    assert "such as 127.0.0.1:9100" in result.output


def test_metrics(streamed: Streamed) -> None:
    """In the text format that Prometheus reads."""
    visit(streamed)
    worker = Worker(streamed.host.state.pipeline, streamed.streams)
    frames = streamed.frames()
    assert f"eventtrack_stream_bytes {0}\n" not in render(worker, streamed.streams)
    worker.run(once=True)
    server = serve(worker, streamed.streams, HOST, 0)
    try:
        with urllib.request.urlopen(f"http://{HOST}:{server.server_port}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
    assert "eventtrack_worker_records_total 3\n" in text
    assert f"eventtrack_worker_frames_total {frames}\n" in text
    assert 'eventtrack_stream_waiting_frames{partition="15"} 0\n' in text
    assert text.endswith("# EOF\n")


def test_a_worker_runs_until_it_is_told_to_end(
    make_streamed: MakeStreamed, tmp_path: pathlib.Path, own_redis: OwnRedis
) -> None:
    """As a program: it writes at once, outlives Redis, touches its file, and ends on SIGTERM."""
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    config = streamed.host.app.config
    settings = {name: str(value) for name, value in config.items() if "EVENTTRACK_STREAM" in name}
    app = tmp_path / "app.py"
    app.write_text(_APP.format(url=config["SQLALCHEMY_DATABASE_URI"], config=settings))
    health, port = tmp_path / "health", free_port()
    command = [sys.executable, "-m", "flask", "--app", str(app), "eventtrack", "worker"]
    command += ["--health-file", str(health), "--metrics", f"{HOST}:{port}"]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        command, stderr=log, stdout=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        wait_until(health.exists)
        visit(streamed)
        wait_until(lambda: streamed.host.actions()["page.visit"] == 3)
        own_redis.kill()
        own_redis.start()
        visit(streamed)
        wait_until(lambda: streamed.host.actions()["page.visit"] == 6)
        with redis.Redis.from_url(own_redis.url) as client:
            assert client.ping()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        log.close()
    assert not health.exists()
    text = (tmp_path / "log").read_text()
    assert "records committed." in text
    assert "Traceback" not in text
