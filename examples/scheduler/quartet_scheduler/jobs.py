"""What a job is: when, what, and what becomes of times that were missed."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from host.api import HttpProblem
from pydantic import BaseModel, ConfigDict, Field, field_validator

from quartet_scheduler.cron import parse_cron

JOB_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
CHANNEL = r"^[a-z_][a-z0-9_]{0,62}$"


class HttpCall(BaseModel):
    """An HTTP call. Any answer but a 2xx is a failure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["http"]
    url: Annotated[str, Field(max_length=2000)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    body: Annotated[str, Field(max_length=64 * 1024)] = ""
    content_type: Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]+$")] = "application/json"

    def check_origin(self, allowed: tuple[str, ...]) -> None:
        """Raise `HttpProblem` 422 unless the operator named the URL's origin."""
        try:
            parts = urlsplit(self.url)
            origin = f"{parts.scheme}://{parts.netloc}".lower()
        except ValueError:
            raise HttpProblem(422, f"this is no URL: {self.url!r}") from None
        if origin not in allowed:
            raise HttpProblem(422, f"{origin} is not in http_targets of [plugins.scheduler]")


class Notify(BaseModel):
    """A NOTIFY in Postgres, with the job and the due time as its payload. It commits with the run, or not at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["notify"]
    channel: Annotated[str, Field(pattern=CHANNEL)]


class Job(BaseModel):
    """What is to be done when.

    `missed` says what becomes of times that came while no host ran: "skip" notes the latest and runs none, "once" runs
    the latest of them, "all" runs each of them, up to `catch_up_max` of the configuration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: Annotated[str, Field(max_length=200)]
    zone: Annotated[str, Field(max_length=64)] = "UTC"
    missed: Literal["skip", "once", "all"] = "once"
    paused: bool = False
    action: Annotated[HttpCall | Notify, Field(discriminator="kind")]

    @field_validator("cron")
    @classmethod
    def check_cron(cls, text: str) -> str:
        """Refuse what cannot be read."""
        parse_cron(text)
        return text

    @field_validator("zone")
    @classmethod
    def check_zone(cls, name: str) -> str:
        """Refuse a zone that this machine does not know."""
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            raise ValueError(f"there is no time zone {name!r} on this machine") from None
        return name

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time after `moment`, in UTC; None when there is none."""
        return parse_cron(self.cron).next_after(moment, ZoneInfo(self.zone))


def due_times(job: Job, due: datetime, now: datetime, grace_s: float, catch_up_max: int) -> tuple[datetime, bool]:
    """Which due time to take now, given the first that was not taken yet, and whether to run it; False only notes it.

    A time within `grace_s` was not missed, merely late. Behind the time that is returned the job goes on.
    """
    if (now - due).total_seconds() <= grace_s:
        return due, True
    missed = _latest_missed(job, due, now, catch_up_max)
    if job.missed == "all":
        return missed[0], True
    latest = missed[-1]
    return latest, job.missed == "once" or (now - latest).total_seconds() <= grace_s


def _latest_missed(job: Job, due: datetime, now: datetime, count: int) -> list[datetime]:
    """The latest `count` due times from `due` to `now`, in order; at least one.

    Looked for in a window that grows: a year without a host is no year of minutes to go through.
    """
    # No job is due more than once a minute.
    window = timedelta(minutes=count)
    while True:
        start = now - window
        times = [due] if start < due else []
        at = due if times else start
        while (following := job.next_after(at)) is not None and following <= now:
            times.append(following)
            at = following
        if len(times) >= count or start < due:
            return times[-count:]
        window *= 2
