"""Users of the Raft lab's store: they write and read, and what they saw must make sense, key by key."""

import time
from random import Random

import httpx
import trio

from plugins.raft.core.kv import MISSING, OK, Operation
from plugins.raft.sim.history import OPEN_US, Seen
from plugins.raft.sim.linearizability import judge
from tests.soak.house import House
from tests.soak.visitors import AWAY, Tally, Visitor

STORE = "/api/raft/kv"
KEYS = 16
KEYS_LAST_S = 20.0
"""After so long other keys are used: the shorter a key's history, the surer the judge comes to an end."""
OPENED_MAX = 100


class LabUser(Visitor):
    """One command a visit."""

    def __init__(self, house: House, tally: Tally, lot: Random, history: list[Seen], number: int) -> None:
        super().__init__(house, tally, lot)
        self._history = history
        self._number = number
        self._became = 0
        self._written = 0

    async def visit(self) -> None:
        # The lab of another process is another store.
        period = int(trio.current_time() / KEYS_LAST_S)
        key = f"{self.house.life}-{period}-{self.lot.randrange(KEYS)}"
        chance = self.lot.random()
        if chance < 0.5:
            await self._do(Operation("get", key.encode()), "GET", key)
        elif chance < 0.9:
            self._written += 1
            value = f"{self._number}.{self._written}"
            await self._do(Operation("put", key.encode(), value.encode()), "PUT", key, value)
        else:
            await self._do(Operation("delete", key.encode()), "DELETE", key)
        await self.pause(0.3)

    async def _do(self, operation: Operation, method: str, key: str, value: str | None = None) -> None:
        called_us = _now_us()
        try:
            body = {"json": {"value": value}} if value is not None else {}
            answer = await self.http.request(method, f"{STORE}/{key}", **body)  # type: ignore[arg-type]
        except (trio.Cancelled, *AWAY):
            self._leave_open(operation, called_us)
            raise
        returned_us = _now_us()
        # A refusal by rate took no effect; neither did a node that is down.
        if answer.status_code in (409, 429):
            self.tally.note("lab: refused")
        elif not self.tally.check("lab", answer, 200, 404):
            self._leave_open(operation, called_us)
        else:
            self._history.append(_seen(self._client, operation, called_us, returned_us, answer))
            self.tally.note("commands of the lab")

    @property
    def _client(self) -> int:
        return self._number + OPENED_MAX * self._became

    def _leave_open(self, operation: Operation, called_us: int) -> None:
        """Nobody knows what became of it: its client does nothing more, and another takes its place."""
        if operation.kind != "get":
            self._history.append(Seen(self._client, operation, called_us, OPEN_US, b"", 0))
            self.tally.note("commands whose outcome is unknown")
        self._became += 1


def _seen(client: int, operation: Operation, called_us: int, returned_us: int, answer: httpx.Response) -> Seen:
    document = answer.json()
    is_read = operation.kind == "get"
    output = OK + document["value"].encode() if is_read and answer.status_code == 200 else OK
    if answer.status_code == 404:
        output = MISSING
    return Seen(client, operation, called_us, returned_us, output, 2 * document["index"] + is_read)


async def settle(house: House, tally: Tally, history: list[Seen]) -> dict[str, object]:
    """Judge what was seen, and read the lab's own checks."""
    verdicts = await trio.to_thread.run_sync(judge, history)
    for key, verdict in verdicts.items():
        if verdict == "illegal":
            tally.breach(f"lab: what was seen of the key {key.decode()} is not linearizable")
    checks = (await house.http.get("/api/raft/state")).json()["checks"]
    if checks["verdict"] != "holds":
        tally.breach(f"lab: its own checks say {checks['verdict']}: {checks}")
    undecided = sum(verdict == "unknown" for verdict in verdicts.values())
    return {"keys": len(verdicts), "undecided": undecided, "commands": len(history), "checks": checks["verdict"]}


def _now_us() -> int:
    return time.monotonic_ns() // 1000
