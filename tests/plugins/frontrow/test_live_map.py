"""The live map: versions that only grow, resume, and what becomes of holds that lapse."""

import itertools
import json

import httpx
import pytest
import trio
import trio.testing

from plugins.frontrow.core.house import SOLD
from plugins.frontrow.live_map import FRAMES_KEPT, WAVE, LiveMaps, Watched, parse_version
from tests.plugins.frontrow.conftest import eventually, open_front_row
from tests.plugins.frontrow.houses import hold
from tests.plugins.frontrow.test_checkout import Shop, opened


@pytest.fixture
async def shop(front_row):
    return await opened(front_row)


class Watcher:
    """A client of the stream: collects events and knows what the map is by them."""

    def __init__(self):
        self.events, self.letters, self.areas, self.text = [], [], {}, ""
        self.gone = trio.Event()

    async def run(self, shop, last_seen="", *, task_status=trio.TASK_STATUS_IGNORED):
        headers = [(b"last-event-id", last_seen.encode())] if last_seen else []
        path = f"/api/frontrow/events/{shop.event_id}/changes"
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}

        async def receive():
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            self.text += message.get("body", b"").decode()
            *whole, self.text = self.text.split("\n\n")
            for block in whole:
                self.take(dict(line.partition(": ")[::2] for line in block.split("\n")))

        task_status.started()
        await shop.front_row.router(scope, receive, send)

    def take(self, fields):
        if "event" not in fields:
            return
        document = json.loads(fields["data"])
        self.events.append((fields["event"], fields["id"], document))
        self.areas |= {area["id"]: area["free"] for area in document.get("areas", ())}
        if fields["event"] == "state":
            self.letters = list(document["seats"])
        else:
            for position, letter in document["seats"]:
                self.letters[position] = letter

    @property
    def map(self):
        return "".join(self.letters)


@pytest.fixture
async def nursery():
    async with trio.open_nursery() as opened_one:
        yield opened_one
        opened_one.cancel_scope.cancel("the test is over")


async def watch(nursery, shop, last_seen=""):
    watcher = Watcher()
    await nursery.start(watcher.run, shop, last_seen)

    async def has_begun():
        return watcher.events or last_seen

    await eventually(has_begun)
    return watcher


async def until_map(watcher, text):
    async def is_there():
        return watcher.map == text

    await eventually(is_there)


async def test_watcher_sees_seats_held_sold_and_freed_with_versions_that_grow(shop, nursery):
    watcher = await watch(nursery, shop)
    assert watcher.map == "fffffffffffb"
    order = await shop.order(0, 1)
    await until_map(watcher, "hhfffffffffb")
    await shop.pay(order)
    await until_map(watcher, "ssfffffffffb")
    await shop.front_row.checkout.refund(order["id"], "ill")
    await until_map(watcher, "fffffffffffb")
    versions = [parse_version(version) for _, version, _ in watcher.events]
    assert versions == sorted(set(versions))
    first, *later = [kind for kind, _, _ in watcher.events]
    assert (first, set(later)) == ("state", {"change"})


async def test_watcher_that_comes_back_gets_what_it_missed_and_no_more(shop, nursery):
    stays = await watch(nursery, shop)
    leaves = await watch(nursery, shop)
    await shop.hold(0)
    await until_map(leaves, "hffffffffffb")
    leaves.gone.set()
    last_seen = leaves.events[-1][1]
    await shop.hold(2, buyer="bob")
    await until_map(stays, "hfhffffffffb")
    back = Watcher()
    back.letters = leaves.letters
    nursery.start_soon(back.run, shop, last_seen)
    await until_map(back, "hfhffffffffb")
    assert [kind for kind, _, _ in back.events] == ["change"]


async def test_sale_of_places_without_seats_leaves_map_and_watchers_as_they_are(shop, nursery):
    watcher = await watch(nursery, shop)
    feed = shop.front_row.maps._feed
    feed.say(shop.event_id, (), SOLD)
    assert feed._pending == {}
    # An entry without seats that some other host wrote does no harm either.
    await feed._append(shop.event_id, {})
    await shop.hold(0)
    await until_map(watcher, "hffffffffffb")


async def test_change_tells_how_many_places_an_area_has_left(shop, nursery):
    watcher = await watch(nursery, shop)
    assert watcher.areas == {shop.area: 5}
    order = await shop.order(area=shop.area, quantity=3)
    await shop.pay(order)

    async def has(free):
        async def is_so():
            return watcher.areas == {shop.area: free}

        await eventually(is_so)

    await has(2)
    kind, _, change = watcher.events[-1]
    assert (kind, change["seats"], change["areas"]) == ("change", [], [{"id": shop.area, "free": 2}])
    await shop.front_row.checkout.refund(order["id"], "ill")
    await has(5)


async def test_change_tells_of_an_area_that_another_host_sold(postgres_url, redis_url, tmp_path, nursery):
    async with (
        open_front_row(postgres_url, redis_url, tmp_path) as one,
        open_front_row(postgres_url, redis_url, tmp_path) as other,
    ):
        shop = await opened(one)
        watcher = await watch(nursery, shop)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=other.router), base_url="http://test") as client:
            elsewhere = Shop(other, client, shop.event_id, shop.seats, shop.area)
            await elsewhere.pay(await elsewhere.order(area=shop.area, quantity=1))

        async def is_told():
            return watcher.areas == {shop.area: 4}

        await eventually(is_told)
        watcher.gone.set()


async def test_what_a_request_found_by_reading_anew_is_told_to_those_who_watch(shop, nursery):
    watcher = await watch(nursery, shop)
    key = shop.front_row.sale.holds.key(shop.event_id, shop.seats[4])
    await shop.front_row.ctx.redis.set(key, "somebody")
    maps = shop.front_row.maps
    await maps._houses.get(shop.event_id, age_max_s=-1)
    await until_map(watcher, "ffffhffffffb")


