"""Limits: buckets of devices and networks, here and in Redis, page visits, and new names."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import typing as t
import uuid

import pytest

from flask_eventtrack.config import Config
from flask_eventtrack.errors import ConfigError
from flask_eventtrack.limits import Limiter, Novelty, VisitLimiter, network_of

from .hosts import FakeClock
from .servers import require_redis, skip_absent

DEVICE, OTHER = uuid.uuid4(), uuid.uuid4()
HERE, ELSEWHERE = "203.0.113.77", "198.51.100.1"


def count_taken(limiter: Limiter, device: uuid.UUID | None, address: str, tries: int) -> int:
    return sum(limiter.check(device, address) is None for _ in range(tries))


# Buckets


def test_device_has_the_designs_limit(clock: FakeClock) -> None:
    """DESIGN §12: a burst of 200, then 20 a second; the bucket holds no more than 200."""
    limiter = Limiter(Config(), clock)
    assert count_taken(limiter, DEVICE, HERE, 300) == 200
    clock.advance(seconds=1)
    assert count_taken(limiter, DEVICE, HERE, 300) == 20
    clock.advance(hours=1)
    assert count_taken(limiter, DEVICE, HERE, 300) == 200


def test_network_has_the_designs_limit(clock: FakeClock) -> None:
    """A burst of 2,000, then 200 a second, whatever device and address in it."""
    limiter = Limiter(Config(), clock)

    def flood() -> int:
        posts = [(uuid.uuid4() if n % 2 else None, f"203.0.113.{n % 256}") for n in range(2500)]
        return sum(limiter.check(*post) is None for post in posts)

    assert flood() == 2000
    clock.advance(seconds=1)
    assert flood() == 200
    assert limiter.check(None, ELSEWHERE) is None


@pytest.mark.parametrize("rate", [3, 0.1, 7.7, 1e9])
def test_answer_says_when_to_come_again(clock: FakeClock, rate: float) -> None:
    """Then a post is taken, and not before."""
    limiter = Limiter(Config(device_limit=(rate, 5)), clock)
    assert count_taken(limiter, DEVICE, HERE, 5) == 5
    wait = limiter.check(DEVICE, HERE)
    assert wait is not None
    assert wait == pytest.approx(1 / rate, rel=0.01, abs=1e-6)
    clock.now += int(wait * 1e9) - 1000
    assert limiter.check(DEVICE, HERE) == pytest.approx(1e-6, abs=1e-6)
    clock.now += 2000
    assert limiter.check(DEVICE, HERE) is None


def test_refused_post_takes_nothing(clock: FakeClock) -> None:
    """A device that floods does not empty the bucket of its network, nor the other way round."""
    limiter = Limiter(Config(device_limit=(1, 2), address_limit=(1, 4)), clock)
    assert count_taken(limiter, DEVICE, HERE, 100) == 2
    assert count_taken(limiter, OTHER, HERE, 100) == 2
    assert count_taken(limiter, OTHER, ELSEWHERE, 100) == 0
    assert count_taken(limiter, uuid.uuid4(), HERE, 100) == 0
    assert count_taken(limiter, DEVICE, ELSEWHERE, 100) == 0
    assert count_taken(limiter, uuid.uuid4(), ELSEWHERE, 100) == 2


@pytest.mark.parametrize(
    ("settings", "device", "taken"),
    [
        ({"device_limit": None}, DEVICE, 3),
        ({"address_limit": None}, DEVICE, 2),
        ({"address_limit": None}, None, 9),
        ({"device_limit": None, "address_limit": None}, DEVICE, 9),
        ({}, DEVICE, 2),
        ({}, None, 3),
    ],
)
def test_either_limit_may_be_lifted(
    clock: FakeClock, settings: dict[str, t.Any], device: uuid.UUID | None, taken: int
) -> None:
    """None is none; a device that is not known from before has only its network's."""
    limits: dict[str, t.Any] = {"device_limit": (1, 2), "address_limit": (1, 3), **settings}
    assert count_taken(Limiter(Config(**limits), clock), device, HERE, 9) == taken


def test_clock_that_is_put_back_locks_nobody_out(clock: FakeClock) -> None:
    """What is later than an empty bucket takes to fill is a clock's fault: it counts as full."""
    limiter = Limiter(Config(device_limit=(1, 3)), clock)
    assert count_taken(limiter, DEVICE, HERE, 9) == 3
    clock.advance(days=-1)
    assert count_taken(limiter, DEVICE, HERE, 9) == 3
    clock.advance(seconds=1)
    assert count_taken(limiter, DEVICE, HERE, 9) == 1


