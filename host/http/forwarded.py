"""Who the client is when a proxy asks for it: X-Forwarded-* or Forwarded (RFC 7239), believed from known proxies only.

Anybody can send these headers, so they count only when the peer is one of `trusted_proxies`. Then the chain is read
from its end, where the nearest proxy wrote: the first address that is not a trusted proxy's is the client. The Host
header is not touched: let the proxy pass it on.

Only the headers that the proxies write are read, never both kinds: a proxy hands on what it does not write as it came
from the client, who could say anything in it.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

from host.descriptors import ASGIApp, Receive, Scope, Send

ForwardedHeader = Literal["x-forwarded", "forwarded"]

# What a list of trusted proxies names a peer on a unix socket.
UNIX = "unix"
_KNOWN_MAX = 1024
_FOR = re.compile(r'(?:^|[;,\s])for\s*=\s*(?:"([^"]*)"|([^;,\s]*))', re.IGNORECASE)
_PROTO = re.compile(r'(?:^|[;,\s])proto\s*=\s*"?(https?|wss?)"?', re.IGNORECASE)


class TrustedProxies:
    """Stands before the app and sets `client` and `scheme` of the scopes that trusted proxies bring.

    `header` is the kind that they write.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[str], header: ForwardedHeader = "x-forwarded") -> None:
        self._app = app
        self._header = header
        self._has_unix = UNIX in proxies
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(name) for name in proxies if name != UNIX]
        self._known: dict[str, bool] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        client = scope.get("client")
        if self._has_unix if client is None else self.is_trusted(client[0]):
            self._believe(scope)
        await self._app(scope, receive, send)

    def is_trusted(self, address: str) -> bool:
        """Whether the address is a proxy's."""
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            try:
                parsed = ip_address(address)
                known = any(parsed in network for network in self._networks)
            except ValueError:
                known = False
            self._known[address] = known
        return known

    def _believe(self, scope: Scope) -> None:
        lines: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name in (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto"):
                lines.setdefault(name, []).append(value.decode("latin-1"))
        if self._header == "forwarded":
            text = ",".join(lines.get(b"forwarded", ()))
            chain = [quoted or plain for quoted, plain in _FOR.findall(text)]
            protocols = _PROTO.findall(text)
        else:
            chain = ",".join(lines.get(b"x-forwarded-for", ())).split(",")
            protocols = [part.strip() for part in ",".join(lines.get(b"x-forwarded-proto", ())).split(",")]
        address = self._client_in(chain)
        if address is not None:
            scope["client"] = (address, 0)
        if protocols and protocols[-1].lower() in ("https", "wss"):
            scope["scheme"] = "wss" if scope["type"] == "websocket" else "https"

    def _client_in(self, chain: list[str]) -> str | None:
        """The nearest address that is not a trusted proxy's; None when the chain says nothing that can be believed."""
        found = None
        for entry in reversed(chain):
            address = _address(entry.strip())
            if address is None:
                break
            found = address
            if not self.is_trusted(address):
                break
        return found


def _address(entry: str) -> str | None:
    """The address in an entry, without port and brackets; None for "unknown", "_hidden" and nonsense."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        return str(ip_address(entry))
    except ValueError:
        return None
