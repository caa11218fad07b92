"""Every size, count and wait of serving, by name; shared by all engines and the dispatcher.

`config.toml` sets them under `[server.limits]`. The precedents are those of servers in wide use: a limit that nobody
has needed to raise there is a good default here.
"""

from collections import Counter
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer, and all of them together, may take. Times are seconds, sizes bytes.

    - `header_bytes_max`: request line and headers together (nginx 32 KiB); beyond is 431.
    - `header_count_max`: headers in one request (Apache 100); beyond is 431.
    - `target_bytes_max`: path and query (RFC 9112 §3 asks for 8000 at least); beyond is 414.
    - `body_bytes_max`: a request's body, unless its mount says less; beyond is 413.
    - `connections_max`: open connections; one more is answered 503 and closed.
    - `connections_per_peer_max`: the same for one address; None is no limit of its own (a proxy is one address).
    - `header_read_s`: from the connection's first moment to the end of its first request's headers.
    - `keep_alive_s`: how long a connection may idle between requests (and take for the next one's headers).
    - `tls_handshake_s`: how long a TLS handshake may take.
    - `request_s`: from a request's headers to the first byte of its answer, unless its mount says otherwise.
    - `write_stall_s`: how long a peer may take no byte of what is sent to it before it is cut off.
    - `grace_s`: how long the drain waits for answers, streams and sockets to end before it cuts them.
    - `backlog_connections`: connections that the kernel holds until they are accepted.
    - `receive_queue_messages`: parts of a body, or WebSocket messages, waiting for an app; then the peer waits.
    - `websocket_message_bytes_max`: one WebSocket message; beyond closes with 1009.
    - `websocket_queue_bytes_max`: what waits to be sent to one WebSocket, unless its mount says otherwise; what
      happens beyond is the mount's policy.
    - `websocket_ping_s`: how often a WebSocket is pinged; None is never.
    - `websocket_pong_s`: how long a WebSocket's peer may stay silent after a ping before it is cut off.
    - `websocket_close_s`: how long a WebSocket waits for its peer's consent to a close.
    """

    header_bytes_max: int = 32 * KIB
    header_count_max: int = 100
    target_bytes_max: int = 8 * KIB
    body_bytes_max: int = 16 * MIB
    connections_max: int = 10_000
    connections_per_peer_max: int | None = None
    header_read_s: float = 10.0
    keep_alive_s: float = 30.0
    tls_handshake_s: float = 10.0
    request_s: float = 60.0
    write_stall_s: float = 20.0
    grace_s: float = 10.0
    backlog_connections: int = 1024
    receive_queue_messages: int = 16
    websocket_message_bytes_max: int = 1 * MIB
    websocket_queue_bytes_max: int = 1 * MIB
    websocket_ping_s: float | None = 20.0
    websocket_pong_s: float = 20.0
    websocket_close_s: float = 2.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            assert value is None or value > 0, f"limit {name} must be above zero, is {value}"


class ConnectionGate:
    """Counts open connections, in all and by peer, and says who may come in. Synchronous; one per engine run."""

    __slots__ = ("_by_peer", "_limits", "open_connections", "refused_connections")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_peer: Counter[str] = Counter()
        self.open_connections = 0
        self.refused_connections = 0

    def enter(self, peer: str) -> bool:
        """Let a connection in, or count it as refused. Who is let in must `leave`."""
        per_peer_max = self._limits.connections_per_peer_max
        is_full = self.open_connections >= self._limits.connections_max
        if is_full or (per_peer_max is not None and self._by_peer[peer] >= per_peer_max):
            self.refused_connections += 1
            return False
        self.open_connections += 1
        if per_peer_max is not None:
            self._by_peer[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """Give the place back."""
        assert self.open_connections > 0
        self.open_connections -= 1
        if self._by_peer:
            self._by_peer[peer] -= 1
            if self._by_peer[peer] <= 0:
                del self._by_peer[peer]