def test_flood_of_devices_takes_no_more_memory(clock: FakeClock) -> None:
    """100,000 take less than 10 MB; one that keeps posting is not forgotten."""
    limiter = Limiter(Config(device_limit=(1e-9, 3), address_limit=None), clock)
    tracemalloc.start()
    try:
        flood = [
            limiter.check(DEVICE if n % 10_000 == 0 else uuid.UUID(int=n), HERE)
            for n in range(100_000)
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
    assert len(flood) - flood.count(None) == 7


def count_bytes(limiter: Limiter, device: uuid.UUID | None, address: str, size: int) -> int:
    """Return how many bytes are taken, by posts of one size, until one is refused."""
    taken = 0
    while limiter.check(device, address, size) is None:
        taken += size
    return taken


def test_device_has_a_limit_of_bytes(clock: FakeClock) -> None:
    """By default a megabyte at once, then 500 bytes a second: 43 MB a day."""
    limiter = Limiter(Config(device_limit=(1e6, 10**6), address_limit=None), clock)
    assert 900_000 <= count_bytes(limiter, DEVICE, HERE, 100_000) <= 1_000_000
    clock.advance(days=1)
    day = 0
    for _ in range(48):
        day += count_bytes(limiter, DEVICE, HERE, 10_000)
        clock.advance(minutes=30)
    assert 42_000_000 <= day <= 24 * 3600 * 500 + 1_000_000
    assert count_bytes(limiter, OTHER, HERE, 100_000) == 1_000_000


def test_network_has_a_limit_of_bytes(clock: FakeClock) -> None:
    """Whatever devices are in it, and if there are none."""
    config = Config(address_limit=(1e6, 10**6), address_bytes=(1000, 500_000))
    limiter = Limiter(config, clock)
    assert count_bytes(limiter, None, HERE, 50_000) == 500_000
    assert count_bytes(limiter, DEVICE, "203.0.113.9", 50_000) == 0
    assert count_bytes(limiter, DEVICE, ELSEWHERE, 50_000) == 500_000
    clock.advance(seconds=100)
    assert limiter.check(None, HERE, 150_000) == pytest.approx(50)


def test_more_bytes_of_a_post_are_no_more_posts(clock: FakeClock) -> None:
    """What a post turns out to count as is taken afterwards."""
    limiter = Limiter(Config(device_limit=(1, 2), device_bytes=(1, 300_000)), clock)
    assert limiter.check(DEVICE, HERE, 100_000) is None
    for _ in range(4):
        assert limiter.check(DEVICE, HERE, 50_000, posts=0) is None
    assert limiter.check(DEVICE, HERE, 1, posts=0) == pytest.approx(1)
    assert limiter.check(DEVICE, HERE) is None
    assert limiter.check(DEVICE, HERE) is not None


def test_lifted_limit_is_lifted_for_bytes_too(clock: FakeClock) -> None:
    """``None`` for a device or a network means that nothing of it is limited."""
    limiter = Limiter(Config(device_limit=None, address_limit=None), clock)
    assert all(limiter.check(DEVICE, HERE, 250_000) is None for _ in range(1000))
    visits = VisitLimiter(Config(device_limit=None, address_limit=None))
    assert all(visits.admits(DEVICE, HERE, clock()) for _ in range(5000))


def test_networks_of_one_48_share_a_bucket(clock: FakeClock) -> None:
    """Each /64 has its own, and all together four times as much, of posts as of bytes."""
    config = Config(address_limit=(1, 5), address_bytes=(1, 300_000))

    def posts(size: int = 0) -> list[int]:
        limiter = Limiter(config, clock)
        networks = [f"2001:db8:7:{number:x}::1" for number in range(50)]
        return [
            sum(limiter.check(None, address, size) is None for _ in range(9))
            for address in networks
        ]

    assert posts() == [5, 5, 5, 5, *[0] * 46]
    assert sum(posts(100_000)) == 12
    limiter = Limiter(config, clock)
    apart = [limiter.check(None, f"2001:db8:{number:x}::1") for number in range(50)]
    assert apart == [None] * 50


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:3:3:4:5:6", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", ""),
        ("203.0.113.77, 10.0.0.1", ""),
        ("x" * 10_000, ""),
    ],
)
def test_address_counts_as_its_network(address: str, network: str) -> None:
    """/24 and /64; all texts that are not addresses are one network."""
    assert network_of(address) == network


