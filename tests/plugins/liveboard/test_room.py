"""Rooms over a real host, Postgres and Redis: what is acknowledged is saved, and everybody has the same board."""

import contextlib
import secrets

import pytest
import trio

from host.testing import running_host
from plugins.liveboard.certificates import verify
from plugins.liveboard.core import frames as f
from plugins.liveboard.core import operations as o
from plugins.liveboard.core.admission import LAMPORT_JUMP_MAX
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.errors import Refusal
from plugins.liveboard.core.opset import entry_of
from plugins.liveboard.images import image_type
from plugins.liveboard.session import SITES_MAX
from tests.plugins.liveboard.conftest import Client, stroke


@contextlib.asynccontextmanager
async def open_host(postgres_url, redis_url, data_dir, **settings):
    async with running_host(
        {"liveboard": settings}, postgres_url=postgres_url, redis_url=redis_url, data_dir=data_dir
    ) as host:
        yield host


@pytest.fixture
async def host(postgres_url, redis_url, tmp_path):
    async with open_host(postgres_url, redis_url, tmp_path, people_interval=0.02) as opened:
        yield opened


async def row_count(host, room: str) -> int:
    return (await host.http.get(f"/api/liveboard/rooms/{room}")).json()["rev"]


async def test_strokes_of_several_come_out_equal_everywhere(host) -> None:
    people = [Client(f"person {number}") for number in range(4)]
    async with contextlib.AsyncExitStack() as stack:
        for person in people:
            await stack.enter_async_context(person.connected(host.url, "studio"))
        async with trio.open_nursery() as nursery:
            for at, person in enumerate(people):
                nursery.start_soon(person.draw, *[stroke(at * 100 + x) for x in range(25)])
        for person in people:
            await person.saved()
            await person.has(100)
    assert len({person.board.root for person in people}) == 1
    answer = (await host.http.get("/api/liveboard/rooms/studio")).json()
    assert answer["rev"] == 100
    assert (answer["digest"], answer["root"]) == (people[0].board.digest.hex(), people[0].board.root.hex())


async def test_late_joiner_gets_the_board_in_chunks_and_then_what_follows(postgres_url, redis_url, tmp_path) -> None:
    async with open_host(postgres_url, redis_url, tmp_path, chunk_bytes=1024) as host:
        first, late = Client(), Client()
        async with first.connected(host.url, "room"):
            await first.draw(*[stroke(x) for x in range(300)])
            await first.saved()
            async with late.connected(host.url, "room"), trio.open_nursery() as nursery:
                nursery.start_soon(first.draw, stroke(1), stroke(2))
                await late.has(302)
        assert late.board.root == first.board.root


async def test_client_resumes_behind_the_revision_it_has(host) -> None:
    writer, other = Client(), Client()
    async with writer.connected(host.url, "room"):
        async with other.connected(host.url, "room"):
            await writer.draw(stroke(1), stroke(2))
            await other.has(2)
        await writer.draw(stroke(3))
        await writer.saved()
        known = len(other.board)
        async with other.connected(host.url, "room"):
            assert (known, len(other.board), other.rev) == (2, 3, 3)
            assert other.welcome is not None
            assert not other.welcome.resync
    assert other.board.root == writer.board.root


async def test_operation_offered_twice_is_saved_once_and_acknowledged_again(host) -> None:
    client = Client()
    async with client.connected(host.url, "room"):
        entries = await client.draw()
        await client.saved()
        client.unsaved = list(entries)
        await client.offer(entries)
        await client.saved()
        assert await row_count(host, "room") == 1


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda c: o.Operation(c.site, 2, 1, stroke()), Refusal.GAP),
        (lambda c: o.Operation(c.site, 1, LAMPORT_JUMP_MAX + 1, stroke()), Refusal.CLOCK),
        (lambda c: o.Operation(secrets.token_bytes(8), 1, 1, stroke()), Refusal.SITE),
        (lambda c: o.Operation(c.site, 1, 1, o.Pruned(bytes(32))), Refusal.MALFORMED),
    ],
    ids=["gap", "clock", "site", "pruned"],
)
async def test_operation_against_the_rules_is_refused_and_harms_nobody(host, make, reason) -> None:
    client, other = Client(), Client()
    async with client.connected(host.url, "room"), other.connected(host.url, "room"):
        await client.send(f.Offer((encode_operation(make(client)),)))
        refused = await client.expect(f.Refused)
        assert refused.reason == reason
        await client.draw()
        await other.has(1)
    assert other.board.root == client.board.root


