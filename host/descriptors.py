"""What a plugin's hooks return: frozen records that say what there is, and do nothing themselves.

Hooks are synchronous and do no I/O; the asynchronous work lives in the functions that these records hold, and the
host's supervisor runs it inside the plugin's own nursery.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from host.context import PluginContext

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Service = Literal["postgres", "redis", "http"]
RestartPolicy = Literal["permanent", "transient", "temporary"]


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What a plugin is and what it stands on; the first thing the host asks of it.

    `requires_api` is the lowest `host.api.API_VERSION` it works with, as "MAJOR.MINOR"; another MAJOR is refused.
    `requires` are plugins that must be enabled, start before and stop after this one; `after` only orders the start.
    `services` are those it uses: asking the context for another is an error. `services_of` adds those that it uses
    under a given configuration (it is called with the validated model). `config` models its own section of
    `[plugins.NAME]`. `migrations` is the folder with its numbered SQL files (`0001_seats.sql`), applied before its
    tasks start, when it has Postgres. Missing `version` means that of the distribution.
    """

    summary: str
    requires_api: str = "1.0"
    version: str = ""
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    services: frozenset[Service] = frozenset()
    services_of: Callable[[Any], frozenset[Service]] | None = None
    config: type[BaseModel] | None = None
    migrations: Path | None = None
    docs_url: str = ""


Answer = str | type[BaseModel] | tuple[str, type[BaseModel]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a mount for `/openapi.json` and `quartet routes`.

    `path` is complete (`/api/frontrow/holds/{token}`); `responses` maps a status code to a description, to a model of
    its body, or to both; `request` is the model of the JSON body. `admin` says that it needs the admin token off
    loopback. Statuses from 400 on without a model are problems, and what the host itself answers need not be named.
    """

    method: str
    path: str
    summary: str
    request: type[BaseModel] | None = None
    responses: Mapping[int, Answer] = field(default_factory=dict)
    parameters: tuple[Mapping[str, Any], ...] = ()
    admin: bool = False


@dataclass(frozen=True, slots=True)
class WebSocketPolicy:
    """What a mount's WebSockets do when a client takes less than is sent to it, and whether they compress.

    More than `high_water_bytes` waiting to be sent (None: the host's `websocket_queue_bytes_max`) is "full":

    - "wait": `send` waits until half of it is gone, `send_nowait` raises `trio.WouldBlock`;
    - "drop_oldest": the oldest waiting frames whose kind is in `droppable` are dropped, down to half; when that is not
      enough, the socket is closed;
    - "close": the socket is closed with `close_code` (1013, "try again later").

    `deflate` agrees on permessage-deflate (RFC 7692) with clients that offer it. It costs some 20 KiB and a good part
    of the speed for each socket; frames built once for many are sent uncompressed all the same.
    """

    when_full: Literal["wait", "drop_oldest", "close"] = "wait"
    high_water_bytes: int | None = None
    droppable: frozenset[str] = frozenset()
    close_code: int = 1013
    deflate: bool = False


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many requests that change something one client may send: `per_s` in the long run, `burst` at once."""

    per_s: float
    burst: int

    def __post_init__(self) -> None:
        assert self.per_s > 0, f"a rate limit must be above zero, is {self.per_s} a second"
        assert self.burst >= 1, f"a rate limit must let one request pass, its burst is {self.burst}"


@dataclass(frozen=True, slots=True)
class Mount:
    """An ASGI app under a path prefix. The longest prefix wins; two plugins may not claim the same one.

    The app sees the whole path in `scope["path"]`, and an empty `root_path`. While its plugin is down the host answers
    503 in its stead. `body_bytes_max` and `request_timeout_s` narrow the host's own limits, None keeps them.
    `content_types` are those accepted on requests that change state (any other is answered 415).
    `cross_origin` lets browsers of other sites in, for APIs whose callers carry their own credentials in a header.
    `websocket` says how its WebSockets treat slow clients.
    `rate_limit` is for requests that change state and for WebSockets that are opened, counted for each client: "site"
    counts them with those of all other mounts, a `RateLimit` is this mount's own, "none" is for apps that do it
    themselves, by key for instance.
    """

    path: str
    app: ASGIApp
    operations: tuple[Operation, ...] = ()
    content_types: tuple[str, ...] = ("application/json",)
    body_bytes_max: int | None = None
    request_timeout_s: float | None = None
    cross_origin: bool = False
    websocket: WebSocketPolicy = field(default_factory=WebSocketPolicy)
    rate_limit: Literal["site", "none"] | RateLimit = "site"


PageContext = Callable[[Mapping[str, str]], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the site: a Jinja template in `folder`, the folder's other files served beside it.

    `path` may hold parameters (`/frontrow/runs/{run_id}`). `context` is awaited at each request with those parameters
    and returns what the template sees, so that the page says something before its script runs; it may raise
    `HttpProblem`. The template extends `layout.html`. `nav` puts the page into the site's navigation.
    """

    path: str
    title: str
    folder: Path
    template: str = "index.html"
    context: PageContext | None = None
    nav: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A background task in the plugin's nursery.

    `run` is called as `run()` or, when it has a parameter of that name, as `run(task_status=...)`: then the plugin is
    ready only once it called `task_status.started()`, within `start_timeout_s`. At stop, `ctx.draining` is set first;
    the task has `stop_timeout_s` to end by itself before it is cancelled; 0 cancels it at once.

    `restart` decides what its end means: "permanent" must never end, "transient" may return but not raise, and either
    breach fails the plugin, which is restarted whole; a "temporary" task that raises is logged and counted, no more.
    """

    name: str
    run: Callable[..., Awaitable[None]]
    restart: RestartPolicy = "permanent"
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the plugin, exported as `NAME_OF_PLUGIN_name`; used as `ctx.metrics["name"]`.

    Labels must be bounded sets of values. `buckets` are upper bounds in the metric's unit, for histograms. Of a
    "counted_histogram" the plugin counts the buckets itself and shows them now and then (`CountedHistogram.show`).
    """

    kind: Literal["counter", "gauge", "histogram", "counted_histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A check run every `interval_s` under `timeout_s`; raising means unhealthy, and the error is the reason shown.

    A failing `required` check makes the host unready (503 on `/readyz`); any other only marks the plugin degraded.
    """

    name: str
    check: Callable[[], Awaitable[None]]
    interval_s: float = 10.0
    timeout_s: float = 5.0
    required: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number for the overview: `value` None means "not measured yet"; `measured_at` is Unix seconds."""

    label: str
    value: float | str | None
    unit: str = ""
    measured_at: float | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """The plugin's place on the overview: the hard thing, the promise, and its live figures.

    `proof_url` is POSTed by the card's button with `proof_body` and answers the result as JSON with `verdict`.
    """

    title: str
    href: str
    hard_thing: str
    promise: str
    figures: Callable[[], Awaitable[Sequence[Figure]]]
    proof_url: str = ""
    proof_body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand `quartet NAME-OF-PLUGIN name …`. `run` has the plugin's context and returns the exit code."""

    name: str
    help: str
    run: "Callable[[PluginContext, Namespace], Awaitable[int]]"
    arguments: Callable[[ArgumentParser], None] | None = None
