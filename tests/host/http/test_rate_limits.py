"""Rate limits: the bucket against a slow one, who is counted as one, the bounded memory, and real sockets."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.descriptors import Mount, Operation, RateLimit
from host.errors import HttpProblem
from host.http.dispatcher import Dispatcher
from host.http.forwarded import TrustedProxies
from host.http.mounts import Entry, Owner
from host.http.openapi import openapi_document
from host.http.rate_limits import RateLimiter, RateLimits, Verdict, client_of, judge
from host.testing import running_host
from tests.host.http.serving import UPGRADE, every_engine, hello, serving

# Whole intervals, so that the oracle's tokens and the bucket's nanoseconds agree to the last.
limits = st.builds(
    lambda interval_ns, burst: RateLimit(float(Fraction(10**9, interval_ns)), burst),
    st.sampled_from([1, 8, 1000, 10**6, 20_000_000, 10**9, 60 * 10**9]),
    st.integers(1, 20),
)
RARELY = RateLimit(0.001, 2)
"""Two, and then none for as long as any test takes."""


class Bucket:
    """Tokens that come back one by one, as everybody pictures it."""

    def __init__(self, limit: RateLimit) -> None:
        self.interval_ns = round(10**9 / limit.per_s)
        self.burst = limit.burst
        self.tokens = Fraction(limit.burst)
        self.at_ns = 0

    def take(self, now_ns: int) -> bool:
        self.tokens = min(Fraction(self.burst), self.tokens + Fraction(now_ns - self.at_ns, self.interval_ns))
        self.at_ns = now_ns
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@st.composite
def arrivals(draw: Any) -> tuple[RateLimit, list[int]]:
    limit = draw(limits)
    interval_ns = round(10**9 / limit.per_s)
    pause = st.one_of(st.just(0), st.integers(0, 2 * interval_ns), st.integers(0, 30 * interval_ns))
    now, moments = 0, []
    for pause_ns in draw(st.lists(pause, max_size=60)):
        now += pause_ns
        moments.append(now)
    return limit, moments


def judged(limit: RateLimit, moments: list[int]) -> list[Verdict]:
    paid_at_ns, verdicts = 0, []
    for now in moments:
        verdicts.append(judge(limit, paid_at_ns, now))
        paid_at_ns = verdicts[-1].paid_at_ns
    return verdicts


@given(arrivals())
def test_it_lets_pass_what_a_bucket_of_tokens_does(case: tuple[RateLimit, list[int]]) -> None:
    limit, moments = case
    bucket = Bucket(limit)
    for now, verdict in zip(moments, judged(limit, moments), strict=True):
        assert (verdict.wait_ns == 0) is bucket.take(now)
        assert verdict.remaining == int(bucket.tokens)


@given(arrivals())
def test_no_window_has_more_than_a_burst_and_what_came_back_meanwhile(case: tuple[RateLimit, list[int]]) -> None:
    limit, moments = case
    interval_ns = round(10**9 / limit.per_s)
    passed = [now for now, verdict in zip(moments, judged(limit, moments), strict=True) if not verdict.wait_ns]
    for first, begin in enumerate(passed):
        for count, end in enumerate(passed[first:], 1):
            assert count <= limit.burst + (end - begin) // interval_ns + 1


@given(arrivals())
def test_a_refused_client_passes_after_its_wait_and_not_before(case: tuple[RateLimit, list[int]]) -> None:
    limit, moments = case
    for now, verdict in zip(moments, judged(limit, moments), strict=True):
        if verdict.wait_ns:
            assert judge(limit, verdict.paid_at_ns, now + verdict.wait_ns).wait_ns == 0
            assert judge(limit, verdict.paid_at_ns, now + verdict.wait_ns - 1).wait_ns == 1
        rested = judge(limit, verdict.paid_at_ns, now + verdict.reset_ns)
        assert rested.remaining == limit.burst - 1


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::7f00:1", "::/64"),
        ("no address", "no address"),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str, client: str) -> None:
    assert client_of(address) == client


# The limiter


class Desk:
    """A limiter, and requests to it. `ask` says whether one may pass."""

    def __init__(self, **options: Any) -> None:
        self.now_ns = 10**12
        self.limiter = RateLimiter(RateLimits(**{"site": RARELY, **options}), lambda: self.now_ns)

    def ask(self, address: str | None, *names: bytes, mount: Any = "site", path: str = "/api") -> bool:
        entry = Entry(Owner("shop"), path, hello, 1, 1.0, rate_limit=mount)
        scope = {"client": (address, 1) if address is not None else None}
        try:
            self.fields = dict(self.limiter.check(scope, dict.fromkeys(names, b"x"), entry))
        except HttpProblem as problem:
            self.refusal = problem
        has_passed = entry.owner.statistics().rate_limited_total == 0
        assert has_passed or self.refusal.status == 429
        return has_passed


@pytest.mark.parametrize(
    ("address", "names", "passes"),
    [
        ("192.0.2.1", [], [True, True, False]),
        ("127.0.0.1", [], [True, True, True]),
        ("::1", [], [True, True, True]),
        (None, [], [True, True, True]),
        ("127.0.0.1", [b"x-forwarded-for"], [True, True, False]),
        ("127.0.0.1", [b"forwarded"], [True, True, False]),
        ("127.0.0.1", [b"via"], [True, True, False]),
        (None, [b"x-forwarded-for"], [True, True, False]),
    ],
)
def test_this_machine_is_exempt_when_nobody_forwards(
    address: str | None, names: list[bytes], passes: list[bool]
) -> None:
    desk = Desk()
    assert [desk.ask(address, *names) for _ in passes] == passes


def test_this_machine_is_counted_when_so_configured() -> None:
    desk = Desk(exempt_loopback=False)
    assert [desk.ask("127.0.0.1") for _ in range(3)] == [True, True, False]


def test_clients_are_counted_apart_and_addresses_of_one_network_together() -> None:
    desk = Desk()
    assert [desk.ask("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert desk.ask("192.0.2.2")
    assert [desk.ask(f"2001:db8::{number}") for number in (1, 2, 3)] == [True, True, False]
    assert desk.ask("2001:db8:0:1::1")


def test_a_refusal_says_what_and_when_and_the_wait_is_enough() -> None:
    desk = Desk(site=RateLimit(per_s=10, burst=20))
    while desk.ask("192.0.2.1"):
        remaining = desk.fields
    assert remaining[b"ratelimit"] == b'"site";r=0;t=2'
    assert desk.refusal.headers == {
        "retry-after": "1",
        "ratelimit-policy": '"site";q=20;w=2',
        "ratelimit": '"site";r=0;t=2',
    }
    assert "more than 10 a second, 20 at once; try again in 1 s" in desk.refusal.detail
    desk.now_ns += 10**9
    assert [desk.ask("192.0.2.1") for _ in range(11)] == [True] * 10 + [False]


def test_a_mounts_own_limit_counts_apart_and_none_counts_nothing() -> None:
    desk = Desk()
    own = RateLimit(0.001, 1)
    assert [desk.ask("192.0.2.1", mount=own) for _ in range(2)] == [True, False]
    assert desk.refusal.headers["ratelimit-policy"] == '"shop";q=1;w=1000'
    assert desk.ask("192.0.2.1", mount=own, path="/other")
    assert [desk.ask("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert all(desk.ask("192.0.2.1", mount="none") for _ in range(5))


def test_off_is_off_for_mounts_too() -> None:
    desk = Desk(site=None)
    assert all(desk.ask("192.0.2.1", mount=mount) for mount in ("site", RARELY, "none") for _ in range(5))
    assert desk.fields == {}


def test_the_memory_is_bounded_and_forgets_who_was_silent_longest() -> None:
    desk = Desk(clients_max=3)
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert desk.ask(address)
    assert not desk.ask("192.0.2.1"), "an entry that is used is kept"
    for number in range(2):
        assert desk.ask(f"198.51.100.{number}")
    assert not desk.ask("192.0.2.1")
    for number in range(5000):
        desk.ask(f"2001:db8:{number:x}::1")
    assert desk.ask("192.0.2.1"), "the oldest begins anew"
    statistics = desk.limiter.statistics()
    assert (statistics.clients, statistics.clients_max) == (3, 3)
    assert statistics.forgotten_total == 5003
    assert len(desk.limiter._clients) <= 1024


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_limit_lets_something_pass(per_s: float, burst: int) -> None:
    with pytest.raises(AssertionError):
        RateLimit(per_s, burst)


# Real sockets

POST = b"POST /shop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n%bConnection: close\r\n\r\n"
FOR = b"X-Forwarded-For: %b\r\n"


@every_engine
async def test_what_changes_something_is_counted_by_the_client_that_a_proxy_tells(engine_name: str) -> None:
    shop = Dispatcher(rate_limits=RateLimits(site=RARELY))
    shop.mount("shop", [Mount("/shop", hello), Mount("/free", hello, rate_limit="none")])
    async with serving(TrustedProxies(shop, ["127.0.0.1"]), engine_name=engine_name) as server:

        async def status(request: bytes) -> int:
            async with await server.connect() as peer:
                await peer.send(request)
                answer = await peer.until(b"\r\n\r\n")
            if answer.startswith(b"HTTP/1.1 429"):
                assert b"application/problem+json" in answer
                assert b"\r\nretry-after: " in answer.lower()
            return int(answer.split()[1])

        forwarded = POST % (FOR % b"192.0.2.1")
        assert [await status(forwarded) for _ in range(3)] == [200, 200, 429]
        assert await status(POST % (FOR % b"192.0.2.2")) == 200
        # What the client itself says of its address stands before the word of the proxy.
        assert await status(POST % (FOR % b"192.0.2.77, 192.0.2.1")) == 429
        assert await status(forwarded.replace(b"POST", b"DELETE")) == 429
        assert await status(UPGRADE % (b"shop", FOR % b"192.0.2.1")) == 429
        assert await status(forwarded.replace(b"POST", b"GET")) == 200
        assert await status(forwarded.replace(b"/shop", b"/free")) == 200
        assert [await status(POST % b"") for _ in range(5)] == [200] * 5
    assert shop.statistics()["shop"].rate_limited_total == 4


async def test_a_host_is_configured_counts_and_says_so(tmp_path: Any) -> None:
    sets = ("exempt_loopback=false", "requests_per_s=0.001", "burst_requests=1", "clients_max=7")
    named = tuple(f"server.rate_limit.{item}" for item in sets)
    async with running_host({}, data_dir=tmp_path, sets=named) as host:
        assert [(await host.http.post("/livez")).status_code for _ in range(2)] == [405, 429]
        assert (await host.http.get("/livez")).status_code == 200
        metrics = (await host.http.get("/metrics")).text
    assert 'quartet_http_rate_limited_total{plugin="host"} 1.0' in metrics
    assert "quartet_rate_limiter_clients 1.0" in metrics
    assert "quartet_rate_limiter_clients_max 7.0" in metrics


def test_the_document_tells_of_429_where_a_limit_holds() -> None:
    operations = [Operation(method, "/api", "Something", responses={200: "done"}) for method in ("GET", "POST", "PUT")]
    mount = Mount("/api", hello, (*operations, Operation("DELETE", "/api", "All", responses={429: "Busy"})))
    free = Mount("/free", hello, (Operation("POST", "/free", "Something", responses={200: "done"}),), rate_limit="none")
    paths = openapi_document("1", {"shop": [mount, free]})["paths"]
    assert {method: "429" in document["responses"] for method, document in paths["/api"].items()} == {
        "get": False,
        "post": True,
        "put": True,
        "delete": True,
    }
    assert paths["/api"]["delete"]["responses"]["429"]["description"] == "Busy"
    assert "Retry-After" in paths["/api"]["delete"]["responses"]["429"]["headers"]
    assert "429" not in paths["/free"]["post"]["responses"]
