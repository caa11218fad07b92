"""A second process that sells on the same Postgres and Redis, and is killed with SIGKILL half-way.

It runs `quartet frontrow stampede`: the same plugin, with connections and a data folder of its own. What its buyers
were told dies with it; what it sold is in the tables, and is judged from there.
"""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import trio

from plugins.frontrow.chaos.faults import Ground, postmaster, redis_process

if TYPE_CHECKING:
    from plugins.frontrow.run_store import RunStore

START_TIMEOUT_S: Final = 60.0
_NEWEST: Final = "SELECT id FROM frontrow.runs WHERE host = %s ORDER BY started_at DESC LIMIT 1"
_SOLD: Final = """
SELECT count(*) FROM frontrow.booking_seats AS sale
  JOIN frontrow.seats AS seat ON seat.id = sale.seat_id JOIN frontrow.events AS event ON event.id = seat.event_id
 WHERE event.run_id = %s
"""


async def sell_and_be_killed(ground: Ground, store: "RunStore", buyers: int, seats: int, seed: int) -> dict[str, Any]:
    """Start it, kill it once a third of the seats are sold, and declare its run left behind. What was done.

    Raises:
        HttpProblem: 409, the servers are not this host's own.
        trio.TooSlowError: it did not begin to sell in time; it is killed all the same.
    """
    await redis_process(ground)
    await postmaster(ground)
    with tempfile.TemporaryDirectory(prefix="quartet-second-") as folder:
        process = await trio.lowlevel.open_process(
            await _command(ground, Path(folder), buyers, seats, seed), stdout=subprocess.DEVNULL
        )
        try:
            with trio.fail_after(START_TIMEOUT_S):
                run_id, sold = await _sells(ground, Path(folder) / "frontrow" / "host-id", process, seats // 3)
        finally:
            process.send_signal(signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await process.wait()
    await store.leave(run_id)
    return {"signal": "SIGKILL", "pid": process.pid, "run_id": run_id, "sold_when_killed": sold}


async def _command(ground: Ground, folder: Path, buyers: int, seats: int, seed: int) -> list[str]:
    async with ground.postgres.connection() as connection:
        info = connection.info
        url = f"postgresql://{info.user}@/{info.dbname}?host={quote(info.host, safe='/')}"
    path = (await ground.redis.config_get("unixsocket"))["unixsocket"]
    config = folder / "config.toml"
    config.write_text(
        f'[data]\ndir = "{folder}"\n[postgres]\nurl = "{url}"\n[redis]\nurl = "unix://{path}"\n'
        "[plugins.frontrow]\nsamples = false\n"
    )
    options = ["--buyers", str(buyers), "--seats", str(seats), "--seed", str(seed), "--config", str(config)]
    return [sys.executable, "-m", "host.cli", "frontrow", "stampede", *options]


async def _sells(ground: Ground, host_id: Path, process: trio.Process, enough: int) -> tuple[str, int]:
    """Its run, and how much it has sold, once that is enough."""
    path = trio.Path(host_id)
    while True:
        run_id = None
        if await path.exists():
            run_id = await ground.postgres.fetch_value(_NEWEST, [(await path.read_text()).strip()])
        sold = await ground.postgres.fetch_value(_SOLD, [run_id]) if run_id else 0
        if run_id and (sold >= enough or process.poll() is not None):
            return run_id, sold
        await trio.sleep(0.002)
