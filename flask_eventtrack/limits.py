"""How much one device, one network and all strangers together may send to the collector."""

from __future__ import annotations

import collections.abc as cabc
import functools
import logging
import typing as t
import uuid as uuidlib

from .errors import ConfigError
from .privacy.addresses import find_network

if t.TYPE_CHECKING:
    from .config import Config, RateLimit
    from .records import Clock

logger = logging.getLogger("flask_eventtrack")

_SECOND_NS = 1_000_000_000
_HOUR_NS = 3600 * _SECOND_NS
_PAUSE_NS = 5 * _SECOND_NS
_SECOND_US = 1_000_000
_MAX_BUCKETS = 20_000
_MAX_ADDRESS_LENGTH = 64
_REDIS_TIMEOUT = 0.1  # seconds; to connect, and again for the answer


class _Bucket(t.NamedTuple):
    """Whose bucket, and in microseconds how long it takes to gain a token, and to fill."""

    key: uuidlib.UUID | str
    gain: int
    fill: int


class Limiter:
    """Token buckets: each holds ``burst`` tokens at most and gains ``rate`` a second; a post takes
    one from its device's and one from its network's, or, where either is empty, none.

    They are this process's own, or in Redis those of all processes. While Redis does not answer,
    this process's count; it is asked again every five seconds, and never waited for longer than
    0.2 seconds.

    :raises ConfigError: EVENTTRACK_LIMITS_URL is no URL of Redis, or the package is not installed.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._device = _times_of(config.device_limit)
        self._address = _times_of(config.address_limit)
        self._clock = clock
        self._buckets = _Buckets(clock)
        self._shared = _RedisBuckets(config.limits_url) if config.limits_url else None
        self._failed_at: int | None = None

    def check(self, device_id: uuidlib.UUID | None, address: str) -> float | None:
        """Take the tokens of a post; None where there were some.

        :param device_id: None where the device is not known from before.
        :param address: of the client. All that are none share a bucket.
        :returns: in how many seconds there will be.
        """
        wanted = []
        if self._device and device_id is not None:
            wanted.append(_Bucket(device_id, *self._device))
        if self._address:
            network = network_of(address[:_MAX_ADDRESS_LENGTH])
            wanted.append(_Bucket(network, *self._address))
        wait = self._take(wanted) if wanted else 0
        return wait / _SECOND_US if wait else None

    def _take(self, wanted: cabc.Sequence[_Bucket]) -> int:
        shared, now, failed_at = self._shared, self._clock(), self._failed_at
        if shared is None or (failed_at is not None and 0 <= now - failed_at < _PAUSE_NS):
            return self._buckets.take(wanted)
        try:
            wait = shared.take(wanted)
        except shared.errors as error:
            if failed_at is None:
                logger.warning("Redis fails (%s): each process limits posts by itself.", error)
            self._failed_at = now
            return self._buckets.take(wanted)
        self._failed_at = None
        return wait


def _times_of(limit: RateLimit | None) -> tuple[int, int] | None:
    if limit is None:
        return None
    rate, burst = limit
    gain = max(1, round(_SECOND_US / rate))
    return gain, gain * burst


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network that an address is counted by (/24, IPv6 /64), or "" if it is none."""
    return str(find_network(address, 64) or "")


class _Buckets:
    """Buckets of this process: of each, when it will be full again (the algorithm GCRA).

    Those of the last 20,000 keys at least are remembered, and of 40,000 at most: a flood of keys
    costs no more memory, and none of them time for all. Without a lock, which a fork could leave
    locked: two posts at the same instant may take one token.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._young: dict[uuidlib.UUID | str, int] = {}
        self._old: dict[uuidlib.UUID | str, int] = {}

    def take(self, wanted: cabc.Sequence[_Bucket]) -> int:
        """Take a token from each; return 0, or the microseconds until there is one in all."""
        now, wait = self._clock() // 1000, 0
        found, taken = {}, {}
        for key, gain, fill in wanted:
            full_at = self._young.get(key) or self._old.get(key, now)
            # Later than an empty one would be: the clock was put back.
            found[key] = full_at if now < full_at <= now + fill else now
            taken[key] = found[key] + gain
            wait = max(wait, taken[key] - now - fill)
        self._young.update(found if wait else taken)
        if len(self._young) >= _MAX_BUCKETS:
            self._young, self._old = {}, self._young
        return wait


# As _Buckets.take(), by Redis's own clock.
_TAKE = """
local time = redis.call('TIME')
local now, wait, taken = time[1] * 1000000 + time[2], 0, {}
for i, key in ipairs(KEYS) do
    local gain, fill = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local full_at = tonumber(redis.call('GET', key) or now)
    if full_at < now or full_at > now + fill then full_at = now end
    taken[i] = full_at + gain
    wait = math.max(wait, taken[i] - now - fill)
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
    local lifetime = math.ceil((taken[i] - now) / 1000)
    redis.call('SET', key, string.format('%.0f', taken[i]), 'PX', lifetime)
end
return 0
"""


class _RedisBuckets:
    """The same buckets in Redis, in one round trip; each is there for as long as it is not full."""

    def __init__(self, url: str) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise ConfigError(
                "EVENTTRACK_LIMITS_URL needs a package that is not installed: "
                "pip install 'Flask-EventTrack[redis]'."
            ) from error
        try:
            client = redis.Redis.from_url(
                url,
                socket_connect_timeout=_REDIS_TIMEOUT,
                socket_timeout=_REDIS_TIMEOUT,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise ConfigError(f"EVENTTRACK_LIMITS_URL is no URL of Redis: {error}.") from error
        self.errors = (redis.RedisError, OSError)
        self._run = client.register_script(_TAKE)

    def take(self, wanted: cabc.Sequence[_Bucket]) -> int:
        """Take a token from each; return 0, or the microseconds until there is one in all."""
        keys = [f"eventtrack:limit:{bucket.key}" for bucket in wanted]
        times = [time for _, *times in wanted for time in times]
        return int(self._run(keys=keys, args=times))


class Novelty:
    """Admits so many names that nothing defines in an hour of the clock: each is a row of
    ``eventtrack_quality``, and anybody can make them up.

    :param most: how many names, which are texts of a bounded length.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._hour = 0
        self._names: set[str] = set()

    def admits(self, name: str) -> bool:
        """Whether ``name`` is among the first of this hour."""
        hour = self._clock() // _HOUR_NS
        if hour != self._hour:
            self._hour, self._names = hour, set()
        if name in self._names:
            return True
        if len(self._names) >= self._most:
            return False
        self._names.add(name)
        return True