async def test_equivocation_is_refused_and_everybody_keeps_the_first(host) -> None:
    client, other = Client(), Client()
    async with client.connected(host.url, "room"), other.connected(host.url, "room"):
        await client.draw(stroke(1))
        await client.saved()
        await client.send(f.Offer((encode_operation(o.Operation(client.site, 1, 1, stroke(2))),)))
        refused = await client.expect(f.Refused)
        assert (refused.seq, refused.reason) == (1, Refusal.EQUIVOCATION)
        await other.has(1)
        assert len(other.board) == 1


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x82\x00\x00", b"\x02\x01\x05hello", b"\x05", bytes(70)], ids=repr)
async def test_malformed_frame_ends_its_own_connection_alone(host, data) -> None:
    client, other = Client(), Client()
    async with other.connected(host.url, "room"):
        async with client.connected(host.url, "room"):
            assert client.socket is not None
            await client.socket.send_message(data)
            bye = await client.expect(f.Bye)
            assert bye.reason == f.ByeReason.PROTOCOL
        await other.draw()
        await other.saved()


async def test_socket_that_says_nothing_is_closed(postgres_url, redis_url, tmp_path) -> None:
    async with (
        open_host(postgres_url, redis_url, tmp_path, hello_timeout="50ms") as host,
        Client().connected_raw(host.url, "room") as socket,
    ):
        bye = f.decode_frame(await socket.get_message())
        assert bye.reason == f.ByeReason.SILENT


async def test_client_that_falls_silent_is_gone_from_the_list(postgres_url, redis_url, tmp_path) -> None:
    settings = {"presence_ttl": "100ms", "people_interval": "10ms"}
    async with open_host(postgres_url, redis_url, tmp_path, **settings) as host:
        silent = Client("silent")
        async with silent.connected(host.url, "room"):
            await silent.until(lambda: silent.names() == {"silent"})
            await silent.until(lambda: silent.names() == set())
            await silent.send(f.Ping(1))
            await silent.until(lambda: silent.names() == {"silent"})


async def test_client_that_is_silent_for_long_is_cut(postgres_url, redis_url, tmp_path) -> None:
    async with open_host(postgres_url, redis_url, tmp_path, silence_max="200ms") as host:
        silent = Client("silent")
        async with silent.connected(host.url, "room"):
            assert (await silent.expect(f.Bye)).reason == f.ByeReason.SILENT


async def test_presence_reaches_the_others_and_is_forgotten_with_its_client(host) -> None:
    mover, watcher = Client("mover"), Client("watcher")
    async with watcher.connected(host.url, "room"):
        async with mover.connected(host.url, "room"):
            await mover.send(f.Presence(b"here", b"ink 1"))
            await mover.send(f.Presence(b"there", b"ink 2"))
            assert mover.welcome is not None
            number = mover.welcome.person
            await watcher.until(lambda: _last_state(watcher, number) == b"there")
            inks = [
                ink for each in watcher.inbox if isinstance(each, f.Moves) for _, _, inks in each.moves for ink in inks
            ]
            assert inks == [b"ink 1", b"ink 2"]
            await watcher.until(lambda: watcher.names() == {"mover", "watcher"})
        await watcher.until(lambda: watcher.names() == {"watcher"})


async def test_presence_that_comes_too_fast_is_dropped_and_counted(postgres_url, redis_url, tmp_path) -> None:
    async with open_host(postgres_url, redis_url, tmp_path, presence_per_s=0.001) as host:
        client = Client()
        async with client.connected(host.url, "room"):
            for _ in range(5):
                await client.send(f.Presence(b"here", b""))
            await client.send(f.Ping(1))
            await client.expect(f.Pong)
        assert (await host.http.get("/api/liveboard/figures")).json()["here"]["presence_dropped"] == 5


def _last_state(client: Client, number: int) -> bytes | None:
    states = [
        state for each in client.inbox if isinstance(each, f.Moves) for who, state, _ in each.moves if who == number
    ]
    return states[-1] if states else None


async def test_reports_are_compared_and_told_to_everybody(host) -> None:
    client, other = Client(), Client()
    async with client.connected(host.url, "room"), other.connected(host.url, "room"):
        await client.draw(stroke(1), stroke(2))
        await client.saved()
        await client.send(f.Report(2, client.board.digest))
        await client.send(f.Report(1, client.board.digest))
        assert client.welcome is not None
        wanted = (client.welcome.person, 1, client.board.digest)
        await other.until(lambda: any(isinstance(e, f.Reports) and wanted in e.reports for e in other.inbox))
        answer = (await host.http.get("/api/liveboard/rooms/room")).json()
        assert (answer["checks_passed"], answer["checks_failed"]) == (1, 1)


