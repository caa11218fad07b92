"""Time-outs and limits of a node, with their reasons."""

from typing import Final, NamedTuple

NEVER_US: Final = 1 << 62
"""A deadline that does not come."""


class Settings(NamedTuple):
    """What a cluster agrees on. `problems()` says what does not fit together.

    Times in microseconds. The paper recommends 150–300 ms time-outs for elections (§5.6, §9.3), drawn anew in each
    term from [election_timeout_us, 2 * election_timeout_us).
    """

    election_timeout_us: int = 150_000
    heartbeat_us: int = 50_000
    pre_vote: bool = True
    check_quorum: bool = True
    """A leader that a quorum has not answered for an election time-out steps down, and a node that hears from its
    leader gives nobody else a vote. Pre-vote alone, or this alone, leaves partial networks without a leader."""
    lease_reads: bool = False
    """Let leaders answer `Read(lease=True)` from their lease. Right only while clocks drift less than stated below."""
    clock_drift_permille: int = 100
    """How much faster one clock may run than another; the lease is shorter by so much."""
    batch_entries_max: int = 256
    batch_bytes_max: int = 256 * 1024
    """Of one `AppendEntries`: small enough that heartbeats behind it are not late."""
    inflight_max: int = 64
    """Messages with entries that a peer has not answered yet; then the leader waits."""
    entry_bytes_max: int = 1024 * 1024
    uncommitted_bytes_max: int = 64 * 1024 * 1024
    """Proposals that wait for a quorum; more are refused as "overloaded"."""
    snapshot_chunk_bytes: int = 64 * 1024
    snapshot_trailing_entries: int = 64
    """Entries kept below a snapshot, so that a peer that is a little late needs no snapshot."""
    reads_max: int = 4096
    """Reads that wait for a quorum; more are refused as "overloaded"."""

    @property
    def lease_us(self) -> int:
        """How long a leader may count on its followers' promise, after it began the round that they answered."""
        return self.election_timeout_us * (1000 - self.clock_drift_permille) // 1000

    def problems(self) -> list[str]:
        """What is wrong with these settings, in words; empty when nothing is."""
        found = [
            f"{name} must be at least 1, not {value}"
            for name, value in zip(self._fields, self, strict=True)
            if not isinstance(value, bool)
            and value < 1
            and name not in ("snapshot_trailing_entries", "clock_drift_permille")
        ]
        if self.snapshot_trailing_entries < 0:
            found.append("snapshot_trailing_entries must not be negative")
        if not 0 <= self.clock_drift_permille < 1000:
            found.append("clock_drift_permille must be from 0 to 999")
        if self.heartbeat_us >= self.election_timeout_us:
            found.append("heartbeat_us must be less than election_timeout_us, or followers stand although they are led")
        if self.lease_reads and not self.check_quorum:
            found.append("lease_reads need check_quorum: without its promise a lease means nothing")
        return found
