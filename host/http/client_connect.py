"""Opening connections: happy eyeballs (RFC 8305, by Trio), unix sockets, TLS, and one error for all that fails."""

import ssl
from collections.abc import Iterable
from typing import Any, NamedTuple

import httpx
import trio

from host.http.client_watch import ReadWatch
from host.http.client_wire import LOST, NotingStream, PlainWire, TlsWire, Wire, reason_of

SocketOption = tuple[int, int, int | bytes]


class Origin(NamedTuple):
    """Where a connection leads. Connections are shared by requests that agree on all of it."""

    scheme: bytes
    host: bytes
    port: int | None
    sni: str | None = None

    def __str__(self) -> str:
        host = self.host.decode("ascii", "replace")
        return f"{self.scheme.decode('ascii', 'replace')}://{f'[{host}]' if ':' in host else host}:{self.port_number}"

    @property
    def port_number(self) -> int:
        """The port, by default that of the scheme."""
        return self.port or (443 if self.scheme == b"https" else 80)


class Connector:
    """Opens wires, with the settings that all connections of a transport share.

    `verify`, `cert` and `trust_env` mean what they mean to httpx. With `uds` every connection goes to that unix socket,
    whatever the host; TLS and the Host header still speak of the host. `socket_options` are set once connected. Wires
    without TLS wait for `watch`.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        uds: str | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] = (),
        watch: ReadWatch,
    ) -> None:
        self._verify = verify
        self._cert = cert
        self._trust_env = trust_env
        self._uds = uds
        self._local_address = local_address
        self._socket_options = tuple(socket_options)
        self._watch = watch
        self._context: ssl.SSLContext | None = None

    async def open(self, origin: Origin) -> Wire:
        """Connect. The caller sets the deadline.

        Raises:
            httpx.ConnectError: Name lookup, connection or TLS handshake failed; nothing has been sent.

        A cancellation leaves no socket open.
        """
        stream = await self._open_stream(origin)
        if origin.scheme == b"https":
            return await self._handshake(stream, origin)
        return PlainWire(stream, self._watch)

    async def _open_stream(self, origin: Origin) -> trio.SocketStream:
        try:
            if self._uds is not None:
                stream = await trio.open_unix_socket(self._uds)
            else:
                stream = await trio.open_tcp_stream(
                    origin.host.decode("ascii"), origin.port_number, local_address=self._local_address
                )
        except (OSError, ValueError) as error:  # ValueError: a name that no resolver can be asked for
            where = f"{origin} at {self._uds}" if self._uds is not None else str(origin)
            raise httpx.ConnectError(f"Cannot connect to {where}: {reason_of(error)}") from error
        try:
            for level, option, value in self._socket_options:
                stream.setsockopt(level, option, value)
        except OSError as error:
            stream.socket.close()
            raise httpx.ConnectError(f"Cannot set the socket options for {origin}: {error}") from error
        return stream

    async def _handshake(self, stream: trio.SocketStream, origin: Origin) -> Wire:
        try:
            context = self._tls_context()
            name = origin.sni or origin.host.decode("ascii")
            tls = trio.SSLStream(NotingStream(stream), context, server_hostname=name)
            await tls.do_handshake()
        except (*LOST, ValueError) as error:
            stream.socket.close()
            raise httpx.ConnectError(f"TLS handshake with {origin} failed: {reason_of(error)}") from error
        except BaseException:
            stream.socket.close()
            raise
        return TlsWire(tls)

    def _tls_context(self) -> ssl.SSLContext:
        # Made when first needed: loading the roots takes tens of milliseconds, and most clients here stay on loopback.
        if self._context is None:
            self._context = httpx.create_ssl_context(verify=self._verify, cert=self._cert, trust_env=self._trust_env)
        # Each time, as a context given by the caller may serve a transport that offers HTTP/2 too.
        self._context.set_alpn_protocols(["http/1.1"])
        return self._context
