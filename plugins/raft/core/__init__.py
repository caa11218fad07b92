"""The whole of the Raft algorithm as one state machine: no Trio, no I/O, no clock, no float, no randomness of its own.

This docstring is the manual of the interface; `node.Node` is the machine.

A shell (the Trio cluster, the simulation, a test) owns a node and does four things for it, nothing else:

1. It feeds inputs, one at a time: `effects = node.handle(now_us, event)`. `now_us` is the shell's monotonic clock in
   microseconds and never goes back. An event is a message from a peer (`messages`), or a local input (`inputs`):
   `Tick`, `Propose`, `Read`, `Persisted`, `SnapshotTaken`, `ChangeMembership`, `LeaveJoint`, `TransferLeadership`,
   `Campaign`, `ForgetLeader`, `Unreachable`.
2. It feeds `Tick()` once `now_us >= node.deadline_us` (which any input may move; `NEVER_US` is "no deadline").
3. It executes the effects (`effects.Effects`) in the order of their fields:
   `persist`  write these records and fsync them, in the order of their tokens; then feed `Persisted(token)`.
              One `Persist` is one unit: after a crash it is there whole or not at all. `Persisted(n)` says that all
              tokens up to n are durable, so a group commit needs to feed only the last.
   `send`     hand each message to the network (`message.to`). It may lose, delay, duplicate and reorder them.
   `restore`  replace the state machine by this snapshot.
   `apply`    apply these entries in turn; they are committed, durable here, and each index comes exactly once.
   `answers`  what became of local requests: `Accepted`, `Refused`, `ReadReady`, `Changed`. A `ReadReady` stands for a
              linearizable read that may be served right now: everything it must see is already in `restore`/`apply`.
   `status`   role, term, leader and configuration, when one of them changed.
   A shell need not wait for the fsync before it feeds the next input.
4. After a crash it builds a new node from what its disk holds: `Node(id, settings, Durable(...), prng, now_us)`. A
   node with nothing on disk starts from `Durable.first(configuration)`, the same on all first members; a node that is
   to join later starts from `Durable.empty()`.

What must not be said before it is durable (votes, acknowledgements of entries, requests for votes) is not among the
effects until `Persisted` was fed: a shell cannot send it too early, because it does not have it yet. A failed fsync is
never reported: the shell drops the node and, once the disk is well, starts a new one from what is really there.

A proposal that was `Accepted(request_ids, index, term)` has happened when `apply` brings the entry at that index with
that term; it has not happened, and never will, when another term arrives at that index. When the leader steps down the
shell tells its waiting clients that the outcome is unknown; a session (`sessions`) makes a retry safe.

Everything that goes in or out is a frozen record with a canonical encoding (`codec`), which is what a recorder stores,
what a trace hash is built from, and what may go over TCP. The same durable state, seed and inputs give the same
effects, on every Python.

Files: `messages` `inputs` `effects` `codec` the records · `settings` limits and time-outs · `log` `quorum`
`configuration` `progress` `prng` the parts · `base` state shared by the roles · `election` · `follower` · `leader` ·
`reads` · `snapshots` · `membership` · `node` puts them together · `sessions` `kv` the replicated state machine.

Source: D. Ongaro, J. Ousterhout, "In Search of an Understandable Consensus Algorithm (extended version)", 2014, here
"the paper"; D. Ongaro, "Consensus: Bridging Theory and Practice", 2014, here "the thesis".
"""
