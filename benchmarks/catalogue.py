"""All benchmarks: what each measures, beside what, and what was to be reached.

A `Measure` finds its figure in the JSON object that the benchmark prints, by names with dots between. `least` and
`most` bound the figure itself, `times` the ratio to the best peer, `floor_times` the one to the floor.
"""

from dataclasses import dataclass
from typing import Final, Literal

System = Literal["host", "frontrow", "raft", "liveboard", "gateway"]


@dataclass(frozen=True, slots=True)
class Beside:
    """A peer or a floor of the same run."""

    name: str
    path: str
    is_floor: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a benchmark. More is better, unless `is_less_better`."""

    label: str
    path: str
    unit: str = ""
    is_less_better: bool = False
    beside: tuple[Beside, ...] = ()
    least: float | None = None
    most: float | None = None
    exactly: float | None = None
    times: float | None = None
    floor_times: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A benchmark: `python -m benchmarks.NAME ARGUMENTS`, which may take `limit_s`; `quick` are the arguments of a
    run that only shows that all works.
    """

    name: str
    system: System
    title: str
    how: str
    measures: tuple[Measure, ...]
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    limit_s: float = 120


def _count(label: str, path: str, exactly: float) -> Measure:
    """A promise rather than a speed."""
    return Measure(label, path, is_less_better=True, exactly=exactly)


