"""Just enough of the two protocols to see that a server answers, and to make the database: no driver, no pool.

Postgres: the start-up and simple-query messages of protocol 3.0 (postgresql.org/docs, chapter "Frontend/Backend
Protocol").
Redis: one inline PING.
"""

import struct
from pathlib import Path

import trio

_PROTOCOL_3_0 = 196608
_MESSAGE_BYTES_MAX = 1 << 20


class Refused(Exception):
    """The server answered with an error. `code` is the SQLSTATE, or the first word of a Redis error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


async def postgres_session(socket_path: Path, user: str, database: str, statements: tuple[str, ...] = ()) -> str:
    """Log in, run each of `statements` on its own, log out. Returns the server's version.

    Raises:
        Refused: the server says no, to the login or to a statement (the rest is not sent then).
        OSError, trio.BrokenResourceError: nobody answers.
    """
    stream = await trio.open_unix_socket(str(socket_path))
    async with stream:
        parameters = f"user\0{user}\0database\0{database}\0application_name\0quartet supervisor\0\0".encode()
        await stream.send_all(struct.pack("!ii", len(parameters) + 8, _PROTOCOL_3_0) + parameters)
        reader = _Reader(stream)
        version = await _until_ready(reader)
        for statement in statements:
            query = statement.encode() + b"\0"
            await stream.send_all(b"Q" + struct.pack("!i", len(query) + 4) + query)
            await _until_ready(reader)
        await stream.send_all(b"X" + struct.pack("!i", 4))
    return version


async def redis_ping(socket_path: Path) -> None:
    """Ask a Redis for a PONG.

    Raises:
        Refused: it answers something else, such as `LOADING`.
        OSError, trio.BrokenResourceError: nobody answers.
    """
    stream = await trio.open_unix_socket(str(socket_path))
    async with stream:
        await stream.send_all(b"PING\r\n")
        answer = await _Reader(stream).line()
    if answer != b"+PONG":
        text = answer[1:].decode(errors="replace")
        raise Refused(text.partition(" ")[0], text)


async def _until_ready(reader: "_Reader") -> str:
    """Read up to ReadyForQuery; the server_version if it was among the messages."""
    version = ""
    while True:
        kind, body = await reader.message()
        if kind == b"Z":
            return version
        if kind == b"S":
            name, value = body.split(b"\0")[:2]
            version = value.decode() if name == b"server_version" else version
        elif kind == b"E":
            fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
            raise Refused(fields.get(b"C", ""), fields.get(b"M", ""))
        elif kind == b"R" and body[:4] != b"\0\0\0\0":
            raise Refused("28000", "the server asks for a password")


class _Reader:
    """Reads exact amounts from a stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def message(self) -> tuple[bytes, bytes]:
        head = await self._exactly(5)
        length = int.from_bytes(head[1:], "big") - 4
        if not 0 <= length <= _MESSAGE_BYTES_MAX:
            raise trio.BrokenResourceError("not the protocol of Postgres")
        return head[:1], await self._exactly(length)

    async def line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            await self._more()
        return bytes(self._buffer.partition(b"\r\n")[0])

    async def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def _more(self) -> None:
        chunk = await self._stream.receive_some(65536)
        if not chunk or len(self._buffer) > _MESSAGE_BYTES_MAX:
            raise trio.BrokenResourceError("the server closed the connection")
        self._buffer += chunk
