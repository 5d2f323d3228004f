"""Jobs of RQ act for the visitor in whose request they were sent."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import sys

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from ..faults.process import Program
from ..hosts import NAVIGATION, Host
from ..servers import require_redis, unique_name
from .rq_shop import KINDS, make_shop


@pytest.fixture
def queue() -> cabc.Iterator[Queue]:
    """A queue of its own on Redis, of which nothing is left."""
    with Redis.from_url(require_redis()) as redis:
        made = Queue(unique_name(), connection=redis)
        yield made
        registries = (made.finished_job_registry, made.failed_job_registry)
        for job_id in [job_id for each in registries for job_id in each.get_job_ids()]:
            Job.fetch(job_id, connection=redis).delete()
        made.delete()


@pytest.fixture
def shop(queue: Queue, tmp_path: pathlib.Path) -> cabc.Iterator[Host]:
    host = make_shop(f"sqlite:///{tmp_path / 'shop.db'}", str(tmp_path / "web"), queue)
    yield host
    host.close()


def work(folder: pathlib.Path, queue: Queue, worker: str) -> None:
    """Run a worker until the queue is empty. Its journal is on another machine, as it were."""
    url = f"sqlite:///{folder / 'shop.db'}"
    environ = {"SHOP_DATABASE": url, "SHOP_JOURNALS": str(folder / "worker")}
    command = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", require_redis()]
    with Program(folder, url, **environ) as program:
        program.spawn([*command, "--worker-class", f"rq.{worker}", queue.name])
        assert program.wait(90) == 0, program.log()


@pytest.mark.parametrize("worker", ["Worker", "SimpleWorker"])
def test_a_jobs_events_belong_to_the_visit_that_sent_it(
    shop: Host, queue: Queue, tmp_path: pathlib.Path, worker: str
) -> None:
    """As the guide shows, by the job's argument or its meta, whether the worker forks or not. A
    visitor who refuses has no events."""
    for kind in KINDS:
        for who in ("ada", "ben"):
            shop.client().get(f"/send/{kind}?who={kind} {who}", headers=NAVIGATION)
        shop.client().get(f"/send/{kind}?who=none", headers={**NAVIGATION, "Sec-GPC": "1"})
    shop.flush()
    work(tmp_path, queue, worker)
    assert queue.failed_job_registry.count == 0
    pages, jobs = shop.events_of("page.visit"), shop.events_of("report.finish")
    titles = {str(row["id"]): row["params"]["title"] for row in pages}
    assert sorted(titles[row["params"]["visit"]] for row in jobs) == [
        "argument ada",
        "argument ben",
        "meta ada",
        "meta ben",
    ]
    sessions = {str(row["id"]): (row["session_id"], row["uuid"]) for row in pages}
    for row in jobs:
        assert (row["session_id"], row["uuid"]) == sessions[row["params"]["visit"]]
