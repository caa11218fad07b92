"""What is broken, in the order of a seeded deck: each kind once before any comes again."""

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import trio

from plugins.gateway.simulated.faults import DESCRIPTIONS
from tests.soak.house import House
from tests.soak.visitors import AWAY, Tally

BETWEEN_S = (0.5, 3.0)
"""From the end of one fault to the next."""
NODES = 5
LAB = "/api/raft/actions"


class Faults:
    """Breaks one thing after the other while the doors are open."""

    def __init__(self, house: House, tally: Tally, lot: Random) -> None:
        self._house = house
        self._tally = tally
        self._lot = lot
        self.struck: dict[str, int] = {}
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "Redis killed": self._kill_redis,
            "Postgres killed": self._kill_postgres,
            "Liveboard crashed": self._crash_liveboard,
            "a plugin's configuration changed": self._reload,
            "a provider failed": self._break_provider,
            "both providers failed": self._break_providers,
            "a Raft node killed": self._kill_node,
            "the Raft cluster split": self._split,
            "the Raft leader cut off": self._isolate,
            "Raft links lossy and slow": self._spoil_links,
            "a Raft node stood still": self._pause,
            "a Raft disk slow or full": self._spoil_disk,
        }

    async def run(self) -> None:
        """Go on until cancelled, which leaves what is broken as it is; see `heal`."""
        while True:
            deck = list(self._kinds)
            self._lot.shuffle(deck)
            for name in deck:
                await self._house.is_open.wait()
                await trio.sleep(self._lot.uniform(*BETWEEN_S))
                await self._house.is_running.wait()
                with contextlib.suppress(*AWAY):
                    await self._kinds[name]()
                    self.struck[name] = self.struck.get(name, 0) + 1

    async def heal(self) -> None:
        """Make whole what does not mend itself."""
        await self._house.until_ready()
        answer = await self._house.http.post("/api/gateway/heal", json={})
        assert answer.status_code == 200, answer.text
        answer = await self._house.http.post(LAB, json={"action": "heal"})
        assert answer.status_code == 200, answer.text

    # Servers and plugins

    async def _kill_redis(self) -> None:
        await self._kill(self._house.redis)

    async def _kill_postgres(self) -> None:
        await self._kill(self._house.postmaster)

    async def _crash_liveboard(self) -> None:
        answer = await self._house.http.post("/api/liveboard/faults/crash", json={})
        self._tally.check("faults", answer, 202, 429)

    async def _reload(self) -> None:
        plugin, key = self._lot.choice(
            (("frontrow", "audit_interval"), ("liveboard", "people_interval"), ("frontrow", "hold_ttl"))
        )
        await trio.lowlevel.checkpoint()
        self._house.reload(plugin, **{key: f"{self._lot.randint(8, 20)}s"})

    async def _kill(self, find: Callable[[], int | None]) -> None:
        """SIGKILL, if it is there and has not died meanwhile."""
        pid = await trio.to_thread.run_sync(find)
        if pid is not None and self._house.is_running.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # The gateway's providers

    async def _break_provider(self) -> None:
        await self._tell_provider("simulated")

    async def _break_providers(self) -> None:
        for name in ("simulated", "simulated-b"):
            await self._tell_provider(name)

    async def _tell_provider(self, name: str) -> None:
        kind = self._lot.choice([kind for kind in DESCRIPTIONS if kind != "none"])
        body = {"kind": kind, "duration": f"{self._lot.uniform(0.5, 3):.2f}s", "after_tokens": self._lot.randint(0, 20)}
        answer = await self._house.http.post(f"/api/gateway/simulated/{name}/fault", json=body)
        self._tally.check("faults", answer, 200)

    # The lab

    async def _kill_node(self) -> None:
        node = self._lot.randint(1, NODES)
        await self._lab(action="kill", node=node)
        await self._a_while()
        await self._lab(action="restart", node=node)

    async def _split(self) -> None:
        nodes = self._lot.sample(range(1, NODES + 1), NODES)
        at = self._lot.randint(1, NODES - 1)
        await self._broken(action="partition", groups=[nodes[:at], nodes[at:]])

    async def _isolate(self) -> None:
        await self._broken(action="isolate", node="leader")

    async def _spoil_links(self) -> None:
        lossy = {"loss": self._lot.randint(0, 300), "duplicate": self._lot.randint(0, 300)}
        await self._broken(
            action="link", delay_ms=self._lot.randint(0, 30), jitter_ms=self._lot.randint(0, 60), **lossy
        )

    async def _pause(self) -> None:
        await self._broken(action="pause", node=self._lot.choice((*range(1, NODES + 1), "leader")))

    async def _spoil_disk(self) -> None:
        await self._broken(action="disk", node=self._lot.randint(1, NODES), state=self._lot.choice(("slow", "full")))

    async def _broken(self, **action: Any) -> None:
        await self._lab(**action)
        await self._a_while()
        await self._lab(action="heal")

    async def _lab(self, **action: Any) -> None:
        answer = await self._house.http.post(LAB, json=action)
        # 409: it is so already, or nobody leads now.
        self._tally.check("faults", answer, 200, 409, 429)

    async def _a_while(self) -> None:
        await trio.sleep(self._lot.uniform(0.2, 2.0))
