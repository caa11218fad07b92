"""Outlets with sockets in memory: order, bounded memory, and that nobody waits for a slow one."""

import pytest
import trio
import trio.testing

from host.api import WebSocketFrame
from plugins.liveboard.board_log import BoardLog
from plugins.liveboard.core import frames as f
from plugins.liveboard.core.opset import OperationSet, light_entry
from plugins.liveboard.fanout import CONTROLS_MAX, Fanout, Goodbye, Outlet
from plugins.liveboard.simulation.authors import random_board

ENTRIES = [light_entry(entry.data) for entry in random_board(1, 600)]


class Socket:
    """Takes frames while its gate is open, and keeps them; behind a closed gate there is no room for any."""

    def __init__(self) -> None:
        self.sent: list[WebSocketFrame] = []
        self.gate = trio.Event()
        self.gate.set()
        self.is_closed = False

    def send_nowait(self, frame: WebSocketFrame) -> bool:
        if self.is_closed:
            return False
        if not self.gate.is_set():
            raise trio.WouldBlock
        self.sent.append(frame)
        return True

    async def send(self, frame: WebSocketFrame) -> None:
        await self.gate.wait()
        self.sent.append(frame)

    @property
    def frames(self) -> list:
        return [f.decode_frame(frame.payload) for frame in self.sent]

    def operations(self) -> list[bytes]:
        return [data for frame in self.frames if isinstance(frame, f.Committed) for _, data in frame.operations]


@pytest.fixture
def fanout():
    return Fanout(BoardLog("room", bytes(32)), chunk_bytes=2000, frames_kept=8)


def save(fanout: Fanout, start: int, stop: int) -> None:
    first = fanout.log.rev + 1
    fanout.log.append(ENTRIES[start:stop])
    fanout.committed(first, True)


def synced(rev: int) -> bytes:
    return f.encode_frame(f.Synced(rev, bytes(32)))


class Joined:
    """Outlets of clients, and the nursery that those have while they are slow."""

    def __init__(self, fanout: Fanout, nursery: trio.Nursery) -> None:
        self.fanout = fanout
        self.nursery = nursery
        self.tasks = 0
        self.ended: list[Outlet] = []

    def join(self, rev: int = 0) -> tuple[Outlet, Socket]:
        socket = Socket()
        outlet = Outlet(self.fanout, socket, self._spawn, lambda: self.ended.append(outlet))
        self.fanout.outlets.add(outlet)
        outlet.stream_from(rev, synced)
        return outlet, socket

    def _spawn(self, function) -> None:
        self.tasks += 1
        self.nursery.start_soon(function)


@pytest.fixture
async def room(fanout, nursery) -> Joined:
    return Joined(fanout, nursery)


async def test_frames_are_built_once_and_sent_in_order_without_a_task(fanout, room) -> None:
    joined = [room.join() for _ in range(20)]
    for start in range(0, 100, 5):
        save(fanout, start, start + 5)
    for _, socket in joined:
        assert socket.operations() == [entry.data for entry in ENTRIES[:100]]
        revs = [frame.rev for frame in socket.frames if isinstance(frame, f.Committed)]
        assert revs == sorted(revs)
    sent = {id(frame) for _, socket in joined for frame in socket.sent if frame.payload[0] == 130}
    assert len(sent) == 20, "one frame for all"
    assert (fanout.deliveries.operations, fanout.deliveries.relayed) == (2000, 1900)
    assert room.tasks == 0


async def test_joiner_gets_board_then_synced_then_what_was_saved_meanwhile(fanout, room) -> None:
    save(fanout, 0, 300)
    outlet, socket = room.join(40)
    save(fanout, 300, 320)
    assert outlet.rev == 320
    assert socket.operations() == [entry.data for entry in ENTRIES[40:320]]
    at = next(at for at, frame in enumerate(socket.frames) if isinstance(frame, f.Synced))
    before = [frame for frame in socket.frames[:at] if isinstance(frame, f.Committed)]
    assert sum(len(frame.operations) for frame in before) >= 260
    assert socket.frames[at].rev == before[-1].rev + len(before[-1].operations) - 1


