"""Whatever is written, the copy has the same rows as the tables after the next run."""

from __future__ import annotations

import msgspec
import pytest

from ..hosts import Host
from ..store.halves import BROWSER, SERVER
from ..store.records import write_records
from ..store.test_commit_log_paths import (
    PATHS,
    Path,
    end_sessions,
    engage,
    erase,
    fill_with_demo_data,
    move_stand_in,
    order,
    take,
)
from .copies import ClickHouse, assert_equal, copy

A_DAY = 86_400


@pytest.mark.parametrize("path", PATHS)
def test_it_follows_each_way_to_write(log_host: Host, clickhouse: ClickHouse, path: Path) -> None:
    """After each transaction of the writer, and after the sweeps that follow."""
    take(path, log_host, lambda: copy(log_host, clickhouse))
    assert "anew" not in copy(log_host, clickhouse)
    assert_equal(log_host, clickhouse)


def test_a_copy_made_late_has_the_same(logging_host: Host, clickhouse: ClickHouse) -> None:
    """All of it at once: from the beginning of the log, and from the tables."""
    copy(logging_host, clickhouse)
    for path in (move_stand_in, engage, order, erase, end_sessions, fill_with_demo_data):
        path(logging_host)
    copy(logging_host, clickhouse)
    assert_equal(logging_host, clickhouse)
    assert "rows copied" in copy(logging_host, clickhouse, "--anew")
    assert_equal(logging_host, clickhouse)


def test_a_changed_visit_is_there_once(log_host: Host, clickhouse: ClickHouse) -> None:
    """Its time moves to another month when the server's half comes."""
    write_records(log_host, msgspec.structs.replace(BROWSER, time=BROWSER.time.replace(month=9)))
    copy(log_host, clickhouse)
    [early] = clickhouse.rows("SELECT time FROM eventtrack_event FINAL WHERE action = 'page.visit'")
    write_records(log_host, SERVER)
    copy(log_host, clickhouse)
    [later] = clickhouse.rows("SELECT time FROM eventtrack_event FINAL WHERE action = 'page.visit'")
    assert (early[0].month, later[0].month) == (9, 11)
    assert_equal(log_host, clickhouse)