# Redis


class RedisServer:
    """A Redis of a test's own, which may stop, hang and come again."""

    def __init__(self, folder: pathlib.Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            skip_absent("redis", "no redis-server")
        socket = folder / "redis.sock"
        self.url = f"unix://{socket}"
        self._command = [str(program), "--port", "0", "--unixsocket", str(socket), "--save", ""]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        log = []
        for line in self._process.stdout:
            log.append(line)
            if "ready to accept connections" in line.lower():
                return
        raise AssertionError("".join(log))

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def server(tmp_path: pathlib.Path) -> cabc.Iterator[RedisServer]:
    pytest.importorskip("redis")
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def shared_url() -> str:
    pytest.importorskip("redis")
    return require_redis()


def test_processes_share_their_buckets_in_redis(shared_url: str, clock: FakeClock) -> None:
    """Two limiters have one burst between them, of a device as of a network."""
    config = Config(device_limit=(0.001, 5), address_limit=(0.001, 8), limits_url=shared_url)
    one, two = Limiter(config, clock), Limiter(config, clock)
    device, other = uuid.uuid4(), uuid.uuid4()
    address = f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}::1"
    assert count_taken(one, device, address, 3) == 3
    assert count_taken(two, device, address, 9) == 2
    assert count_taken(one, other, address, 9) == 3
    assert one.check(device, address) == pytest.approx(1000, abs=60)


def test_processes_share_bytes_and_a_48_in_redis(shared_url: str, clock: FakeClock) -> None:
    """Two limiters have one burst of bytes, and one of a /48's networks."""
    config = Config(
        device_limit=(1000, 1000),
        address_limit=(0.001, 3),
        device_bytes=(0.001, 300_000),
        limits_url=shared_url,
    )
    one, two = Limiter(config, clock), Limiter(config, clock)
    device, wide = uuid.uuid4(), f"2001:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}"
    assert count_bytes(one, device, f"{wide}:1::1", 100_000) == 300_000
    assert two.check(device, f"{wide}:2::1", 1) == pytest.approx(1000, abs=60)
    taken = [count_taken(two, None, f"{wide}:{number}::1", 9) for number in range(1, 6)]
    assert taken == [0, 3, 3, 3, 0]


def test_buckets_in_redis_fill_and_vanish(shared_url: str, clock: FakeClock) -> None:
    """By Redis's clock; a full one is no key any more."""
    import redis

    config = Config(device_limit=(500, 20), address_limit=None, limits_url=shared_url)
    limiter, device = Limiter(config, clock), uuid.uuid4()
    waits = [limiter.check(device, HERE) for _ in range(200)]
    assert all(wait is None or 0 < wait <= 0.002 for wait in waits)
    assert waits.count(None) >= 20
    while limiter.check(device, HERE):
        pass
    with redis.Redis.from_url(shared_url) as client:
        lifetime = client.pttl(f"eventtrack:limit:{device}")
        assert -2 <= lifetime <= 41
        while client.exists(f"eventtrack:limit:{device}"):
            pass


def test_without_redis_each_process_limits_by_itself(
    server: RedisServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once; after five seconds Redis is asked again, and counts again."""
    config = Config(device_limit=(0.001, 5), limits_url=server.url)
    limiter = Limiter(config, clock)
    assert count_taken(limiter, DEVICE, HERE, 4) == 4
    server.stop()
    assert count_taken(limiter, DEVICE, HERE, 9) == 5
    clock.advance(seconds=6)
    assert count_taken(limiter, DEVICE, HERE, 9) == 0
    said = [record for record in caplog.records if record.name == "flask_eventtrack"]
    assert [record.levelno for record in said] == [logging.WARNING]
    assert said[0].getMessage().startswith("Redis fails (")
    server.start()
    assert count_taken(limiter, DEVICE, HERE, 9) == 0
    clock.advance(seconds=6)
    assert count_taken(limiter, DEVICE, HERE, 9) == 5
    server.stop()
    limiter.check(DEVICE, HERE)
    assert len([record for record in caplog.records if record.name == "flask_eventtrack"]) == 2


def test_redis_that_hangs_holds_up_one_post_for_a_moment(
    server: RedisServer, clock: FakeClock
) -> None:
    """Whether it was connected before or not."""
    config = Config(device_limit=(0.001, 5), limits_url=server.url)
    connected, fresh = Limiter(config, clock), Limiter(config, clock)
    assert connected.check(DEVICE, HERE) is None
    server.signal(signal.SIGSTOP)
    began = time.monotonic()
    assert count_taken(connected, DEVICE, HERE, 150) == 5
    assert count_taken(fresh, DEVICE, HERE, 150) == 5
    # If each of the 300 posts waited for Redis, it would take 30 seconds.
    assert time.monotonic() - began < 15
    server.signal(signal.SIGCONT)
    clock.advance(seconds=5)
    # What had been sent before it hung, Redis has carried out.
    assert count_taken(connected, DEVICE, HERE, 9) in {3, 4}


@contextlib.contextmanager
def without_redis() -> cabc.Iterator[None]:
    """Let ``import redis`` fail, as where it is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "redis", None)
        yield


