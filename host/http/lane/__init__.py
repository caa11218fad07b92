"""The native engine: HTTP/1.1 and WebSocket on Trio sockets, ASGI 3 above.

Read it in this order:

- `engine`: the accept loop, the guard around each connection, the drain, the counts.
- `shared`: what all connections of one `serve` have in common.
- `watch`: the clocks of all connections in one task, and the news of all sockets in another.
- `wire`: a socket, and what it has not taken yet.

The HTTP/1.1 lane:

- `request`: llhttp's callbacks to requests; everything that is refused, with its status.
- `http1`: one connection: the next request, its app, the end of its exchange.
- `response`: an app's messages to bytes, with the framing that the request calls for.

The WebSocket lane:

- `frames`: WebSocket frames to messages and back; pure.
- `outbox`: what waits to be sent, and the mount's policy for a slow peer.
- `websocket`: one WebSocket: handshake, messages, pings, close.

A plain request costs no task, no cancel scope and no time-out: the app runs in the connection's own task, which reads
the socket only when the app asks for more of the body. Who sent something and who has left is known from one epoll for
all connections, and clocks are plain numbers that one task compares with the time.
"""
