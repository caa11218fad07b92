"""One connection to a Redis: opened, introduced (AUTH, HELLO, SELECT, CLIENT SETNAME, PING), and written and read.

The protocol is RESP2: every reply then belongs to a command, nothing is pushed between two replies, and the shapes
are those that redis-py has always returned. RESP3 would add push messages, which Quartet takes from a connection of
their own.
"""

import random
import socket
from collections.abc import Sequence
from typing import Any, Final, Protocol

import hiredis
import trio
from redis._parsers.base import BaseParser
from redis.exceptions import NoPermissionError, RedisError

from host.errors import ServiceUnavailable
from host.services.redis_calls import NOT_ENOUGH_DATA, ConnectionLost, pack_words
from host.services.redis_url import RedisAddress

RECEIVE_BYTES: Final = 65536
# Delays before reconnecting: doubled from the first to the longest, then for ever; the jitter keeps hosts apart.
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 5.0
# What a broken connection raises, whichever of its layers notices first.
BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, hiredis.ProtocolError, ConnectionLost)


def backoff_s(failures: int) -> float:
    """The delay after that many failures in a row, at random between half and the whole of a doubling step."""
    step = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(max(failures, 1) - 1, 30))
    return step * random.uniform(0.5, 1.0)


class Transport(Protocol):
    """Bytes to and from a server. `sends_now` says whether `send_now` and `wait_writable` can be used."""

    sends_now: bool

    def send_now(self, data: bytes | memoryview) -> int:
        """Give the kernel what it takes without waiting; returns the number of bytes, 0 for none. Raises OSError."""

    async def wait_writable(self) -> None:
        """Wait until `send_now` may take something."""

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send everything. Cancelled, an unknown part of it is sent."""

    async def receive(self) -> bytes:
        """Wait for bytes; b"" is the end of the stream."""

    def close(self) -> None:
        """Close at once. May be called again."""


class SocketTransport:
    """A TCP or Unix socket used with no stream between: a command may be written in its caller's own step."""

    sends_now = True

    def __init__(self, stream: trio.SocketStream) -> None:
        self._socket = socket.socket(fileno=stream.socket.detach())
        self._socket.setblocking(False)

    def send_now(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    async def wait_writable(self) -> None:
        await trio.lowlevel.wait_writable(self._socket)

    async def send_all(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest := rest[self.send_now(rest) :]:
            await self.wait_writable()

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue

    def close(self) -> None:
        if self._socket.fileno() != -1:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


class TLSTransport:
    """A TLS stream, which takes bytes only by waiting for all of them to be sent."""

    sends_now = False

    def __init__(self, stream: trio.SocketStream, tls: "trio.SSLStream[trio.SocketStream]") -> None:
        self._stream = stream
        self._tls = tls

    def send_now(self, data: bytes | memoryview) -> int:
        raise AssertionError("TLS cannot send without waiting")

    async def wait_writable(self) -> None:
        await self._tls.wait_send_all_might_not_block()

    async def send_all(self, data: bytes | memoryview) -> None:
        await self._tls.send_all(data)

    async def receive(self) -> bytes:
        return bytes(await self._tls.receive_some(RECEIVE_BYTES))

    def close(self) -> None:
        # No close_notify: it would wait for a peer that may be stalled, and RESP says itself where a reply ends.
        self._stream.socket.close()


class Connection:
    """One introduced connection. `exchange` is for one task at a time; who takes over `transport` uses it no more."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.server_version = ""
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error, notEnoughData=NOT_ENOUGH_DATA)

    async def exchange(self, data: bytes, due: int) -> list[Any]:
        """Write `data` and read the `due` replies to it; error replies are returned, not raised.

        Cancelled, or when it raises, the connection is out of step: the caller must close it.

        Raises:
            ConnectionLost, OSError, trio.BrokenResourceError: see `BROKEN`.
        """
        await self.transport.send_all(data)
        return [await self.receive() for _ in range(due)]

    async def receive(self) -> Any:
        """Wait for the next reply."""
        while (reply := self._reader.gets()) is NOT_ENOUGH_DATA:
            data = await self.transport.receive()
            if not data:
                raise ConnectionLost("Redis closed the connection")
            self._reader.feed(data)
        return reply

    def close(self) -> None:
        """Close at once. May be called again."""
        self.transport.close()


async def open_connection(address: RedisAddress, client_name: str, timeout_s: float) -> Connection:
    """Connect and introduce ourselves, within `timeout_s` altogether. Cancelled, it leaves nothing open.

    Raises:
        ServiceUnavailable: nobody there, wrong password, no such database, still loading, or no answer in time.
    """
    reason: object = f"no answer within {timeout_s:g} s"
    with trio.move_on_after(timeout_s):
        try:
            transport = await _open_transport(address)
            try:
                connection = Connection(transport)
                await _introduce(connection, address, client_name)
            except BaseException:
                transport.close()
                raise
            return connection
        except (*BROKEN, RedisError) as error:
            reason = describe(error)
    raise ServiceUnavailable(f"Redis at {address} cannot be used: {reason}")


def describe(error: BaseException) -> str:
    """The reason in an error of a connection, in one line."""
    inner = error.__cause__ if isinstance(error, trio.BrokenResourceError) and error.__cause__ else error
    return str(inner) or type(inner).__name__


async def _open_transport(address: RedisAddress) -> Transport:
    if address.path is not None:
        return SocketTransport(await trio.open_unix_socket(address.path))
    stream = await trio.open_tcp_stream(address.host, address.port)
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not address.uses_tls:
            return SocketTransport(stream)
        tls = trio.SSLStream(stream, address.tls_context(), server_hostname=address.host, https_compatible=True)
        await tls.do_handshake()
        return TLSTransport(stream, tls)
    except BaseException:
        stream.socket.close()
        raise


async def _introduce(connection: Connection, address: RedisAddress, client_name: str) -> None:
    commands: list[Sequence[str | int]] = []
    if address.password is not None:
        commands.append(("AUTH", *([address.username] if address.username else []), address.password))
    if address.db:
        commands.append(("SELECT", address.db))
    required = len(commands)
    commands += [("HELLO", 2), ("CLIENT", "SETNAME", client_name), ("PING",)]
    data = b"".join([pack_words(tuple(command)) for command in commands])
    *replies, hello, _named, pong = await connection.exchange(data, len(commands))
    for reply in replies[:required]:
        if isinstance(reply, Exception):
            raise reply
    # An account without the right to PING is alive all the same; one that must log in first, or a server that
    # loads, is not.
    if isinstance(pong, Exception) and not isinstance(pong, NoPermissionError):
        raise pong
    # Servers and proxies that refuse HELLO serve everything else: the version is for `statistics()` alone.
    if isinstance(hello, list):
        fields = dict(zip(hello[::2], hello[1::2], strict=False))
        connection.server_version = (fields.get(b"version") or b"").decode(errors="replace")
