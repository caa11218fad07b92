"""Proxies that are believed, and clients that only claim to be one."""

from typing import Any

import pytest

from host.descriptors import Receive, Scope, Send
from host.http.forwarded import ForwardedHeader, TrustedProxies
from tests.host.http.memory import exchange

PROXIES = ("10.0.0.0/8", "::1/128", "unix")


async def seen_by_app(
    client: Any, *headers: tuple[bytes, bytes], method: str = "GET", header: ForwardedHeader = "x-forwarded"
) -> tuple[Any, str]:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope["client"], scope["scheme"]))

    made = exchange(method, "/", *headers)
    made.scope["client"] = client
    await TrustedProxies(app, PROXIES, header)(made.scope, made.receive, made.send)
    address, scheme = seen
    return (address[0] if address else None), scheme


FOR = b"x-forwarded-for"
PROTO = (b"x-forwarded-proto", b"https")


@pytest.mark.parametrize(
    ("client", "headers", "expected"),
    [
        (("192.0.2.1", 1), [(FOR, b"203.0.113.9"), PROTO], ("192.0.2.1", "http")),
        (("10.0.0.1", 1), [], ("10.0.0.1", "http")),
        (("10.0.0.1", 1), [(FOR, b"203.0.113.9"), PROTO], ("203.0.113.9", "https")),
        (("10.0.0.1", 1), [(FOR, b"1.1.1.1, 203.0.113.9, 10.0.0.2")], ("203.0.113.9", "http")),
        (("10.0.0.1", 1), [(FOR, b"1.1.1.1"), (FOR, b"203.0.113.9")], ("203.0.113.9", "http")),
        (("10.0.0.1", 1), [(FOR, b"203.0.113.9, nonsense")], ("10.0.0.1", "http")),
        (("10.0.0.1", 1), [(FOR, b"10.0.0.3, 10.0.0.2")], ("10.0.0.3", "http")),
        (("::1", 1), [(FOR, b"[2001:db8::1]:4711")], ("2001:db8::1", "http")),
        (("10.0.0.1", 1), [(FOR, b"203.0.113.9:4711")], ("203.0.113.9", "http")),
        (None, [(FOR, b"203.0.113.9"), PROTO], ("203.0.113.9", "https")),
    ],
)
async def test_the_client_is_the_first_address_that_is_no_proxy(
    client: Any, headers: list[tuple[bytes, bytes]], expected: tuple[str | None, str]
) -> None:
    assert await seen_by_app(client, *headers) == expected


async def test_the_scheme_of_a_websocket_is_wss() -> None:
    assert await seen_by_app(("10.0.0.1", 1), PROTO, method="WEBSOCKET") == ("10.0.0.1", "wss")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'for=1.1.1.1, For="[2001:db8::1]:80";Proto=https;by=10.0.0.1', ("2001:db8::1", "https")),
        (b"for=_hidden;proto=https", ("10.0.0.1", "https")),
        (b"for=203.0.113.9;proto=http, for=10.0.0.2;proto=https", ("203.0.113.9", "https")),
    ],
)
async def test_the_standard_header_where_the_proxies_write_it(value: bytes, expected: tuple[str, str]) -> None:
    assert await seen_by_app(("10.0.0.1", 1), (b"forwarded", value), header="forwarded") == expected


async def test_a_header_that_the_proxy_only_hands_on_is_not_believed() -> None:
    """It came from the client: nginx, for one, knows nothing of Forwarded."""
    forged = (b"forwarded", b"for=9.9.9.9;proto=https")
    assert await seen_by_app(("10.0.0.1", 1), forged, (FOR, b"203.0.113.9")) == ("203.0.113.9", "http")
    assert await seen_by_app(("10.0.0.1", 1), forged) == ("10.0.0.1", "http")
    forged_too = [(FOR, b"9.9.9.9"), PROTO]
    real = (b"forwarded", b"for=203.0.113.9;proto=http")
    assert await seen_by_app(("10.0.0.1", 1), real, *forged_too, header="forwarded") == ("203.0.113.9", "http")
