"""`quartet raft node`: one member of a real cluster."""

import json
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from host.api import Command, PluginContext
from plugins.raft.core.settings import Settings
from plugins.raft.storage import StorageError

if TYPE_CHECKING:
    from plugins.raft.process.node import NodeOptions
    from plugins.raft.process.transport import Address

_EXAMPLE: Final = """example, three nodes on one machine, each in a terminal of its own (N is 1, 2 and 3):
  quartet raft node --id N --peers 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103 \\
      --data-dir data/raft-N --http 127.0.0.1:810N
then: curl -L -X PUT -H 'content-type: application/json' -d '{"value": "red"}' http://127.0.0.1:8101/kv/colour"""


def _address(text: str) -> "Address":
    from plugins.raft.process.transport import Address  # only a node needs what it comes with

    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ArgumentTypeError(f"{text!r} is no address: write host:port")
    return Address(host.strip("[]"), int(port))


def _peers(text: str) -> "dict[int, Address]":
    found: dict[int, Address] = {}
    for part in text.split(","):
        number, equals, address = part.strip().partition("=")
        if not equals or not number.isdigit() or not 0 < int(number) < 1 << 31:
            raise ArgumentTypeError(f"{part!r} is no peer: write 1=host:port,2=host:port,…")
        if int(number) in found:
            raise ArgumentTypeError(f"peer {number} is there twice")
        found[int(number)] = _address(address)
    return found


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--id", type=int, required=True, help="this node's number, one of those in --peers")
    parser.add_argument("--peers", type=_peers, required=True, help="all members: 1=host:port,2=host:port,…")
    parser.add_argument("--data-dir", type=Path, required=True, help="this node's own folder, kept over restarts")
    parser.add_argument("--http", type=_address, default=None, help="serve the store here (host:port)")
    parser.add_argument("--join", action="store_true", help="the group exists and will add this node")
    parser.add_argument("--election-timeout-ms", type=int, default=300, help="the least time-out, default 300")
    parser.add_argument("--heartbeat-ms", type=int, default=50, help="default 50")
    parser.add_argument("--snapshot-every", type=int, default=50_000, help="entries, default 50,000")
    parser.epilog = _EXAMPLE


async def _node(ctx: PluginContext, arguments: Namespace) -> int:
    """Run the node until SIGTERM or SIGINT, which exit with 0. Prints one JSON line once it listens."""
    settings = Settings(
        election_timeout_us=arguments.election_timeout_ms * 1000, heartbeat_us=arguments.heartbeat_ms * 1000
    )
    problems = settings.problems()
    if arguments.id not in arguments.peers:
        problems.append(f"--id {arguments.id} is not among --peers")
    if arguments.snapshot_every < 1:
        problems.append("--snapshot-every must be at least 1")
    if problems:
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return 2
    from plugins.raft.process.node import NodeOptions  # as above

    options = NodeOptions(
        arguments.id,
        arguments.peers,
        arguments.data_dir,
        arguments.http,
        arguments.join,
        settings,
        arguments.snapshot_every,
    )
    return await run_node(options, ctx)


async def run_node(options: "NodeOptions", ctx: PluginContext) -> int:
    """Run a node until a signal. Exit code 1 when its disk cannot be used, or fails."""
    from plugins.raft.process.node import NodeProcess  # as above

    process = NodeProcess(options, ctx.log.warning)
    failure: BaseException | None = None
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                where = await nursery.start(process.run)
                sys.stdout.write(json.dumps(where) + "\n")
                sys.stdout.flush()
                async for _ in signals:
                    break
                await process.hand_over()
                nursery.cancel_scope.cancel(reason="a signal asked for the end")
    except* StorageError as group:
        failure = group.exceptions[0]
    if failure is not None:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


NODE: Final = Command("node", "Run one node of a real cluster.", _node, _arguments)
