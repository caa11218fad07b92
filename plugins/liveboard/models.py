"""The bodies of Liveboard's HTTP API."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PROOF_SEEDS_MAX = 500


class RoomRequest(BaseModel):
    """A room to be made. Its title is text without NUL, which Postgres cannot keep."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(
        "", max_length=96, pattern=r"^[^\x00]*$", description="What it is called; its name when left out."
    )
    access: Literal["open", "link"] = Field("link", description="Who may enter: whoever has the address, or a link.")
    others: bool = Field(True, description="Whether one may change what others drew.")
    password: str = Field("", max_length=128, description="Asked of everybody who enters; none when empty.")


class RoomAnswer(BaseModel):
    """A room that was made, and the links into it. They are told once, here."""

    room: str
    title: str
    access: str
    edit_url: str
    view_url: str
    edit_key: str
    view_key: str


class ProofRequest(BaseModel):
    """How much of the simulated network to play."""

    model_config = ConfigDict(extra="forbid")

    seed: int = Field(0, ge=0, le=2**53 - 1, description="The first seed.")
    seeds: int = Field(50, ge=1, le=PROOF_SEEDS_MAX, description="How many, one after another.")


class ProofAnswer(BaseModel):
    """What they came to: `holds` when every replica of every seed converged and nothing acknowledged was lost."""

    verdict: Literal["holds", "broke"]
    seed: int
    seeds: int
    converged: int
    operations: int
    events: int
    counts: dict[str, int]
    faults: list[Any]
    digest: str
    elapsed_ms: float
