"""How much is accepted and recorded of one device, of one network, and of all clients together."""

from __future__ import annotations

import collections.abc as cabc
import functools
import logging
import math
import typing as t
import uuid as uuidlib

from .bounded import BoundedDict
from .config import Config, RateLimit
from .errors import ConfigError, missing_package
from .privacy.addresses import find_network, mask_address
from .records import Clock
from .store.undefined import MOST_NAMES

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_SECOND_NS = 1_000_000_000
_HOUR_NS = 3600 * _SECOND_NS
_PAUSE_NS = 5 * _SECOND_NS
_SECOND_US = 1_000_000
_MAX_BUCKETS = 40_000
_MAX_ADDRESS_LENGTH = 64
# An IPv6 /48 may send as much as four networks: one client may have all of its 65,536 networks.
_WIDE = 4
_PERIOD_NS = 10 * _SECOND_NS
# What a device and a network may use up of what all share.
_DEVICE_PART = 20
_NETWORK_PART = 5
_LEAST_SHARE = 3
_MOST_OF_CLIENTS = MOST_NAMES * 3 // 4
# Hardly more names wait at one time between their post and the commit that counts them.
_MAX_NAMES = 4000
_REDIS_TIMEOUT = 0.1  # seconds; to connect, and again for the answer


#: A client: its device, and its network as :func:`.privacy.addresses.mask_address` names it.
Sender = tuple[uuidlib.UUID, str]


#: What a bucket's tokens stand for: posts or bytes. The text ends its key in Redis.
_Kind = t.Literal["", ":bytes"]


class _Bucket(t.NamedTuple):
    """A bucket's owner and kind, and the microseconds that it takes to gain the tokens that are
    wanted, and to fill up."""

    key: uuidlib.UUID | str
    kind: _Kind
    cost: int
    fill: int


