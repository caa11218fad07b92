"""Commands on a real server: shapes, refusals, scripts, pipelines, dedicated connections."""

import hashlib
import signal

import pytest
import trio
from redis.exceptions import DataError, NoScriptError, ResponseError, WatchError

from host.errors import HostError, OutcomeUnknown, ServiceUnavailable
from host.services.redis import Redis

from .redis_kit import own_redis, running


@pytest.fixture(scope="module")
def server():
    with own_redis("--requirepass", "s:cret") as server:
        server.url += "?password=s:cret"
        yield server


@pytest.fixture
async def redis(server, nursery):
    redis = Redis(server.url, name="test")
    await nursery.start(redis.run)
    await redis.flushall()
    return redis


async def test_replies_have_the_shapes_of_redis_py(redis):
    assert await redis.set("k", "v") is True
    assert await redis.get("k") == b"v"
    assert await redis.get("none") is None
    assert await redis.zadd("z", {"a": 1.5, "b": 2}) == 2
    assert await redis.zrange("z", 0, -1, withscores=True) == [(b"a", 1.5), (b"b", 2.0)]
    assert await redis.hset("h", mapping={"a": 1}) == 1
    assert await redis.hgetall("h") == {b"a": b"1"}
    assert await redis.mget([]) == []
    assert await redis.smembers("none") == set()
    about = await redis.info("server")
    # Valkey names its own version beside the one of the Redis that it stands in for.
    assert about.get("valkey_version", about["redis_version"]) == redis.statistics().server_version
    assert await redis.slowlog_get() == []
    assert [key async for key in redis.scan_iter("h*")] == [b"h"]
    assert await redis.xadd("s", {"f": b"\xff"}, id="1-1") == b"1-1"
    assert await redis.xread({"s": 0}) == [[b"s", [(b"1-1", {b"f": b"\xff"})]]]
    assert await redis.client_getname() == "quartet:test"


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, []),
        ({"nx": True}, ["NX"]),
        ({"px": 9000}, ["PX", 9000]),
        ({"nx": True, "px": 9000}, ["NX", "PX", 9000]),
        ({"ex": 9}, ["EX", 9]),
        ({"xx": True, "px": 9000}, ["XX", "PX", 9000]),
        ({"get": True, "keepttl": True}, ["GET", "KEEPTTL"]),
        ({"nx": True, "pxat": 2**42}, ["NX", "PXAT", 2**42]),
    ],
)
async def test_set_sends_what_redis_py_sends(redis, monkeypatch, options, sent):
    seen = []

    async def execute_command(*args, **kwargs):
        seen.append(args)

    monkeypatch.setattr(redis, "execute_command", execute_command)
    await redis.set("k", "v", **options)
    assert seen == [("SET", "k", "v", *sent)]


async def test_set_says_whether_it_has_set(redis):
    assert await redis.set("k", "1", nx=True, px=60_000) is True
    assert await redis.set("k", "2", nx=True, px=60_000) is None
    assert await redis.set("k", "3", get=True) == b"1"
    assert await redis.execute_command("set", "k", "4", "NX", "PX", 500) is None
    with pytest.raises(DataError, match="mutually exclusive"):
        await redis.set("k", "1", ex=1, px=1)


async def test_error_reply_is_raised_for_its_caller_alone(redis):
    await redis.set("k", "text")
    with pytest.raises(ResponseError, match="wrong kind"):
        await redis.lpush("k", 1)
    assert await redis.get("k") == b"text"


@pytest.mark.parametrize("argument", [None, True, [1], object()])
async def test_argument_that_cannot_be_sent_is_named(redis, argument):
    with pytest.raises(DataError, match=type(argument).__name__):
        await redis.set("k", argument)


@pytest.mark.parametrize("value", [b"\x00\r\n", "é", 7, 1.5, bytearray(b"x"), memoryview(b"yz")])
async def test_every_other_argument_is_sent(redis, value):
    await redis.set("k", value)
    expected = value if isinstance(value, bytes | bytearray | memoryview) else str(value).encode()
    assert await redis.get("k") == bytes(expected)


async def test_value_far_larger_than_a_socket_buffer_goes_and_comes(redis):
    value = bytes(range(256)) * 40_000
    replies = {}

    async def small(number):
        replies[number] = await redis.echo(str(number))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(redis.set, "big", value)
        for number in range(100):
            nursery.start_soon(small, number)
    assert await redis.get("big") == value
    assert replies == {number: str(number).encode() for number in range(100)}