def test_missing_package_is_named_with_its_extra(clock: FakeClock) -> None:
    """Only where a URL asks for it."""
    with without_redis():
        assert Limiter(Config(), clock).check(DEVICE, HERE) is None
        with pytest.raises(ConfigError, match=r"pip install 'Flask-EventTrack\[redis\]'"):
            Limiter(Config(limits_url="redis://127.0.0.1"), clock)


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1:port"])
def test_url_that_is_none_of_redis_is_refused(clock: FakeClock, url: str) -> None:
    """At the start, not with the first post."""
    pytest.importorskip("redis")
    with pytest.raises(ConfigError, match="EVENTTRACK_LIMITS_URL is not a Redis URL"):
        Limiter(Config(limits_url=url), clock)


# New names


def test_so_many_new_names_are_admitted_in_an_hour(clock: FakeClock) -> None:
    """Those that were admitted stay so; the next hour begins anew."""
    novelty = Novelty(3, clock)
    assert [name for name in "abacbdae" if novelty.admits(name)] == list("abacba")
    clock.advance(minutes=59)
    assert not novelty.admits("e")
    clock.advance(minutes=1)
    assert [name for name in "edcae" if novelty.admits(name)] == list("edce")


def test_one_sender_uses_up_a_small_part_of_the_new_names(clock: FakeClock) -> None:
    """A device a twentieth, a network a fifth. What was admitted, all may send."""
    novelty = Novelty(1000, clock)

    def count(sender: tuple[uuid.UUID, str], prefix: str) -> int:
        return sum(novelty.admits(f"{prefix}{number}", sender) for number in range(250))

    assert count((DEVICE, "203.0.113.0"), "a") == 50
    assert count((OTHER, "203.0.113.0"), "b") == 50
    assert sum(count((uuid.uuid4(), "203.0.113.0"), f"c{n}.") for n in range(9)) == 100
    assert count((uuid.uuid4(), "203.0.113.0"), "a") == 50
    assert count((uuid.uuid4(), "198.51.100.0"), "d") == 50
    assert novelty.admits("the app's own")


def test_all_senders_together_have_a_limit_of_names(clock: FakeClock) -> None:
    """However many devices and networks there are."""
    novelty = Novelty(100, clock)
    senders = [(uuid.uuid4(), f"203.0.{number}.0") for number in range(200)]
    assert sum(novelty.admits(f"n{at}", sender) for at, sender in enumerate(senders)) == 100


# Page visits


def test_visits_of_a_device_are_counted_in_periods(clock: FakeClock) -> None:
    """200 in ten seconds, then 200 more; other devices have their own."""
    visits = VisitLimiter(Config())

    def count(device: uuid.UUID | None, address: str = HERE) -> int:
        return sum(visits.admits(device, address, clock()) for _ in range(3000))

    assert (count(DEVICE), count(OTHER)) == (200, 200)
    assert count(None) == 1600
    clock.advance(seconds=9)
    assert count(uuid.uuid4()) == 0
    assert count(DEVICE, ELSEWHERE) == 0
    clock.advance(seconds=1)
    assert count(DEVICE) == 200
    clock.advance(days=-1)
    assert count(DEVICE) == 200


def test_visits_of_one_48_are_one_networks(clock: FakeClock) -> None:
    """An attacker there has 65,536 networks."""
    visits = VisitLimiter(Config(address_pages=7))
    addresses = [f"2001:db8:7:{number:x}::1" for number in range(50)]
    assert sum(visits.admits(None, address, clock()) for address in addresses) == 7
    assert visits.admits(None, "2001:db8:8::1", clock())
