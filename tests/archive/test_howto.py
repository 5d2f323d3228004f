"""The manual's page about the archive: its commands and queries work."""

from __future__ import annotations

import collections
import importlib.util
import json
import pathlib
import subprocess
import sys
import typing as t

import pytest

from flask_eventtrack.demo.filling import fill

from ..commands import run
from ..hosts import Host
from ..manual import iter_blocks, read, run_blocks
from ..servers import skip_absent
from .archives import stored

PAGE = "docs/howto/archive-as-parquet.md"


@pytest.fixture
def page(log_host: Host, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page about a made-up history; its first command has been run."""
    with log_host.app.app_context():
        collections.deque(fill(log_host.state, 400, 3), maxlen=0)
    text = read(PAGE).replace("/srv/archive", str(folder))
    for block in iter_blocks(text):
        for line in block.text.splitlines() if block.language == "shell" else []:
            if line.startswith("flask eventtrack archive") and "s3:" not in line:
                answer = run(log_host, *line.removeprefix("flask eventtrack ").split())
                assert answer.exit_code == 0, answer.output
    for line in [*iter_blocks(read(PAGE))][1].text.splitlines():
        [kind, *_] = line.removeprefix("/srv/archive/").split("/")
        names = {path.name for path in folder.rglob("*") if path.is_file()}
        assert line.rpartition("/")[2] in names
        assert kind in {path.name for path in folder.iterdir()}
    return text


def top_pages(host: Host) -> list[int]:
    """Return how often the ten most viewed pages of a day were viewed."""
    views = [row for row in stored(host, "events").values() if row["action"] == "page.visit"]
    counts = collections.Counter(
        (row["time"].date(), row["params"]["path"]) for row in views if row["source"] != "bot"
    )
    return [number for _, number in counts.most_common(10)]


def test_duckdb_answers(page: str, log_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of the page, about this archive."""
    monkeypatch.setattr("tests.manual.read", lambda name: page)
    names: dict[str, t.Any] = run_blocks(PAGE, {}, slice(1))
    assert [views for *_, views in names["pages"]] == top_pages(log_host)
    assert len(names["pages"]) == 10


def test_clickhouse_answers(page: str, log_host: Host) -> None:
    """In a process of its own."""
    if importlib.util.find_spec("chdb") is None:
        skip_absent("chdb", "no such package")
    [sql] = [block.text for block in iter_blocks(page) if block.language == "sql"]
    program = "import chdb, sys; print(chdb.query(sys.argv[1], 'JSONCompactEachRow'))"
    done = subprocess.run(
        [sys.executable, "-c", program, sql],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert [int(views) for *_, views in rows] == top_pages(log_host)
