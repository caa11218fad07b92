"""What a branch of a recording is to begin with: the step, the luck, and what is done to the nodes, and when."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from plugins.raft.lab import actions

MS_MAX: Final = 10_000
ACTIONS_MAX: Final = 50


class _Later(BaseModel):
    after_ms: int = Field(0, ge=0, le=MS_MAX, description="How long after the branch begins.")


class OnNodeLater(actions.OnNode, _Later):
    """Something that is done to one node."""

    action: Literal["kill", "restart", "pause", "resume", "isolate", "transfer", "campaign", "snapshot"]


class PartitionLater(actions.Partition, _Later):
    """Only nodes of one group hear each other."""


class CutLater(actions.Cut, _Later):
    """One link is cut, or passes again."""


class LinkChangeLater(actions.LinkChange, _Later):
    """How messages fare."""


class HealLater(actions.Whole, _Later):
    """Everything is well again."""

    action: Literal["heal"]


class SkewLater(actions.Skew, _Later):
    """A clock runs at another speed."""


class DiskChangeLater(actions.DiskChange, _Later):
    """A disk is full, slow, or well again."""

    state: Literal["ok", "full", "slow"]


class ProposeLater(actions.Propose, _Later):
    """A client writes."""


class ReadLater(actions.Read, _Later):
    """A client reads; a majority confirms it."""

    mode: Literal["index"] = "index"


Later = Annotated[
    OnNodeLater
    | PartitionLater
    | CutLater
    | LinkChangeLater
    | HealLater
    | SkewLater
    | DiskChangeLater
    | ProposeLater
    | ReadLater,
    Field(discriminator="action"),
]


class BranchRequest(BaseModel):
    """The body of `POST /api/raft/recordings/{id}/branch`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    step: int = Field(ge=0, description="After which step of the recording it begins.")
    seed: int = Field(0, ge=0, lt=1 << 53, description="The luck of its network and of its nodes' restarts.")
    ms: int = Field(2000, ge=1, le=MS_MAX, description="How much time passes in it.")
    actions: list[Later] = Field([], max_length=ACTIONS_MAX, description="In the order in which equal times happen.")
