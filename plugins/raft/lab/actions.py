"""What one may do to the lab, as records: `{"action": "kill", "node": 3}`. Unknown fields are refused."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from plugins.raft.lab.links import Link

NodeId = Annotated[int, Field(ge=1, le=7)]
Target = NodeId | Literal["leader"]
Key = Annotated[str, Field(min_length=1, max_length=64)]
Value = Annotated[str, Field(max_length=256)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OnNode(_Strict):
    """Something that is done to one node."""

    action: Literal["kill", "restart", "pause", "resume", "isolate", "remove", "transfer", "campaign", "snapshot"]
    node: Target


class Partition(_Strict):
    """Only nodes of one group hear each other. Who is in no group is alone."""

    action: Literal["partition"]
    groups: list[list[NodeId]] = Field(min_length=1, max_length=7)

    @field_validator("groups")
    @classmethod
    def _in_one_group(cls, groups: list[list[int]]) -> list[list[int]]:
        numbers = [number for group in groups for number in group]
        for number in numbers:
            if numbers.count(number) > 1:
                raise ValueError(f"n{number} cannot be in two groups")
        return groups

    def text(self) -> str:
        """Who is with whom, in words."""
        return " | ".join(", ".join(f"n{number}" for number in group) for group in self.groups if group)


class Cut(_Strict):
    """Nothing gets from one node to another any more; with `both`, nor back."""

    action: Literal["cut", "mend"]
    from_: Target = Field(alias="from")
    to: Target
    both: bool = False


class LinkChange(_Strict):
    """How messages fare from one node to another; without nodes, on all links. `loss`, `duplicate` in permille."""

    action: Literal["link"]
    from_: Target | None = Field(None, alias="from")
    to: Target | None = None
    delay_ms: int | None = Field(None, ge=0, le=5000)
    jitter_ms: int | None = Field(None, ge=0, le=5000)
    loss: int | None = Field(None, ge=0, le=1000)
    duplicate: int | None = Field(None, ge=0, le=1000)

    def change(self, link: Link) -> None:
        """Make a link what is asked for; what is not named stays."""
        if self.delay_ms is not None:
            link.delay_us = self.delay_ms * 1000
        if self.jitter_ms is not None:
            link.jitter_us = self.jitter_ms * 1000
        link.loss = link.loss if self.loss is None else self.loss
        link.duplicate = link.duplicate if self.duplicate is None else self.duplicate

    def text(self) -> str:
        """What is asked for, in words."""
        named = self.from_ is not None or self.to is not None
        where = f"from {self.from_ or 'all'} to {self.to or 'all'}" if named else "everywhere"
        given = self.model_dump(include={"delay_ms", "jitter_ms", "loss", "duplicate"}, exclude_none=True)
        return f"links {where}: " + ", ".join(f"{name} {value}" for name, value in given.items())


class Whole(_Strict):
    """Something that is done to all of it."""

    action: Literal["heal", "reset"]


class Skew(_Strict):
    """A node's clock runs at `permille` of the true speed."""

    action: Literal["skew"]
    node: Target
    permille: int = Field(ge=500, le=2000)


class DiskChange(_Strict):
    """A node's disk is full, slow, or well again; "torn" and "flipped" damage that of a node that is down."""

    action: Literal["disk"]
    node: Target
    state: Literal["ok", "full", "slow", "torn", "flipped"]
    slow_ms: int = Field(100, ge=1, le=2000)


class Add(_Strict):
    """One more node, with an empty disk; or a learner, to become a voter."""

    action: Literal["add"]
    node: NodeId | None = None
    learner: bool = False


class Propose(_Strict):
    """Write a key through the log, at the leader or at a node of one's choice."""

    action: Literal["propose"]
    key: Key
    value: Value
    node: Target | None = None


class Read(_Strict):
    """Read a key, linearizably, at the leader or at a node of one's choice.

    `mode` "lease" has the leader answer at once while its lease lasts (thesis §6.4.1); "index" has a majority confirm
    it first.
    """

    action: Literal["read"]
    key: Key
    node: Target | None = None
    mode: Literal["index", "lease"] = "index"


class Rules(_Strict):
    """Run the nodes with or without pre-vote, check-quorum and reads by lease: all are restarted."""

    action: Literal["rules"]
    pre_vote: bool
    check_quorum: bool
    lease_reads: bool = False


class PlayTopology(_Strict):
    """Faults with a name."""

    action: Literal["topology"]
    name: str = Field(max_length=40)


Action = Annotated[
    OnNode | Partition | Cut | LinkChange | Whole | Skew | DiskChange | Add | Propose | Read | Rules | PlayTopology,
    Field(discriminator="action"),
]


class Wish(RootModel[Action]):
    """The body of `POST /api/raft/actions`."""


class ActionResult(BaseModel):
    """What was done, in a sentence; some actions add fields of their own."""

    model_config = ConfigDict(extra="allow")

    done: bool = True
    text: str
