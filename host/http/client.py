"""The host's HTTP client: httpx's API over our own HTTP/1.1 on Trio.

`open_client` makes an `httpx.AsyncClient`; `TrioTransport` serves any other one: `httpx.AsyncClient(transport=...)`.
Redirects, cookies, authentication, hooks, decoding and the rest are httpx's. What is different underneath:

- beneath httpx's objects there is `TrioTransport.call`, for who makes the same request thousands of times a second;
- a request costs a fraction of httpcore's pool, and a cancellation at any point leaves the pool exact;
- there are more clocks (`client_clocks`), read from `extensions={"timeout": {...}}` too;
- a body that ended early is an error, also over TLS without close_notify;
- a connection that died while idle is replaced without a word where that is safe (`Connection.died_idle`).

Supported request extensions: `timeout`, `sni_hostname`, `target`. Response extensions: `http_version`,
`reason_phrase`, `network_stream` (its `get_extra_info` only). Not here: protocol upgrades, CONNECT, HTTP/2, proxies
and `trace`. HTTP/2 and proxies are served by httpx's own transport, which `open_client` mounts where it is told to.
"""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import trio

from host.http.client_body import Reply
from host.http.client_clocks import Clocks, ClockTable, Timer, clock_of
from host.http.client_connect import Connector, Origin, SocketOption
from host.http.client_connection import Connection
from host.http.client_pool import Pool, PoolLimits
from host.http.client_request import EncodedRequest, RequestTemplate, encode, origin_of
from host.http.client_watch import ReadWatch

__all__ = ["DEFAULT_CLOCKS", "ClientStatistics", "Clocks", "PoolLimits", "TrioTransport", "clock_of", "open_client"]

# For a service that answers: longer silence than this is a fault. A total is for the caller to set, streams have none.
DEFAULT_CLOCKS = Clocks(connect_s=5.0, write_s=10.0, first_byte_s=30.0, between_chunks_s=30.0, pool_s=5.0)


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """What a transport holds now and has done so far.

    `open` = `active` + `idle` connections; those being opened are active. `waiting` requests queue for a connection.
    `retried_total`: requests repeated because their connection had died idle; `dead_total`: idle connections found
    dead before use; `expired_total`: idle connections closed for their age.
    """

    origins: int
    open: int
    active: int
    idle: int
    waiting: int
    requests_total: int
    opened_total: int
    reused_total: int
    retried_total: int
    dead_total: int
    expired_total: int


class TrioTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 for httpx on Trio. Belongs to one Trio run; any number of tasks may use it at once.

    `clocks` hold for requests that do not bring their own. `verify`, `cert`, `trust_env`, `uds`, `local_address` and
    `socket_options` mean what they mean to `httpx.AsyncHTTPTransport`; certificates are loaded when first needed.
    """

    def __init__(
        self,
        *,
        limits: PoolLimits | None = None,
        clocks: Clocks | None = None,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        uds: str | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] = (),
    ) -> None:
        limits = limits or PoolLimits()
        self._clocks = ClockTable(clocks or Clocks())
        self._watch = ReadWatch()
        self._connector = Connector(
            verify=verify,
            cert=cert,
            trust_env=trust_env,
            uds=uds,
            local_address=local_address,
            socket_options=socket_options,
            watch=self._watch,
        )
        self._pool: Pool[Connection] = Pool(
            limits, lambda origin: Connection(origin, self._pool, limits.header_bytes_max)
        )
        self._requests_total = 0
        self._opened_total = 0
        self._retried_total = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; returns with the response's header section, its body still to be read.

        Raises:
            httpx.TransportError: One of httpx's own; `clock_of` tells which clock a time-out belongs to.

        A cancellation closes the connection and gives its slot back. The response must be read to its end or closed:
        until then it has a connection.
        """
        origin = origin_of(request.url, request.extensions.get("sni_hostname"))
        timer = Timer(self._clocks.resolve(request.extensions.get("timeout")))
        reply, connection = await self._send(origin, encode(request), timer)
        try:
            return httpx.Response(
                reply.status,
                headers=reply.headers,
                stream=reply,
                extensions={
                    "http_version": reply.http_version,
                    "reason_phrase": reply.reason,
                    "network_stream": connection,
                },
            )
        except BaseException:
            reply.close()
            raise

    async def call(
        self, template: RequestTemplate, content: bytes, timer: Timer, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> Reply:
        """Send a template's request with this content, and these headers over its own; without httpx's objects, which
        cost as much as all the rest. `timer`: `Timer(clocks)`; this transport's own clocks are not looked at.

        Otherwise like `handle_async_request`.
        """
        reply, _ = await self._send(template.origin, template.fill(content, headers), timer)
        return reply

    async def run_watch(self) -> None:
        """Wait for the sockets of all connections without TLS in one task, until cancelled.

        Whoever has many requests or long streams under way then pays half as much for a read; clocks of reads are
        noticed up to `client_watch.TICK_S` late. Without it each reader waits by itself, as it does on a connection
        that was opened before.
        """
        await self._watch.run()

    async def aclose(self) -> None:
        """Close every connection and send every waiting request away. Does not block; requests under way fail."""
        self._pool.close()

    def close_expired(self) -> None:
        """Close the connections that have lain idle too long; without traffic nothing else does."""
        self._pool.close_expired(trio.current_time())

    def statistics(self) -> ClientStatistics:
        """The state of the pool, and counts since the transport was made."""
        pool = self._pool
        return ClientStatistics(
            origins=pool.origins,
            open=pool.open,
            active=pool.open - pool.idle,
            idle=pool.idle,
            waiting=pool.waiting,
            requests_total=self._requests_total,
            opened_total=self._opened_total,
            reused_total=pool.reused_total,
            retried_total=self._retried_total,
            dead_total=pool.dead_total,
            expired_total=pool.expired_total,
        )

    async def _send(self, origin: Origin, encoded: EncodedRequest, timer: Timer) -> tuple[Reply, Connection]:
        self._requests_total += 1
        connection = self._pool.take(origin)
        if connection is None:
            connection = await self._queue(origin, timer)
        try:
            await self._exchange(connection, encoded, timer)
            reply = Reply(connection, timer)
        except BaseException:
            connection.abandon()
            raise
        reply.begin()
        return reply, connection

    async def _queue(self, origin: Origin, timer: Timer) -> Connection:
        seconds = timer.clocks.pool_s
        with trio.CancelScope(deadline=timer.deadline(seconds)) as scope:
            connection = await self._pool.acquire(origin)
        if scope.cancelled_caught:
            raise timer.expired(httpx.PoolTimeout, "pool", seconds, "waiting for a connection")
        if connection.is_open and connection.is_dead():
            connection.reset()
        return connection

    async def _exchange(self, connection: Connection, encoded: EncodedRequest, timer: Timer) -> None:
        if connection.is_open and await connection.has_surplus():
            connection.reset()
        if not connection.is_open:
            await self._open(connection, timer)
        try:
            await connection.exchange(encoded, timer)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if not connection.died_idle(encoded):
                raise
            self._retried_total += 1
            connection.reset()
            await self._open(connection, timer)
            await connection.exchange(encoded, timer)

    async def _open(self, connection: Connection, timer: Timer) -> None:
        self._opened_total += 1
        await connection.open(self._connector, timer)


def transport_of(client: httpx.AsyncClient) -> "TrioTransport":
    """The transport under a client from `open_client`, for its statistics. httpx itself has no name for it."""
    transport = client._transport
    assert isinstance(transport, TrioTransport), "not a client from open_client"
    return transport


def open_client(
    *,
    limits: PoolLimits | None = None,
    clocks: Clocks = DEFAULT_CLOCKS,
    verify: ssl.SSLContext | str | bool = True,
    cert: Any = None,
    trust_env: bool = True,
    uds: str | None = None,
    local_address: str | None = None,
    proxy: str | httpx.Proxy | None = None,
    http2: Iterable[str] = (),
    mounts: Mapping[str, httpx.AsyncBaseTransport | None] | None = None,
    **options: Any,
) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` on a `TrioTransport`: use it with `async with`, or `aclose` it.

    `proxy`: a proxy's URL that all requests go through; `http2`: httpx mount patterns ("https://api.example.org") whose
    requests use HTTP/2. Both go through httpx's own transport, which has httpx's clocks and limits. The environment's
    proxy variables are not read. `mounts` are httpx's and win over both. `options` are the other arguments of
    `httpx.AsyncClient`. A `timeout` given there or to a request tightens `clocks`.
    """
    limits = limits or PoolLimits()

    def others(**more: Any) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=verify,
            cert=cert,
            trust_env=trust_env,
            local_address=local_address,
            limits=httpx.Limits(
                max_connections=limits.connections_max,
                max_keepalive_connections=limits.idle_max,
                keepalive_expiry=limits.idle_s,
            ),
            **more,
        )

    routed: dict[str, httpx.AsyncBaseTransport | None] = {}
    if proxy is not None:
        routed["all://"] = others(proxy=proxy)
    for pattern in http2:
        routed[pattern] = others(http2=True, proxy=proxy)
    options.setdefault(
        "timeout", httpx.Timeout(connect=clocks.connect_s, read=None, write=clocks.write_s, pool=clocks.pool_s)
    )
    transport = TrioTransport(
        limits=limits,
        clocks=clocks,
        verify=verify,
        cert=cert,
        trust_env=trust_env,
        uds=uds,
        local_address=local_address,
    )
    return httpx.AsyncClient(transport=transport, mounts=routed | dict(mounts or {}), trust_env=trust_env, **options)
