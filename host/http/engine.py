"""What serves: the interface between the host and an engine, and the sockets it is given.

An engine speaks a wire protocol below and ASGI 3 above. It knows nothing of plugins; the app it is given is the
dispatcher. Whatever a peer sends and whatever the app raises, an engine goes on serving everybody else.
"""

import errno
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import structlog
import trio

from host.descriptors import ASGIApp
from host.errors import HostError
from host.http.limits import KIB, Limits

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.http")

# Engines are imported when chosen, so that the other one's dependencies are never loaded.
ENGINES = {
    "hypercorn": "host.http.hypercorn_engine:HypercornEngine",
    "native": "host.http.lane.engine:NativeEngine",
}

# What the kernel holds for one peer beyond what is under way to it.
UNSENT_BYTES_MAX = 128 * KIB

# What one connection too many is told.
_FULL_BODY = b'{"type":"about:blank","title":"Too many connections","status":503}'
FULL_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
    b"retry-after: 1\r\nconnection: close\r\n\r\n%b"
) % (len(_FULL_BODY), _FULL_BODY)


class AnswerAborted(HostError):
    """Raised out of an app whose answer has begun and cannot be finished.

    An engine ends that answer so that the client sees it is incomplete (HTTP/1.1 closes, HTTP/2 resets the stream), and
    logs nothing: who raised it has said what there was to say.
    """


@dataclass(frozen=True, slots=True)
class TLS:
    """The files of a server certificate in PEM: the chain with the server's own first, and its private key."""

    certfile: Path
    keyfile: Path
    keyfile_password: str | None = None


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """An engine's counts since `serve` began, and `open_connections` now.

    `refused` came when all places were taken. Each connection that the engine cut is counted by its reason: `stalled`
    took no byte for `write_stall_s`; `silent` are WebSockets that answered no ping; `expired` brought no request in
    time; `crashed` ended by an exception that the guard caught; `cut` were still open when the grace period was over.
    `accept_failures` are the times that the process had no room for another socket (file descriptors, memory).
    `dropped_frames` were not sent to WebSockets that were too slow for them, as their mounts' policies say.
    """

    open_connections: int = 0
    accepted_connections_total: int = 0
    refused_connections_total: int = 0
    stalled_connections_total: int = 0
    silent_connections_total: int = 0
    expired_connections_total: int = 0
    crashed_connections_total: int = 0
    cut_connections_total: int = 0
    accept_failures_total: int = 0
    dropped_frames_total: int = 0


class Engine(Protocol):
    """Serves one ASGI app on sockets that are already listening."""

    def __init__(self, *, tls: TLS | None = None) -> None: ...

    async def serve(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        limits: Limits,
        *,
        drain: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until drained; `task_status.started()` comes once connections are accepted. Closes `sockets`.

        When `drain` is set, nothing is accepted any more, idle connections close, answers finish (HTTP/1.1 with
        `Connection: close`), WebSockets are closed with 1012, and after `limits.grace_s` at the latest everything
        left is cut and `serve` returns. The app's long streams must watch the drain themselves (`EventStream` does).

        The app sees no lifespan. A client that leaves gets its HTTP handlers cancelled; a WebSocket's handler
        first reads `websocket.disconnect`. Cancelling `serve` closes every connection at once.
        """

    def statistics(self) -> EngineStatistics:
        """The counts; may be asked at any time."""


def engine_named(name: str, *, tls: TLS | None = None) -> Engine:
    """An engine by the name that the configuration uses.

    TLS, and with it HTTP/2, goes through hypercorn whatever the name.

    Raises:
        HostError: there is no engine of that name.
    """
    if tls is not None and name == "native":
        log.info("TLS and HTTP/2 are served by hypercorn", engine=name)
        name = "hypercorn"
    path = ENGINES.get(name)
    if path is None:
        raise HostError(f"there is no engine {name!r} — set server.engine to one of: {', '.join(sorted(ENGINES))}")
    module_name, _, class_name = path.partition(":")
    engine: Engine = getattr(import_module(module_name), class_name)(tls=tls)
    return engine


def bind(host: str, port: int, *, backlog_connections: int = 1024) -> list[socket.socket]:
    """Open listening sockets: one for each address of `host`, or a unix socket for `unix:/path`.

    Port 0 takes a free port, the same for every address. Resolves names by blocking: call it before the loop matters.

    Raises:
        HostError: the name cannot be resolved, or an address is taken or not allowed.
    """
    if host.startswith("unix:"):
        return [_bind_unix(Path(host.removeprefix("unix:")), backlog_connections)]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise HostError(f"cannot listen on {host!r}: {error.strerror or error} — check server.host") from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            if port == 0 and sockets:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            try:
                sockets.append(_bind_tcp(family, kind, protocol, address, backlog_connections))
            except OSError as error:
                # A machine without IPv6 still resolves localhost to ::1.
                if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and len(found) > 1:
                    continue
                raise HostError(_why_not(host, port, error)) from error
    except HostError:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise HostError(f"none of the addresses of {host!r} is this machine's — check server.host")
    return sockets


def is_loopback(sockets: Sequence[socket.socket]) -> bool:
    """Whether nobody beyond this machine can reach any of the sockets."""
    return all(
        sock.family == getattr(socket, "AF_UNIX", None) or ipaddress.ip_address(sock.getsockname()[0]).is_loopback
        for sock in sockets
    )


def urls(sockets: Sequence[socket.socket], *, tls: bool = False) -> list[str]:
    """Where a person may point a browser, one for each socket; 0.0.0.0 is shown as localhost."""
    return [_url(sock, "https" if tls else "http") for sock in sockets]


def socket_files(sockets: Sequence[socket.socket]) -> list[Path]:
    """The files of unix sockets, which closing the sockets leaves behind."""
    return [Path(sock.getsockname()) for sock in sockets if sock.family == getattr(socket, "AF_UNIX", None)]


def _bind_tcp(family: int, kind: int, protocol: int, address: Any, backlog_connections: int) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Answers are written in few large parts; waiting for more only adds delay.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Both are inherited by the connections. Without this, the kernel takes megabytes ahead for each slow reader.
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog_connections)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: Path, backlog_connections: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            _unlink_unless_used(path)
        sock.bind(str(path))
        sock.listen(backlog_connections)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise HostError(f"cannot listen on {path}: {error.strerror or error} — check server.host") from error
    return sock


def _unlink_unless_used(path: Path) -> None:
    """Remove the socket that a host left behind, but never the one that a host still listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise OSError(errno.EADDRINUSE, "another program listens on it")


def _why_not(host: str, port: int, error: OSError) -> str:
    reason = f"cannot listen on {host} port {port}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        return f"{reason} — another program has it (a second host?); stop it or set server.port"
    if error.errno == errno.EACCES:
        return f"{reason} — ports below 1024 need privileges; set server.port"
    return f"{reason} — check server.host and server.port"


def _url(sock: socket.socket, scheme: str) -> str:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return f"unix:{sock.getsockname()}"
    address, port = sock.getsockname()[:2]
    if ipaddress.ip_address(address).is_unspecified:
        address = "localhost"
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"
