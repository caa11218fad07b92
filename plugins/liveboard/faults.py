"""Killing the service on purpose, from the proof drawer: what was saved is in the database, everybody comes back."""

from typing import Final

import trio

from host.api import HostError, HttpProblem, Operation, Request, Response, Router, json_response
from plugins.liveboard.settings import Settings

CRASH_PATH: Final = "/api/liveboard/faults/crash"
OPERATIONS: Final = (
    Operation(
        "POST",
        CRASH_PATH,
        "Kill the service, to see that nothing saved is lost; the host starts it again.",
        responses={202: "It dies now.", 403: "Not on this host.", 429: "It has only just come up."},
    ),
)


class KilledOnPurpose(HostError):
    """A visitor killed the service. It is no defect, and is dealt with as if it were one."""


class Faults:
    """One run of the service, until somebody kills it: its boards are forgotten and its sockets drop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._up_since_s: float | None = None
        self._killed = trio.Event()

    def add_to(self, router: Router) -> None:
        router.post(CRASH_PATH)(self.crash)

    async def run(self) -> None:
        """Wait to be killed.

        Raises:
            KilledOnPurpose: somebody did.
        """
        self._up_since_s = trio.current_time()
        await self._killed.wait()
        raise KilledOnPurpose("killed from the proof drawer")

    async def crash(self, request: Request) -> Response:
        interval_s = self.settings.crash_interval
        if interval_s == 0:
            raise HttpProblem(403, "this host lets nobody kill its board")
        # The host gives a plugin up that dies too often: one that was killed is left alone for a while.
        wait_s = interval_s - (trio.current_time() - (self._up_since_s or trio.current_time()))
        if wait_s > 0:
            headers = {"Retry-After": str(round(wait_s + 0.5))}
            raise HttpProblem(429, f"it has only just come up; try again in {wait_s:.0f} s", headers=headers)
        self._killed.set()
        return json_response({}, status=202)
