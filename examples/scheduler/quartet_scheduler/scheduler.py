"""The scheduler of one host: claims what is due while it has room, and acts."""

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

import httpx
import trio
from host.api import Figure, OutcomeUnknown, PluginContext, ServiceUnavailable

from quartet_scheduler.config import Config
from quartet_scheduler.jobs import HttpCall
from quartet_scheduler.store import Claim, Limits, Store

ANSWER_BYTES_MAX = 64 * 1024


def open_store(ctx: PluginContext) -> Store:
    """The store, bounded as configured."""
    config: Config = ctx.config
    limits = Limits(
        jobs_max=config.jobs_max,
        runs_kept_max=config.runs_kept_max,
        catch_up_max=config.catch_up_max,
        grace_s=config.grace,
        lease_s=config.action_timeout + config.lease_margin,
    )
    return Store(ctx.postgres, limits)


class Scheduler:
    """One run of the plugin. `name` tells this host from others in the list of runs."""

    def __init__(self, ctx: PluginContext) -> None:
        self.ctx = ctx
        self.config: Config = ctx.config
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.store = open_store(ctx)
        self._running = 0
        self._changed = trio.Event()

    async def run_due(self) -> None:
        """Run what is due, for ever.

        Once the plugin drains, nothing more is claimed and what is under way may end. Cancelled, an action that is
        under way may or may not have happened: its run turns "unknown" with its lease.
        """
        async with trio.open_nursery() as nursery:
            while not self.ctx.draining.is_set():
                self._changed = trio.Event()
                try:
                    took_one = self._running < self.config.running_max and await self._take_one(nursery)
                    seconds = 0.0 if took_one else await self._wait_s()
                except (ServiceUnavailable, OutcomeUnknown) as error:
                    # A restart of the plugin would cut off what is under way; a claim that is in doubt expires.
                    self.ctx.log.warning("the jobs cannot be read", error=str(error))
                    seconds = self.config.look_interval
                if seconds:
                    await self._sleep(seconds)

    async def run_expiry(self) -> None:
        """Give up the runs of dead hosts, for ever."""
        while True:
            with suppress(ServiceUnavailable, OutcomeUnknown):
                expired = await self.store.expire()
                self.ctx.metrics["runs_total"].labels("unknown").inc(expired)
            await trio.sleep(self.config.lease_margin)

    def look_again(self) -> None:
        """Look at the jobs at once: one was changed."""
        self._changed.set()

    async def run(self, claim: Claim) -> str:
        """Act on a claim and return the state that the run ended in."""
        began = time.perf_counter()
        action = claim.job.action
        if isinstance(action, HttpCall):
            state, detail = await self._call(claim, action)
            noted = await self.store.finish(claim, state, detail)
        else:
            state, detail = "done", f"NOTIFY {action.channel}"
            noted = await self.store.finish(claim, state, detail, notify=action.channel)
        if not noted:
            state = "unknown"
        self.ctx.metrics["runs_total"].labels(state).inc()
        self.ctx.metrics["run_seconds"].observe(time.perf_counter() - began)
        return state

    async def figures(self) -> Sequence[Figure]:
        """What the overview shows."""
        return [Figure("under way", self._running, measured_at=time.time())]

    async def _take_one(self, nursery: trio.Nursery) -> bool:
        """Claim a due time, begin its run, and say whether there was one."""
        claim, took_one = await self.store.claim(self.name)
        if claim is not None:
            self._running += 1
            nursery.start_soon(self._run_counted, claim)
        return took_one

    async def _run_counted(self, claim: Claim) -> None:
        try:
            await self.run(claim)
        except (ServiceUnavailable, OutcomeUnknown) as error:
            # How it ended cannot be noted now; its lease expires, and it stands as "unknown".
            self.ctx.log.warning("the end of a run was not noted", job=claim.name, error=str(error))
        finally:
            self._running -= 1
            self._changed.set()

    async def _call(self, claim: Claim, action: HttpCall) -> tuple[str, str]:
        """Make the job's HTTP call; what came of it, as state and detail."""
        headers = {
            "content-type": action.content_type,
            # The receiver can tell a repetition by it, whatever is between us.
            "idempotency-key": f"{claim.name}/{claim.due.isoformat()}",
        }
        try:
            with trio.fail_after(self.config.action_timeout):
                async with self.ctx.http.stream(
                    action.method, action.url, headers=headers, content=action.body.encode(), follow_redirects=False
                ) as answer:
                    return ("done" if answer.is_success else "failed"), f"status {answer.status_code}"
        except (trio.TooSlowError, httpx.TimeoutException):
            return "failed", f"no answer within {self.config.action_timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return "failed", str(error) or type(error).__name__

    async def _wait_s(self) -> float:
        """How long there is nothing to do: until the next due time, at most the look interval."""
        longest_s = self.config.look_interval
        if self._running >= self.config.running_max:
            return longest_s
        wait_s = await self.store.wait_s()
        # Another host may be at it this moment: a time that is past is no reason to ask at once again.
        return wait_s if wait_s is not None and 0 < wait_s < longest_s else longest_s

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless a job changes, a run ends or the plugin drains."""
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when, self._changed, nursery.cancel_scope)
                nursery.start_soon(_cancel_when, self.ctx.draining, nursery.cancel_scope)


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
