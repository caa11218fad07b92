"""One node as a process: opens its disk, listens, serves, and ends in order or at once: both are safe."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from host.api import HostError, OutcomeUnknown, serve
from plugins.raft.clock import Clock
from plugins.raft.core.base import Durable
from plugins.raft.core.configuration import Configuration
from plugins.raft.core.effects import Role
from plugins.raft.core.kv import KeyValue
from plugins.raft.core.sessions import Sessions
from plugins.raft.core.settings import Settings
from plugins.raft.process.http import listen, make_app
from plugins.raft.process.server import Server
from plugins.raft.process.transport import Address, TcpTransport
from plugins.raft.requests import NotTaken
from plugins.raft.shell import Shell
from plugins.raft.storage import Storage

PROCESS_SETTINGS: Final = Settings(election_timeout_us=300_000)
"""Twice the lab's patience: processes share their machines with others."""
HAND_OVER_S: Final = 1.0
"""How long a leader that is stopped tries to hand over."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What a process needs to know. `peers` are all members at the start, this node among them."""

    id: int
    peers: Mapping[int, Address]
    data_dir: Path
    http: Address | None = None
    joins: bool = False
    """The group exists already and will add this node: it starts with an empty log."""
    settings: Settings = PROCESS_SETTINGS
    snapshot_every: int = 50_000
    timeout_s: float = 5.0


class NodeProcess:
    """A running node. `run` first."""

    def __init__(self, options: NodeOptions, log: Callable[[str], None]) -> None:
        self.options = options
        self._log = log
        self.shell: Shell | None = None
        self.http_url = ""

    async def run(self, *, task_status: trio.TaskStatus[dict[str, Any]] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; reports where it listens once it does.

        Raises:
            StorageError: the disk is in use, damaged, or fails.
            HostError: an address cannot be listened on.
        """
        options = self.options
        group = Durable.empty() if options.joins else Durable.first(Configuration(tuple(sorted(options.peers))))
        storage, durable = await trio.to_thread.run_sync(
            partial(Storage.open, options.data_dir, options.id, first=group)
        )
        try:
            async with trio.open_nursery() as nursery:
                await self._serve(nursery, storage, durable, task_status)
        except BaseExceptionGroup as group_of_errors:
            # One failure ends the process, and is what it says.
            known, rest = group_of_errors.split(HostError)
            if known is not None and rest is None:
                raise _leaf(known) from None
            raise
        finally:
            storage.close()

    async def _serve(
        self,
        nursery: trio.Nursery,
        storage: Storage,
        durable: Durable,
        task_status: trio.TaskStatus[dict[str, Any]],
    ) -> None:
        options = self.options
        listening = listen(options.http) if options.http is not None else None
        if options.http is not None and listening is not None:
            self.http_url = f"http://{options.http.host}:{listening.getsockname()[1]}"
        unreachable: Callable[[int], None] = lambda peer: self.shell.unreachable(peer) if self.shell else None  # noqa: E731
        transport = TcpTransport(options.id, options.peers, self.http_url, unreachable)
        shell = self.shell = Shell(
            options.settings,
            storage,
            durable,
            transport,
            Sessions(KeyValue()),
            seed=secrets.randbits(63),
            clock=Clock(),
            snapshot_every=options.snapshot_every,
        )
        server = Server(shell, self._log)
        here = options.peers[options.id]
        try:
            listeners = await trio.open_tcp_listeners(here.port, host=here.host)
        except OSError as error:
            raise HostError(f"cannot listen on {here.host}:{here.port}: {error.strerror or error}") from error
        await nursery.start(shell.run)
        nursery.start_soon(transport.run)
        await nursery.start(trio.serve_listeners, server.serve, listeners)
        if listening is not None:
            app = make_app(shell, server.urls, transport.connected, options.timeout_s)
            await nursery.start(serve, app, [listening])
        port = listeners[0].socket.getsockname()[1]
        task_status.started({"id": options.id, "peer": f"{here.host}:{port}", "http": self.http_url})

    async def hand_over(self) -> None:
        """A leader that is about to stop makes the one that is closest its successor, if it can in time."""
        shell = self.shell
        if shell is None or shell.node.role is not Role.LEADER:
            return
        node = shell.node
        voters = [number for number in node.configuration.voters if number in node.progress]
        if voters:
            target = max(voters, key=lambda number: node.progress[number].match)
            with trio.move_on_after(HAND_OVER_S):
                try:
                    await shell.transfer(target, HAND_OVER_S)
                except (NotTaken, OutcomeUnknown):
                    return


def _leaf(group: BaseExceptionGroup[HostError]) -> HostError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, HostError)
    return error
