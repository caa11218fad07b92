"""The API beside the socket: rooms and their links, images, the board as it stood, its certificate, and the proof."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Any, Final

import trio

from host.api import HttpProblem, Operation, Request, Response, Router, json_response
from plugins.liveboard import access
from plugins.liveboard.certificates import public_key, signed
from plugins.liveboard.core.frames import EDIT, VIEW
from plugins.liveboard.core.operations import IMAGE_TYPES
from plugins.liveboard.images import image_type
from plugins.liveboard.models import ProofAnswer, ProofRequest, RoomAnswer, RoomRequest
from plugins.liveboard.room import Room
from plugins.liveboard.rooms import NoRoom, Rooms, RoomsFull
from plugins.liveboard.simulation.soak import play
from plugins.liveboard.store import RoomRow

ROOMS_LISTED_MAX: Final = 200
_IMAGE_HEADERS: Final = (
    # A name is a hash, so what is behind it never changes; a key may be needed to see it, so no shared cache keeps it.
    (b"cache-control", b"private, max-age=31536000, immutable"),
    # Opened by itself it is shown, and may do nothing.
    (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'"),
)

_ENTRY: Final = {403: "This needs the room's key, or its password.", 404: "There is no such thing, or no such room."}
OPERATIONS: Final = (
    Operation(
        "GET",
        "/api/liveboard/rooms",
        "Rooms that anybody may enter, the latest used first.",
        responses={200: "Rooms."},
    ),
    Operation(
        "POST",
        "/api/liveboard/rooms",
        "Make a room and get its links.",
        request=RoomRequest,
        responses={201: RoomAnswer, 503: "There are as many rooms as there may be."},
    ),
    Operation(
        "GET",
        "/api/liveboard/rooms/{room}",
        "A room: its name, revision and digest.",
        responses={200: "The room.", **_ENTRY},
    ),
    Operation(
        "GET",
        "/api/liveboard/rooms/{room}/digests/{rev}",
        "The digest of the board as it stood at a revision.",
        responses={200: "The digest.", **_ENTRY},
    ),
    Operation(
        "GET",
        "/api/liveboard/rooms/{room}/certificate",
        "All operations with receipts, digest and root, signed.",
        responses={200: "The certificate.", **_ENTRY},
    ),
    Operation(
        "POST",
        "/api/liveboard/rooms/{room}/images",
        "Keep an image; the body is the file, and its type the content type.",
        responses={201: "Kept.", **_ENTRY, 413: "Too large, or too many.", 415: "Not what its type says."},
    ),
    Operation(
        "GET", "/api/liveboard/rooms/{room}/images/{sha256}", "An image.", responses={200: "The image.", **_ENTRY}
    ),
    Operation("GET", "/api/liveboard/figures", "What all boards have come to.", responses={200: "Figures."}),
    Operation(
        "POST",
        "/api/liveboard/proof",
        "Play the simulated network for some seeds.",
        request=ProofRequest,
        responses={200: ProofAnswer},
    ),
)


class RoomRoutes:
    """The handlers. A key is shown in the header `x-liveboard-key`, a room's password in `x-liveboard-password`."""

    def __init__(self, rooms: Rooms, threads: trio.CapacityLimiter, figures: Callable[[], dict[str, Any]]) -> None:
        self.rooms = rooms
        self.threads = threads
        self._figures = figures
        self._playing = trio.Lock()

    def add_to(self, router: Router) -> None:
        router.get("/api/liveboard/rooms")(self.list_rooms)
        router.post("/api/liveboard/rooms")(self.create)
        router.get("/api/liveboard/rooms/{room}")(self.show)
        router.get("/api/liveboard/rooms/{room}/digests/{rev}")(self.digest)
        router.get("/api/liveboard/rooms/{room}/certificate")(self.certificate)
        router.post("/api/liveboard/rooms/{room}/images")(self.put_image)
        router.get("/api/liveboard/rooms/{room}/images/{sha256}")(self.image)
        router.get("/api/liveboard/figures")(self.figures)
        router.post("/api/liveboard/proof")(self.proof)

    async def list_rooms(self, request: Request) -> Response:
        listed = await self.rooms.store.open_rooms(ROOMS_LISTED_MAX)
        here = {name: len(room.fanout.outlets) for name, room in self.rooms.open.items()}
        rooms = [
            {"room": room, "title": title, "operations": rev, "used_at": used_at, "clients": here.get(room, 0)}
            for room, title, rev, used_at in listed
        ]
        return json_response({"rooms": rooms})

    async def create(self, request: Request) -> Response:
        wish: RoomRequest = await request.json(RoomRequest)
        password = None
        if wish.password:
            password = await trio.to_thread.run_sync(access.hash_password, wish.password, limiter=self.threads)
        name = access.new_room_name()
        row = await self.rooms.store.create_room(
            name,
            wish.title or name,
            wish.access,
            wish.others,
            secrets.token_bytes(32),
            password,
            self.rooms.settings.rooms_max,
        )
        if row is None:
            raise HttpProblem(503, "there are as many rooms as there may be")
        keys = {"edit_key": access.link_key(row, EDIT), "view_key": access.link_key(row, VIEW)}
        answer = {"room": name, "title": row.title, "access": row.access, **keys, **_links(row)}
        return json_response(answer, status=201)

    async def show(self, request: Request) -> Response:
        room = await self._enter(request)
        log = room.log
        role = access.role_of(room.row, request.headers.get("x-liveboard-key", ""))
        return json_response(
            {
                # Who may draw may let others draw, or look.
                **(_links(room.row) if role == EDIT else {}),
                "room": room.id,
                "title": room.row.title,
                "access": room.row.access,
                "others": room.row.others,
                "rev": log.rev,
                "digest": log.digest_at(log.rev).hex(),
                "root": log.board.root.hex(),
                "key": public_key(room.row.secret, room.id),
                "bytes": log.bytes,
                "clients": len(room.presence.people()),
                "checks_passed": room.counts["checks_passed"],
                "checks_failed": room.counts["checks_failed"],
            }
        )

    async def digest(self, request: Request) -> Response:
        room = await self._enter(request)
        text = request.params["rev"]
        rev = int(text) if text.isdigit() and len(text) < 16 else -1
        if not 0 <= rev <= room.log.rev:
            raise HttpProblem(404, f"the board has revisions 0 to {room.log.rev}")
        return json_response({"rev": rev, "digest": room.log.digest_at(rev).hex()})

    async def certificate(self, request: Request) -> Response:
        """Everything that is needed to recompute the digest and the root without this server."""
        room = await self._enter(request)
        log = room.log
        # All in one step: the board may grow while its operations are written out.
        head = signed(room.row.secret, room.id, log.rev, log.digest_at(log.rev), log.board.root)
        operations = []
        for at in range(1, head["rev"] + 1):
            entry = log.entry(at)
            operations.append({"bytes": entry.data.hex(), "receipt": log.receipt(entry.leaf).hex()})
            if at % 1000 == 0:
                await trio.lowlevel.checkpoint()
        return json_response({**head, "operations": operations})

    async def put_image(self, request: Request) -> Response:
        room = await self._enter(request, role=EDIT)
        settings, counts = self.rooms.settings, self.rooms.image_counts
        data = await request.body(settings.image_bytes_max)
        kind = image_type(data)
        if kind is None or kind != request.headers.get("content-type", "").partition(";")[0].strip().lower():
            counts["images_refused"] += 1
            raise HttpProblem(415, f"it is none of {', '.join(IMAGE_TYPES)}, or not the one it says")
        sha256 = hashlib.sha256(data).digest()
        if not await self.rooms.store.put_image(room.id, sha256, kind, data, settings.images_bytes_max):
            counts["images_refused"] += 1
            raise HttpProblem(413, f"the images of a room may take {settings.images_bytes_max} bytes")
        counts["images_kept"] += 1
        counts["image_bytes"] += len(data)
        url = f"/api/liveboard/rooms/{room.id}/images/{sha256.hex()}"
        return json_response({"sha256": sha256.hex(), "bytes": len(data), "type": kind, "url": url}, status=201)

    async def image(self, request: Request) -> Response:
        room = await self._enter(request)
        try:
            sha256 = bytes.fromhex(request.params["sha256"])
        except ValueError:
            raise HttpProblem(404, "there is no such image") from None
        found = await self.rooms.store.image(room.id, sha256)
        if found is None:
            raise HttpProblem(404, "there is no such image")
        return Response(200, found[1], [(b"content-type", found[0].encode()), *_IMAGE_HEADERS])

    async def figures(self, request: Request) -> Response:
        return json_response(self._figures())

    async def proof(self, request: Request) -> Response:
        wish: ProofRequest = await request.json(ProofRequest)
        # One at a time: it takes a processor.
        async with self._playing:
            answer = await trio.to_thread.run_sync(play, wish.seed, wish.seeds, limiter=self.threads)
        return json_response(answer)

    async def _enter(self, request: Request, role: int = VIEW) -> Room:
        try:
            name = request.params["room"]
            if not access.ROOM_NAME.fullmatch(name):
                raise NoRoom(name)
            if name not in self.rooms.open and await self.rooms.store.room(name) is None:
                raise HttpProblem(404, "there is no such room")
            room = await self.rooms.get(name)
        except (NoRoom, RoomsFull):
            raise HttpProblem(404, "there is no such room") from None
        await self._check_access(room.row, request, role)
        return room

    async def _check_access(self, row: RoomRow, request: Request, role: int) -> None:
        has = access.role_of(row, request.headers.get("x-liveboard-key", ""))
        if has is None or has < role:
            raise HttpProblem(403, "this needs the room's key in the header x-liveboard-key")
        if row.password is not None:
            shown = request.headers.get("x-liveboard-password", "")
            if not await trio.to_thread.run_sync(access.is_password, shown, row.password, limiter=self.threads):
                raise HttpProblem(403, "this needs the room's password in the header x-liveboard-password")


def _links(row: RoomRow) -> dict[str, str]:
    """The links into a room. Keys stand behind the number sign, which browsers keep to themselves."""
    return {
        f"{name}_url": f"/liveboard/{row.id}#key={access.link_key(row, role)}"
        for name, role in (("edit", EDIT), ("view", VIEW))
    }
