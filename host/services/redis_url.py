"""Where a Redis is and who we are there, read from a URL.

- `unix:///run/redis.sock?db=0` (`password` and `username` in the query or before the `@`)
- `redis://user:password@host:6379/0`
- `rediss://…` is the same over TLS; `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` name PEM files, and
  `ssl_cert_reqs=none` trusts anybody.
"""

import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from host.errors import HostError

PORT_DEFAULT = 6379
_QUERY_KEYS = frozenset({"db", "username", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs"})


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A parsed URL. Its `str` and `repr` leave the password out, so it may stand in logs and messages.

    `path` is a Unix socket; where it is None, `host` and `port` are used.
    """

    path: str | None = None
    host: str = "localhost"
    port: int = PORT_DEFAULT
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    uses_tls: bool = False
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    verifies_peer: bool = True

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.uses_tls else 'redis'}://{host}:{self.port}/{self.db}"

    def tls_context(self) -> ssl.SSLContext:
        """A fresh TLS context; reads the PEM files.

        Raises:
            OSError: a file cannot be read, or is no PEM (`ssl.SSLError` is an OSError).
        """
        context = ssl.create_default_context(cafile=self.ca_certs)
        if not self.verifies_peer:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certfile is not None:
            context.load_cert_chain(self.certfile, self.keyfile)
        return context


def parse_redis_url(url: str) -> RedisAddress:
    """Read a Redis URL.

    Raises:
        HostError: another scheme, an unknown query key, or a number that is none. The message has no password in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("unix", "redis", "rediss"):
        raise HostError(f"a Redis URL starts with unix://, redis:// or rediss://, not {parts.scheme or 'nothing'!r}")
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    if unknown := sorted(query.keys() - _QUERY_KEYS):
        raise HostError(f"a Redis URL has no query key {unknown[0]!r}; known are {', '.join(sorted(_QUERY_KEYS))}")
    if query.get("ssl_cert_reqs", "required") not in ("required", "none"):
        raise HostError("ssl_cert_reqs in a Redis URL is 'required' or 'none'")
    is_unix = parts.scheme == "unix"
    if is_unix and not parts.path:
        raise HostError("a unix:// Redis URL needs the path of the socket: unix:///run/redis.sock")
    return RedisAddress(
        path=unquote(parts.path) if is_unix else None,
        host=parts.hostname or "localhost",
        port=_port(parts),
        db=_db(query.get("db") or ("" if is_unix else parts.path.strip("/"))),
        username=_text(parts.username) or query.get("username"),
        password=_text(parts.password) or query.get("password"),
        uses_tls=parts.scheme == "rediss",
        ca_certs=query.get("ssl_ca_certs"),
        certfile=query.get("ssl_certfile"),
        keyfile=query.get("ssl_keyfile"),
        verifies_peer=query.get("ssl_cert_reqs") != "none",
    )


def _text(part: str | None) -> str | None:
    return unquote(part) if part else None


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or PORT_DEFAULT
    except ValueError as error:
        raise HostError("the port in a Redis URL is a number from 0 to 65535") from error


def _db(text: str) -> int:
    if text and not text.isdecimal():
        raise HostError(f"the database in a Redis URL is a number, not {text!r}")
    return int(text or 0)
