"""Serving an app of one's own beside the host's: for commands that are servers, such as `quartet raft node`."""

import socket
from collections.abc import Sequence

import trio

from host.descriptors import ASGIApp
from host.http.engine import engine_named
from host.http.limits import Limits


async def serve(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    *,
    drain: trio.Event | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an app over HTTP/1.1 and WebSocket on listening sockets, with the host's own engine and its default limits.

    Ready once connections are accepted. Runs until cancelled, which closes every connection at once, or until `drain`
    is set and what is under way is finished. Closes `sockets`, which must not block (`setblocking(False)`). Whatever a
    peer sends and whatever the app raises, it goes on. There is no dispatcher around the app: no mounts, no admin
    token, no body limits but the engine's own.
    """
    engine = engine_named("native")
    await engine.serve(app, sockets, Limits(), drain=trio.Event() if drain is None else drain, task_status=task_status)
