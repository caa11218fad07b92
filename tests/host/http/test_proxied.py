"""Behind a proxy, and over TLS, on real sockets: who is believed about the client, and what answers say about TLS."""

import json
import ssl
from typing import Any

import httpx
import pytest

from host.asgi import json_response
from host.descriptors import ASGIApp, Mount, Receive, Scope, Send
from host.http.dispatcher import Dispatcher
from host.http.forwarded import ForwardedHeader, TrustedProxies
from host.http.security import Policy
from tests.host.http.serving import UPGRADE, every_engine, serving
from tests.host.http.test_hypercorn_engine import CERTIFICATE

HSTS = "strict-transport-security"
FORWARDED: dict[ForwardedHeader, dict[str, str]] = {
    "x-forwarded": {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"},
    "forwarded": {"Forwarded": "for=203.0.113.9;proto=https"},
}


async def seen(scope: Scope, receive: Receive, send: Send) -> None:
    """Says whom it takes the client for, and by which scheme it came."""
    answer = json_response([scope["client"][0], scope["scheme"]])
    if scope["type"] == "http":
        await answer.send(send)
        return
    await send({"type": "websocket.http.response.start", "status": 403, "headers": answer.headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})


def site(hsts_max_age_s: float | None = 3600) -> ASGIApp:
    """The dispatcher with one mount."""
    policy = Policy(loopback=False, cors_origins=["https://app.example"], hsts_max_age_s=hsts_max_age_s)
    dispatcher = Dispatcher(policy=policy)
    dispatcher.mount("plugin", [Mount("/api", seen)])
    return dispatcher


async def ask(port: int, headers: dict[str, str], host: str = "quartet.example", method: str = "GET") -> Any:
    async with httpx.AsyncClient() as client:
        return await client.request(method, f"http://127.0.0.1:{port}/api", headers={"Host": host, **headers})


@every_engine
@pytest.mark.parametrize("header", FORWARDED)
async def test_a_trusted_proxy_is_believed_and_anybody_else_is_not(engine_name: str, header: ForwardedHeader) -> None:
    headers = FORWARDED[header]
    for proxies, client, scheme in (("127.0.0.0/8", "203.0.113.9", "http"), ("10.0.0.0/8", "127.0.0.1", "http")):
        is_believed = client != "127.0.0.1"
        async with serving(TrustedProxies(site(), [proxies], header), engine_name=engine_name) as server:
            answer = await ask(server.port, headers)
            assert answer.json() == [client, scheme + "s" * is_believed]
            assert (HSTS in answer.headers) is is_believed
            async with await server.connect() as peer:
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
                await peer.send(UPGRADE % (b"api", lines))
                body = (await peer.to_end()).partition(b"\r\n\r\n")[2]
                found = body[body.index(b"[") : body.index(b"]") + 1]
                assert json.loads(found) == [client, "ws" + "s" * is_believed]


@every_engine
async def test_without_a_configured_proxy_nobody_is_believed(engine_name: str) -> None:
    async with serving(site(), engine_name=engine_name) as server:
        for headers in FORWARDED.values():
            answer = await ask(server.port, headers)
            assert answer.json() == ["127.0.0.1", "http"]
            assert HSTS not in answer.headers


@every_engine
async def test_what_is_said_about_tls_behind_a_proxy(engine_name: str) -> None:
    app = TrustedProxies(site(), ["127.0.0.1/32"])
    async with serving(app, engine_name=engine_name) as server:
        https = {"X-Forwarded-Proto": "https"}
        assert (await ask(server.port, https)).headers[HSTS] == "max-age=3600"
        assert HSTS not in (await ask(server.port, {"X-Forwarded-Proto": "http"})).headers
        assert HSTS not in (await ask(server.port, https, "localhost:8000")).headers
        assert HSTS not in (await ask(server.port, https, "site.localhost")).headers
        assert (await ask(server.port, https, "mylocalhost")).headers[HSTS] == "max-age=3600"
        preflight = {**https, "Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        answer = await ask(server.port, preflight, method="OPTIONS")
        assert (answer.status_code, answer.headers[HSTS]) == (204, "max-age=3600")
        assert len(answer.headers.get_list("vary")) == 1


@pytest.mark.parametrize(("age_s", "said"), [(3600.0, "max-age=3600"), (0.0, "max-age=0"), (None, None)])
async def test_what_is_said_about_tls_over_tls(age_s: float | None, said: str | None) -> None:
    context = ssl.create_default_context(cafile=CERTIFICATE.certfile)
    async with serving(site(age_s), tls=CERTIFICATE) as server, httpx.AsyncClient(verify=context) as client:
        url = f"https://127.0.0.1:{server.port}/api"
        options = {"headers": {"Host": "quartet.example"}, "extensions": {"sni_hostname": "localhost"}}
        answer = await client.get(url, **options)  # type: ignore[arg-type]
        assert answer.json() == ["127.0.0.1", "https"]
        assert answer.headers.get(HSTS) == said
