"""The sections of config.toml that belong to the host, as frozen, typed models. config.toml describes each key.

The defaults are here; config.toml repeats them, and a test keeps the two equal.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    WrapSerializer,
    model_validator,
)

from host.config_sources import RawConfig
from host.descriptors import RateLimit
from host.http.access_log import AccessMode
from host.http.engine import ENGINES
from host.http.forwarded import UNIX, ForwardedHeader
from host.http.limits import Limits
from host.http.rate_limits import SITE_LIMIT, RateLimits
from host.secret import Secret, ServiceUrl
from host.units import Duration, Size, unusable

PLUGIN_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def _to_path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise unusable("a path")


FilePath = Annotated[Path, BeforeValidator(_to_path)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


def _off_to_none(value: object) -> object:
    return None if value == "off" else value


def _none_to_off(value: object, handler: SerializerFunctionWrapHandler) -> Any:
    return "off" if value is None else handler(value)


def _engine(value: object) -> object:
    if value not in ENGINES:
        raise unusable(" or ".join(f'"{name}"' for name in sorted(ENGINES)))
    return value


def _host_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?", value):
        raise unusable('a host name without scheme and port, such as "quartet.example"')
    return value


def _origin(value: str) -> str:
    if not re.fullmatch(r"\*|https?://[^/\s?#@]+", value):
        raise unusable('an origin such as "https://app.example", or "*"')
    return value


def _proxy(value: str) -> str:
    try:
        return value if value == UNIX else str(ip_network(value))
    except ValueError:
        raise unusable('an address, a network such as "10.0.0.0/8", or "unix"') from None


Items = Annotated[int, Field(ge=1)]
Bytes = Annotated[Size, Field(gt=0)]
Seconds = Annotated[Duration, Field(gt=0)]
# Tuples, so that a frozen model is frozen to its leaves; not strict, since TOML has arrays only.
HostNames = Annotated[tuple[Annotated[str, AfterValidator(_host_name)], ...], Field(strict=False)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], Field(strict=False)]
Proxies = Annotated[tuple[Annotated[str, AfterValidator(_proxy)], ...], Field(strict=False)]
EngineName = Annotated[str, BeforeValidator(_engine), WithJsonSchema({"enum": sorted(ENGINES)})]
# TOML has no null, so a limit that is not to be is "off".
OptionalItems = Annotated[
    Items | None, BeforeValidator(_off_to_none), WrapSerializer(_none_to_off, return_type=Any, when_used="json")
]
OptionalRate = Annotated[
    Annotated[float, Field(gt=0, le=1_000_000)] | None,
    BeforeValidator(_off_to_none),
    WrapSerializer(_none_to_off, return_type=Any, when_used="json"),
]
OptionalAge = Annotated[
    Duration | None, BeforeValidator(_off_to_none), WrapSerializer(_none_to_off, return_type=Any, when_used="json")
]
OptionalSeconds = Annotated[
    Seconds | None, BeforeValidator(_off_to_none), WrapSerializer(_none_to_off, return_type=Any, when_used="json")
]


class Section(BaseModel):
    """What all sections share: unknown keys are errors, and nothing changes after the configuration was read.

    Strict, so that `port = true` is not port 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_LIMITS: Final = Limits()


class LimitsSettings(Section):
    """`[server.limits]`: the sizes, counts and waits of `host.http.limits.Limits`, under the same names."""

    header_bytes_max: Bytes = _LIMITS.header_bytes_max
    header_count_max: Items = _LIMITS.header_count_max
    target_bytes_max: Bytes = _LIMITS.target_bytes_max
    body_bytes_max: Bytes = _LIMITS.body_bytes_max
    connections_max: Items = _LIMITS.connections_max
    connections_per_peer_max: OptionalItems = _LIMITS.connections_per_peer_max
    header_read_s: Seconds = _LIMITS.header_read_s
    keep_alive_s: Seconds = _LIMITS.keep_alive_s
    tls_handshake_s: Seconds = _LIMITS.tls_handshake_s
    request_s: Seconds = _LIMITS.request_s
    write_stall_s: Seconds = _LIMITS.write_stall_s
    grace_s: Seconds = _LIMITS.grace_s
    backlog_connections: Items = _LIMITS.backlog_connections
    receive_queue_messages: Items = _LIMITS.receive_queue_messages
    websocket_message_bytes_max: Bytes = _LIMITS.websocket_message_bytes_max
    websocket_queue_bytes_max: Bytes = _LIMITS.websocket_queue_bytes_max
    websocket_ping_s: OptionalSeconds = _LIMITS.websocket_ping_s
    websocket_pong_s: Seconds = _LIMITS.websocket_pong_s
    websocket_close_s: Seconds = _LIMITS.websocket_close_s

    def to_limits(self) -> Limits:
        """The same as the record that engines and the dispatcher take."""
        return Limits(**dict(self))


_RATES: Final = RateLimits()


