"""From an offer to a saved operation: the one task of a room that writes, and that says what became of each offer.

What waits is judged and saved together, in one statement that succeeds only when this host has seen all revisions there
are. When another host was faster, its operations are fetched and the rest is judged anew. Nothing is told to anybody
before the database has said that it is saved; an answer that was lost is looked up, for a statement that found its
revision taken has no effect.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.liveboard.board_log import BoardLog
from plugins.liveboard.core import operations as o
from plugins.liveboard.core.admission import Draft, Refused, Rules, admit
from plugins.liveboard.core.opset import Entry, lightened
from plugins.liveboard.settings import Settings
from plugins.liveboard.store import Store


@dataclass(slots=True)
class Offered:
    """An operation that a client wants saved. `may_change` is the client's right to change others' marks."""

    entry: Entry
    known: Callable[[Entry], None]
    refused: Callable[[Entry, Refused], None]
    may_change: Callable[[o.Operation], bool] | None


@dataclass(slots=True)
class CommitCounts:
    """What a room's commits have come to."""

    saved: int = 0
    commits: int = 0
    conflicts: int = 0
    failures: int = 0
    refused: int = 0
    known: int = 0


class WentBack(Exception):
    """The database has fewer revisions than this host: it was restored from an older state."""


@dataclass
class Committer:
    """The waiting offers of a room, and the task that saves them. `on_saved` is told each new first revision."""

    room: str
    log: BoardLog
    store: Store
    settings: Settings
    on_saved: Callable[[int, bool], None]
    rules: Rules
    logger: Any
    # How many times as large the room is as one in which every commit is told at once.
    crowd: Callable[[], float]
    counts: CommitCounts = field(default_factory=CommitCounts)
    waiting: deque[Offered] = field(default_factory=deque)
    failing_since: float | None = None
    _wanted: trio.Event = field(default_factory=trio.Event)
    _room_made: trio.Event = field(default_factory=trio.Event)
    # Held while revisions are written or fetched: the log grows in one place at a time.
    _lock: trio.Lock = field(default_factory=trio.Lock)

    async def offer(self, offered: Sequence[Offered]) -> None:
        """Put operations in line, in order; waits while the line is full. What is in line when it is cancelled
        stays."""
        for each in offered:
            while len(self.waiting) >= self.settings.uncommitted_max:
                await self._room_made.wait()
            self.waiting.append(each)
        self._wanted.set()

    async def run(self) -> None:
        """Save what is in line, for ever. Raises `WentBack`."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            while self.waiting:
                started = trio.current_time()
                batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), self._batch_max))]
                self._room_made.set()
                self._room_made = trio.Event()
                await self._save(batch)
                await trio.sleep_until(started + self.settings.commit_interval * self.crowd())

    async def catch_up(self, rev: int | None = None) -> None:
        """Fetch what others have saved, when the database is said to be at `rev`; None is unknown.

        Raises:
            ServiceUnavailable, OutcomeUnknown: the database does not answer.
            WentBack: it has less than it had.
        """
        async with self._lock:
            if rev is None or rev > self.log.rev:
                await self._fetch()
            elif rev < self.log.rev:
                # The number may be older than the log; asked again, it is not.
                await self._check_not_back()

    @property
    def _batch_max(self) -> int:
        return self.settings.commit_operations_max

    async def _save(self, batch: list[Offered]) -> None:
        """Save a batch, however often it takes."""
        has_failed = False
        while batch:
            try:
                async with self._lock:
                    if has_failed:
                        await self._fetch()
                    batch = await self._try(batch)
                self.failing_since = None
            except (ServiceUnavailable, OutcomeUnknown) as error:
                has_failed = True
                self.counts.failures += 1
                if self.failing_since is None:
                    self.failing_since = trio.current_time()
                    self.logger.warning("a commit waits for the database", room=self.room, error=str(error))
                await trio.sleep(self.settings.commit_retry)

    async def _try(self, batch: list[Offered]) -> list[Offered]:
        """Judge and save; returns what is to be judged again, because others were faster."""
        draft = Draft(self.log.board, self.log.bytes)
        fresh: list[Offered] = []
        answers: list[Callable[[], None]] = []
        for offered in batch:
            entry = offered.entry
            known = draft.get(entry.operation.id)
            if known is not None and known.leaf == entry.leaf:
                answers.append(partial(self._known, offered))
                continue
            refused = admit(draft, entry, self.rules, offered.may_change)
            if refused is not None:
                answers.append(partial(self._refuse, offered, refused))
                continue
            draft.add(entry)
            fresh.append(offered)
        if fresh:
            rev = self.log.rev
            if not await self.store.append(self.room, rev, draft.entries):
                self.counts.conflicts += 1
                await self._fetch()
                return batch
            self.counts.commits += 1
            self.counts.saved += len(fresh)
            self.log.append([lightened(entry) for entry in draft.entries])
            self.on_saved(rev + 1, True)
        for answer in answers:
            answer()
        return []

    def _known(self, offered: Offered) -> None:
        self.counts.known += 1
        offered.known(offered.entry)

    def _refuse(self, offered: Offered, refused: Refused) -> None:
        self.counts.refused += 1
        offered.refused(offered.entry, refused)

    async def _fetch(self) -> None:
        fetched = 0
        while datas := await self.store.operations_after(self.room, self.log.rev):
            first = self.log.rev + 1
            self.log.load(datas)
            fetched += len(datas)
            self.on_saved(first, False)
        if not fetched:
            await self._check_not_back()

    async def _check_not_back(self) -> None:
        rev = (await self.store.revs([self.room])).get(self.room, -1)
        if rev < self.log.rev:
            raise WentBack(f"room {self.room} is at revision {rev} in the database, and was at {self.log.rev}")
