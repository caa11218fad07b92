"""The body of a response as httpx reads it, and who has the connection meanwhile."""

import warnings
from collections.abc import AsyncIterator

import httpx
import trio

from host.http.client_clocks import Timer
from host.http.client_connection import Connection


class ResponseBody(httpx.AsyncByteStream):
    """The body of one response, read from its connection as its reader asks.

    Gives the connection back at its end; `aclose` before that, also from another task, closes the connection and fails
    the reader. One reader at a time. A body that is forgotten unread has its connection closed by the garbage
    collector, with a ResourceWarning.
    """

    def __init__(self, connection: Connection, timer: Timer) -> None:
        self._connection: Connection | None = connection
        self._ended: Exception | None = None
        self._ready = connection.parser.take() if connection.parser.complete else b""
        self._timer = timer
        self._token: trio.lowlevel.TrioToken | None = None

    def begin(self) -> None:
        """Own the connection from now on; a response that is complete already gives it back."""
        connection = self._connection
        assert connection is not None
        if connection.parser.complete:
            self._connection = None
            connection.finish()
        else:
            self._token = trio.lowlevel.current_trio_token()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            if data := self._ready:
                self._ready = b""
                return data
            raise self._ended or StopAsyncIteration
        try:
            data = await connection.receive_body(self._timer)
        except BaseException as error:
            if self._connection is not connection:
                raise  # another task has closed the response, and that is why reading failed
            self._connection = None
            connection.abandon()
            # Asked again, a broken body must not look like one that has ended.
            cut = httpx.ReadError("The reader of the response was stopped before its end")
            self._ended = error if isinstance(error, httpx.TransportError) else cut
            raise
        if connection.parser.complete:
            self._connection = None
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """Done with this body; closes the connection unless the body has been read to its end. Never blocks."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._ended = httpx.ReadError("The response was closed before its end")
            connection.abandon()

    def __del__(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._token is not None:
            # The collector may run anywhere, even in another thread: the pool is touched by the loop alone.
            try:
                self._token.run_sync_soon(connection.abandon)
            except trio.RunFinishedError:
                return
            warnings.warn(f"A response from {connection.origin} was neither read nor closed", ResourceWarning, 1, self)
