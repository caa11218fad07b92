"""Outlets with sockets in memory: order, bounded memory, and that nobody waits for a slow one."""

import pytest
import trio
import trio.testing

from plugins.liveboard.board_log import BoardLog
from plugins.liveboard.core import frames as f
from plugins.liveboard.core.opset import OperationSet, light_entry
from plugins.liveboard.fanout import CONTROLS_MAX, Fanout, Outlet, broadcast
from plugins.liveboard.simulation.authors import random_board

ENTRIES = [light_entry(entry.data) for entry in random_board(1, 600)]


class Socket:
    """Takes frames while its gate is open, and keeps them."""

    def __init__(self) -> None:
        self.messages: list = []
        self.frames: list = []
        self.gate = trio.Event()
        self.gate.set()

    async def send(self, message) -> None:
        await self.gate.wait()
        self.messages.append(message)
        if message["type"] == "websocket.send":
            self.frames.append(f.decode_frame(message["bytes"]))

    def operations(self) -> list[bytes]:
        return [data for frame in self.frames if isinstance(frame, f.Committed) for _, data in frame.operations]


@pytest.fixture
def fanout():
    return Fanout(BoardLog("room", bytes(32)), chunk_bytes=2000, frames_kept=8)


def save(fanout: Fanout, start: int, stop: int) -> None:
    first = fanout.log.rev + 1
    fanout.log.append(ENTRIES[start:stop])
    fanout.committed(first)


def synced(rev: int) -> bytes:
    return f.encode_frame(f.Synced(rev, bytes(32)))


def join(fanout: Fanout, rev: int = 0) -> tuple[Outlet, Socket]:
    socket = Socket()
    outlet = Outlet(fanout, socket.send)
    fanout.outlets.add(outlet)
    outlet.stream_from(rev, synced)
    return outlet, socket


async def test_frames_are_built_once_and_sent_in_order(fanout, autojump_clock) -> None:
    async with trio.open_nursery() as nursery:
        joined = [join(fanout) for _ in range(20)]
        for outlet, _ in joined:
            nursery.start_soon(outlet.run)
        for start in range(0, 100, 5):
            save(fanout, start, start + 5)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    for _, socket in joined:
        assert socket.operations() == [entry.data for entry in ENTRIES[:100]]
        revs = [frame.rev for frame in socket.frames if isinstance(frame, f.Committed)]
        assert revs == sorted(revs)
    sent = {id(message) for _, socket in joined for message in socket.messages if message["bytes"][0] == 130}
    assert len(sent) == 20, "one message for all"
    assert fanout.deliveries.operations == 2000


async def test_joiner_gets_board_then_synced_then_what_was_saved_meanwhile(fanout) -> None:
    save(fanout, 0, 300)
    outlet, socket = join(fanout, 40)
    save(fanout, 300, 320)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert socket.operations() == [entry.data for entry in ENTRIES[40:320]]
    at = next(at for at, frame in enumerate(socket.frames) if isinstance(frame, f.Synced))
    before = [frame for frame in socket.frames[:at] if isinstance(frame, f.Committed)]
    assert sum(len(frame.operations) for frame in before) >= 260
    assert socket.frames[at].rev == before[-1].rev + len(before[-1].operations) - 1


async def test_slow_client_holds_nobody_up_keeps_nothing_and_catches_up(fanout) -> None:
    slow, slow_socket = join(fanout)
    quick, quick_socket = join(fanout)
    moves = fanout.slots["moves"]
    moves.whole = lambda: broadcast(f.moves_bytes([f.move_bytes(9, b"whole", ())]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow.run)
        nursery.start_soon(quick.run)
        await trio.testing.wait_all_tasks_blocked()
        slow_socket.gate = trio.Event()
        for start in range(0, 600, 10):
            save(fanout, start, start + 10)
            moves.tell(f.moves_bytes([f.move_bytes(1, b"%d" % start, ())]))
            fanout.wake_all()
            await trio.testing.wait_all_tasks_blocked()
        assert quick_socket.operations() == [entry.data for entry in ENTRIES]
        assert slow_socket.operations() == []
        assert len(slow.controls) == 0
        assert len(fanout._frames) == 8
        slow_socket.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert slow_socket.operations() == quick_socket.operations()
    told = [frame.moves[0][1] for frame in slow_socket.frames if isinstance(frame, f.Moves)]
    assert told == [b"whole"], "what was skipped is made up for by one frame with everything"
    assert fanout.deliveries.skipped == 59
    assert fanout.deliveries.pages > 0


async def test_client_that_asks_on_and_does_not_read_is_cut(fanout) -> None:
    outlet, socket = join(fanout)
    socket.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run)
        for number in range(CONTROLS_MAX + 2):
            outlet.control(f.encode_frame(f.Pong(number)))
        assert len(outlet.controls) == CONTROLS_MAX
        socket.gate.set()
    assert outlet.is_overrun
    assert len(socket.frames) <= 2


async def test_goodbye_comes_before_what_waits_and_the_close_after_it(fanout) -> None:
    save(fanout, 0, 50)
    outlet, socket = join(fanout)
    outlet.bye(f.encode_frame(f.Bye(5, 100, "restart")), 4005)
    await outlet.run()
    assert socket.frames == [f.Bye(5, 100, "restart")]
    assert socket.messages[-1] == {"type": "websocket.close", "code": 4005}


def test_log_knows_every_digest_and_every_receipt() -> None:
    log = BoardLog("room", b"secret")
    log.append(ENTRIES)
    for rev in (0, 1, 255, 256, 257, 511, 600):
        assert log.digest_at(rev) == OperationSet(ENTRIES[:rev]).digest
    receipt = log.receipt(ENTRIES[0].leaf)
    assert log.is_receipt(receipt, ENTRIES[0].leaf)
    assert not log.is_receipt(receipt, ENTRIES[1].leaf)
    assert not BoardLog("other", b"secret").is_receipt(receipt, ENTRIES[0].leaf)
    assert not BoardLog("room", b"another").is_receipt(receipt, ENTRIES[0].leaf)
