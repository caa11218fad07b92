"""The sections of config.toml that belong to the host, as frozen, typed models. config.toml describes each key.

The defaults are here; config.toml repeats them, and a test keeps the two equal.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from host.config_sources import RawConfig
from host.secret import Secret, ServiceUrl
from host.units import Duration, unusable

PLUGIN_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def _to_path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise unusable("a path")


# Strict, so that `port = true` is not port 1; sequences are tuples, so that a frozen model is frozen to its leaves.
FilePath = Annotated[Path, BeforeValidator(_to_path)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Section(BaseModel):
    """What all sections share: unknown keys are errors, and nothing changes after the configuration was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerSettings(Section):
    """`[server]`: where the site listens and who may talk to it."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    engine: Literal["hypercorn", "native"] = "hypercorn"
    certfile: FilePath | None = None
    keyfile: FilePath | None = None
    allowed_hosts: Texts = ()
    cors_origins: Texts = ()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        if self.host == "localhost":
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


class PostgresSettings(Section):
    """`[postgres]`: the database lent to plugins, and how much of it each may use."""

    url: ServiceUrl = ServiceUrl("embedded")
    connections_max: Count = 10
    acquire_timeout: Duration = 5.0


class RedisSettings(Section):
    """`[redis]`: the Redis lent to plugins."""

    url: ServiceUrl = ServiceUrl("embedded")
    timeout: Duration = 5.0


class DataSettings(Section):
    """`[data]`: where the host and its plugins keep files."""

    dir: FilePath = Path("data")


class LogSettings(Section):
    """`[log]`: how much is logged, and in which form."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


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