class RateLimitSettings(Section):
    """`[server.rate_limit]`: how often one client may change something. None for `requests_per_s` is "off"."""

    requests_per_s: OptionalRate = SITE_LIMIT.per_s
    burst_requests: Items = SITE_LIMIT.burst
    clients_max: Items = _RATES.clients_max
    exempt_loopback: bool = _RATES.exempt_loopback

    def to_rates(self) -> RateLimits:
        """The same as the record that the dispatcher takes."""
        site = None if self.requests_per_s is None else RateLimit(self.requests_per_s, self.burst_requests)
        return RateLimits(site, self.clients_max, self.exempt_loopback)


class ServerSettings(Section):
    """`[server]`: where the site listens and who may talk to it."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    engine: EngineName = "native"
    certfile: FilePath | None = None
    keyfile: FilePath | None = None
    keyfile_password: Secret | None = None
    allowed_hosts: HostNames = ()
    cors_origins: Origins = ()
    trusted_proxies: Proxies = ()
    forwarded_header: ForwardedHeader = "x-forwarded"
    hsts_max_age: OptionalAge = 30 * 86_400.0
    limits: LimitsSettings = LimitsSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        if self.host == "localhost" or self.host.startswith("unix:"):
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _certificate_has_key(self) -> Self:
        if (self.certfile is None) != (self.keyfile is None):
            raise unusable("certfile and keyfile together", "only one of them")
        return self


class AdminSettings(Section):
    """`[admin]`: who may break and administer things when the site can be reached from elsewhere."""

    token: Secret | None = None


def _scheme(*schemes: str) -> AfterValidator:
    """What an address other than "embedded" must begin with."""

    def check(url: ServiceUrl) -> ServiceUrl:
        scheme = url.reveal().partition("://")[0]
        if not url.is_embedded and scheme not in schemes:
            wanted = " or ".join(f"{scheme}://" for scheme in schemes)
            raise unusable(f'"embedded" or a URL that begins with {wanted}', f"{scheme}://…")
        return url

    return AfterValidator(check)


class PostgresSettings(Section):
    """`[postgres]`: the database lent to plugins, and how much of it each may use."""

    url: Annotated[ServiceUrl, _scheme("postgresql", "postgres")] = ServiceUrl("embedded")
    connections_max: Count = 10
    acquire_timeout: Duration = 5.0
    response_timeout: Duration = 30.0


class RedisSettings(Section):
    """`[redis]`: the Redis lent to plugins."""

    url: Annotated[ServiceUrl, _scheme("redis", "rediss", "unix")] = ServiceUrl("embedded")
    timeout: Duration = 5.0


class DataSettings(Section):
    """`[data]`: where the host and its plugins keep files."""

    dir: FilePath = Path("data")


class LogSettings(Section):
    """`[log]`: how much is logged, and in which form."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: AccessMode = "off"


class PluginSettings(Section):
    """The keys of every `[plugins.NAME]` that belong to the host; a plugin's own model may not declare them.

    `enabled` None means: built-in plugins are, others are not. `postgres_connections_max` None means that of
    `[postgres]`.
    """

    enabled: bool | None = None
    on_failure: Literal["restart", "stop", "exit"] = "restart"
    restart_intensity: Annotated[int, Field(ge=0, le=1000)] = 5
    restart_window: Duration = 60.0
    threads_max: Annotated[int, Field(ge=1, le=1000)] = 8
    postgres_connections_max: Count | None = None


class Settings(Section):
    """The whole configuration of the host. `plugins` holds the raw sections of plugins, which their models check.

    `path` is the file that was read, None when there was none. The raw sections are left out of `repr` and dumps,
    because they may hold, unchecked, what a plugin's model calls a secret.
    """

    server: ServerSettings = ServerSettings()
    admin: AdminSettings = AdminSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    data: DataSettings = DataSettings()
    log: LogSettings = LogSettings()
    plugins: Annotated[Mapping[str, Any], Field(exclude=True, repr=False)] = {}
    path: Annotated[Path | None, Field(exclude=True)] = None

    _raw: RawConfig = PrivateAttr(default_factory=lambda: RawConfig(None))
    _env: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _fingerprints: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def raw(self) -> RawConfig:
        """The merged data behind these settings and where each value was given."""
        return self._raw

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that references to secrets are looked up in."""
        return self._env

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """A digest of each plugin's section, with the content of the secret files that it refers to."""
        return self._fingerprints

    def is_enabled(self, name: str, *, built_in: bool) -> bool:
        """Whether the plugin is to be imported and run: as its section says, else whether it is a built-in."""
        section = self.plugins.get(name)
        enabled = section.get("enabled") if isinstance(section, Mapping) else None
        return enabled if isinstance(enabled, bool) else built_in


SECTIONS: Final[Mapping[str, type[Section]]] = {
    "server": ServerSettings,
    "admin": AdminSettings,
    "postgres": PostgresSettings,
    "redis": RedisSettings,
    "data": DataSettings,
    "log": LogSettings,
}
RESERVED_KEYS: Final = frozenset(PluginSettings.model_fields)


def reserved_in(model: type[BaseModel]) -> Iterable[str]:
    """The keys of a plugin's model that belong to the host, by name or alias, sorted."""
    names = {alias for name, info in model.model_fields.items() for alias in (name, info.alias) if alias}
    return sorted(names & RESERVED_KEYS)
