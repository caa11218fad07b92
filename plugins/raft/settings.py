"""The plugin's section of the configuration, `[plugins.raft]`. Every default is one to run with."""

from pydantic import BaseModel, ConfigDict, Field

from host.api import Duration
from plugins.raft.core.settings import Settings as CoreSettings


class Settings(BaseModel):
    """How the shared lab behaves. Processes of `quartet raft node` have their own options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: int = Field(5, ge=1, le=7, description="Nodes of the lab when it is fresh.")
    election_timeout: Duration = Field(
        0.15, ge=0.01, le=60, description="The least election time-out; each is drawn from here to twice as much."
    )
    heartbeat: Duration = Field(0.05, ge=0.001, le=30, description="How often a leader is heard.")
    pre_vote: bool = Field(True, description="Ask before standing, so that nodes cut off do not unseat a leader.")
    check_quorum: bool = Field(True, description="A leader that no majority answers steps down.")
    link_delay: Duration = Field(0.001, ge=0, le=10, description="How long a message takes at least.")
    link_jitter: Duration = Field(0.001, ge=0, le=10, description="How much longer it may take.")
    snapshot_every: int = Field(200, ge=1, le=1_000_000, description="Entries after which a node takes a snapshot.")
    probe_interval: Duration = Field(
        0.5, ge=0.01, le=60, description="How often the lab's own client writes or reads while somebody looks on."
    )
    idle_heal: Duration = Field(120.0, gt=0, description="A broken lab that nobody touches heals after so long.")
    actions_per_s: float = Field(10.0, gt=0, le=1000, description="What all visitors together may do in a second.")
    actions_burst: int = Field(40, ge=1, le=1000, description="And at once, after a pause.")
    record: Duration = Field(30.0, gt=0, le=300, description="How much of the lab's past can be exported.")
    recordings_kept: int = Field(50, ge=1, le=10_000, description="Exported recordings kept; older ones are deleted.")
    request_timeout: Duration = Field(
        5.0, gt=0, le=60, description="How long a command or a read waits for a majority."
    )

    def core_settings(self) -> CoreSettings:
        """What the nodes need of it."""
        return CoreSettings(
            election_timeout_us=round(self.election_timeout * 1_000_000),
            heartbeat_us=round(self.heartbeat * 1_000_000),
            pre_vote=self.pre_vote,
            check_quorum=self.check_quorum,
            entry_bytes_max=4096,
            uncommitted_bytes_max=1024 * 1024,
            snapshot_trailing_entries=32,
            snapshot_chunk_bytes=16 * 1024,
        )
