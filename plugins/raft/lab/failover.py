"""The proof of one press: write, kill the leader, wait for the next, read what was written."""

import secrets
import time
from typing import Any, Final

import trio

from host.api import HttpProblem
from plugins.raft.core.kv import Operation
from plugins.raft.lab import actions
from plugins.raft.lab.clients import LabStore
from plugins.raft.lab.cluster import Cluster
from plugins.raft.lab.operate import Operator

LED_TIMEOUT_S: Final = 5.0
PROOF_KEY: Final = b"failover"


async def prove_failover(cluster: Cluster, operator: Operator, store: LabStore) -> dict[str, Any]:
    """Do it once. The verdict is "unknown" when nobody was elected in time, as in a lab that is split.

    A cancellation after the kill leaves the old leader down; an idle lab heals.
    """
    started = time.perf_counter()
    token = secrets.token_hex(8).encode()
    operator.touch()
    with trio.move_on_after(LED_TIMEOUT_S):
        await cluster.led.wait()
    old = cluster.leader_shell().id
    written = await store.write(Operation("put", PROOF_KEY, token), None, None)
    at_us = cluster.now_us()
    await operator.do(actions.OnNode(action="kill", node=old))
    with trio.move_on_after(LED_TIMEOUT_S):
        while not cluster.leader:
            await cluster.led.wait()
    failover_ms = (cluster.now_us() - at_us) / 1000
    document: dict[str, Any] = {
        "verdict": "unknown",
        "old_leader": old,
        "new_leader": cluster.leader,
        "failover_ms": round(failover_ms, 1),
        "term": None,
        "acknowledged": cluster.history.acknowledged,
        "lost": cluster.history.lost,
    }
    try:
        if cluster.leader:
            found = await store.read(PROOF_KEY, None, is_stale=False)
            # Somebody else may press the same button: a later write is no loss, an older value is.
            kept = found.value == token or found.index > written.index + 1
            holds = kept and cluster.checks()["verdict"] == "holds"
            document |= {"verdict": "holds" if holds else "broke", "term": found.term}
    except HttpProblem:
        document["verdict"] = "unknown"
    await cluster.start(old)
    document["elapsed_ms"] = round((time.perf_counter() - started) * 1000, 1)
    return document
