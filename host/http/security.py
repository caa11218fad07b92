"""Who may talk to the host: Host and Origin checks, CORS, content types, security headers, the admin token.

The threats: pages of other sites that make a visitor's browser act on this host (cross-site request forgery, WebSocket
hijacking), names that are rebound to this machine's address (DNS rebinding), and pages of ours that are framed or
made to load foreign script. A client that is no browser sends no Origin and is none of these.
"""

import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from host.asgi import RawHeaders, Response
from host.descriptors import Scope
from host.errors import HttpProblem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_CSP = b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
_COMMON: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Pages, scripts, images: whatever a browser may show or run.
PAGE_HEADERS: RawHeaders = [
    *_COMMON,
    (b"content-security-policy", _CSP),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
# Data: should a browser ever show it as a page, that page may do nothing at all.
DATA_HEADERS: RawHeaders = [*_COMMON, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
SECURITY_NAMES = frozenset(name for name, _ in PAGE_HEADERS)
DATA_TYPES = frozenset(
    {b"application/json", b"application/problem+json", b"text/event-stream", b"text/plain; charset=utf-8"}
)

_EXPOSED = b"etag, location, ratelimit, ratelimit-policy, retry-after, x-request-id"
PREFLIGHT_MAX_AGE_S = 600
# Headers by which a proxy says for whom it asks: then the peer on loopback is not the client.
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
_TOKEN_LIST = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")
_KNOWN_HOSTS_MAX = 1024


@dataclass(slots=True)
class Policy:
    """What the configuration says about names and origins.

    `loopback`: nobody beyond this machine can connect. Then only names that cannot be another's are answered
    (localhost, its subdomains, IP addresses, `allowed_hosts`), so that no foreign name rebound to 127.0.0.1 gets in.
    Elsewhere an empty `allowed_hosts` answers to every name; otherwise the same rule holds.

    `cors_origins` are origins of other sites (`https://app.example`) whose pages may call and read; "*" is all of them.
    Nothing here lets cookies or other ambient credentials through.

    `hsts_max_age_s` is for how long a browser that got an answer by https asks for this site by https alone (RFC 6797);
    None says nothing about it.
    """

    loopback: bool = True
    allowed_hosts: Sequence[str] = ()
    cors_origins: Sequence[str] = ()
    hsts_max_age_s: float | None = None
    _hsts: RawHeaders = field(init=False, default_factory=list)
    _origins: frozenset[bytes] = field(init=False)
    _names: frozenset[str] = field(init=False)
    _known: dict[bytes, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.hsts_max_age_s is not None:
            self._hsts = [(b"strict-transport-security", b"max-age=%d" % self.hsts_max_age_s)]
        self._origins = frozenset(origin.rstrip("/").lower().encode() for origin in self.cors_origins)
        self._names = frozenset(name.lower().rstrip(".") for name in self.allowed_hosts)

    @property
    def has_cors(self) -> bool:
        """Whether any other site is let in, so that answers depend on the Origin."""
        return bool(self._origins)

    def is_known_host(self, host: bytes | None) -> bool:
        """Whether a Host header names this host. A request without one comes from no browser."""
        if host is None or not (self.loopback or self._names):
            return True
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _KNOWN_HOSTS_MAX:
                self._known.clear()
            known = self._known[host] = self._is_our_name(_name_of(host))
        return known

    def transport_headers(self, scheme: str, host: bytes | None) -> RawHeaders:
        """What an answer says about TLS.

        Nothing over plain http, where browsers must ignore it (RFC 6797 §8.1), and nothing for localhost: there it
        would bind every other server on that machine, too, whatever its port.
        """
        if scheme != "https" or not self._hsts or host is None:
            return []
        name = host.lower().partition(b":")[0]
        return [] if name == b"localhost" or name.endswith(b".localhost") else self._hsts

    def is_friend(self, origin: bytes) -> bool:
        """Whether pages of that origin, which is not ours, may call and read."""
        return b"*" in self._origins or (origin != b"null" and origin.lower() in self._origins)

    def _is_our_name(self, name: str) -> bool:
        if name == "localhost" or name.endswith(".localhost") or name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def is_same_origin(origin: bytes, host: bytes | None) -> bool:
    """Whether a page's Origin is the site that the request's Host names.

    The port is compared with the default of the origin's scheme; the scheme itself is not compared, because behind a
    proxy that ends TLS the page is https and the request http. "null" (sandboxed frames, data: URLs) is nobody.
    """
    if host is None or origin == b"null":
        return False
    scheme, separator, authority = origin.lower().partition(b"://")
    if not separator or scheme not in (b"http", b"https"):
        return False
    default = b":443" if scheme == b"https" else b":80"
    return authority.removesuffix(default) == host.lower().removesuffix(default)


def check_host(policy: Policy, host: bytes | None) -> None:
    """Refuse a request for another site's name. Raises `HttpProblem` 421."""
    if not policy.is_known_host(host):
        name = _name_of(host or b"")
        raise HttpProblem(421, f"this is not {name} — if it is, add the name to server.allowed_hosts")


def check_origin(policy: Policy, origin: bytes | None, host: bytes | None, *, cross_origin: bool) -> None:
    """Refuse a request that a foreign page makes its visitor's browser send. Raises `HttpProblem` 403."""
    if origin is None or cross_origin or is_same_origin(origin, host) or policy.is_friend(origin):
        return
    shown = origin.decode("latin-1")[:200]
    raise HttpProblem(403, f"pages of {shown} may not do this here", title="Foreign origin")


def check_content_type(headers: Mapping[bytes, bytes], accepted: frozenset[bytes]) -> None:
    """Refuse a body of a type that the mount does not take; an HTML form of any site could send it.

    Raises:
        HttpProblem: 415.
    """
    found = headers.get(b"content-type")
    if found is None:
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        if not has_body:
            return
        shown = "a body without a type"
    else:
        if found in accepted or found.partition(b";")[0].strip().lower() in accepted:
            return
        shown = found.decode("latin-1")[:100]
    takes = ", ".join(sorted(kind.decode() for kind in accepted))
    raise HttpProblem(415, f"{shown} is not taken here, send {takes}", headers={"Accept": takes})


def cors_headers(policy: Policy, origin: bytes | None, *, cross_origin: bool) -> RawHeaders:
    """What lets a page of another site read the answer; empty when it may not, but for Vary."""
    expose = (b"access-control-expose-headers", _EXPOSED)
    if cross_origin:
        return [(b"access-control-allow-origin", b"*"), expose] if origin is not None else []
    if not policy.has_cors:
        return []
    vary = (b"vary", b"origin")
    if origin is None or not policy.is_friend(origin):
        return [vary]
    return [(b"access-control-allow-origin", origin), expose, vary]


def preflight(policy: Policy, headers: Mapping[bytes, bytes], *, cross_origin: bool) -> Response | None:
    """The answer to a CORS preflight (WHATWG Fetch §4.8), None when the request is none or is from our own pages."""
    origin, method = headers.get(b"origin"), headers.get(b"access-control-request-method")
    if origin is None or method is None or is_same_origin(origin, headers.get(b"host")):
        return None
    check_origin(policy, origin, None, cross_origin=cross_origin)
    wanted = headers.get(b"access-control-request-headers", b"")
    answer: RawHeaders = [
        (b"access-control-allow-origin", b"*" if cross_origin else origin),
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
        (b"access-control-max-age", b"%d" % PREFLIGHT_MAX_AGE_S),
        (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
    ]
    if _TOKEN_LIST.fullmatch(wanted):
        # Named one by one: "*" would leave out Authorization.
        answer.append((b"access-control-allow-headers", wanted))
    return Response(204, b"", answer)


def admin_guard(token: str | None, *, loopback: bool) -> Callable[[Scope], None]:
    """What `PluginContext.require_admin` calls.

    On loopback everybody on this machine is the administrator, unless a proxy says that it asks for somebody else.
    Elsewhere the request shows `Authorization: Bearer TOKEN`, compared in constant time; so it does on loopback once
    it is forwarded.
    """
    expected = token.encode() if token else None

    def authorize(scope: Scope) -> None:
        headers = dict(scope["headers"])
        if loopback and not is_forwarded(headers):
            return
        if expected is None:
            raise HttpProblem(403, "this needs the admin token, and none is configured — set admin.token")
        scheme, _, shown = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not shown:
            raise HttpProblem(401, "this needs the admin token", headers={"WWW-Authenticate": 'Bearer realm="admin"'})
        if not hmac.compare_digest(shown.strip(), expected):
            raise HttpProblem(403, "this is not the admin token")

    return authorize


def is_forwarded(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a proxy says that it asks for somebody else; believed or not, the peer is then not the client."""
    return not _FORWARDED.isdisjoint(headers)


def _name_of(host: bytes) -> str:
    """The name or address in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host.decode('ascii')}").hostname or "").rstrip(".")
    except ValueError:
        return ""
