"""The native engine: HTTP/1.1 and WebSocket on Trio sockets, ASGI 3 above.

Read it in this order:

- `engine`: the accept loop, the guard around each connection, the drain, the counts.
- `shared`: what all connections of one `serve` have in common.
- `watch`: the clocks of all connections in one task, and who has left, without a task for each.
- `wire`: a socket, and what it has not taken yet.
- `request`: llhttp's callbacks to requests; everything that is refused, with its status.
- `http1`: one connection: the next request, its app, the end of its exchange.
- `response`: an app's messages to bytes, with the framing that the request calls for.
- `frames`: WebSocket frames to messages and back; pure.
- `websocket`: one WebSocket: handshake, queue, pings, close.

A plain request costs no task, no cancel scope and no time-out: the app runs in the connection's own task, which reads
the socket only when the app asks for more of the body. That a client has left is known from the kernel (`EPOLLRDHUP`),
for all connections in one place, and clocks are plain numbers that one task compares with the time.
"""
