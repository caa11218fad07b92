"""How often one client may change something: a bucket of requests for each client, kept as one number.

The generic cell rate algorithm (ITU-T I.371, as in ATM's traffic policing): for each client it keeps the moment at
which everything that it sent would be paid for at the steady rate. A request moves that moment on by one interval, and
is refused when the moment would lie further ahead than a full burst takes. That equals a token bucket, without a clock
that refills it.

A client is an address, the one that a trusted proxy tells where one stands in between; of IPv6 the network of 64 bits,
for a site gets no less (RFC 6177). The memory is bounded by `clients_max`: beyond, who has been silent
longest is forgotten, and begins with a full burst again.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from host.asgi import RawHeaders
from host.descriptors import RateLimit, Scope
from host.errors import HttpProblem
from host.http.mounts import Entry
from host.http.security import is_forwarded

SECOND_NS = 1_000_000_000
SITE_LIMIT = RateLimit(per_s=50, burst=1000)
SITE = "site"
"""The name that the limit of the whole site has in the header fields; that of a mount has its plugin's."""

_ADDRESSES_MAX = 1024
_HERE = "loopback"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What the configuration says, `[server.rate_limit]`.

    `site` holds for all mounts together that have no limit of their own; None switches every limit off.
    `exempt_loopback` lets clients on this machine do as they like, unless a proxy says that it asks for somebody else.
    """

    site: RateLimit | None = SITE_LIMIT
    clients_max: int = 10_000
    exempt_loopback: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one request. `paid_at_ns` is the client's new moment; `wait_ns` is 0 when it may pass.

    `remaining` requests may follow at once; after `reset_ns` without any, a full burst may.
    """

    paid_at_ns: int
    wait_ns: int
    remaining: int
    reset_ns: int


@dataclass(frozen=True, slots=True)
class RateLimiterStatistics:
    """`clients` are remembered, at most `clients_max`; `forgotten_total` were not, for want of room."""

    clients: int
    clients_max: int
    forgotten_total: int


def judge(limit: RateLimit, paid_at_ns: int, now_ns: int) -> Verdict:
    """Whether a request may pass now. `paid_at_ns` is the client's moment, any that is past for a new one."""
    interval_ns = max(1, round(SECOND_NS / limit.per_s))
    burst_ns = interval_ns * limit.burst
    begins_ns = max(paid_at_ns, now_ns)
    after_ns = begins_ns + interval_ns
    wait_ns = max(0, after_ns - burst_ns - now_ns)
    if wait_ns:
        return Verdict(paid_at_ns, wait_ns, 0, begins_ns - now_ns)
    return Verdict(after_ns, 0, (burst_ns - (after_ns - now_ns)) // interval_ns, after_ns - now_ns)


def client_of(address: str) -> str:
    """Who is counted as one: an IPv4 address, mapped into IPv6 or not, the /64 of an IPv6 address, or loopback."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    if parsed.is_loopback:
        return _HERE
    return str(parsed) if isinstance(parsed, IPv4Address) else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


class RateLimiter:
    """The clients' moments. Synchronous; belongs to one dispatcher."""

    __slots__ = ("_clients", "_forgotten", "_now_ns", "_paid_at_ns", "_rates")

    def __init__(self, rates: RateLimits, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._rates = rates
        self._now_ns = now_ns
        self._paid_at_ns: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._forgotten = 0
        self._clients: dict[str, str] = {}

    def check(self, scope: Scope, headers: Mapping[bytes, bytes], entry: Entry) -> RawHeaders:
        """Count a request that changes something, and say in header fields what its client has left.

        Empty where nothing limits the client.

        Raises:
            HttpProblem: 429, with Retry-After.
        """
        site = self._rates.site
        if site is None or entry.rate_limit == "none":
            return []
        client = scope.get("client")
        # A unix socket's peer has no address.
        who = self._client(client[0]) if client else _HERE
        if who == _HERE and self._rates.exempt_loopback and not is_forwarded(headers):
            return []
        if entry.rate_limit == "site":
            limit, name, bucket = site, SITE, ""
        else:
            limit, name, bucket = entry.rate_limit, entry.owner.name, entry.path
        verdict = self._take(limit, (bucket, who))
        fields = _fields(limit, name, verdict)
        if verdict.wait_ns:
            entry.owner.rate_limited += 1
            raise _refused(limit, verdict, fields)
        return [(key.encode(), value.encode()) for key, value in fields.items()]

    def statistics(self) -> RateLimiterStatistics:
        """How full the memory is."""
        return RateLimiterStatistics(len(self._paid_at_ns), self._rates.clients_max, self._forgotten)

    def _client(self, address: str) -> str:
        known = self._clients
        if address not in known:
            if len(known) >= _ADDRESSES_MAX:
                known.clear()
            known[address] = client_of(address)
        return known[address]

    def _take(self, limit: RateLimit, key: tuple[str, str]) -> Verdict:
        known = self._paid_at_ns
        verdict = judge(limit, known.get(key, 0), self._now_ns())
        known[key] = verdict.paid_at_ns
        known.move_to_end(key)
        if len(known) > self._rates.clients_max:
            known.popitem(last=False)
            self._forgotten += 1
        return verdict


def _fields(limit: RateLimit, name: str, verdict: Verdict) -> dict[str, str]:
    """The header fields of draft-ietf-httpapi-ratelimit-headers-10: quota and window, remainder and reset."""
    window_s = max(1, round(limit.burst / limit.per_s))
    return {
        "ratelimit-policy": f'"{name}";q={limit.burst};w={window_s}',
        "ratelimit": f'"{name}";r={verdict.remaining};t={_whole_seconds(verdict.reset_ns)}',
    }


def _refused(limit: RateLimit, verdict: Verdict, fields: Mapping[str, str]) -> HttpProblem:
    wait_s = _whole_seconds(verdict.wait_ns)
    often = f"{limit.per_s:g} a second, {limit.burst} at once"
    return HttpProblem(
        429,
        f"too many requests from your address, more than {often}; try again in {wait_s} s",
        headers={"retry-after": str(wait_s), **fields},
    )


def _whole_seconds(span_ns: int) -> int:
    return -(-span_ns // SECOND_NS)
