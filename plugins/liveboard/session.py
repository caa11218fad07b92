"""One client's WebSocket, from its hello to its goodbye: reads its frames, and hands each to the room."""

import hashlib
from typing import Any, Final

import trio

from host.api import ClientDisconnected, OutcomeUnknown, Request, ServiceUnavailable, WebSocket, WebSocketClosed
from plugins.liveboard import access
from plugins.liveboard.buckets import Bucket
from plugins.liveboard.commits import Offered
from plugins.liveboard.core import frames as f
from plugins.liveboard.core import operations as o
from plugins.liveboard.core.admission import Refused
from plugins.liveboard.core.errors import CodecError, Refusal
from plugins.liveboard.core.opset import Entry, entry_of
from plugins.liveboard.core.versions import sorted_versions
from plugins.liveboard.fanout import Goodbye, Outlet
from plugins.liveboard.presence import Present
from plugins.liveboard.room import CLOSE_BASE, Room
from plugins.liveboard.rooms import DOWN, NoRoom, Rooms, RoomsFull

SUBPROTOCOL: Final = "liveboard.v1"
SITES_MAX: Final = 64
"""Sites that one client may write for: its own, and those of earlier pages that left something unsaved."""
BYE_S: Final = 5.0
"""How long the goodbye may take to be sent."""


class Entrance:
    """Where clients come in: the handler of the WebSocket."""

    def __init__(self, rooms: Rooms, threads: trio.CapacityLimiter, logger: Any) -> None:
        self.rooms = rooms
        self.threads = threads
        self.logger = logger
        self.settings = rooms.settings

    async def serve(self, request: Request) -> None:
        """Serve one client until either side leaves. A cancellation closes the socket without a goodbye."""
        offered = request.scope.get("subprotocols") or ()
        chosen = SUBPROTOCOL if SUBPROTOCOL in offered else None
        with trio.CancelScope() as scope:
            try:
                async with WebSocket(request.scope, request.receive, request.send, subprotocol=chosen) as socket:
                    try:
                        await self._serve(request.params["room"], socket)
                    except Goodbye as goodbye:
                        scope.deadline = trio.current_time() + BYE_S
                        await socket.send(goodbye.frame)
                        await socket.close(CLOSE_BASE + goodbye.reason)
                    # Not every engine closes by itself what takes nothing.
                    scope.deadline = trio.current_time() + BYE_S
            except (OSError, ClientDisconnected, WebSocketClosed):
                # The client left while something was being sent to it, or before it said who it is.
                pass

    async def _serve(self, room: str, socket: WebSocket) -> None:
        hello = await self._hello(socket)
        found, role = await self._enter(room, hello)
        await Session(self, found, hello, role, socket).run()

    async def _hello(self, socket: WebSocket) -> f.Hello:
        with trio.move_on_after(self.settings.hello_timeout):
            hello = read(await next_message(socket, self.settings.frame_bytes_max))
            if not isinstance(hello, f.Hello):
                raise Goodbye(f.ByeReason.PROTOCOL, "the first frame is not a hello")
            if hello.version != f.PROTOCOL_VERSION:
                raise Goodbye(f.ByeReason.PROTOCOL, f"this server speaks version {f.PROTOCOL_VERSION}")
            return hello
        raise Goodbye(f.ByeReason.SILENT, "nothing was said")

    async def _enter(self, name: str, hello: f.Hello) -> tuple[Room, int]:
        """The room, and as what the client comes in."""
        if self.rooms.is_leaving:
            raise Goodbye(f.ByeReason.RESTART, "the server restarts", 1000)
        try:
            room = await self.rooms.get(name)
            role = access.role_of(room.row, hello.key)
            if role is None:
                raise Goodbye(f.ByeReason.NO_ACCESS, "this room is entered by its link")
            kept = room.row.password
            if kept is not None and not await self._knows(hello.password, kept):
                raise Goodbye(f.ByeReason.PASSWORD, "the password is missing or wrong")
            if len(room.fanout.outlets) >= self.settings.clients_per_room_max:
                raise Goodbye(f.ByeReason.FULL, "the room is full", 5000)
            if role == f.EDIT and not await claim(self.rooms, room, hello.site, hello.token):
                raise Goodbye(f.ByeReason.SITE_TAKEN, "the site is another's: draw a new one", 100)
        except DOWN as error:
            raise Goodbye(f.ByeReason.UNAVAILABLE, "the database does not answer", 1000) from error
        except NoRoom:
            raise Goodbye(f.ByeReason.NO_ROOM, "a room's name has letters a-z, digits and hyphens") from None
        except RoomsFull:
            raise Goodbye(f.ByeReason.FULL, "there are as many rooms as there may be") from None
        return room, role

    async def _knows(self, password: str, kept: bytes) -> bool:
        return await trio.to_thread.run_sync(access.is_password, password, kept, limiter=self.threads)


