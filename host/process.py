"""The process that a host has to itself: its signals, its garbage collector, and its end when a stop hangs."""

import ctypes
import gc
import os
import signal
import threading
from collections.abc import Callable

import structlog
import trio

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.host")

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_FORCED = 130

HARD_STOP_S = 20.0
"""How long after the first signal, beyond the connections' grace period, the process is ended, whatever still runs."""

GC_THRESHOLD_OBJECTS = 50_000
"""New container objects before the youngest are looked through (CPython's default: 700 to 2,000)."""
GC_YOUNG_PASSES = 5
"""Passes over the youngest before those that survived one are looked through (CPython's default: 10)."""
GC_MIDDLE_PASSES = 10
"""Passes over these before all are. Connections that lasted a while end up there, in circles."""


async def handle_signals(
    *,
    stop: Callable[[], None],
    abort: Callable[[str], None],
    reload: Callable[[], None],
    task_status: trio.TaskStatus[None],
) -> None:
    """Hear SIGINT and SIGTERM (the first stops, the second aborts, the third ends the process) and SIGHUP (reloads)."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as received:
        task_status.started()
        asked = 0
        async for number in received:
            if number == signal.SIGHUP:
                reload()
                continue
            asked += 1
            name = signal.Signals(number).name
            if asked == 1:
                log.info("draining", signal=name, next="a second signal cancels, a third exits")
                stop()
            elif asked == 2:
                log.warning("cancelling everything", signal=name)
                abort(f"second signal ({name})")
            else:
                os._exit(EXIT_FORCED)


def spare_the_collector() -> None:
    """Take what start-up built, which stays, out of the garbage collector's sight, and let it run more rarely.

    A full pass over it would stop the loop for milliseconds, as long as a whole stampede; and a thousand tasks are far
    more objects than the default threshold of the youngest generation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_OBJECTS, GC_YOUNG_PASSES, GC_MIDDLE_PASSES)


def collect_a_run() -> None:
    """Free what a run of a plugin has left, at once: nurseries, tasks and tracebacks refer to each other in circles.

    It is old enough by then that the collector alone would come to it only much later. What the allocator of C keeps
    of it goes back to the system, where that is glibc.
    """
    gc.collect()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def end_if_it_hangs(after_s: float) -> None:
    """End the process if it still runs `after_s` from now; by a thread, since what hangs may be the loop itself."""
    timer = threading.Timer(after_s, _end, [after_s])
    timer.daemon = True
    timer.start()


def _end(after_s: float) -> None:
    log.critical("still running long after the signal: the process is ended", after_s=after_s)
    os._exit(EXIT_FAILURE)