async def test_slow_client_holds_nobody_up_keeps_nothing_and_catches_up(fanout, room, autojump_clock) -> None:
    slow, slow_socket = room.join()
    _, quick_socket = room.join()
    moves = fanout.slots["moves"]
    moves.whole = lambda: f.moves_bytes([f.move_bytes(9, b"whole", ())])
    slow_socket.gate = trio.Event()
    for start in range(0, 600, 10):
        save(fanout, start, start + 10)
        moves.tell(f.moves_bytes([f.move_bytes(1, b"%d" % start, ())]))
        fanout.wake_all()
        await trio.testing.wait_all_tasks_blocked()
    assert quick_socket.operations() == [entry.data for entry in ENTRIES]
    assert slow_socket.operations() == []
    assert slow.sending_since is not None
    assert len(slow.controls) == 0
    assert len(fanout._frames) == 8
    assert room.tasks == 1
    slow_socket.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert slow_socket.operations() == quick_socket.operations()
    told = [frame.moves[0][1] for frame in slow_socket.frames if isinstance(frame, f.Moves)]
    assert told == [b"whole"], "what was skipped is made up for by one frame with everything"
    assert fanout.deliveries.skipped == 59
    assert fanout.deliveries.pages > 0
    assert slow.sending_since is None
    moves.tell(f.moves_bytes([]))
    fanout.wake_all()
    assert isinstance(slow_socket.frames[-1], f.Moves), "it is quick again, and needs no task"
    assert room.tasks == 1


async def test_client_that_lacks_much_gets_it_in_frames_that_are_made_as_they_are_sent(
    fanout, room, autojump_clock
) -> None:
    save(fanout, 0, 590)
    outlet, socket = room.join(590)
    socket.gate = trio.Event()
    outlet.stream_missing(ENTRIES[:590], synced)
    save(fanout, 590, 600)
    await trio.testing.wait_all_tasks_blocked()
    assert len(outlet.controls) == 0
    socket.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    frames = socket.frames[1:]
    assert isinstance(socket.frames[0], f.Synced)
    sizes = [len(frame.payload) for frame in socket.sent]
    assert max(sizes) < 2 * 2000 + 24 * 100, "each is about a chunk"
    at = next(at for at, frame in enumerate(frames) if isinstance(frame, f.Synced))
    assert {frame.rev for frame in frames[:at]} == {0}
    assert frames[at].rev == 590
    assert [frame.rev for frame in frames[at + 1 :]] == [591]
    assert socket.operations() == [entry.data for entry in ENTRIES]


async def test_client_that_asks_on_and_does_not_read_is_cut(room, autojump_clock) -> None:
    outlet, socket = room.join()
    before = len(socket.sent)
    socket.gate = trio.Event()
    for number in range(CONTROLS_MAX + 2):
        outlet.control(f.encode_frame(f.Pong(number)))
    assert len(outlet.controls) == CONTROLS_MAX
    assert (outlet.is_overrun, room.ended) == (True, [outlet])
    await trio.testing.wait_all_tasks_blocked()
    socket.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert len(socket.sent) == before, "its task has ended"


async def test_newcomer_is_told_the_whole_of_what_was_told_before_and_then_the_news(fanout, room) -> None:
    people = fanout.slots["people"]
    people.whole = lambda: b"whole"
    early = room.join()[1]
    people.tell(b"news 1")
    fanout.wake_all()
    late = room.join()[1]
    people.tell(b"news 2")
    fanout.wake_all()
    assert [frame.payload for frame in early.sent[1:]] == [b"news 1", b"news 2"]
    assert [frame.payload for frame in late.sent[1:]] == [b"whole", b"news 2"]
    assert fanout.deliveries.skipped == 0


async def test_for_a_client_that_has_left_no_more_frames_are_made(fanout, room) -> None:
    outlet, socket = room.join()
    socket.is_closed = True
    save(fanout, 0, 300)
    assert room.ended == [outlet]
    assert fanout.deliveries.frames == 1, "the one before it left"


async def test_client_that_is_sent_away_gets_nothing_more(fanout, room, autojump_clock) -> None:
    (slow, slow_socket), (quick, quick_socket) = room.join(), room.join()
    slow_socket.gate = trio.Event()
    save(fanout, 0, 50)
    goodbye = Goodbye(f.ByeReason.RESTART, "restart", 100)
    for outlet in (slow, quick):
        outlet.bye(goodbye)
        outlet.bye(Goodbye(f.ByeReason.FULL, "another", 0))
        assert outlet.goodbye is goodbye
    slow_socket.gate.set()
    save(fanout, 50, 60)
    await trio.testing.wait_all_tasks_blocked()
    assert len(quick_socket.operations()) == 50
    assert slow_socket.operations() == []
    assert room.ended == [slow, quick]


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
