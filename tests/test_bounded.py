"""The dict of bounded size."""

from __future__ import annotations

import threading

import pytest

from flask_eventtrack.bounded import BoundedDict


@pytest.mark.parametrize("most", [1, 2, 3, 10, 1000])
def test_the_newest_half_stays(most: int) -> None:
    """At most ``most`` entries, and at least half of them, in the order of their setting."""
    found: BoundedDict[int, int] = BoundedDict(most)
    for number in range(5 * most):
        found.remember(number, -number)
        assert min(number + 1, most // 2 + 1) <= len(found) <= most
        assert list(found.items()) == [(n, -n) for n in range(number + 1 - len(found), number + 1)]


def test_what_is_set_again_is_the_newest() -> None:
    """And has the new value."""
    found: BoundedDict[str, int] = BoundedDict(4)
    for at, key in enumerate("abcdae"):
        found.remember(key, at)
    assert found == {"d": 3, "a": 4, "e": 5}


def test_threads_may_share_it() -> None:
    """Without an error, and within the bound."""
    found: BoundedDict[int, int] = BoundedDict(100)
    failures: list[Exception] = []

    def fill(first: int) -> None:
        try:
            for number in range(first, first + 5000):
                found.remember(number, number)
        except Exception as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    threads = [threading.Thread(target=fill, args=(n * 5000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.remember(-1, -1)
    assert failures == []
    assert len(found) <= 100
    assert found[-1] == -1
