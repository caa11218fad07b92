"""The stranger over Python's `websockets`, on threads: URL STROKES UNTIL."""

import sys

from websockets.sync.client import connect

from tests.plugins.liveboard.foreign.stranger import Stranger

stranger = Stranger(int(sys.argv[2]), int(sys.argv[3]))
with connect(sys.argv[1], max_size=None) as socket:
    socket.send(stranger.hello())
    while not stranger.is_done:
        for frame in stranger.take(socket.recv()):
            socket.send(frame)
print(stranger.digest.hex(), stranger.root.hex())
