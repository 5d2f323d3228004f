"""A Celery worker of the host app, and ``python -m tests.faults.tasks 20``, which gives it work."""

from __future__ import annotations

import os
import sys

from celery import Celery

from .app import create_app, work

host = create_app()
celery = Celery("faults", broker=os.environ["FAULTS_BROKER"])
celery.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"global_keyprefix": os.environ["FAULTS_PREFIX"]},
    task_ignore_result=True,
    worker_hijack_root_logger=False,
)


@celery.task(name="faults.run")  # type: ignore[untyped-decorator]
def run() -> None:
    """Do what a job does, in an app context."""
    with host.app_context():
        work()


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        celery.send_task("faults.run")