class Limiter:
    """Token buckets. Each holds at most ``burst`` tokens and gains ``rate`` a second. A post takes
    its tokens from the buckets of its device, its network and its IPv6 /48, or none if one of these
    has too few. There are buckets of posts and of bytes.

    The buckets belong to this process, or are in Redis and shared by all processes. While Redis
    does not answer, the process uses its own and asks Redis again every five seconds. A post waits
    at most 0.2 seconds for Redis.

    :raises ConfigError: EVENTTRACK_LIMITS_URL is not a Redis URL, or the package is not installed.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        # A limit that is lifted is lifted for bytes as well.
        device_bytes = config.device_limit and config.device_bytes
        address_bytes = config.address_limit and config.address_bytes
        self._limits = [
            *_read_limits("", config.device_limit, config.address_limit),
            *_read_limits(":bytes", device_bytes, address_bytes),
        ]
        self._clock = clock
        self._buckets = _Buckets(clock)
        self._shared = _RedisBuckets(config.limits_url) if config.limits_url else None
        self._failed_at: int | None = None

    def check(
        self,
        device_id: uuidlib.UUID | None,
        address: str,
        size: int = 0,
        *,
        posts: int = 1,
        counts_device_bytes: bool = True,
    ) -> float | None:
        """Take the tokens of a post.

        :param device_id: None if the client did not show a known device.
        :param address: the client's. All texts that are not addresses share one bucket.
        :param size: how many bytes to take, at most :data:`.config.MAX_POST_BYTES`.
        :param posts: how many posts to take; 0 for more bytes of a post.
        :param counts_device_bytes: whether the bytes count for the device, and not only for its
            network.
        :returns: None if there were tokens, else the seconds until there will be.
        """
        keys = device_id, *_networks_of(address[:_MAX_ADDRESS_LENGTH])
        wanted = [
            _Bucket(key, kind, max(1, int(tokens * gain)), fill)
            for owner, kind, gain, fill in self._limits
            if (key := keys[owner]) is not None
            and (tokens := size if kind else posts)
            and (owner or not kind or counts_device_bytes)
        ]
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


class _Limit(t.NamedTuple):
    """Whose bucket it is (a device's, a network's or a /48's), of what kind, and the microseconds
    in which it gains a token and fills up."""

    owner: t.Literal[0, 1, 2]
    kind: _Kind
    gain: float
    fill: int


def _read_limits(
    kind: _Kind, device: RateLimit | None, address: RateLimit | None
) -> cabc.Iterator[_Limit]:
    if device:
        yield _Limit(0, kind, *_times_of(*device))
    if address:
        gain, fill = _times_of(*address)
        yield _Limit(1, kind, gain, fill)
        yield _Limit(2, kind, gain / _WIDE, fill)


def _times_of(rate: float, burst: int) -> tuple[float, int]:
    gain = max(1, _SECOND_US / rate)
    return gain, math.ceil(gain * burst)


def network_of(address: str) -> str:
    """Return the network that an address counts for (/24, IPv6 /64), or "" if it is no address."""
    return _networks_of(address)[0]


@functools.lru_cache(maxsize=4096)
def _networks_of(address: str) -> tuple[str, str | None]:
    """Return an address's network (/24, IPv6 /64), and the /48 of an IPv6 address."""
    network = find_network(address, 64)
    is_wide = network is not None and network.version == 6
    return str(network or ""), str(find_network(address, 48)) if is_wide else None


class _Buckets:
    """Buckets of this process. For each, it keeps the time when it will be full (GCRA).

    Of each kind, the last 20,000 keys are remembered, and at most 40,000, so that a flood of keys
    costs neither more memory nor time. Two posts at the same instant may take one token.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full_at: dict[str, BoundedDict[uuidlib.UUID | str, int]] = {
            kind: BoundedDict(_MAX_BUCKETS) for kind in ("", ":bytes")
        }

    def take(self, wanted: cabc.Sequence[_Bucket]) -> int:
        """Take the tokens from each; return 0, or the microseconds until each has as many."""
        now, wait = self._clock() // 1000, 0
        found, taken = [], []
        for key, kind, cost, fill in wanted:
            full_at = self._full_at[kind].get(key, now)
            # Beyond the refill time of an empty bucket, so the clock went back: treat it as full.
            if not now < full_at <= now + fill:
                full_at = now
            found.append(full_at)
            taken.append(full_at + cost)
            wait = max(wait, full_at + cost - now - fill)
        for bucket, full_at in zip(wanted, found if wait else taken, strict=True):
            self._full_at[bucket.kind].remember(bucket.key, full_at)
        return wait


# The same as _Buckets.take(), with Redis's own clock.
_TAKE = """
local time = redis.call('TIME')
local now, wait, taken = time[1] * 1000000 + time[2], 0, {}
for i, key in ipairs(KEYS) do
    local cost, fill = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local full_at = tonumber(redis.call('GET', key) or now)
    if full_at < now or full_at > now + fill then full_at = now end
    taken[i] = full_at + cost
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
        """Take the tokens from each; return 0, or the microseconds until each has as many."""
        keys = [f"eventtrack:limit:{bucket.key}{bucket.kind}" for bucket in wanted]
        times = [time for bucket in wanted for time in (bucket.cost, bucket.fill)]
        return int(self._run(keys=keys, args=times))


class VisitLimiter:
    """Counts the page visits of each device and network in periods of ten seconds.

    The counts belong to this process: a page must not wait for Redis.
    """

    def __init__(self, config: Config) -> None:
        device, address = config.device_pages, config.address_pages
        self._device_most = device if config.device_limit and device else math.inf
        self._network_most = address if config.address_limit and address else math.inf
        self._is_unlimited = self._device_most == self._network_most == math.inf
        self._began = 0
        self._counts: dict[int | str, int] = {}

    def admits(self, device_id: uuidlib.UUID | None, address: str, now: int) -> bool:
        """Count a visit, and return True; or False if there were enough in this period.

        :param device_id: None if the client did not show a known device.
        :param now: nanoseconds since the epoch.
        """
        if self._is_unlimited:
            return True
        if not 0 <= now - self._began < _PERIOD_NS:
            self._began, self._counts = now, {}
        counts = self._counts
        network = mask_address(address[:_MAX_ADDRESS_LENGTH])
        of_network = counts.get(network, 0)
        if of_network >= self._network_most:
            return False
        if device_id is not None:
            device = device_id.int
            of_device = counts.get(device, 0)
            if of_device >= self._device_most:
                return False
            counts[device] = of_device + 1
        counts[network] = of_network + 1
        return True


class Novelty:
    """Admits a limited number of undefined names in each hour of the clock: each name is a row of
    ``eventtrack_quality``, and clients can invent them.

    A device may use up a twentieth of them and a network a fifth, but three in any case. The places
    for texts in the counters are shared in the same way, for as long as the process lives.

    :param most: the number of names. Each is a text of bounded length.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._hour = 0
        self._names: set[str] = set()
        self._shares = _Shares(most)
        self._kept_shares = _Shares(MOST_NAMES)
        self._most_kept: BoundedDict[str, int] = BoundedDict(_MAX_NAMES)

    def admits(self, name: str, sender: Sender | None = None) -> bool:
        """Whether ``name`` is among the first of this hour, and of its sender's.

        :param sender: None if the app itself made the name up.
        """
        hour = self._clock() // _HOUR_NS
        if hour != self._hour:
            self._hour, self._names, self._shares = hour, set(), _Shares(self._most)
        if name not in self._names:
            if len(self._names) >= self._most or not self._shares.take(sender):
                return False
            self._names.add(name)
        self._find_place(name, sender)
        return True

    def most_kept(self, name: str) -> int:
        """Return up to how many names the counters keep the text of ``name``.

        Names of the app itself may use up all places, those of clients three quarters of them.
        """
        return self._most_kept.get(name, MOST_NAMES)

    def _find_place(self, name: str, sender: Sender | None) -> None:
        most = self._most_kept.get(name, 0)
        if sender is None:
            most = MOST_NAMES
        elif not most and self._kept_shares.take(sender):
            most = _MOST_OF_CLIENTS
        self._most_kept.remember(name, most)


class _Shares:
    """How much each device and network has used up of something that all clients share."""

    def __init__(self, most: int) -> None:
        self._device_share = max(_LEAST_SHARE, most // _DEVICE_PART)
        self._network_share = max(_LEAST_SHARE, most // _NETWORK_PART)
        self._used: BoundedDict[uuidlib.UUID | str, int] = BoundedDict(_MAX_BUCKETS)

    def take(self, sender: Sender | None) -> bool:
        """Take one from a client's shares, if there is one; the app itself (None) has no share."""
        if sender is None:
            return True
        device, network = sender
        of_device, of_network = self._used.get(device, 0), self._used.get(network, 0)
        if of_device >= self._device_share or of_network >= self._network_share:
            return False
        self._used.remember(device, of_device + 1)
        self._used.remember(network, of_network + 1)
        return True
