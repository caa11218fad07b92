"""The waits of a transport's readers, all in one task.

Waiting by Trio's own means costs a system call to say so and, with a deadline, a cancel scope: together as much as all
else that relaying a small chunk takes. While a `ReadWatch` runs, each socket is entered into one epoll, once
(`EPOLLET`), and deadlines are looked at every `TICK_S`.
"""

import select
from typing import Any, Final, NoReturn, Protocol

import trio

TICK_S: Final = 0.05
"""How late a deadline may be noticed."""
_LOOKS_PER_TURN: Final = 256
"""Wires looked at before others have their turn."""


class Watched(Protocol):
    """A wire as its watch sees it. None of these may block or raise."""

    def note(self, *, has_ended: bool) -> None:
        """Bytes have come, or the end."""

    def expire(self, now_s: float) -> None:
        """Give up a wait whose deadline has passed."""

    def unwatch(self) -> None:
        """Wait by Trio's own means from now on."""


class ReadWatch:
    """Wakes who waits for a socket, while `run` runs. Where there is no epoll it never watches."""

    def __init__(self) -> None:
        self._epoll: Any = None
        self._wires: dict[int, Watched] = {}

    def add(self, number: int, wire: Watched) -> bool:
        """Watch the socket of that number until `discard`; whether it is watched."""
        if self._epoll is None:
            return False
        try:
            self._epoll.register(number, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        except OSError:
            # The kernel limits how many a user may have watched.
            return False
        self._wires[number] = wire
        return True

    def discard(self, number: int) -> None:
        """The socket of that number is being closed, with which it leaves the epoll."""
        self._wires.pop(number, None)

    async def run(self) -> None:
        """Watch until cancelled; who waits then goes on waiting by Trio's own means. One at a time."""
        if not hasattr(select, "epoll"):
            await trio.sleep_forever()
        assert self._epoll is None, "this watch runs already"
        with select.epoll() as self._epoll:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._run_clock)
                    await self._run_news()
            finally:
                self._epoll = None
                wires, self._wires = list(self._wires.values()), {}
                for wire in wires:
                    wire.unwatch()

    async def _run_news(self) -> NoReturn:
        epoll, wires = self._epoll, self._wires
        ends = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            for number, event in epoll.poll(0):
                # Of one that was closed a moment ago, news may still be on its way.
                if (wire := wires.get(number)) is not None:
                    wire.note(has_ended=bool(event & ends))

    async def _run_clock(self) -> NoReturn:
        while True:
            await trio.sleep(TICK_S)
            for count, wire in enumerate(list(self._wires.values()), 1):
                if not count % _LOOKS_PER_TURN:
                    await trio.lowlevel.checkpoint()
                wire.expire(trio.current_time())