@pytest.mark.parametrize(
    "command",
    [
        ("BLPOP", "q", 0),
        ("blmove", "a", "b", "LEFT", "LEFT", 1),
        ("BZMPOP", 0, 1, "q", "MIN"),
        ("XREAD", "BLOCK", 0, "STREAMS", "s", "$"),
        ("XREADGROUP", "GROUP", "g", "c", "block", 10, "STREAMS", "s", ">"),
        ("WAIT", 1, 0),
        ("MULTI",),
        ("WATCH", "k"),
        ("SELECT", 2),
        ("SUBSCRIBE", "c"),
        (b"monitor",),
        ("CLIENT", "REPLY", "OFF"),
        ("CLIENT REPLY", "OFF"),
        ("client no-touch", "on"),
        ("HELLO", 3),
    ],
)
async def test_command_that_would_disturb_others_is_refused(redis, command):
    before = redis.statistics().calls_sent_total
    with pytest.raises(HostError, match="use `"):
        await redis.execute_command(*command)
    with pytest.raises(HostError, match="use `"):
        redis.pipeline().execute_command(*command)
    assert redis.statistics().calls_sent_total == before


async def test_stream_read_that_does_not_block_is_not_refused(redis):
    assert await redis.xread({"BLOCK": "0"}) == []
    assert await redis.client_list()


async def test_script_is_sent_once_and_again_after_the_server_forgot_it(redis, monkeypatch):
    sent = []
    execute_command = redis.execute_command

    async def recording(*args, **options):
        sent.append(args[0])
        return await execute_command(*args, **options)

    monkeypatch.setattr(redis, "execute_command", recording)
    text = "return {KEYS[1], ARGV[1], 'é'}"
    script = redis.register_script(text)
    assert script.sha == hashlib.sha1(text.encode()).hexdigest()

    for _ in range(2):
        assert await script(keys=["k"], args=[5]) == [b"k", b"5", "é".encode()]
    assert sent == ["EVALSHA", "EVAL", "EVALSHA"]
    await execute_command("SCRIPT FLUSH")
    assert await script(["k"], ["v"]) == [b"k", b"v", "é".encode()]
    assert sent[3:] == ["EVALSHA", "EVAL"]


async def test_script_that_raises_is_not_run_twice(redis):
    script = redis.register_script("redis.call('INCR', KEYS[1]); return redis.error_reply('BROKEN by me')")
    with pytest.raises(ResponseError, match="BROKEN by me"):
        await script(["n"])
    assert await redis.get("n") == b"1"


async def test_script_in_a_pipeline_works_when_the_server_does_not_know_it(redis):
    script = redis.register_script("return redis.call('INCR', KEYS[1])")
    await redis.script_flush()
    pipe = redis.pipeline()
    await script(["n"], client=pipe)
    await pipe.get("n")
    assert await pipe.execute() == [1, b"1"]
    with pytest.raises(NoScriptError):
        await redis.pipeline().evalsha("0" * 40, 0).execute()


async def test_transaction_is_one_unit_among_calls_of_others(redis):
    async def transfer():
        pipe = redis.pipeline()
        pipe.decr("a").incr("b")
        assert await pipe.execute()

    async def watch_the_sum():
        balance = redis.register_script("return (redis.call('GET', KEYS[1]) or 0) + (redis.call('GET', KEYS[2]) or 0)")
        assert await balance(["a", "b"]) == 0

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(transfer)
            nursery.start_soon(watch_the_sum)
    assert await redis.mget("a", "b") == [b"-200", b"200"]


async def test_pipeline_shapes_replies_and_raises_the_first_error(redis):
    pipe = redis.pipeline(transaction=False)
    pipe.hset("h", "f", 1).hgetall("h").lpush("h", 1).get("h").set("k", 1)
    assert len(pipe) == 5
    with pytest.raises(ResponseError, match=r"command 3 of the pipeline \(LPUSH\)"):
        await pipe.execute()
    assert len(pipe) == 0
    assert await redis.get("k") == b"1"

    pipe.hgetall("h").lpush("h", 1).set("k", 1)
    got = await pipe.execute(raise_on_error=False)
    assert [got[0], type(got[1]), got[2]] == [{b"f": b"1"}, ResponseError, True]
    assert await redis.pipeline().execute() == []


