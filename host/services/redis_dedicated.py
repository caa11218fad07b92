"""A Redis connection lent to one task: for commands that block, and for WATCH … MULTI … EXEC."""

import math
from typing import Any

import trio

from host.errors import OutcomeUnknown, ServiceUnavailable
from host.services.redis_commands import Commands, block_s, pack, refuse_out_of_step, shape, verb_of
from host.services.redis_connection import BROKEN, Connection, describe
from host.services.redis_pipeline import Pipeline


class Dedicated(Commands):
    """redis-py's commands, one at a time, by one task at a time.

    A command has `timeout_s` for its reply, and one that blocks what it asked the server for on top (`BLPOP key 0`
    waits for ever: put a cancel scope round it). A command cancelled or overdue closes the connection, as its reply
    is still to come; what it pops at the server in that moment is lost, as with every Redis client.
    """

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._closed_because = ""
        self._is_busy = False

    def pipeline(self, transaction: bool = True) -> Pipeline:
        """A pipeline over this connection; after `watch`, it raises WatchError when a watched key has changed."""
        return Pipeline(self._execute_packed, transaction=transaction)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its reply in redis-py's shape.

        Raises:
            ServiceUnavailable: the connection was closed before; nothing was sent.
            OutcomeUnknown: sent, and the connection was lost, or the time is up. The connection is closed.
            redis.exceptions.ResponseError: an error reply.
            HostError: a command after which replies would not match commands any more.
            trio.BusyResourceError: another task is at it.
        """
        verb = verb_of(args[0])
        if verb.is_risky:
            refuse_out_of_step(verb, args)
        timeout_s = self._timeout_s + (block_s(verb, args) or 0.0)
        reply = (await self._exchange(pack(verb, args), 1, timeout_s))[0]
        return shape(verb, reply, options)

    async def _execute_packed(self, data: bytes, due: int) -> list[Any]:
        return await self._exchange(data, due, self._timeout_s)

    async def _exchange(self, data: bytes, due: int, timeout_s: float) -> list[Any]:
        if self._is_busy:
            raise trio.BusyResourceError("another task is using this dedicated Redis connection: open one per task")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed_because:
            raise ServiceUnavailable(f"this dedicated Redis connection is closed: {self._closed_because}")
        self._is_busy = True
        try:
            with trio.move_on_after(timeout_s if timeout_s < math.inf else math.inf):
                return await self._connection.exchange(data, due)
            self.close(f"Redis did not answer within {timeout_s:g} s")
        except BROKEN as error:
            self.close(describe(error))
        except BaseException:
            self.close("a command was cancelled before its reply came")
            raise
        finally:
            self._is_busy = False
        raise OutcomeUnknown(
            f"the dedicated connection to Redis was lost before the reply came: {self._closed_because}"
        )

    def close(self, reason: str) -> None:
        """Close at once; later commands are refused with `reason`."""
        self._closed_because = self._closed_because or reason
        self._connection.close()