HOST: Final = (
    Entry(
        "start_up",
        "host",
        "Starting the whole host",
        "All four plugins on embedded Postgres and Redis whose databases exist; until it serves, and its memory then.",
        (
            Measure("until it is ready", "ready_s", "s", is_less_better=True, most=2),
            Measure("memory of the host process", "rss_mb", "MB", is_less_better=True, most=120),
        ),
        quick=("--rounds", "1"),
    ),
    Entry(
        "trio_costs",
        "host",
        "What Trio's building blocks cost",
        "Each many times in a row on one thread; the best of the rounds.",
        tuple(
            Measure(label, path, "µs", is_less_better=True)
            for label, path in (
                ("a plain await", "await_us"),
                ("a checkpoint", "checkpoint_us"),
                ("a CancelScope", "cancel_scope_us"),
                ("an empty nursery", "nursery_us"),
                ("a nursery with a child", "nursery_with_a_child_us"),
                ("park and be woken", "park_and_wake_us"),
                ("to_thread.run_sync", "thread_us"),
            )
        ),
        quick=("--rounds", "1"),
    ),
    Entry(
        "http_lane",
        "host",
        "HTTP/1.1 requests",
        "One bare ASGI app on each server, alone on one core; 32 connections, the load on the other core.",
        (
            Measure(
                "requests answered",
                "native_rps",
                "a second",
                beside=(Beside("uvicorn (uvloop, httptools)", "uvicorn_rps"), Beside("hypercorn", "hypercorn_rps")),
                times=1.2,
            ),
            Measure("p99", "p99_ms", "ms", is_less_better=True, beside=(Beside("uvicorn", "uvicorn_p99_ms"),)),
        ),
        ("--seconds", "3"),
        quick=("--rounds", "1", "--seconds", "1"),
    ),
    Entry(
        "fanout",
        "host",
        "WebSocket fan-out",
        "One client sends messages of 200 bytes, all others get them; each relay alone on one core.",
        tuple(
            Measure(
                f"deliveries to {clients} clients",
                f"native_deliveries_per_s.{number}",
                "a second",
                beside=(Beside("Node's ws", f"node_ws_deliveries_per_s.{number}"),),
                times=2,
            )
            for clients, number in (("100", "100"), ("1,000", "1000"))
        ),
        ("--rounds", "2", "--seconds", "3"),
        quick=("--rounds", "1", "--seconds", "1"),
    ),
    Entry(
        "http_client",
        "host",
        "HTTP client under httpx's API",
        "The house's transport and httpx's own in turns against one server; the floor answers out of memory.",
        tuple(
            Measure(
                f"a request, {words}",
                f"native_us.{number}",
                "µs",
                is_less_better=True,
                beside=(Beside("httpx", f"httpx_us.{number}"), Beside("httpx's API alone", f"floor_us.{number}", True)),
                times=times,
            )
            for words, number, times in (("one at a time", "1", None), ("32 at once", "32", 5))
        ),
        ("--rounds", "3"),
        quick=("--rounds", "1", "--requests", "320"),
    ),
    Entry(
        "soak_http",
        "host",
        "Among slow clients",
        "100 busy clients alone, then for a minute among 1,000 that hardly read and 1,000 that hardly write.",
        (
            Measure(
                "p99 of the busy ones",
                "busy_among_slow.p99_ms",
                "ms",
                is_less_better=True,
                beside=(Beside("alone", "busy_alone.p99_ms", is_floor=True),),
                floor_times=2,
            ),
            Measure(
                "from a client's leaving to the end of its handler, p99",
                "cancel_p99_ms",
                "ms",
                is_less_better=True,
                most=50,
            ),
            _count("slow clients cut off", "slow_clients.cut", 0),
        ),
        quick=("--seconds", "8"),
        limit_s=180,
    ),
    Entry(
        "redis",
        "host",
        "Redis",
        "SET NX PX of one key on one server, in turns; the floor is the same in one prepared buffer, written raw.",
        (
            Measure(
                "calls, 1,000 at once",
                "clients.quartet.calls_per_s",
                "a second",
                beside=(
                    Beside("redis-py on asyncio", "clients.redis_py.calls_per_s"),
                    Beside("redis-py on uvloop", "clients.redis_py_uvloop.calls_per_s"),
                    Beside("raw", "clients.raw.calls_per_s", is_floor=True),
                ),
                times=3,
            ),
            Measure(
                "a call, one at a time",
                "clients.quartet.sequential_us",
                "µs",
                is_less_better=True,
                beside=(
                    Beside("redis-py on asyncio", "clients.redis_py.sequential_us"),
                    Beside("redis-py on uvloop", "clients.redis_py_uvloop.sequential_us"),
                ),
                times=1,
            ),
        ),
        quick=("--rounds", "1"),
    ),
    Entry(
        "postgres",
        "host",
        "Postgres",
        "One server, in turns: our pool beside psycopg on a bare asyncio connection; then both over 8 connections.",
        (
            *(
                Measure(
                    f"{words}, one at a time",
                    f"one_at_a_time.{name}.quartet_us",
                    "µs",
                    is_less_better=True,
                    beside=(Beside("psycopg on asyncio", f"one_at_a_time.{name}.psycopg_asyncio_us"),),
                    times=1,
                )
                for words, name in (("SELECT 1", "select"), ("a conditional UPDATE", "update"))
            ),
            Measure(
                "conditional UPDATEs, 64 tasks",
                "concurrent.update.quartet_per_s",
                "a second",
                beside=(Beside("psycopg on asyncio", "concurrent.update.psycopg_asyncio_per_s"),),
            ),
        ),
        ("--rounds", "15"),
        quick=("--rounds", "1"),
    ),
)
FRONTROW: Final = (
    Entry(
        "stampede",
        "frontrow",
        "A stampede for one seat",
        "1,000 buyers, 50 times, from the gun to the last verdict; the floor is their SET NX in one raw pipeline.",
        (
            Measure(
                "median",
                "median_ms",
                "ms",
                is_less_better=True,
                beside=(Beside("1,000 SET NX, raw", "redis_floor_ms", is_floor=True),),
                most=10,
                floor_times=6,
            ),
            Measure("p99", "p99_ms", "ms", is_less_better=True),
            _count("seats sold twice", "oversold", 0),
        ),
        quick=("--runs", "3"),
    ),
    Entry(
        "http_stampede",
        "frontrow",
        "The stampede over HTTP",
        "1,000 keep-alive clients ask for one seat at once, until the last answer; then with Redis killed.",
        (
            Measure("all answers", "total_ms", "ms", is_less_better=True, most=250),
            _count("holds granted of 1,000", "created", 1),
            Measure("all bookings without Redis", "redis_down.bookings.total_ms", "ms", is_less_better=True),
            _count("seats sold of one, without Redis", "redis_down.bookings.booked", 1),
        ),
        quick=("--rounds", "2"),
    ),
    Entry(
        "arena",
        "frontrow",
        "An arena, sold out at once",
        "20,000 seats, 100,000 buyers with three tries each, all in flight, through holds and claims.",
        (
            Measure("until it is sold out", "seconds", "s", is_less_better=True, most=5),
            Measure("attempts", "attempts_per_s", "a second", least=50_000),
            Measure("memory at its peak", "peak_rss_mb", "MB", is_less_better=True, most=800),
            _count("seats sold twice", "oversold", 0),
        ),
        quick=("--rounds", "1", "--buyers", "5000", "--seats", "1000"),
    ),
    Entry(
        "checkout",
        "frontrow",
        "Whole purchases",
        "Hold, order, pay and confirm over HTTP, 96 clients; the host, Postgres, Redis and they share the machine.",
        (
            Measure("purchases", "journeys_per_s", "a second", least=1000),
            Measure("p99 of a purchase", "p99_ms", "ms", is_less_better=True),
        ),
        quick=("--seconds", "1"),
    ),
    Entry(
        "live_map",
        "frontrow",
        "A map with watchers",
        "A sale with 1,000 on its live seat map, and the same while their clients listen to a process beside the host.",
        (
            Measure(
                "purchases while 1,000 watch",
                "watched.journeys_per_s",
                "a second",
                beside=(Beside("they listen elsewhere", "control.journeys_per_s", is_floor=True),),
            ),
            Measure("of the rate is kept", "rate_kept", "", least=0.95),
            Measure("of a core for watching", "watching_host_cpu_share", "", is_less_better=True),
            Measure("p99 from a hold to the map", "watched.map_p99_ms", "ms", is_less_better=True),
        ),
        quick=("--seconds", "1", "--watchers", "100", "--rounds", "1"),
    ),
    Entry(
        "best_available",
        "frontrow",
        "Best seats together",
        "The search for 1 to 10 seats on an arena of 20,000, empty to sold out; the slowest of 336.",
        (Measure("slowest search", "max_ms", "ms", is_less_better=True, most=5),),
    ),
)
RAFT: Final = (
    Entry(
        "raft",
        "raft",
        "Consensus",
        "Three processes with an fsync before every answer; PySyncObj in memory; the lab's leader killed 200 times.",
        (
            Measure(
                "durable commits of 64 bytes",
                "commits_per_s",
                "a second",
                beside=(Beside("PySyncObj, in memory", "pysyncobj_commits_per_s"),),
                least=22_000,
            ),
            Measure("one commit, one client in turn", "commit_p50_ms", "ms", is_less_better=True, most=3),
            Measure("fail-over, median", "failover_p50_ms", "ms", is_less_better=True, most=250),
            Measure("fail-over, p99", "failover_p99_ms", "ms", is_less_better=True, most=600),
            Measure("events of the checked simulation", "sim_events_per_s", "a second", least=60_000),
        ),
        ("--seconds", "4"),
        quick=("--seconds", "1", "--rounds", "1", "--kills", "5"),
        limit_s=300,
    ),
)
LIVEBOARD: Final = (
    Entry(
        "liveboard",
        "liveboard",
        "One board, many screens",
        "Operations committed to Postgres and sent to every screen; Node's ws relays the same and stores nothing.",
        (
            *(
                Measure(
                    f"durable deliveries, {clients} clients",
                    f"clients.{number}.deliveries_per_s",
                    "a second",
                    beside=(Beside("Node's ws, storing nothing", f"clients.{number}.node_deliveries_per_s"),),
                    times=1.5,
                )
                for clients, number in (("100", "100"), ("1,000", "1000"))
            ),
            Measure(
                "p99 from drawing to the last of 100 screens", "clients.100.p99_ms", "ms", is_less_better=True, most=50
            ),
            Measure("p99 of a cursor, 100 at 30 Hz", "clients.100.presence_p99_ms", "ms", is_less_better=True, most=50),
            Measure("joining a board of 10,000 strokes", "clients.100.join_ms", "ms", is_less_better=True, most=300),
            Measure(
                "memory of an idle client, of 1,000",
                "clients.1000.idle_kb_per_client",
                "kB",
                is_less_better=True,
                most=30,
            ),
        ),
        ("--rounds", "2", "--seconds", "4"),
        quick=("--rounds", "1", "--seconds", "1", "--clients", "100,1000"),
        limit_s=240,
    ),
    Entry(
        "liveboard_canvas",
        "liveboard",
        "Ten thousand strokes on screen",
        "Chromium without a graphics processor, 1440 by 900, one gesture a frame.",
        tuple(
            Measure(f"frames while {doing}", f"{name}.fps", "a second", least=59)
            for doing, name in (("moving about", "pan"), ("zooming", "zoom"), ("drawing", "draw"))
        ),
        ("--seconds", "4"),
        quick=("--strokes", "500", "--seconds", "1"),
    ),
)
_RIVALS: Final = (("LiteLLM", "litellm"), ("Portkey", "portkey"))


