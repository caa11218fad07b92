"""`/v1`: what clients ask, from the first byte of a request to the last of its answer.

A plain ASGI app. A hit of the cache whose request has been seen before, byte by byte, is served without its JSON ever
being parsed; anything else is parsed once, resolved, and carried out by a flight or, when nobody may share it, here.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import trio
from pydantic_core import from_json

from host.api import ClientDisconnected, HttpProblem, Receive, Scope, Send, read_body
from plugins.gateway.admission import Admission, Key
from plugins.gateway.answering import (
    ClientSink,
    begin_stream,
    error_frame,
    headers_of,
    joined,
    send_error,
    send_stream,
    send_whole,
)
from plugins.gateway.calls import AnswerBroken, Call, Meta
from plugins.gateway.core.cache_key import cache_key, digest_of_body
from plugins.gateway.core.dialects.relayed import PATHS, form_of
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.usage import Usage, estimate_tokens
from plugins.gateway.entries import Entry
from plugins.gateway.flights import Flight, Subscriber
from plugins.gateway.models import model_document, models_document
from plugins.gateway.pipeline import Pipeline, no_answer, now_ms
from plugins.gateway.settings import Settings
from plugins.gateway.store import Store
from plugins.gateway.targets import Route, Targets
from plugins.gateway.telemetry import Record, Telemetry, record_of
from plugins.gateway.upstream import RELAYED

SURFACES: Final[Mapping[str, str]] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/moderations": "moderations",
    **{f"/v1{path}": path[1:] for path in PATHS},
}
MODELS: Final = "/v1/models"
REQUIRED: Final[Mapping[str, str]] = {
    "chat": "messages",
    "completions": "prompt",
    "embeddings": "input",
    "messages": "messages",
    "moderations": "input",
}
STREAMED: Final = frozenset({"chat", "completions", "responses", "messages"})
MEMO_MAX: Final = 20_000
"""Requests whose meaning is remembered by the digest of their bytes: some hundred bytes each."""
SHADOWS_MAX: Final = 64
FAREWELL_S: Final = 0.5
"""How long a stream that is cut by the stop of the gateway may take to say so."""
_FORWARDED: Final = (b"anthropic-beta", b"openai-beta")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request turned out to mean. `key` None: it must not be cached."""

    model: str
    stream: bool
    include_usage: bool
    key: bytes | None