class Session:
    """A client that is in its room, read by the task of its connection."""

    def __init__(self, entrance: Entrance, room: Room, hello: f.Hello, role: int, socket: WebSocket) -> None:
        settings = entrance.settings
        now = trio.current_time()
        self.rooms = entrance.rooms
        self.settings = settings
        self.room = room
        self.hello = hello
        self.role = role
        self._scope = trio.CancelScope()
        self.outlet = Outlet(room.fanout, socket, entrance.rooms.start_soon, self._end)
        self.sites = {hello.site}
        self._socket = socket
        self._operations = Bucket(settings.operations_per_s, settings.operations_burst, now)
        self._presence = Bucket(settings.presence_per_s, settings.presence_per_s, now)
        self._present: Present
        # While a client that was told to resync says what it has.
        self._awaits_known = False

    async def run(self) -> None:
        """Welcome the client and serve it. Raises `Goodbye` when it is sent away."""
        hello, room = self.hello, self.room
        if room.is_closed:
            raise Goodbye(f.ByeReason.RESTART, "the room was closed this very moment", 100)
        for other in [each for each in room.sessions if hello.site in each.sites]:
            # A page that lost its connection comes back before the old one is found dead; or a tab was duplicated,
            # and then the older draws a new site.
            other.bye(Goodbye(f.ByeReason.TAKEN_OVER, "another connection came with this site", 0))
        color, name = hello.color, hello.name.strip() or "somebody"
        self._present = room.enter(self.outlet, hello.site, self.role, color, name, trio.current_time())
        room.sessions.add(self)
        try:
            with self._scope:
                self._welcome()
                await self._read()
        finally:
            self.outlet.end()
            room.sessions.discard(self)
            room.leave(self.outlet, self._present, trio.current_time())
            room.moved()
        if self.outlet.goodbye is not None:
            raise self.outlet.goodbye

    def bye(self, goodbye: Goodbye) -> None:
        """Send this client away."""
        self.outlet.bye(goodbye)

    def watch(self, now: float) -> None:
        """Find out whether the client says or takes nothing any more; called now and then."""
        settings = self.settings
        sending_since = self.outlet.sending_since
        if sending_since is not None and now - sending_since > settings.send_stall:
            self.outlet.end()
        silent_s = now - self._present.heard_at
        if silent_s > settings.silence_max:
            self.bye(Goodbye(f.ByeReason.SILENT, f"nothing was heard for {settings.silence_max:g} s", 100))
        elif silent_s > settings.presence_ttl:
            self.room.presence.leave(self._present.person.number)

    def _end(self) -> None:
        self._scope.cancel(reason="the session ends")

    def _welcome(self) -> None:
        """Say where the board stands. From here to `stream_from` nothing waits, so nothing can come between."""
        hello, room, log = self.hello, self.room, self.room.log
        is_prefix = hello.rev <= log.rev and (hello.rev == 0 or log.digest_at(hello.rev) == hello.digest)
        room.counts["resynced" if not is_prefix else "resumed" if hello.rev else "joined"] += 1
        versions = () if is_prefix else sorted_versions(log.board.versions)[: f.VERSIONS_SITES_MAX]
        welcome = f.Welcome(
            f.PROTOCOL_VERSION,
            self.role,
            self._present.person.number,
            log.rev,
            room.row.floor,
            not is_prefix,
            room.row.others,
            room.row.title,
            versions,
        )
        self.outlet.control(f.encode_frame(welcome))
        if is_prefix:
            self.outlet.stream_from(hello.rev, self._synced)
        else:
            self._awaits_known = True

    def _synced(self, rev: int) -> bytes:
        return f.encode_frame(f.Synced(rev, self.room.log.digest_at(rev)))

    async def _read(self) -> None:
        """Take what the client says, until it leaves."""
        while True:
            try:
                data = await next_message(self._socket, self.settings.frame_bytes_max)
            except WebSocketClosed:
                return
            self.room.presence.hear(self._present, trio.current_time())
            await self._take(read(data))

    async def _take(self, frame: Any) -> None:
        match frame:
            case f.Presence():
                if self._presence.try_take(1, trio.current_time()):
                    self.room.presence.move(self._present, frame)
                    self.room.moved()
                else:
                    self.room.counts["presence_dropped"] += 1
            case f.Offer(operations):
                await self._offer([(data, None) for data in operations])
            case f.Restore(operations):
                await self._offer([(data, receipt) for receipt, data in operations])
            case f.Ping(number):
                self.outlet.control(f.encode_frame(f.Pong(number)))
            case f.Report(rev, digest):
                self.room.presence.report(self._present, rev, digest)
                self.room.check(rev, digest)
            case f.Probe(level, index):
                self.outlet.control(f.encode_frame(self._nodes(level, index)))
            case f.Claim(site, token):
                await self._claim(site, token)
            case f.Known(versions) if self._awaits_known:
                self._awaits_known = False
                self.outlet.stream_missing(self.room.log.board.missing_in(dict(versions)), self._synced)
            case _:
                raise Goodbye(f.ByeReason.PROTOCOL, f"a {type(frame).__name__} is not expected now")

    async def _offer(self, operations: list[tuple[bytes, bytes | None]]) -> None:
        """Put operations in line to be saved; a client that is too fast, or ahead of the database, waits here."""
        offered: list[Offered] = []
        for data, receipt in operations:
            try:
                entry = entry_of(data)
            except CodecError as error:
                raise Goodbye(f.ByeReason.PROTOCOL, f"an operation is malformed: {error}"[:250]) from None
            refusal = self._refusal(entry, receipt)
            if refusal is not None:
                self._refused(entry, Refused(refusal))
                continue
            may_change = None if self.room.row.others or receipt is not None else self._may_change
            offered.append(Offered(entry, self._known, self._refused, may_change))
        wait_s = self._operations.take(len(operations), trio.current_time())
        await self.room.committer.offer(offered)
        if wait_s:
            await trio.sleep(wait_s)

    def _refusal(self, entry: Entry, receipt: bytes | None) -> Refusal | None:
        if self.role != f.EDIT:
            return Refusal.FORBIDDEN
        if receipt is not None:
            return None if self.room.log.is_receipt(receipt, entry.leaf) else Refusal.SITE
        return None if entry.operation.site in self.sites else Refusal.SITE

    def _may_change(self, operation: o.Operation) -> bool:
        """Whether it leaves others' marks alone: where the room wants that, one changes what one's own sites made."""
        body = operation.body
        if isinstance(body, o.CHANGES):
            return all(target.site in self.sites for target in body.targets)
        if isinstance(body, o.Clear):
            return all(site in self.sites for site, _ in body.seen)
        return True

    def _known(self, entry: Entry) -> None:
        site = entry.operation.site
        self.outlet.control(f.encode_frame(f.Have(site, entry.operation.seq)))

    def _refused(self, entry: Entry, refused: Refused) -> None:
        operation = entry.operation
        frame = f.Refused(operation.site, operation.seq, int(refused.reason), refused.detail)
        self.outlet.control(f.encode_frame(frame))

    def _nodes(self, level: int, index: int) -> f.Nodes:
        tree = self.room.log.board.tree
        left = right = None
        if 0 < level <= 64:
            left, right = tree.node(level - 1, 2 * index), tree.node(level - 1, 2 * index + 1)
        return f.Nodes(self.room.log.rev, tree.height, tree.root(), level, index, left or b"", right or b"")

    async def _claim(self, site: bytes, token: bytes) -> None:
        if len(self.sites) >= SITES_MAX:
            raise Goodbye(f.ByeReason.PROTOCOL, f"more than {SITES_MAX} sites are claimed")
        try:
            is_ours = self.role == f.EDIT and await claim(self.rooms, self.room, site, token)
        except (ServiceUnavailable, OutcomeUnknown):
            raise Goodbye(f.ByeReason.UNAVAILABLE, "the database does not answer", 1000) from None
        if is_ours:
            self.sites.add(site)
        else:
            frame = f.Refused(site, 0, int(Refusal.SITE), 0)
            self.outlet.control(f.encode_frame(frame))


async def claim(rooms: Rooms, room: Room, site: bytes, token: bytes) -> bool:
    """Whether the site belongs to whoever knows the token, from now on if nobody had it."""
    return await rooms.store.claim_site(room.id, site, hashlib.sha256(token).digest())


async def next_message(socket: WebSocket, bytes_max: int) -> bytes:
    """The next binary message. Raises `Goodbye` for text, and for what is too long, `WebSocketClosed` at the end."""
    data = await socket.receive()
    if isinstance(data, str):
        raise Goodbye(f.ByeReason.PROTOCOL, "frames are binary messages")
    if len(data) > bytes_max:
        raise Goodbye(f.ByeReason.PROTOCOL, f"a frame is longer than {bytes_max} bytes")
    return data


def read(data: bytes) -> Any:
    """A client's frame. Raises `Goodbye` when it is none."""
    try:
        return f.decode_client_frame(data)
    except CodecError as error:
        raise Goodbye(f.ByeReason.PROTOCOL, f"a frame is malformed: {error}"[:250]) from None
