"""A relay in a process of its own, to be killed. Its arguments: the URLs of Postgres and Redis, and the stream."""

import sys

import structlog
import trio

from host.services.postgres_pool import Postgres
from host.services.redis import Redis
from plugins.frontrow.relay import RedisStream, Relay


async def main(postgres_url: str, redis_url: str, stream: str) -> None:
    async with Postgres(postgres_url, name="relay") as postgres, trio.open_nursery() as nursery:
        redis = Redis(redis_url, name="relay")
        await nursery.start(redis.run)
        await Relay(postgres, [RedisStream(redis, stream)], structlog.get_logger("relay")).run()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
