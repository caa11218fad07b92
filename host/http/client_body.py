"""A response: its status and headers, and its body as it is read; and who has the connection meanwhile."""

import warnings
from collections.abc import AsyncIterator

import httpx
import trio

from host.http.client_clocks import Timer
from host.http.client_connection import Connection


class Reply(httpx.AsyncByteStream):
    """One response, whose body is read from its connection as its reader asks: `async for part in reply`.

    Gives the connection back at its end; `close` before that, also from another task, closes the connection and fails
    the reader. One reader at a time. A reply that is forgotten unread has its connection closed by the garbage
    collector, with a ResourceWarning.

    `status`, `reason`, `http_version` and `headers` are as they came; `timer` goes on until the body's end.
    """

    def __init__(self, connection: Connection, timer: Timer) -> None:
        parser = connection.parser
        self.status = parser.status
        self.headers = parser.headers
        self.reason = parser.reason
        self.http_version = b"HTTP/1.1" if parser.version == "1.1" else b"HTTP/1.0"
        self.timer = timer
        self._connection: Connection | None = connection
        self._ended: Exception | None = None
        self._ready = parser.take() if parser.complete else b""
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
            data = await connection.receive_body(self.timer)
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

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header of that name (lower case), or None."""
        for key, value in self.headers:
            if len(key) == len(name) and key.lower() == name:
                return value
        return None

    def decoded(self) -> AsyncIterator[bytes]:
        """The body without its Content-Encoding. What was not encoded costs nothing; for the rest see httpx."""
        if (self.header(b"content-encoding") or b"identity").lower() == b"identity":
            return self
        return httpx.Response(self.status, headers=self.headers, stream=self).aiter_bytes()

    def close(self) -> None:
        """Done with this reply; closes the connection unless the body has been read to its end. Does not block."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._ended = httpx.ReadError("The response was closed before its end")
            connection.abandon()

    async def aclose(self) -> None:
        """`close`, by httpx's name."""
        self.close()

    def __del__(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._token is not None:
            # The collector may run anywhere, even in another thread: the pool is touched by the loop alone.
            try:
                self._token.run_sync_soon(connection.abandon)
            except trio.RunFinishedError:
                return
            warnings.warn(f"A response from {connection.origin} was neither read nor closed", ResourceWarning, 1, self)
