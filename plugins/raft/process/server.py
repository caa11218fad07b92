"""What comes in over TCP: peers' messages, and clients that send many commands ahead."""

from collections.abc import Callable
from typing import Final

import trio

from plugins.raft.core.codec import Malformed, decode_message
from plugins.raft.core.effects import Reason
from plugins.raft.process.wire import (
    PEER,
    Frames,
    Hello,
    Told,
    WireError,
    decode_hello,
    decode_request,
    encode_answers,
    framed,
)
from plugins.raft.requests import Fate
from plugins.raft.shell import Shell, ShellStopped

READ_BYTES: Final = 256 * 1024
HELLO_TIMEOUT_S: Final = 5.0
UNANSWERED_MAX: Final = 16_384
"""Commands of one client without an answer; then it is read no more until some are answered."""
SEND_TIMEOUT_S: Final = 10.0


class Server:
    """Serves connections for one node. `urls` learns where the peers serve HTTP."""

    def __init__(self, shell: Shell, log: Callable[[str], None]) -> None:
        self._shell = shell
        self._log = log
        self.urls: dict[int, str] = {}

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end. Whatever it sends, nothing else is hurt."""
        frames = Frames()
        try:
            with trio.fail_after(HELLO_TIMEOUT_S):
                hello, payloads = await _hello_of(stream, frames)
            if hello.to != self._shell.id:
                raise WireError(f"node {hello.sender} looks for node {hello.to}, this is node {self._shell.id}")
            if hello.kind == PEER:
                self.urls[hello.sender] = hello.url
                await self._serve_peer(stream, frames, hello.sender, payloads)
            else:
                await _ClientConnection(self._shell, stream).serve(frames, payloads)
        except (WireError, Malformed) as error:
            self._log(f"a connection was ended: {error}")
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass

    async def _serve_peer(self, stream: trio.SocketStream, frames: Frames, sender: int, payloads: list[bytes]) -> None:
        receive = self._shell.receive
        while True:
            for payload in payloads:
                message = decode_message(payload)
                if message.sender != sender:
                    raise WireError(f"node {sender} speaks for node {message.sender}")
                receive(message)
            data = await stream.receive_some(READ_BYTES)
            if not data:
                return
            payloads = frames.feed(bytes(data))


async def _hello_of(stream: trio.SocketStream, frames: Frames) -> tuple[Hello, list[bytes]]:
    while True:
        data = await stream.receive_some(READ_BYTES)
        if not data:
            raise WireError("a connection ended before its hello")
        payloads = frames.feed(bytes(data))
        if payloads:
            return decode_hello(payloads[0]), payloads[1:]


class _ClientConnection:
    """One client. Answers gather while the writer is busy, and leave together."""

    def __init__(self, shell: Shell, stream: trio.SocketStream) -> None:
        self._shell = shell
        self._stream = stream
        self._answers: list[Told] = []
        self._wake = trio.Event()
        self._room = trio.Event()
        self._unanswered = 0
        self._is_over = False

    async def serve(self, frames: Frames, payloads: list[bytes]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            try:
                while True:
                    for payload in payloads:
                        self._take(payload)
                    while self._unanswered > UNANSWERED_MAX:
                        self._room = trio.Event()
                        await self._room.wait()
                    data = await self._stream.receive_some(READ_BYTES)
                    if not data:
                        return
                    payloads = frames.feed(bytes(data))
            finally:
                self._is_over = True
                nursery.cancel_scope.cancel(reason="the client left")

    def _take(self, payload: bytes) -> None:
        request = decode_request(payload)
        shell = self._shell
        if request and isinstance(request[0], int):
            tag, key = request
            self._unanswered += 1
            try:
                shell.read_into(key, self.finish, tag)
            except ShellStopped:
                self.finish(tag, Fate.REFUSED, 0, "no-leader", 0)
            return
        self._unanswered += len(request)
        for tag, command in request:
            shell.submit(command, self.finish, tag)

    def finish(self, tag: int, fate: Fate, index: int, value: bytes | Reason, leader: int) -> None:
        """A request has its answer (`requests.Sink`)."""
        if self._is_over:
            return
        self._answers.append(Told(tag, fate, index, leader, value if type(value) is bytes else value.encode()))  # type: ignore[union-attr]
        self._wake.set()

    async def _write(self) -> None:
        while True:
            if not self._answers:
                self._wake = trio.Event()
                await self._wake.wait()
            answers, self._answers = self._answers, []
            self._unanswered -= len(answers)
            if self._unanswered <= UNANSWERED_MAX:
                self._room.set()
            with trio.fail_after(SEND_TIMEOUT_S):
                await self._stream.send_all(framed(encode_answers(answers)))
