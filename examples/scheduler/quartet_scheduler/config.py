"""The section `[plugins.scheduler]` of config.toml."""

from typing import Annotated
from urllib.parse import urlsplit

from host.api import Duration
from pydantic import BaseModel, ConfigDict, Field, field_validator

Count = Annotated[int, Field(ge=1)]
Time = Annotated[Duration, Field(gt=0)]


class Config(BaseModel):
    """What can be set. Every key has a default, so that `enabled = true` is enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Jobs that there may be; one more is refused with 507.
    jobs_max: Count = 1000
    # Runs under way at a time on this host; further ones wait for a host that has room.
    running_max: Count = 8
    # The longest that this host sleeps before it looks at the jobs again.
    look_interval: Time = 1.0
    # A run that starts no later than this was in time; beyond it, `missed` of its job decides.
    grace: Time = 60.0
    # The most missed times that are caught up on, the latest ones.
    catch_up_max: Annotated[int, Field(ge=1, le=1000)] = 100
    # How long an action may take; then it has failed.
    action_timeout: Time = 30.0
    # How much longer than that a run may stand as "running" before its host counts as dead.
    lease_margin: Time = 15.0
    # Runs kept of each job.
    runs_kept_max: Count = 200
    # The origins that jobs may call, such as "http://127.0.0.1:3000"; without any, jobs can only NOTIFY.
    http_targets: tuple[str, ...] = ()

    @field_validator("http_targets")
    @classmethod
    def check_targets(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no origin: a path in it would look like a limit that is none."""
        for target in targets:
            parts = urlsplit(target)
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or parts.path
                or parts.query
                or "@" in target
            ):
                raise ValueError(f'expected an origin such as "http://127.0.0.1:3000", found {target!r}')
        return tuple(target.lower() for target in targets)
