"""How much one device, one network and all unknown clients together may send to the collector."""

from __future__ import annotations

import collections.abc as cabc
import functools
import logging
import typing as t
import uuid as uuidlib

from .bounded import BoundedDict
from .config import Config, RateLimit
from .errors import ConfigError, missing_package
from .privacy.addresses import find_network
from .records import Clock

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_SECOND_NS = 1_000_000_000
_HOUR_NS = 3600 * _SECOND_NS
_PAUSE_NS = 5 * _SECOND_NS
_SECOND_US = 1_000_000
_MAX_BUCKETS = 40_000
_MAX_ADDRESS_LENGTH = 64
_REDIS_TIMEOUT = 0.1  # seconds; to connect, and again for the answer


class _Bucket(t.NamedTuple):
    """A bucket's owner, and the microseconds that it takes to gain a token, and to fill up."""

    key: uuidlib.UUID | str
    gain: int
    fill: int


class Limiter:
    """Token buckets. Each holds at most ``burst`` tokens and gains ``rate`` a second. A post takes
    one token from its device's bucket and one from its network's, or none if either is empty.

    The buckets belong to this process, or are in Redis and shared by all processes. While Redis
    does not answer, the process uses its own and asks Redis again every five seconds. A post waits
    at most 0.2 seconds for Redis.

    :raises ConfigError: EVENTTRACK_LIMITS_URL is not a Redis URL, or the package is not installed.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._device = _times_of(config.device_limit)
        self._address = _times_of(config.address_limit)
        self._clock = clock
        self._buckets = _Buckets(clock)
        self._shared = _RedisBuckets(config.limits_url) if config.limits_url else None
        self._failed_at: int | None = None

    def check(self, device_id: uuidlib.UUID | None, address: str) -> float | None:
        """Take the tokens of a post.

        :param device_id: None if the client did not show a known device.
        :param address: the client's. All texts that are not addresses share one bucket.
        :returns: None if there were tokens, else the seconds until there will be.
        """
        network = network_of(address[:_MAX_ADDRESS_LENGTH])
        both = (device_id, self._device), (network, self._address)
        wanted = [_Bucket(key, *times) for key, times in both if key is not None and times]
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
                logger.warning("Redis fails (%s): each process now limits posts on its own.", error)
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
    """Return the network that an address counts for (/24, IPv6 /64), or "" if it is no address."""
    return str(find_network(address, 64) or "")


class _Buckets:
    """Buckets of this process. For each, it keeps the time when it will be full (GCRA).

    The last 20,000 keys are remembered, and at most 40,000, so that a flood of keys costs neither
    more memory nor time. Two posts at the same instant may take one token.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full_at: BoundedDict[uuidlib.UUID | str, int] = BoundedDict(_MAX_BUCKETS)

    def take(self, wanted: cabc.Sequence[_Bucket]) -> int:
        """Take a token from each; return 0, or the microseconds until each has one."""
        now, wait = self._clock() // 1000, 0
        found, taken = {}, {}
        for key, gain, fill in wanted:
            full_at = self._full_at.get(key, now)
            # Beyond the refill time of an empty bucket, so the clock went back: treat it as full.
            found[key] = full_at if now < full_at <= now + fill else now
            taken[key] = found[key] + gain
            wait = max(wait, taken[key] - now - fill)
        for key, full_at in (found if wait else taken).items():
            self._full_at.remember(key, full_at)
        return wait


# The same as _Buckets.take(), with Redis's own clock.
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
    """The same buckets in Redis, in one round trip. A bucket that is full again has no key."""

    def __init__(self, url: str) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise missing_package("EVENTTRACK_LIMITS_URL", "redis") from error
        try:
            client = redis.Redis.from_url(
                url,
                socket_connect_timeout=_REDIS_TIMEOUT,
                socket_timeout=_REDIS_TIMEOUT,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise ConfigError(f"EVENTTRACK_LIMITS_URL is not a Redis URL: {error}.") from error
        self.errors = (redis.RedisError, OSError)
        self._run = client.register_script(_TAKE)

    def take(self, wanted: cabc.Sequence[_Bucket]) -> int:
        """Take a token from each; return 0, or the microseconds until each has one."""
        keys = [f"eventtrack:limit:{bucket.key}" for bucket in wanted]
        times = [time for _, *times in wanted for time in times]
        return int(self._run(keys=keys, args=times))


class Novelty:
    """Admits a limited number of undefined names in each hour of the clock: each name is a row of
    ``eventtrack_quality``, and clients can invent them.

    :param most: the number of names. Each is a text of bounded length.
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