async def test_first_difference_is_found_over_the_wire(host) -> None:
    from plugins.liveboard.core.digests import DifferenceWalk, MerkleTree

    client = Client()
    async with client.connected(host.url, "room"):
        await client.draw(*[stroke(x) for x in range(200)])
        await client.saved()
        leaves = list(client.board.tree.leaves)
        leaves[137] = bytes(32)
        await client.send(f.Probe(0, 0))
        top = await client.expect(f.Nodes)
        walk = DifferenceWalk(MerkleTree(leaves), top.height, top.root)
        while walk.probe is not None:
            await client.send(f.Probe(*walk.probe))
            nodes = await client.expect(f.Nodes)
            walk.answer(nodes.left or None, nodes.right or None)
        assert (walk.place, walk.rounds) == (137, 8)


async def test_site_belongs_to_whoever_drew_its_token(host) -> None:
    owner, thief = Client(), Client()
    thief.site = owner.site
    async with owner.connected(host.url, "room"):
        await owner.draw()
        await owner.saved()
    async with thief.connected(host.url, "room"):
        assert (await thief.expect(f.Bye)).reason == f.ByeReason.SITE_TAKEN


async def test_duplicated_tab_takes_over_and_the_older_is_told(host) -> None:
    older, newer = Client(), Client()
    newer.site, newer.token = older.site, older.token
    async with older.connected(host.url, "room"), newer.connected(host.url, "room"):
        assert (await older.expect(f.Bye)).reason == f.ByeReason.TAKEN_OVER


async def test_earlier_page_is_finished_by_claiming_its_site(host) -> None:
    before, after = Client(), Client()
    left = before.make(stroke(5))
    async with after.connected(host.url, "room"):
        await after.send(f.Offer((left.data,)))
        assert (await after.expect(f.Refused)).reason == Refusal.SITE
        await after.send(f.Claim(before.site, before.token))
        await after.send(f.Offer((left.data,)))
        await after.has(1)
        await after.send(f.Claim(before.site, secrets.token_bytes(16)))
        assert (await after.expect(f.Refused)).reason == Refusal.SITE


async def test_sites_that_one_client_may_claim_are_bounded(host) -> None:
    client = Client()
    async with client.connected(host.url, "room"):
        for _ in range(SITES_MAX):
            await client.send(f.Claim(secrets.token_bytes(8), secrets.token_bytes(16)))
        assert (await client.expect(f.Bye)).reason == f.ByeReason.PROTOCOL


async def test_links_decide_who_may_draw(host) -> None:
    made = (await host.http.post("/api/liveboard/rooms", json={"title": "Ours", "password": "pass"})).json()
    room, edit, view = made["room"], made["edit_key"], made["view_key"]
    for key, password, reason in (("", "pass", 2), ("x", "pass", 2), (edit, "", 3), (edit, "wrong", 3)):
        client = Client()
        async with client.connected(host.url, room, key=key, password=password):
            assert (await client.expect(f.Bye)).reason == reason
    editor, viewer = Client(), Client()
    async with (
        editor.connected(host.url, room, key=edit, password="pass"),
        viewer.connected(host.url, room, key=view, password="pass"),
    ):
        assert editor.welcome is not None
        assert viewer.welcome is not None
        assert (editor.welcome.role, viewer.welcome.role, editor.welcome.title) == (f.EDIT, f.VIEW, "Ours")
        await viewer.draw()
        assert (await viewer.expect(f.Refused)).reason == Refusal.FORBIDDEN
        await editor.draw()
        await viewer.has(1)
    listed = (await host.http.get("/api/liveboard/rooms")).json()["rooms"]
    assert room not in [each["room"] for each in listed]
    headers = {"x-liveboard-key": view, "x-liveboard-password": "pass"}
    assert (await host.http.get(f"/api/liveboard/rooms/{room}", headers=headers)).status_code == 200
    assert (await host.http.get(f"/api/liveboard/rooms/{room}")).status_code == 403


