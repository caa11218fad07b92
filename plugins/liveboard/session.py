"""One client's WebSocket, from its hello to its goodbye: reads its frames, and hands each to the room."""

import hashlib
from typing import Any, Final

import trio

from host.api import ClientDisconnected, OutcomeUnknown, Receive, Request, Send, ServiceUnavailable
from plugins.liveboard import access
from plugins.liveboard.buckets import Bucket
from plugins.liveboard.commits import Offered
from plugins.liveboard.core import frames as f
from plugins.liveboard.core import operations as o
from plugins.liveboard.core.admission import Refused
from plugins.liveboard.core.errors import CodecError, Refusal
from plugins.liveboard.core.opset import Entry, entry_of
from plugins.liveboard.core.versions import sorted_versions
from plugins.liveboard.fanout import Outlet
from plugins.liveboard.presence import Present
from plugins.liveboard.room import CLOSE_BASE, Room
from plugins.liveboard.rooms import DOWN, NoRoom, Rooms, RoomsFull

SUBPROTOCOL: Final = "liveboard.v1"
SITES_MAX: Final = 64
"""Sites that one client may write for: its own, and those of earlier pages that left something unsaved."""
BYE_S: Final = 5.0
"""How long the goodbye may take to be sent."""


class Goodbye(Exception):
    """The client is sent away, and why."""

    def __init__(self, reason: int, text: str, retry_ms: int = 0) -> None:
        super().__init__(text)
        self.reason = reason
        self.frame = f.encode_frame(f.Bye(reason, retry_ms, text))


class Entrance:
    """Where clients come in: the handler of the WebSocket."""

    def __init__(self, rooms: Rooms, threads: trio.CapacityLimiter, logger: Any) -> None:
        self.rooms = rooms
        self.threads = threads
        self.logger = logger
        self.settings = rooms.settings

    async def serve(self, request: Request) -> None:
        """Serve one client until either side leaves. A cancellation closes the socket without a goodbye."""
        receive, send = request.receive, request.send
        await receive()
        offered = request.scope.get("subprotocols") or ()
        chosen = SUBPROTOCOL if SUBPROTOCOL in offered else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        try:
            await self._serve(request)
        except* (OSError, ClientDisconnected):
            # The client left while something was being sent to it.
            pass

    async def _serve(self, request: Request) -> None:
        receive, send = request.receive, request.send
        try:
            hello = await self._hello(receive)
            if hello is None:
                return
            room, role = await self._enter(request.params["room"], hello)
            await Session(self, room, hello, role, receive, send).run()
        except Goodbye as goodbye:
            with trio.move_on_after(BYE_S):
                await send({"type": "websocket.send", "bytes": goodbye.frame})
                await send({"type": "websocket.close", "code": CLOSE_BASE + goodbye.reason})

    async def _hello(self, receive: Receive) -> f.Hello | None:
        with trio.move_on_after(self.settings.hello_timeout):
            data = await next_message(receive, self.settings.frame_bytes_max)
            if data is None:
                return None
            hello = read(data)
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
    """A client that is in its room. Two tasks: this one reads, the outlet's writes."""

    def __init__(self, entrance: Entrance, room: Room, hello: f.Hello, role: int, receive: Receive, send: Send) -> None:
        settings = entrance.settings
        now = trio.current_time()
        self.rooms = entrance.rooms
        self.settings = settings
        self.room = room
        self.hello = hello
        self.role = role
        self.outlet = Outlet(room.fanout, send)
        self.sites = {hello.site}
        self._receive = receive
        self._operations = Bucket(settings.operations_per_s, settings.operations_burst, now)
        self._presence = Bucket(settings.presence_per_s, settings.presence_per_s, now)
        self._present: Present
        self._scope = trio.CancelScope()
        # While a client that was told to resync says what it has.
        self._awaits_known = False

    async def run(self) -> None:
        """Welcome the client and serve it."""
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
            self._welcome()
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._watch)
                    await self._read()
        finally:
            room.sessions.discard(self)
            room.leave(self.outlet, self._present, trio.current_time())
            room.moved()

    def bye(self, goodbye: Goodbye) -> None:
        """Send this client away."""
        self.outlet.bye(goodbye.frame, CLOSE_BASE + goodbye.reason)

    def _welcome(self) -> None:
        """Say where the board stands. From here to `stream_from` nothing waits, so nothing can come between."""
        hello, room, log = self.hello, self.room, self.room.log
        is_prefix = hello.rev <= log.rev and (hello.rev == 0 or log.digest_at(hello.rev) == hello.digest)
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

    async def _write(self) -> None:
        await self.outlet.run()
        self._scope.cancel(reason="the goodbye was said")

    async def _watch(self) -> None:
        """Find out when the client says or takes nothing any more."""
        settings = self.settings
        while True:
            await trio.sleep(min(1.0, settings.silence_max / 4, settings.send_stall / 4, settings.presence_ttl / 2))
            now = trio.current_time()
            sending_since = self.outlet.sending_since
            if sending_since is not None and now - sending_since > settings.send_stall:
                self._scope.cancel(reason="the client takes nothing")
            silent_s = now - self._present.heard_at
            if silent_s > settings.silence_max:
                self.bye(Goodbye(f.ByeReason.SILENT, f"nothing was heard for {settings.silence_max:g} s", 100))
            elif silent_s > settings.presence_ttl:
                self.room.presence.leave(self._present.person.number)

    async def _read(self) -> None:
        while True:
            data = await next_message(self._receive, self.settings.frame_bytes_max)
            if data is None:
                self._scope.cancel(reason="the client has left")
                return
            self.room.presence.hear(self._present, trio.current_time())
            try:
                await self._take(read(data))
            except Goodbye as goodbye:
                self.bye(goodbye)

    async def _take(self, frame: Any) -> None:
        match frame:
            case f.Presence():
                if self._presence.try_take(1, trio.current_time()):
                    self.room.presence.move(self._present, frame)
                    self.room.moved()
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
                self._send_missing(dict(versions))
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

    def _send_missing(self, versions: dict[bytes, int]) -> None:
        """What a client lacks whose board is no beginning of ours, under revision 0; then all that follows."""
        log = self.room.log
        missing = log.board.missing_in(versions)
        for at in range(0, len(missing), 256):
            self.outlet.control(log.frame(0, missing[at : at + 256]))
        self.outlet.stream_from(log.rev, self._synced)

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


async def next_message(receive: Receive, bytes_max: int) -> bytes | None:
    """The next binary message, None when the client has left. Raises `Goodbye` for text, and for what is too long."""
    message = await receive()
    if message["type"] == "websocket.disconnect":
        return None
    data: bytes | None = message.get("bytes")
    if data is None:
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