def _gateway(path: str) -> tuple[Beside, ...]:
    return tuple(Beside(name, f"{key}.{path}") for name, key in _RIVALS)


GATEWAY: Final = (
    Entry(
        "gateway",
        "gateway",
        "Passing requests on",
        "An upstream that answers at once, behind each gateway; ours with a virtual key, limits, a budget and prices.",
        (
            Measure(
                "requests passed on, 32 at once",
                "pass_rps",
                "a second",
                beside=(*_gateway("pass_rps"), Beside("smallest app that calls on", "floors.call_rps", is_floor=True)),
                least=5000,
            ),
            Measure(
                "hits of the cache",
                "hit_rps",
                "a second",
                beside=(Beside("smallest app that answers", "floors.answer_rps", is_floor=True),),
                least=15_000,
            ),
            Measure(
                "added to a request, median",
                "overhead_p50_us",
                "µs",
                is_less_better=True,
                beside=_gateway("overhead_p50_us"),
                most=300,
            ),
            Measure(
                "added to the first token, median",
                "ttft_overhead_p50_us",
                "µs",
                is_less_better=True,
                beside=_gateway("ttft_overhead_p50_us"),
            ),
            Measure("streams of 50 chunks", "streams_per_s", "a second", beside=_gateway("streams_per_s")),
            Measure(
                "of 500 streams of 50 chunks a second, on time",
                "paced.on_time",
                beside=(
                    *_gateway("paced.on_time"),
                    Beside("the upstream alone", "floors.paced.on_time", is_floor=True),
                ),
                least=500,
            ),
            Measure("memory", "rss_mb", "MB", is_less_better=True, beside=_gateway("rss_mb"), most=100),
            Measure("cold start", "cold_start_s", "s", is_less_better=True, beside=_gateway("cold_start_s"), most=1),
        ),
        quick=("--seconds", "0.5", "--rounds", "1", "--no-peers"),
        limit_s=600,
    ),
    Entry(
        "gateway_kill",
        "gateway",
        "The primary provider killed",
        "200 requests a second for 30 s, one in four a stream; SIGKILL for the primary after 10 s.",
        (
            _count("requests failed", "failed", 0),
            _count("streams cut that looked whole", "streams_silent", 0),
            Measure("p99 around the kill", "p99_ms_around_the_kill", "ms", is_less_better=True),
        ),
        quick=("--seconds", "3"),
    ),
    Entry(
        "gateway_cancel",
        "gateway",
        "Clients that leave",
        "Every phase of a request, endpoint and kind of stream; until the upstream sees the connection closed.",
        (Measure("p99", "upstream_p99_ms", "ms", is_less_better=True, most=50),),
        ("--rounds", "5"),
        quick=("--rounds", "1"),
    ),
)
CATALOGUE: Final = (*HOST, *FRONTROW, *RAFT, *LIVEBOARD, *GATEWAY)