async def test_room_may_forbid_changing_what_others_drew(host) -> None:
    wish = {"access": "open", "others": False}
    room = (await host.http.post("/api/liveboard/rooms", json=wish)).json()["room"]
    one, other = Client(), Client()
    async with one.connected(host.url, room), other.connected(host.url, room):
        (mark,) = await one.draw()
        await other.has(1)
        for body in (
            o.Erase((mark.operation.id,), ((),)),
            o.Move((mark.operation.id,), 1, 1),
            o.Clear(((one.site, 1),)),
        ):
            other.seq = 0
            other.unsaved = []
            await other.draw(body)
            assert (await other.expect(f.Refused)).reason == Refusal.FORBIDDEN
        await one.draw(o.Erase((mark.operation.id,), ((),)))
        await other.has(2)


@pytest.mark.parametrize("name", ["Upper", "a_b", "-x", "a" * 65])
async def test_name_that_no_room_has_is_refused(host, name) -> None:
    client = Client()
    async with client.connected(host.url, name):
        assert (await client.expect(f.Bye)).reason == f.ByeReason.NO_ROOM


async def test_rooms_clients_and_boards_are_limited(postgres_url, redis_url, tmp_path) -> None:
    settings = {"rooms_max": 1, "clients_per_room_max": 1, "operations_max": 2}
    async with open_host(postgres_url, redis_url, tmp_path, **settings) as host:
        client = Client()
        async with client.connected(host.url, "room"):
            for name in ("room", "another"):
                other = Client()
                async with other.connected(host.url, name):
                    assert (await other.expect(f.Bye)).reason == f.ByeReason.FULL
            await client.draw(stroke(1), stroke(2), stroke(3))
            refused = await client.expect(f.Refused)
            assert (refused.seq, refused.reason, refused.detail) == (3, Refusal.BOARD_FULL, 2)
        assert (await host.http.post("/api/liveboard/rooms", json={})).status_code == 503


async def test_client_that_is_too_fast_waits_and_loses_nothing(postgres_url, redis_url, tmp_path) -> None:
    settings = {"operations_per_s": 200, "operations_burst": 1}
    async with open_host(postgres_url, redis_url, tmp_path, **settings) as host:
        client = Client()
        async with client.connected(host.url, "room"):
            started = trio.current_time()
            for x in range(20):
                await client.draw(stroke(x))
            await client.saved()
            assert trio.current_time() - started > 0.08


async def test_rooms_board_leaves_memory_when_nobody_is_there_and_comes_back(postgres_url, redis_url, tmp_path) -> None:
    async with open_host(postgres_url, redis_url, tmp_path, room_idle="50ms", poll_interval="20ms") as host:
        client = Client()
        async with client.connected(host.url, "room"):
            await client.draw(stroke(1), stroke(2))
            await client.saved()
        with trio.fail_after(30):
            while (await host.http.get("/api/liveboard/figures")).json()["rooms"]:  # noqa: ASYNC110
                await trio.sleep(0.01)
        again = Client()
        async with again.connected(host.url, "room"):
            assert again.board.root == client.board.root


async def test_image_is_kept_by_its_hash_and_bounded(postgres_url, redis_url, tmp_path) -> None:
    settings = {"image_bytes_max": 100, "images_bytes_max": 150}
    async with open_host(postgres_url, redis_url, tmp_path, **settings) as host:
        made = (await host.http.post("/api/liveboard/rooms", json={"access": "open"})).json()
        path = f"/api/liveboard/rooms/{made['room']}/images"
        png = {"content-type": "image/png"}
        file = b"\x89PNG\r\n\x1a\n" + bytes(80)
        answer = await host.http.post(path, content=file, headers=png)
        assert answer.status_code == 201
        assert (await host.http.post(path, content=file, headers=png)).status_code == 201
        shown = await host.http.get(answer.json()["url"])
        assert (shown.content, shown.headers["content-type"]) == (file, "image/png")
        assert shown.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert shown.headers["content-security-policy"].startswith("default-src 'none'; sandbox")
        assert (await host.http.post(path, content=file[:80] + b"x", headers=png)).status_code == 413
        assert (await host.http.post(path, content=file + bytes(20), headers=png)).status_code == 413
        assert (await host.http.post(path, content=b"<script>", headers=png)).status_code == 415
        assert (await host.http.post(path, content=b"GIF89a" + bytes(8), headers=png)).status_code == 415
        assert (await host.http.get(path + "/00")).status_code == 404
        here = (await host.http.get("/api/liveboard/figures")).json()["here"]
        assert (here["images_kept"], here["image_bytes"], here["images_refused"]) == (2, 2 * len(file), 3)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"", None),
    ],
    ids=str,
)
def test_image_is_known_by_its_first_bytes(data, kind) -> None:
    assert image_type(data) == kind