async def test_transaction_that_cannot_be_queued_does_nothing(redis):
    pipe = redis.pipeline()
    pipe.set("k", 1).execute_command("NOSUCHCOMMAND")
    with pytest.raises(ResponseError, match=r"command 2 of the pipeline \(NOSUCHCOMMAND\)"):
        await pipe.execute(raise_on_error=False)
    assert await redis.get("k") is None


async def test_watched_key_that_changes_fails_the_transaction(redis):
    async with redis.dedicated() as connection:
        for interferes in (True, False):
            await connection.watch("seat")
            pipe = connection.pipeline().set("seat", "mine")
            if interferes:
                await redis.set("seat", "theirs")
                with pytest.raises(WatchError):
                    await pipe.execute()
                assert await connection.get("seat") == b"theirs"
            else:
                assert await pipe.execute() == [True]
    assert await redis.get("seat") == b"mine"


async def test_blocking_command_has_a_connection_of_its_own(redis):
    async with redis.dedicated() as connection, trio.open_nursery() as nursery:
        popped = []

        async def pop():
            popped.append(await connection.blpop("q", timeout=0))

        nursery.start_soon(pop)
        while (await redis.info("clients"))["blocked_clients"] == 0:
            await redis.ping()
        with pytest.raises(trio.BusyResourceError):
            await connection.ping()
        await redis.rpush("q", "x")
        while not popped:
            await redis.ping()
        assert popped == [(b"q", b"x")]
        assert redis.statistics().connections_lent == 1
    assert redis.statistics().connections_lent == 0


async def test_blocking_command_may_wait_longer_than_a_reply_may_take(server):
    async with running(server.url, timeout_s=0.2) as redis, redis.dedicated() as connection:
        assert await connection.blpop("none", timeout=0.5) is None
        assert await connection.xread({"none": "$"}, block=500) == []


async def test_cancelled_command_closes_its_dedicated_connection(redis):
    async with redis.dedicated() as connection:
        with trio.move_on_after(0.05) as scope:
            await connection.blpop("q", timeout=0)
        assert scope.cancelled_caught
        with pytest.raises(ServiceUnavailable, match="was cancelled"):
            await connection.get("k")


async def test_dedicated_connection_ends_with_its_block(redis):
    async with redis.dedicated() as connection:
        await connection.ping()
    with pytest.raises(ServiceUnavailable, match="has ended"):
        await connection.ping()


async def test_dedicated_connection_refuses_what_unsettles_replies(redis):
    async with redis.dedicated() as connection:
        with pytest.raises(HostError, match="pubsub"):
            await connection.execute_command("SUBSCRIBE", "c")
        await connection.execute_command("SELECT", 1)
        assert await connection.ping() is True


async def test_dedicated_connections_are_bounded(server):
    async with running(server.url, timeout_s=0.1, connections_max=1) as redis, redis.dedicated():
        with pytest.raises(ServiceUnavailable, match="all 1 connections"):
            async with redis.dedicated():
                pass


async def test_stalled_server_does_not_hold_a_dedicated_connection(server):
    async with running(server.url, timeout_s=0.2) as redis, redis.dedicated() as connection:
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(OutcomeUnknown, match=r"within 0\.2 s"):
                await connection.get("k")
        finally:
            server.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("query", "reason"),
    [("?password=wrong", "WRONGPASS|invalid"), ("?db=0", "NOAUTH|Auth"), ("?password=s:cret&db=99", "DB")],
)
async def test_server_that_lets_nobody_in_is_unavailable_and_says_why(server, query, reason):
    async with running(server.url.partition("?")[0] + query) as redis:
        with pytest.raises(ServiceUnavailable, match=reason) as caught:
            await redis.get("k")
        assert "wrong" not in str(caught.value)
        assert redis.statistics().state == "down"


async def test_url_chooses_database_and_user(redis, server):
    await redis.acl_setuser("ana", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all"])
    async with running(f"{server.url.partition('?')[0]}?db=5&username=ana&password=pw") as other:
        await other.set("here", 1)
        assert await other.acl_whoami() == "ana"
        assert await redis.get("here") is None
        await redis.acl_deluser("ana")
