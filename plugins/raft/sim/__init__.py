"""A whole world for nodes of `core`: network, disks, clocks, clients and faults, in one process and from one seed.

    from plugins.raft.sim.days import plan_of
    from plugins.raft.sim.world import World

    outcome = World(plan_of(seed=7)).run()
    outcome.violation, outcome.trace_hash

`plan` says what happens in a run and is all that a run depends on, `days` draws one; `world` makes it happen, event by
event, from a heap ordered by (time, sequence); `network`, `disk` and `clients` are its parts.
After each event `invariants` looks at what changed, and `spec` at whether the published TLA+ specification allows it;
at the end `linearizability` judges what the clients saw.
`rules` are nodes with one rule of Raft taken out; `shrink` makes a run that fails short; `link` writes
a run as a link. Nothing here knows Trio, the clock of the machine, or an order that differs between two Pythons.
"""