@dataclass(slots=True)
class Controls:
    """What the request's Cache-Control asks for (RFC 9111 §5.2.1)."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    age_ms_max: int | None = None


_NO_CONTROLS: Final = Controls()


class Api:
    """The app behind `/v1`."""

    def __init__(
        self,
        settings: Settings,
        targets: Targets,
        pipeline: Pipeline,
        store: Store,
        admission: Admission,
        telemetry: Telemetry,
        draining: trio.Event,
    ) -> None:
        self.nursery: trio.Nursery | None = None
        self._settings = settings
        self._targets = targets
        self._pipeline = pipeline
        self._store = store
        self._admission = admission
        self._telemetry = telemetry
        self._draining = draining
        self._flights: dict[bytes, Flight] = {}
        self._memo: OrderedDict[bytes, Asked] = OrderedDict()
        self._shadows = 0

    @property
    def flights(self) -> int:
        """Upstream calls under way that are shared or may be."""
        return len(self._flights)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"]
        surface = SURFACES.get(path, "")
        request_id = scope.get("quartet.request_id") or "local"
        exchange = _Exchange(scope, receive, send, surface, request_id)
        self._telemetry.in_flight += 1
        if surface:
            self._telemetry.live.step(request_id, "arrived")
        try:
            if surface and scope["method"] == "POST":
                await self._serve(exchange)
            else:
                await self._serve_others(exchange, path)
        except ApiError as error:
            exchange.status, exchange.error = error.status, error.code or error.type
            await send_error(send, error, surface, request_id)
        except HttpProblem as problem:
            refused = ApiError(problem.status, None, problem.detail or problem.title)
            exchange.status, exchange.error = refused.status, "request"
            await send_error(send, refused, surface, request_id)
        except BaseException as error:
            if not exchange.status:
                exchange.status = 499 if _is_leaving(error) else 500
            raise
        finally:
            self._telemetry.in_flight -= 1
            if surface:
                self._telemetry.finished(exchange.record())

    async def _serve_others(self, exchange: "_Exchange", path: str) -> None:
        method = exchange.scope["method"]
        is_models = path == MODELS or path.startswith(f"{MODELS}/")
        if is_models and method in ("GET", "HEAD"):
            self._admission.identify(exchange.headers, now_ms())
            name = path.removeprefix(MODELS).lstrip("/")
            body = model_document(self._targets, name) if name else models_document(self._targets)
            await send_whole(exchange.send, b"" if method == "HEAD" else body, ())
            return
        if is_models or exchange.surface:
            raise ApiError(405, "method_not_allowed", f"{path} does not take {method}")
        raise ApiError(404, "unknown_url", f"Unknown request URL: {method} {path}. See /v1/models and docs/gateway.md")

    async def _serve(self, exchange: "_Exchange") -> None:
        headers = exchange.headers
        content_type = headers.get(b"content-type", b"")
        is_form = exchange.surface in RELAYED and content_type.startswith(b"multipart/form-data")
        if not is_form and not content_type.startswith(b"application/json"):
            raise ApiError(415, "unsupported_media_type", "send the request as application/json")
        key = self._admission.identify(headers, now_ms())
        exchange.key = key.tenant
        raw = await read_body(exchange.receive, self._settings.body_bytes_max)
        controls = _controls(headers)
        variant = b"\0".join(headers.get(name, b"") for name in (*_FORWARDED, b"x-quartet-route"))
        digest = digest_of_body(key.tenant, exchange.surface, variant, raw)
        asked = self._memo.get(digest)
        if asked is not None and asked.key is not None and not (controls.no_cache or controls.no_store):
            exchange.note(asked)
            hit = self._store.get(asked.key, now_ms(), controls.age_ms_max)
            if hit is not None and hit[0].can_be(stream=asked.stream):
                await self._send_hit(exchange, asked, *hit)
                return
        body = form_of(raw, content_type) if is_form else _parse(raw)
        route = self._resolve(exchange, key, body)
        asked = self._understand(exchange.surface, key, body, route, headers)
        self._remember(digest, asked)
        exchange.note(asked)
        call = self._call(exchange, key, body, raw, route, asked)
        if asked.key is None or controls.no_store:
            exchange.cache = "bypass"
            await self._solo(exchange, call, asked)
            return
        await self._through_cache(exchange, call, asked, controls)

    async def _through_cache(self, exchange: "_Exchange", call: Call, asked: Asked, controls: Controls) -> None:
        assert asked.key is not None
        if not controls.no_cache:
            hit = await self._store.find(asked.key, now_ms(), controls.age_ms_max)
            if hit is not None and hit[0].can_be(stream=asked.stream):
                await self._send_hit(exchange, asked, *hit)
                return
        if controls.only_if_cached:
            raise ApiError(504, "not_cached", "the answer is not in the cache", should_retry=False)
        flight = self._flights.get(asked.key) if self._settings.cache.single_flight else None
        if flight is None or not flight.is_whole or flight.scope.cancel_called or flight.error or flight.broken:
            exchange.cache = "miss"
            flight = self._launch(asked.key, call)
        else:
            exchange.cache = "coalesced"
        await self._follow(exchange, flight.join(), call, asked)

    def _resolve(self, exchange: "_Exchange", key: Key, body: dict[str, Any]) -> Route:
        name = body.get("model")
        override = exchange.headers.get(b"x-quartet-route", b"").decode("latin-1")
        name = override or name
        if not isinstance(name, str) or not name:
            raise ApiError(400, "missing_required_parameter", "you must provide a model parameter", param="model")
        exchange.model = name
        needed = REQUIRED.get(exchange.surface)
        if needed and body.get(needed) is None:
            message = f"Missing required parameter: '{needed}'."
            raise ApiError(400, "missing_required_parameter", message, param=needed)
        route = self._targets.resolve(name)
        self._admission.check(key, name, route, exchange.scope, exchange.headers)
        return route

    def _understand(
        self, surface: str, key: Key, body: dict[str, Any], route: Route, headers: Mapping[bytes, bytes]
    ) -> Asked:
        stream = body.get("stream") is True and surface in STREAMED
        options = body.get("stream_options")
        include_usage = stream and isinstance(options, dict) and options.get("include_usage") is True
        cache = self._settings.cache
        temperature = body.get("temperature")
        is_cool = not isinstance(temperature, int | float) or temperature <= cache.temperature_max
        is_stored = surface == "responses" and (body.get("background") or body.get("previous_response_id"))
        is_cacheable = cache.enabled and route.cache and is_cool and not is_stored and surface not in RELAYED
        meant = {name.decode(): headers[name].decode("latin-1") for name in _FORWARDED if name in headers}
        digest = (
            cache_key(tenant=key.tenant, surface=surface, route=route.name, body=body, headers=meant)
            if is_cacheable
            else None
        )
        return Asked(str(body["model"]), stream, include_usage, digest)

    def _remember(self, digest: bytes, asked: Asked) -> None:
        if asked.key is not None:
            self._memo[digest] = asked
            if len(self._memo) > MEMO_MAX:
                self._memo.popitem(last=False)

    def _call(
        self, exchange: "_Exchange", key: Key, body: dict[str, Any], raw: bytes, route: Route, asked: Asked
    ) -> Call:
        headers = exchange.headers
        call = Call(
            request_id=exchange.request_id,
            surface=exchange.surface,
            route=route,
            body=body,
            raw=raw,
            stream=asked.stream,
            tenant=key.tenant,
            deadline_s=trio.current_time() + self._settings.clocks.total,
            forwarded=tuple((name, headers[name]) for name in _FORWARDED if name in headers),
            prompt_tokens=estimate_tokens(len(raw)),
        )
        if route.strategy == "canary":
            who = str(body.get("user") or headers.get(b"authorization") or exchange.scope.get("client"))
            call.sticky = int.from_bytes(cache_key(tenant="", surface="", route=who, body={})[:4]) / 2**32
        if route.shadow is not None and self._shadows < SHADOWS_MAX and self.nursery is not None:
            self._shadows += 1
            self.nursery.start_soon(self._shadow, call, route)
        return call

    async def _shadow(self, call: Call, route: Route) -> None:
        assert route.shadow is not None
        try:
            copied = Route(f"{route.name}:shadow", (type(route.members[0])(route.shadow),))
            await no_answer(self._pipeline, call, copied)
        finally:
            self._shadows -= 1

    # Ways to an answer.

    async def _send_hit(self, exchange: "_Exchange", asked: Asked, entry: Entry, age_ms: int) -> None:
        exchange.cache = "hit"
        self._telemetry.live.step(exchange.request_id, "hit")
        exchange.provider, exchange.usage = entry.provider, entry.usage
        self._telemetry.saved(entry.usage, entry.cost_nano_usd)
        target_headers = self._store.headers_of(entry, age_ms)
        exchange.status = 200
        if asked.stream:
            await send_stream(exchange.send, entry.as_stream(include_usage=asked.include_usage), target_headers)
        else:
            await send_whole(exchange.send, entry.as_body(), target_headers)

    async def _solo(self, exchange: "_Exchange", call: Call, asked: Asked) -> None:
        """Carry out a call that nobody else may share."""
        sink = ClientSink(exchange.send, exchange.surface, exchange.cache, include_usage=asked.include_usage)

        async def carry_out() -> None:
            try:
                await self._pipeline.execute(call, sink)
                exchange.status = 200
            except AnswerBroken as broken:
                await self._break_off(exchange, broken.failure.error)

        try:
            await self._watched(exchange, carry_out, lambda: sink.has_begun)
        finally:
            exchange.attempts = call.attempts
            if sink.meta is not None:
                exchange.answered_by(sink.meta)
            if sink.outcome is not None:
                exchange.usage = sink.outcome.usage

    def _launch(self, key: bytes, call: Call) -> Flight:
        flight = Flight(
            key,
            call,
            self._settings.cache.entry_bytes_max,
            on_answer=self._store.keep,
            on_over=self._land,
        )
        self._flights[key] = flight
        assert self.nursery is not None, "the plugin's task is running"
        self.nursery.start_soon(flight.run, self._pipeline)
        return flight

    def _land(self, flight: Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    async def _follow(self, exchange: "_Exchange", reader: Subscriber, call: Call, asked: Asked) -> None:
        """Read the answer of a flight, whoever started it."""
        flight = reader.flight
        begun = False

        def has_begun() -> bool:
            return begun

        async def read() -> None:
            nonlocal begun
            await reader.wait_begun()
            if flight.call.stream and asked.stream:
                await self._follow_stream(exchange, reader, asked, mark)
            else:
                await reader.wait_over()
                await self._send_landed(exchange, reader, asked)

        def mark() -> None:
            nonlocal begun
            begun = True

        try:
            await self._watched(exchange, read, has_begun)
        finally:
            reader.leave()
            exchange.attempts = flight.call.attempts
            if flight.meta is not None:
                exchange.answered_by(flight.meta)
            if flight.entry is not None:
                exchange.usage = flight.entry.usage
                if exchange.cache == "coalesced" and exchange.status == 200:
                    self._telemetry.saved(flight.entry.usage, flight.entry.cost_nano_usd)

    async def _follow_stream(self, exchange: "_Exchange", reader: Subscriber, asked: Asked, mark: Any) -> None:
        flight = reader.flight
        frames = await reader.next_frames()
        if not frames and flight.error is not None:
            raise flight.error
        assert flight.meta is not None
        mark()
        await begin_stream(exchange.send, headers_of(flight.meta, exchange.cache))
        null_usage = asked.include_usage and exchange.surface in ("chat", "completions")
        while frames:
            data = joined(frames, null_usage=null_usage)
            await exchange.send({"type": "http.response.body", "body": data, "more_body": True})
            reader.sent(len(data))
            frames = await reader.next_frames()
        if flight.entry is not None and not reader.is_cut:
            tail = (flight.entry.usage_frame if asked.include_usage else b"") + flight.entry.trailer
            exchange.status = 200
            await exchange.send({"type": "http.response.body", "body": tail})
            return
        if reader.is_cut:
            error = ApiError(503, "slow_reader", "this client read too slowly, others were waiting")
        elif flight.broken is not None:
            error = flight.broken.failure.error
        else:
            error = flight.error or ApiError(502, "upstream_disconnected", "the answer broke off")
        await self._break_off(exchange, error)

    async def _send_landed(self, exchange: "_Exchange", reader: Subscriber, asked: Asked) -> None:
        flight = reader.flight
        if flight.error is not None:
            raise flight.error
        if flight.broken is not None:
            raise flight.broken.failure.error
        entry = flight.entry
        if entry is None or not flight.is_whole or not entry.can_be(stream=asked.stream):
            raise ApiError(503, "not_shareable", "the answer is too long to be shared; ask again", retry_after_s=1)
        assert flight.meta is not None
        headers = headers_of(flight.meta, exchange.cache)
        exchange.status = 200
        if asked.stream:
            await send_stream(exchange.send, entry.as_stream(include_usage=asked.include_usage), headers)
        else:
            await send_whole(exchange.send, entry.as_body(), headers)

    async def _break_off(self, exchange: "_Exchange", error: ApiError) -> None:
        """End a stream that failed: an error event, and no end of the body."""
        exchange.status, exchange.error = error.status, error.code or error.type
        data = error_frame(error, exchange.surface, exchange.request_id)
        await exchange.send({"type": "http.response.body", "body": data, "more_body": True})

    async def _watched(self, exchange: "_Exchange", run: Any, has_begun: Any) -> None:
        """Run until it ends or the client leaves, whichever is first. Raises what `run` raises.

        Cancelled because the gateway stops, a stream that has begun still gets its error event.
        """
        failure: ApiError | None = None
        is_left = False
        try:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    nonlocal is_left
                    while (await exchange.receive())["type"] != "http.disconnect":
                        pass
                    is_left = True
                    nursery.cancel_scope.cancel("the client has left")

                nursery.start_soon(watch)
                try:
                    await run()
                except ApiError as error:
                    failure = error
                nursery.cancel_scope.cancel("answered")
        except BaseException as error:
            if not _is_leaving(error):
                raise
            if self._draining.is_set() and has_begun() and not is_left:
                farewell = ApiError(503, "shutting_down", "the gateway is stopping", retry_after_s=1.0)
                with trio.move_on_after(FAREWELL_S, shield=True):
                    await self._break_off(exchange, farewell)
            raise
        if failure is not None:
            raise failure
        if is_left and not exchange.status:
            raise ClientDisconnected("the client left before its answer was complete")


class _Exchange:
    """One request and what is noted of it on the way."""

    __slots__ = (
        "attempts",
        "began_ns",
        "cache",
        "error",
        "first_token_us",
        "headers",
        "key",
        "model",
        "provider",
        "receive",
        "request_id",
        "scope",
        "send",
        "status",
        "stream",
        "surface",
        "usage",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, surface: str, request_id: str) -> None:
        self.began_ns = time.perf_counter_ns()
        self.scope = scope
        self.receive = receive
        self.send = send
        self.surface = surface
        self.request_id = request_id
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.status = 0
        self.error = ""
        self.cache = "bypass"
        self.model = self.provider = self.key = ""
        self.stream = False
        self.attempts = 0
        self.first_token_us = 0.0
        self.usage: Usage | None = None

    def note(self, asked: Asked) -> None:
        self.model = asked.model
        self.stream = asked.stream

    def answered_by(self, meta: Meta) -> None:
        self.provider = meta.target.provider.name
        self.first_token_us = meta.first_token_us

    def record(self) -> Record:
        return record_of(
            request_id=self.request_id,
            endpoint=self.surface,
            model=self.model,
            status=self.status or 500,
            cache=self.cache,
            stream=self.stream,
            began_ns=self.began_ns,
            provider=self.provider,
            attempts=self.attempts,
            first_token_us=self.first_token_us,
            usage=self.usage,
            key=self.key,
            error=self.error,
        )


def _is_leaving(error: BaseException) -> bool:
    """Whether nothing but a cancellation, or the client's leaving, is behind it."""
    if isinstance(error, BaseExceptionGroup):
        return error.split((trio.Cancelled, ClientDisconnected))[1] is None
    return isinstance(error, trio.Cancelled | ClientDisconnected)


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        message = f"We could not parse the JSON body of your request: {str(error)[:200]}"
        raise ApiError(400, None, message) from None
    if not isinstance(body, dict):
        raise ApiError(400, None, "the body of a request is a JSON object")
    return body


def _controls(headers: Mapping[bytes, bytes]) -> Controls:
    value = headers.get(b"cache-control")
    if value is None:
        return _NO_CONTROLS
    words = [word.strip().lower() for word in value.split(b",")]
    controls = Controls(b"no-store" in words, b"no-cache" in words, b"only-if-cached" in words)
    for word in words:
        name, _, number = word.partition(b"=")
        if name == b"max-age" and number.isdigit():
            controls.age_ms_max = min(int(number), 10**9) * 1000
    return controls
