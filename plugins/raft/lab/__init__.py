"""The laboratory: a live cluster that everybody on the site shares, and may break.

Its nodes are those of `shell`, with real logs on the host's disk and real time; only the network between them, the
speed of their clocks and the health of their disks are played with.

Files: `cluster` the nodes and what is noted of them · `seats` one node with its disk · `network` links that lose,
delay, double and cut · `actions` what one may do, as records · `operate` does it · `topologies` faults with a name ·
`clients` the store, and a client that never sleeps · `failover` the proof · `frozen` a node as a value · `recording`
every input, in a ring · `replay`, `replay_scene` the same again, bit for bit · `archive` recordings as files · `watch`
the invariants, live · `history` linearizability, live · `narrate` sentences · `picture` what a page shows, and how it
changed · `feed` to all pages at once · `routes` over HTTP.
"""
