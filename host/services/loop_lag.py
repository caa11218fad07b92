"""How late the event loop is: what every request waits in addition, whoever blocks the loop."""

from collections.abc import Callable

import trio
from prometheus_client import CollectorRegistry, Histogram

INTERVAL_S = 0.1

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


async def run_loop_lag(registry: CollectorRegistry, on_lag: Callable[[float], None]) -> None:
    """Sleep for `INTERVAL_S` again and again, and note by how many seconds each sleep was too long."""
    histogram = Histogram(
        "quartet_event_loop_lag_seconds", "How late the event loop wakes.", registry=registry, buckets=BUCKETS_S
    )
    while True:
        due_s = trio.current_time() + INTERVAL_S
        await trio.sleep_until(due_s)
        lag_s = max(0.0, trio.current_time() - due_s)
        histogram.observe(lag_s)
        on_lag(lag_s)
