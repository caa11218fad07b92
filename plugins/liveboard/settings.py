"""Liveboard's section of the configuration, `[plugins.liveboard]`. Every default is one to run with."""

from pydantic import BaseModel, ConfigDict, Field

from host.api import Duration, Size


class Settings(BaseModel):
    """How large rooms and boards may get, how much a client may ask, and how often things are told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rooms_max: int = Field(10_000, ge=1, description="Rooms that are kept; opening one more is refused.")
    room_ttl: Duration = Field(30 * 86_400.0, gt=0, description="A room that nobody has opened for so long is deleted.")
    room_idle: Duration = Field(60.0, gt=0, description="How long a board stays in memory after the last has left.")
    clients_per_room_max: int = Field(1000, ge=1, description="Clients in one room on this host; more are told so.")
    operations_max: int = Field(200_000, ge=1, description="Operations of one board.")
    board_bytes_max: Size = Field(64 * 2**20, ge=1024, description="All operations of one board together.")
    sites_max: int = Field(10_000, ge=1, description="Sites, one for each load of a page that drew, of one board.")
    lamport_jump_max: int = Field(
        1 << 20, ge=1, le=1 << 40, description="How far a client's clock may be ahead of its board's."
    )
    image_bytes_max: Size = Field(2 * 2**20, ge=1, description="One image.")
    images_bytes_max: Size = Field(32 * 2**20, ge=1, description="All images of one room together.")

    frame_bytes_max: Size = Field(256 * 1024, ge=65_536, description="One message of a client.")
    operations_per_s: float = Field(500.0, gt=0, description="Operations of one client; what is faster waits.")
    operations_burst: int = Field(5000, ge=1, description="Operations of one client that may come at once.")
    presence_per_s: float = Field(90.0, gt=0, description="Signs of presence of one client; what is faster is dropped.")
    uncommitted_max: int = Field(
        20_000, ge=1, description="Operations of one room that wait to be saved; then its clients wait."
    )
    hello_timeout: Duration = Field(10.0, gt=0, description="How long a new connection may take to say who it is.")
    silence_max: Duration = Field(30.0, gt=0, description="A client that says nothing for so long is cut.")
    send_bytes_max: Size = Field(
        128 * 1024, ge=4096, description="What waits to be sent to one client; the rest is read from the log later."
    )
    send_stall: Duration = Field(20.0, gt=0, description="A client that takes nothing for so long is cut.")

    commit_interval: Duration = Field(
        0.004, ge=0, description="The least time between two commits of one board, in a small room."
    )
    commit_operations_max: int = Field(2000, ge=1, le=4096, description="Operations of one commit.")
    commit_retry: Duration = Field(0.25, gt=0, description="How long a commit waits after the database failed it.")
    poll_interval: Duration = Field(
        1.0, gt=0, description="How often the database is asked for what other hosts have saved, beside their hints."
    )
    chunk_bytes: Size = Field(64 * 1024, ge=1024, description="About how much of a board goes into one message.")
    frames_kept: int = Field(256, ge=1, description="Messages of a room that are kept ready for clients just behind.")
    presence_interval: Duration = Field(0.033, gt=0, description="How often presence is told, in a small room.")
    presence_people: int = Field(
        100, ge=1, description="In a room of more people all of this is told less often, in proportion."
    )
    presence_ttl: Duration = Field(5.0, gt=0, description="Somebody of whom nothing was heard for so long is gone.")
    people_interval: Duration = Field(0.25, gt=0, description="How often the list of people and their digests is told.")
    compact_interval: Duration = Field(
        600.0, gt=0, description="How often boards are looked through for what to prune."
    )
    crash_interval: Duration = Field(
        20.0, ge=0, description="How long the service lives before a visitor may kill it, as a proof; 0: nobody may."
    )
    site_ttl: Duration = Field(
        7 * 86_400.0, gt=0, description="A site not seen for so long is retired, offline or not."
    )
