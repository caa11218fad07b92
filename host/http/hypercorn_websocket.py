"""What a WebSocket under hypercorn's protocols does about what its peer sent, or does not send.

In place of `WSStream._handle_events`, which drops a peer that broke the protocol without the close frame that RFC 6455
§7.1.7 asks for, keeps from its app what a peer closed with, and goes on collecting a message that is too long; and of
`_send_pings`, which never looks for an answer. It follows `hypercorn/protocol/ws_stream.py` of 0.18.
"""

from typing import TYPE_CHECKING

import trio
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

if TYPE_CHECKING:
    from host.http.hypercorn_connection import Connection


async def handle_events(stream: WSStream) -> None:
    """Hand on the messages that have come, answer pings, and end the WebSocket when it is to end."""
    assert stream.app_put is not None
    for event in stream.connection.events():
        if isinstance(event, Message):
            try:
                stream.buffer.extend(event)
            except FrameTooLargeError:
                await _end(stream, CloseConnection(CloseReason.MESSAGE_TOO_BIG))
                return
            if event.message_finished:
                await stream.app_put(stream.buffer.to_message())
                stream.buffer.clear()
        elif isinstance(event, Ping):
            await stream._send_wsproto_event(event.response())
        elif isinstance(event, CloseConnection):
            await _end(stream, event)
            return


async def run_pings(stream: WSStream, connection: "Connection") -> None:
    """Ping at every interval, for ever; the connection cuts its peer when that sends nothing in time."""
    ping_s = connection.shared.limits.websocket_ping_s
    assert ping_s is not None
    while not stream.closed:
        await trio.sleep(ping_s)
        await stream._send_wsproto_event(Ping())
        connection.expect_a_sign()


async def _end(stream: WSStream, event: CloseConnection) -> None:
    """Say the last word, unless we said it already, and tell the app."""
    assert stream.app_put is not None
    if stream.connection.state is ConnectionState.OPEN:
        # No frame of the peer's: it is the parser's verdict, or ours, that it broke a rule.
        await stream._send_wsproto_event(event)
    elif stream.connection.state is ConnectionState.REMOTE_CLOSING:
        await stream._send_wsproto_event(event.response())
    await stream.app_put({"type": "websocket.disconnect", "code": int(event.code), "reason": event.reason or ""})
    await stream.send(StreamClosed(stream_id=stream.stream_id))
