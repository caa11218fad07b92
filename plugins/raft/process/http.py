"""The store of one process over HTTP, and where the node stands."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import trio

from host.api import HostError, HttpProblem, OutcomeUnknown, Request, Response, Router, json_response
from plugins.raft import kv_client
from plugins.raft.core.kv import Operation
from plugins.raft.kv_client import Answer, Session
from plugins.raft.kv_routes import KvRoutes
from plugins.raft.lab.picture import ROLES
from plugins.raft.process.transport import Address
from plugins.raft.requests import NotTaken
from plugins.raft.shell import Shell, ShellStopped

Result = TypeVar("Result")


class ProcessStore:
    """Operations on one node. Writes at another than the leader are answered 307, with the leader's address."""

    def __init__(self, shell: Shell, urls: Mapping[int, str], timeout_s: float) -> None:
        self._shell = shell
        self._urls = urls
        self._timeout_s = timeout_s

    async def register(self, node: int | None) -> int:
        """Open a session."""
        return await self._told(node, "/kv/sessions", lambda: kv_client.register(self._shell, self._timeout_s))

    async def write(self, operation: Operation, session: Session | None, node: int | None) -> Answer:
        """Have an operation applied."""
        path = f"/kv/{operation.key.decode()}"
        return await self._told(node, path, lambda: kv_client.write(self._shell, operation, session, self._timeout_s))

    async def read(self, key: bytes, node: int | None, *, is_stale: bool) -> Answer:
        """Read here, whoever leads."""
        if is_stale:
            await trio.lowlevel.checkpoint()
            return kv_client.stale_read(self._shell, key)
        return await self._told(node, f"/kv/{key.decode()}", lambda: kv_client.read(self._shell, key, self._timeout_s))

    async def _told(self, node: int | None, path: str, run: Callable[[], Awaitable[Result]]) -> Result:
        if node is not None and node != self._shell.id:
            raise HttpProblem(422, f"this is node {self._shell.id}: ask node {node} itself")
        try:
            return await run()
        except NotTaken as error:
            url = self._urls.get(error.leader, "")
            if error.reason == "not-leader" and url:
                detail = f"node {error.leader} leads"
                raise HttpProblem(307, detail, headers={"Location": url + path}, leader=error.leader) from None
            raise kv_client.problem_of(error) from None
        except OutcomeUnknown as error:
            raise kv_client.problem_of(error) from None
        except ShellStopped as error:
            raise HttpProblem(503, str(error), headers={"Retry-After": "1"}) from None


def make_app(
    shell: Shell, urls: Mapping[int, str], connected: Callable[[], dict[int, bool]], timeout_s: float
) -> Router:
    """The whole app: `/kv/{key}`, `/kv/sessions`, `/status`, `/livez`."""
    router = Router()
    KvRoutes(ProcessStore(shell, urls, timeout_s), "/kv").add_to(router)

    @router.get("/status")
    async def status(request: Request) -> Response:
        return json_response(status_of(shell, connected()))

    @router.get("/livez")
    async def livez(request: Request) -> Response:
        return json_response({"id": shell.id})

    return router


def status_of(shell: Shell, connected: dict[int, bool]) -> dict[str, Any]:
    """Where a node stands."""
    node = shell.node
    return {
        "id": node.id,
        "role": ROLES[node.role],
        "term": node.term,
        "leader": node.leader,
        "commit": node.commit,
        "applied": node.delivered,
        "last": node.log.last_index,
        "durable": node.log.durable,
        "snapshot": node.snapshot.index,
        "voters": node.configuration.voters,
        "learners": node.configuration.learners,
        "connected": [number for number, is_there in connected.items() if is_there],
        "syncs": shell.storage.syncs,
        "bytes_written": shell.storage.bytes_written,
    }


def listen(address: Address) -> socket.socket:
    """Listen for HTTP. Raises HostError."""
    try:
        listening = socket.create_server(address, family=socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    except OSError as error:
        raise HostError(f"cannot listen on {address.host}:{address.port}: {error.strerror or error}") from error
    # Connections inherit it: answers are small, and waiting for more only adds delay.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setblocking(False)
    return listening
