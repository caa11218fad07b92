"""The boards in Postgres. What is in these tables is the truth; memory, hints and caches are copies of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from host.api import Postgres
from plugins.liveboard.core.opset import Entry

LOAD_ROWS: Final = 5000
"""Operations read at a time while a board is loaded."""


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room as the table has it."""

    id: str
    title: str
    access: str
    others: bool
    secret: bytes
    password: bytes | None
    rev: int
    bytes: int
    floor: int


_ROOM_COLUMNS: Final = "id, title, access, others, secret, password, rev, bytes, floor"


class Store:
    """One method for each thing that is asked of the tables. Any number of hosts may do so at once."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def room(self, room: str) -> RoomRow | None:
        """A room, marked as used now; None when there is none."""
        row = await self._postgres.fetch_one(
            f"UPDATE liveboard.rooms SET used_at = now() WHERE id = %s RETURNING {_ROOM_COLUMNS}", (room,)
        )
        return None if row is None else _room_of(row)

    async def create_room(
        self,
        room: str,
        title: str,
        access: str,
        others: bool,
        secret: bytes,
        password: bytes | None,
        rooms_max: int,
    ) -> RoomRow | None:
        """Make a room, or find the one of that name; None when there are too many."""
        row = await self._postgres.fetch_one(
            f"""INSERT INTO liveboard.rooms AS r (id, title, access, others, secret, password)
                SELECT %(room)s, %(title)s, %(access)s, %(others)s, %(secret)s, %(password)s
                WHERE (SELECT count(*) FROM liveboard.rooms) < %(rooms_max)s
                ON CONFLICT (id) DO UPDATE SET used_at = now() RETURNING {_ROOM_COLUMNS}""",
            {
                "room": room,
                "title": title,
                "access": access,
                "others": others,
                "secret": secret,
                "password": password,
                "rooms_max": rooms_max,
            },
        )
        return None if row is None else _room_of(row)

    async def open_rooms(self, limit: int) -> list[tuple[str, str, int, float]]:
        """The rooms that anybody may enter, the latest used first: id, title, operations, Unix seconds of the last
        use."""
        rows = await self._postgres.fetch_all(
            """SELECT id, title, rev, extract(epoch FROM used_at)::float8 FROM liveboard.rooms
               WHERE access = 'open' AND password IS NULL ORDER BY used_at DESC LIMIT %s""",
            (limit,),
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    async def revs(self, rooms: Sequence[str]) -> dict[str, int]:
        """The latest revision of each of these rooms that is there."""
        rows = await self._postgres.fetch_all("SELECT id, rev FROM liveboard.rooms WHERE id = ANY(%s)", (list(rooms),))
        return {row[0]: row[1] for row in rows}

    async def operations_after(self, room: str, rev: int) -> list[bytes]:
        """The next operations from revision `rev` + 1 on, at most `LOAD_ROWS`."""
        rows = await self._postgres.fetch_all(
            "SELECT rev, data FROM liveboard.operations WHERE room = %s AND rev > %s ORDER BY rev LIMIT %s",
            (room, rev, LOAD_ROWS),
        )
        assert all(row[0] == rev + 1 + at for at, row in enumerate(rows)), f"the revisions of {room} have a hole"
        return [row[1] for row in rows]

    async def append(self, room: str, rev: int, entries: Sequence[Entry]) -> bool:
        """Save operations as revisions `rev` + 1 and following, in one statement; False when `rev` is not the latest.

        Raises:
            ServiceUnavailable: nothing was saved.
            OutcomeUnknown: they may have been saved. Whoever asks for the revisions after `rev` learns it, or, while
            the
                statement is still under way, waits in the next `append` for the lock of the room's row.
        """
        saved = await self._postgres.fetch_value(
            """WITH room AS (
                   UPDATE liveboard.rooms SET rev = rev + %(count)s, bytes = bytes + %(bytes)s, used_at = now()
                   WHERE id = %(room)s AND rev = %(rev)s RETURNING id
               ), saved AS (
                   INSERT INTO liveboard.operations (room, rev, site, seq, data)
                   SELECT room.id, %(rev)s + o.at, o.site, o.seq, o.data
                   FROM room, unnest(%(sites)s::bytea[], %(seqs)s::bigint[], %(datas)s::bytea[])
                       WITH ORDINALITY AS o (site, seq, data, at)
               )
               SELECT count(*) FROM room""",
            {
                "room": room,
                "rev": rev,
                "count": len(entries),
                "bytes": sum(len(entry.data) for entry in entries),
                "sites": [entry.operation.site for entry in entries],
                "seqs": [entry.operation.seq for entry in entries],
                "datas": [entry.data for entry in entries],
            },
        )
        return bool(saved)

    async def claim_site(self, room: str, site: bytes, token: bytes) -> bool:
        """Make the site belong to whoever knows the token (its SHA-256 is given); False when it is another's or
        retired."""
        owner = await self._postgres.fetch_one(
            """INSERT INTO liveboard.sites AS s (room, site, token) VALUES (%s, %s, %s)
               ON CONFLICT (room, site) DO UPDATE SET seen_at = now() RETURNING token, retired""",
            (room, site, token),
        )
        return owner is not None and owner[0] == token and not owner[1]

    async def touch_sites(self, room: str, sites: Sequence[bytes]) -> None:
        """Mark sites as seen now."""
        await self._postgres.execute(
            "UPDATE liveboard.sites SET seen_at = now() WHERE room = %s AND site = ANY(%s)", (room, list(sites))
        )

    async def retire_sites(self, room: str, ttl_s: float) -> set[bytes]:
        """Retire the sites not seen for so long; returns all that are retired."""
        await self._postgres.execute(
            """UPDATE liveboard.sites SET retired = true
               WHERE room = %s AND NOT retired AND seen_at < now() - make_interval(secs => %s)""",
            (room, ttl_s),
        )
        rows = await self._postgres.fetch_all("SELECT site FROM liveboard.sites WHERE room = %s AND retired", (room,))
        return {row[0] for row in rows}

    async def prune(self, room: str, floor: int, entries: Sequence[Entry]) -> None:
        """Raise the floor, and put pruned operations in the place of the whole ones."""
        async with self._postgres.transaction() as connection:
            await connection.execute("UPDATE liveboard.rooms SET floor = %s WHERE id = %s", (floor, room))
            await connection.execute(
                """UPDATE liveboard.operations AS o SET data = p.data
                   FROM unnest(%s::bytea[], %s::bigint[], %s::bytea[]) AS p (site, seq, data)
                   WHERE o.room = %s AND o.site = p.site AND o.seq = p.seq""",
                (
                    [entry.operation.site for entry in entries],
                    [entry.operation.seq for entry in entries],
                    [entry.data for entry in entries],
                    room,
                ),
            )

    async def expire(self, ttl_s: float, but: Sequence[str]) -> list[str]:
        """Delete rooms not used for so long, but for these; returns their names."""
        rows = await self._postgres.fetch_all(
            """DELETE FROM liveboard.rooms WHERE used_at < now() - make_interval(secs => %s) AND NOT id = ANY(%s)
               RETURNING id""",
            (ttl_s, list(but)),
        )
        return [row[0] for row in rows]

    async def put_image(self, room: str, sha256: bytes, type: str, data: bytes, bytes_max: int) -> bool:
        """Keep an image; False when the room's images would be more than `bytes_max` together."""
        kept = await self._postgres.fetch_value(
            """WITH kept AS (
                   INSERT INTO liveboard.images (room, sha256, type, data)
                   SELECT %(room)s, %(sha256)s, %(type)s, %(data)s
                   WHERE %(size)s + (SELECT coalesce(sum(octet_length(data)), 0) FROM liveboard.images
                                     WHERE room = %(room)s AND sha256 <> %(sha256)s) <= %(bytes_max)s
                   ON CONFLICT DO NOTHING RETURNING 1
               ) SELECT count(*) FROM kept""",
            {
                "room": room,
                "sha256": sha256,
                "type": type,
                "data": data,
                "size": len(data),
                "bytes_max": bytes_max,
            },
        )
        return bool(kept) or await self.image(room, sha256) is not None

    async def image(self, room: str, sha256: bytes) -> tuple[str, bytes] | None:
        """An image's type and file."""
        row = await self._postgres.fetch_one(
            "SELECT type, data FROM liveboard.images WHERE room = %s AND sha256 = %s", (room, sha256)
        )
        return None if row is None else (row[0], row[1])

    async def add_totals(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Add to the counts that outlive the hosts; returns all of them."""
        await self._postgres.execute(
            """INSERT INTO liveboard.totals AS t (name, value) SELECT * FROM unnest(%s::text[], %s::bigint[])
               ON CONFLICT (name) DO UPDATE SET value = t.value + excluded.value""",
            (list(counts), list(counts.values())),
        )
        return {row[0]: row[1] for row in await self._postgres.fetch_all("SELECT name, value FROM liveboard.totals")}

    async def ping(self) -> None:
        """Raise when the database does not answer."""
        await self._postgres.fetch_value("SELECT 1")


def _room_of(row: Sequence[object]) -> RoomRow:
    return RoomRow(*row)  # type: ignore[arg-type]