async def test_certificate_holds_and_is_signed_with_the_key_of_the_room(host) -> None:
    client = Client()
    async with client.connected(host.url, "room"):
        await client.draw(stroke(1), stroke(2), stroke(3))
        await client.saved()
    certificate = (await host.http.get("/api/liveboard/rooms/room/certificate")).json()
    key = (await host.http.get("/api/liveboard/rooms/room")).json()["key"]
    assert verify(certificate, key)["root"] == client.board.root.hex()
    assert [bytes.fromhex(each["receipt"]) for each in certificate["operations"]] == [
        client.receipts[entry_of(bytes.fromhex(each["bytes"])).leaf] for each in certificate["operations"]
    ]


async def test_what_was_relayed_is_counted_across_restarts(postgres_url, redis_url, tmp_path) -> None:
    for number in (1, 2):
        async with open_host(postgres_url, redis_url, tmp_path) as host:
            people = [Client() for _ in range(3)]
            async with contextlib.AsyncExitStack() as stack:
                for person in people:
                    await stack.enter_async_context(person.connected(host.url, f"room-{number}"))
                await people[0].draw(stroke(1), stroke(2))
                for person in people:
                    await person.has(2)
    async with open_host(postgres_url, redis_url, tmp_path) as host:
        with trio.fail_after(30):
            while not (totals := (await host.http.get("/api/liveboard/figures")).json()["totals"]):  # noqa: ASYNC110
                await trio.sleep(0.01)
    assert totals == {"saved": 4, "relayed": 8, "checks_passed": 0, "checks_failed": 0}


async def test_those_who_join_resume_and_are_merged_are_counted(host) -> None:
    client = Client()
    async with client.connected(host.url, "room"):
        await client.draw(stroke(1), stroke(2))
        await client.saved()
    async with client.connected(host.url, "room"):
        pass
    other = Client()
    other.rev = 1
    async with other.connected(host.url, "room"):
        pass
    here = (await host.http.get("/api/liveboard/figures")).json()["here"]
    assert (here["joined"], here["resumed"], here["resynced"]) == (1, 1, 1)


async def test_proof_holds(host) -> None:
    answer = (await host.http.post("/api/liveboard/proof", json={"seed": 7, "seeds": 5})).json()
    assert (answer["verdict"], answer["converged"]) == ("holds", 5)


async def test_drain_sends_everybody_away_to_come_back(postgres_url, redis_url, tmp_path) -> None:
    client = Client()
    async with open_host(postgres_url, redis_url, tmp_path) as host, client.connected(host.url, "room"):
        await client.draw()
        await client.saved()
        host.application.stop()
        bye = await client.expect(f.Bye)
        assert bye.reason == f.ByeReason.RESTART
        assert bye.retry_ms > 0


async def test_board_is_pruned_and_stays_the_same_for_everybody(postgres_url, redis_url, tmp_path) -> None:
    settings = {"site_ttl": "100ms", "compact_interval": "50ms"}
    async with open_host(postgres_url, redis_url, tmp_path, **settings) as host:
        gone, here, later = Client(), Client(), Client()
        async with here.connected(host.url, "room"):
            async with gone.connected(host.url, "room"):
                (mark,) = await gone.draw()
                await gone.draw(o.Visibility(False, (1,)))
                await gone.saved()
            await here.draw(stroke(5))
            pruned = await here.expect(f.PrunedFrame)
            (entry,) = (entry_of(data) for data in pruned.operations)
            assert (entry.operation.id, entry.leaf) == (mark.operation.id, mark.leaf)
            async with later.connected(host.url, "room"):
                assert later.board.root == here.board.root
                kept = later.board.get(mark.operation.id)
                assert kept is not None
                assert isinstance(kept.operation.body, o.Pruned)
            async with gone.connected(host.url, "room"):
                assert (await gone.expect(f.Bye)).reason == f.ByeReason.SITE_TAKEN
            newcomer = Client()
            async with newcomer.connected(host.url, "room"):
                await newcomer.send(f.Offer((newcomer.make(stroke(), lamport=1).data,)))
                refused = await newcomer.expect(f.Refused)
                assert (refused.reason, refused.detail) == (Refusal.FLOOR, pruned.floor)