@pytest.mark.parametrize("last_seen", ["1-1", "nonsense", "99999999999999-0"])
async def test_watcher_whose_version_is_unknown_gets_the_whole_map(shop, nursery, last_seen):
    watcher = Watcher()
    await nursery.start(watcher.run, shop, last_seen)
    await until_map(watcher, "fffffffffffb")
    assert watcher.events[0][0] == "state"


async def test_watcher_that_falls_behind_gets_the_whole_map_again(shop, nursery):
    watcher = await watch(nursery, shop)
    maps = shop.front_row.maps
    watched = maps._watched[shop.event_id]
    for turn in range(FRAMES_KEPT + 10):
        maps._frame(watched, {0: turn % 2})

    async def has_the_last():
        return watcher.events[-1][1] == f"{watched.version[0]}-{watched.version[1]}"

    await eventually(has_the_last)
    assert [kind for kind, _, _ in watcher.events].count("state") == 2


async def test_frames_are_encoded_once_and_each_watcher_is_sent_the_same_bytes(shop, nursery):
    maps = shop.front_row.maps
    await watch(nursery, shop)
    watched = maps._watched[shop.event_id]
    before = watched.frames_made
    maps._frame(watched, {0: SOLD})
    assert watched.missed(before) is watched.missed(before)
    assert watched.whole() is watched.whole()


async def test_what_was_missed_comes_in_one_piece_or_as_the_whole_map_once_that_is_shorter(shop, nursery):
    maps = shop.front_row.maps
    await watch(nursery, shop)
    watched = maps._watched[shop.event_id]
    before = watched.frames_made
    for turn in range(2):
        maps._frame(watched, {turn: SOLD})
    assert watched.missed(watched.frames_made - 1) == watched.frames[-1].event
    assert len(watched.whole()) < len(watched.frames[-1].event) * 2
    assert watched.missed(before) == watched.whole(), "a house of twelve seats is told in less than two frames"
    watched.live.availability.states.extend(bytes(1000))
    maps._frame(watched, {2: SOLD})
    assert watched.missed(watched.frames_made - 2) == watched.frames[-2].event + watched.frames[-1].event


async def test_watchers_are_woken_in_waves_and_others_have_their_turn_between(shop):
    live = await shop.front_row.maps._houses.get(shop.event_id)
    watched, order = Watched(live), []

    async def wait(number):
        await watched.wait()
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3 * WAVE):
            nursery.start_soon(wait, number)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(watched.wake)
        counts = []
        while len(order) < 3 * WAVE:
            await trio.lowlevel.checkpoint()
            counts.append(len(order))
    assert max(after - before for before, after in itertools.pairwise([0, *counts])) <= 2 * WAVE


async def test_watcher_that_leaves_while_others_are_woken_is_passed_over(shop):
    live = await shop.front_row.maps._houses.get(shop.event_id)
    watched, woken = Watched(live), []

    async def wait(scope):
        with scope:
            await watched.wait()
            woken.append(scope)

    scopes = [trio.CancelScope() for _ in range(3)]
    async with trio.open_nursery() as nursery:
        for scope in scopes:
            nursery.start_soon(wait, scope)
        await trio.testing.wait_all_tasks_blocked()
        scopes[1].cancel("left")
        await trio.testing.wait_all_tasks_blocked()
        await watched.wake()
    assert scopes[1] not in woken
    assert len(woken) == 2


async def test_hold_that_lapses_is_free_on_the_map(postgres_url, redis_url, tmp_path, nursery):
    async with open_front_row(postgres_url, redis_url, tmp_path, hold_ttl=0.3) as front_row:
        shop = await opened(front_row)
        watcher = await watch(nursery, shop)
        await shop.hold(3)
        await until_map(watcher, "fffhfffffffb")
        await until_map(watcher, "fffffffffffb")
        watcher.gone.set()


async def test_what_another_host_does_is_on_the_map(postgres_url, redis_url, tmp_path, nursery):
    async with (
        open_front_row(postgres_url, redis_url, tmp_path) as one,
        open_front_row(postgres_url, redis_url, tmp_path) as other,
    ):
        shop = await opened(one)
        watcher = await watch(nursery, shop)
        shop.front_row = other
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=other.router), base_url="http://test") as client:
            assert (await hold(client, shop.event_id, shop.seats[5])).status_code == 201
        await until_map(watcher, "fffffhfffffb")
        watcher.gone.set()


async def test_what_nobody_said_is_found_by_reading_anew(shop, nursery):
    watcher = await watch(nursery, shop)
    key = shop.front_row.sale.holds.key(shop.event_id, shop.seats[4])
    await shop.front_row.ctx.redis.set(key, "somebody")
    maps = shop.front_row.maps
    await maps._read_anew(maps._watched[shop.event_id])
    await until_map(watcher, "ffffhffffffb")


async def test_map_of_no_event_is_404(shop):
    assert (await shop.client.get("/api/frontrow/events/99/changes")).status_code == 404


async def test_watcher_that_comes_while_the_plugin_ends_is_let_go(shop):
    front_row = shop.front_row
    asked, ended = trio.Event(), trio.Event()

    class Feed:
        async def end(self, event_id):
            asked.set()
            await ended.wait()
            return "0-0"

    maps = LiveMaps(front_row.maps._houses, Feed())
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as plugin:
            await plugin.start(maps.run)
            nursery.start_soon(maps.watch, shop.event_id, None, "")
            await asked.wait()
            plugin.cancel_scope.cancel()
        ended.set()
    assert maps.watchers == 0
