"""A node as a process of its own: `quartet raft node`. Three or five of them on as many machines are a real cluster.

Files: `wire` frames on TCP · `transport` messages to peers · `server` what peers and clients send here · `lane` a
client that sends thousands of commands ahead · `node` puts it together · `http` the store over HTTP · `command` the
options.

Whoever reaches the peers' port can speak as a peer: it belongs on a private network, behind a firewall or a tunnel.
"""
