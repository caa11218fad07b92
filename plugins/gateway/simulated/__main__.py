"""One simulated provider as a process of its own: `python -m plugins.gateway.simulated [--dialect D] [--port N]`.

For whoever wants an upstream that can be killed. Prints its address in a line once it serves; runs until it is ended.
"""

import argparse
import time
from typing import get_args

import trio

from plugins.gateway.core.dialects.table import Dialect
from plugins.gateway.simulated.server import SimulatedProvider


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m plugins.gateway.simulated", description=__doc__)
    parser.add_argument("--dialect", choices=get_args(Dialect), default="openai")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--first-token", type=float, default=0.04, metavar="SECONDS")
    parser.add_argument("--token-interval", type=float, default=0.008, metavar="SECONDS")
    arguments = parser.parse_args()
    provider = SimulatedProvider(
        "simulated",
        arguments.dialect,
        first_token_s=arguments.first_token,
        token_interval_s=arguments.token_interval,
        now_unix_s=time.time,
    )
    provider.port = arguments.port
    trio.run(_serve, provider)


async def _serve(provider: SimulatedProvider) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(provider.run)
        print(provider.base_url, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
