"""Private real servers as children of the host: `postgres = "embedded"` and `redis = "embedded"`.

    run_embedded_postgres, run_embedded_redis   start one and keep it up, in a task
    Endpoint                                    where it is: URL, pid, version, restarts
    python -m host.services.embedded            the same for a process without Trio (tests, benchmarks)

A file each: `binaries` finds the programs, `place` decides where and as whom, `launch` and `child` run them,
`leftovers` ends what an earlier host left, `wire` asks whether they answer, `supervise` restarts them, `postgres` and
`redis` differ.
"""

from host.services.embedded.place import TakenByAnotherHost
from host.services.embedded.postgres import run_embedded_postgres
from host.services.embedded.redis import run_embedded_redis
from host.services.embedded.supervise import Endpoint, Restart

__all__ = ["Endpoint", "Restart", "TakenByAnotherHost", "run_embedded_postgres", "run_embedded_redis"]
